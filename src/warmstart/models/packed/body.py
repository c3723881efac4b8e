"""``Body``: what packed execution needs to know about a model family, without its head.

A packed batch passes through Transformers' own modules with a batch size of 1. Embeddings, norms
and feed-forward networks compute each token on its own, so they run unchanged. Only attention
looks at other tokens; it receives the layout of the batch as ``packing=...``
(``packed_attention``). A ``Body`` supplies what differs between families: the names of modules and
the positions that the embeddings expect.

Letters: T tokens of a batch, H hidden width.

Source: Krell et al. 2021, arXiv:2107.02027, section 3 (positions and masks that make packing
exact).
"""

from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from warmstart.models.packed.packing import Packing

Model = Any
"""A ``PreTrainedModel``. Its submodules are found by name, which no static type describes."""


class Body(Protocol):
    """How the embeddings and layers of one family run over a packed batch."""

    causal: ClassVar[bool]
    """Whether a token attends only to itself and to earlier tokens of its row."""

    def why_not_packed(self, model: Model) -> str | None:
        """Why the configuration of this model rules out packed execution; None if it does not."""

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Hidden states [1, T, H] of token ids [1, T] and token types [1, T]."""

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules with weights below the first layer."""

    def layers(self, model: Model) -> nn.ModuleList:
        """The transformer layers, first to last."""

    def run(self, model: Model, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
        """Run layers ``start`` to ``stop - 1`` on all tokens: [1, T, H] to [1, T, H].

        A decoder also applies its last norm after its last layer. ModernBERT's last norm is applied
        by its heads instead (``packed_heads``), only to the tokens that they read.
        """

    def finished(self, model: Model, hidden: Tensor) -> Tensor:
        """What the body returns as its last hidden state, from the result of its last layer.

        Both are [1, T, H]; they differ only if ``run`` leaves a last norm to the heads.
        """

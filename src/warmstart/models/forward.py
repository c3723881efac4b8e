"""From a batch to logits: the one place that knows how a model wants its input laid out.

A batch is packed (real tokens only); a plain Transformers model wants a rectangle. ``forward_for``
looks at a model once and returns the function that runs it, with a word on which way it took.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from warmstart.data.batches import Batch


@dataclass(frozen=True, slots=True)
class Forward:
    """How to run a model.

    Args:
        run: (model, batch) to logits [B, C]; the model may be wrapped for several devices.
        path: how, in a few words, for ``environment.json``.
    """

    run: "Callable[[nn.Module, Batch], Tensor]"
    path: str


def forward_for(model: "PreTrainedModel") -> Forward:
    """The way to run this model: padded to the longest row of each batch.

    Args:
        model: any Transformers model whose output has ``logits``.
    """
    pad_token_id = model.config.pad_token_id or 0

    def run(model: "nn.Module", batch: "Batch") -> "Tensor":
        logits: Tensor = model(**batch.padded(pad_token_id)).logits
        return logits

    return Forward(run, "padded to the longest row of each batch")

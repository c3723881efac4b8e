"""Decoders: how GPT-2, Llama and their relatives run over a packed batch.

Positions start at 0 in every row, and no token attends to another row or to a later token. The loss
of a packed batch therefore equals the loss of its documents one by one.

Letters: T tokens of a batch, H hidden width.

Source: the ``forward`` methods of each family in Transformers.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from warmstart.models.packed.body import Model
from warmstart.models.packed.packing import Packing


@dataclass(frozen=True, slots=True)
class Gpt2Body:
    """GPT-2: learned positions, a norm before each block, one projection for Q, K and V."""

    causal: ClassVar[bool] = True

    def why_not_packed(self, model: Model) -> str | None:
        """Why the configuration of this model rules out packed execution; None if it does not."""
        return "it attends to an encoder" if model.config.add_cross_attention else None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words and positions, [1, T, H]."""
        body = model.base_model
        hidden: Tensor = body.drop(body.wte(ids) + body.wpe(packing.positions))
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules with weights below the first layer."""
        return [model.base_model.wte, model.base_model.wpe]

    def layers(self, model: Model) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers: nn.ModuleList = model.base_model.h
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
        """Run layers ``start`` to ``stop - 1``, and the norm after the last layer: [1, T, H]."""
        layers = self.layers(model)
        for layer in layers[start:stop]:
            hidden = layer(hidden, packing=packing)
        return model.base_model.ln_f(hidden) if stop == len(layers) else hidden

    def finished(self, model: Model, hidden: Tensor) -> Tensor:
        """The hidden states themselves, [1, T, H]: ``run`` has applied the last norm."""
        return hidden


@dataclass(frozen=True, slots=True)
class RotaryBody:
    """Decoders that rotate queries and keys by their positions (Su et al. 2021, arXiv:2104.09864).

    Args:
        words: Name of the word embedding in the body.
        norm: Name of the norm after the last layer.
        dropout: Name of the dropout after the embedding; None if there is none.
    """

    words: str
    norm: str
    dropout: str | None = None

    causal: ClassVar[bool] = True

    def why_not_packed(self, model: Model) -> str | None:
        """None: every configuration can run packed."""
        return None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words, [1, T, H]; positions enter in the attention of each layer."""
        body = model.base_model
        hidden: Tensor = body.get_submodule(self.words)(ids)
        return hidden if self.dropout is None else body.get_submodule(self.dropout)(hidden)

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules with weights below the first layer."""
        return [model.base_model.get_submodule(self.words)]

    def layers(self, model: Model) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers: nn.ModuleList = model.base_model.layers
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
        """Run layers ``start`` to ``stop - 1``, and the norm after the last layer: [1, T, H]."""
        body, layers = model.base_model, self.layers(model)
        rotation = body.rotary_emb(hidden, packing.positions)
        for layer in layers[start:stop]:
            hidden = layer(hidden, position_embeddings=rotation, packing=packing)
        return body.get_submodule(self.norm)(hidden) if stop == len(layers) else hidden

    def finished(self, model: Model, hidden: Tensor) -> Tensor:
        """The hidden states themselves, [1, T, H]: ``run`` has applied the last norm."""
        return hidden

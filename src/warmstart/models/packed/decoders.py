"""Decoders: what packed execution must know of a family that predicts the next token.

As with encoders (``architectures``), Transformers' own modules run with B = 1 and T tokens, and
attention alone is given the layout: positions start anew with every document, and no token sees
another document or what comes after it. What is packed therefore has the loss of its documents one
by one.

Shapes: hidden states are [1, T, H].

Source: Krell et al. 2021, arXiv:2107.02027, section 3 (positions and masks that make packing
exact).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from warmstart.models.packed.packing import Packing

Model = Any
"""A ``PreTrainedModel``, whose modules only their names make known."""


class LanguageModel(Protocol):
    """How the modules of one family of language models run over a packed batch."""

    causal: ClassVar[bool]
    """Whether a token sees none that come after it."""

    def refusal(self, model: Model) -> str | None:
        """Why this model cannot run packed; None where it can."""

    def embed(self, model: Model, ids: Tensor, packing: Packing) -> Tensor:
        """Hidden states [1, T, H] of token ids [1, T]."""

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules below the first layer that hold weights."""

    def layers(self, model: Model) -> nn.ModuleList:
        """The layers, first to last."""

    def run(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """All layers: [1, T, H] to [1, T, H]."""

    def transform(self, model: Model, states: Tensor) -> Tensor:
        """What stands between them and the output layer, of some tokens: [N, H] to [N, H]."""

    def output(self, model: Model) -> nn.Linear:
        """The output layer, H to V."""


class _Decoder:
    """What decoders have in common: nothing stands before the output layer."""

    causal: ClassVar[bool] = True

    def transform(self, model: Model, states: Tensor) -> Tensor:
        """The states themselves."""
        return states

    def output(self, model: Model) -> nn.Linear:
        """The output layer, H to V."""
        layer: nn.Linear = model.get_output_embeddings()
        return layer


@dataclass(frozen=True, slots=True)
class Gpt2(_Decoder):
    """GPT-2: learned positions, norms before each part, one product for queries, keys, values."""

    def refusal(self, model: Model) -> str | None:
        """An encoder's states have no place in a packed batch."""
        return "it attends to an encoder" if model.config.add_cross_attention else None

    def embed(self, model: Model, ids: Tensor, packing: Packing) -> Tensor:
        """Words and positions."""
        body = model.base_model
        hidden: Tensor = body.drop(body.wte(ids) + body.wpe(packing.positions))
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """Words and positions."""
        return [model.base_model.wte, model.base_model.wpe]

    def layers(self, model: Model) -> nn.ModuleList:
        """The blocks."""
        layers: nn.ModuleList = model.base_model.h
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own blocks."""
        for layer in self.layers(model):
            hidden = layer(hidden, packing=packing)
        out: Tensor = model.base_model.ln_f(hidden)
        return out


@dataclass(frozen=True, slots=True)
class Rotary(_Decoder):
    """Decoders that turn queries and keys by their positions.

    Args:
        words: name of the word embedding in the body.
        norm: name of the last norm in the body.
        dropout: name of the dropout after the embedding, where there is one.
    """

    words: str
    norm: str
    dropout: str | None = None

    def refusal(self, model: Model) -> str | None:
        """Nothing in its configuration stands against packing."""
        return None

    def embed(self, model: Model, ids: Tensor, packing: Packing) -> Tensor:
        """Words alone; positions come in at every layer."""
        body = model.base_model
        hidden: Tensor = body.get_submodule(self.words)(ids)
        return hidden if self.dropout is None else body.get_submodule(self.dropout)(hidden)

    def embeddings(self, model: Model) -> list[nn.Module]:
        """Words alone."""
        return [model.base_model.get_submodule(self.words)]

    def layers(self, model: Model) -> nn.ModuleList:
        """The layers."""
        layers: nn.ModuleList = model.base_model.layers
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own layers, with rotations that start anew with every row."""
        body = model.base_model
        rotations = body.rotary_emb(hidden, packing.positions)
        for layer in self.layers(model):
            hidden = layer(hidden, position_embeddings=rotations, packing=packing)
        out: Tensor = body.get_submodule(self.norm)(hidden)
        return out


LLAMA = Rotary(words="embed_tokens", norm="norm")

DECODERS: dict[str, LanguageModel] = {
    "gpt2": Gpt2(),
    "gpt_neox": Rotary(words="embed_in", norm="final_layer_norm", dropout="emb_dropout"),
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
}
"""By ``model_type`` of config.json."""

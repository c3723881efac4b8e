"""Encoders that fill masks: their layers (``architectures``), and what makes words of their states.

All tokens pass through all layers, since each sees the others. The head then runs on the hidden
tokens alone (``token_logits``): 15 % of them, and its last product, with a row for every token of
the vocabulary, is as much work as all layers of a small encoder together.

Letters: T tokens, N of them hidden, H hidden width, V vocabulary.

Source: the ``...ForMaskedLM.forward`` of each family in Transformers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from warmstart.models.packed.architectures import ARCHITECTURES, Architecture
from warmstart.models.packed.packing import Packing

Model = Any
"""A ``PreTrainedModel``, whose modules only their names make known."""


@dataclass(frozen=True, slots=True)
class Masked:
    """How an encoder with a masked-language-model head runs over a packed batch.

    Args:
        architecture: its layers.
        head: what stands between the last layer and the output layer, [N, H] to [N, H].
    """

    architecture: Architecture
    head: Callable[[Model, Tensor], Tensor]

    causal: ClassVar[bool] = False

    def refusal(self, model: Model) -> str | None:
        """Why this model cannot run packed; None where it can."""
        return self.architecture.refusal(model)

    def embed(self, model: Model, ids: Tensor, packing: Packing) -> Tensor:
        """Hidden states [1, T, H] of single texts, which are all of one segment."""
        return self.architecture.embed(model, ids, None, packing)

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules below the first layer that hold weights."""
        return self.architecture.embeddings(model)

    def layers(self, model: Model) -> nn.ModuleList:
        """The layers, first to last."""
        return self.architecture.layers(model)

    def run(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """All layers: [1, T, H] to [1, T, H]."""
        for index in range(len(self.layers(model))):
            hidden = self.architecture.layer(model, index, hidden, packing)
        return hidden

    def transform(self, model: Model, states: Tensor) -> Tensor:
        """The head up to its output layer."""
        return self.head(model, states)

    def output(self, model: Model) -> nn.Linear:
        """The output layer, H to V."""
        layer: nn.Linear = model.get_output_embeddings()
        return layer


def _bert(model: Model, states: Tensor) -> Tensor:
    out: Tensor = model.cls.predictions.transform(states)
    return out


def _roberta(model: Model, states: Tensor) -> Tensor:
    head = model.lm_head
    out: Tensor = head.layer_norm(nn.functional.gelu(head.dense(states)))
    return out


def _electra(model: Model, states: Tensor) -> Tensor:
    out: Tensor = model.generator_predictions(states)
    return out


def _distilbert(model: Model, states: Tensor) -> Tensor:
    out: Tensor = model.vocab_layer_norm(model.activation(model.vocab_transform(states)))
    return out


def _modernbert(model: Model, states: Tensor) -> Tensor:
    # The body's last norm looks at single tokens too: only the hidden ones need it.
    out: Tensor = model.head(model.base_model.final_norm(states))
    return out


HEADS = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
    "camembert": _roberta,
    "electra": _electra,
    "distilbert": _distilbert,
    "modernbert": _modernbert,
}

MASKED = {name: Masked(ARCHITECTURES[name], head) for name, head in HEADS.items()}
"""By ``model_type`` of config.json."""

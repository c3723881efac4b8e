"""Packed execution: a batch runs as its real tokens, without padding.

Fine-tuning on short texts spends most of its arithmetic on padding: CoLA padded to 128 tokens is
91 % padding, and padded to the longest row of a random batch still half. Here every linear layer,
norm, activation and dropout sees the T real tokens of a batch and nothing else; attention alone is
given rectangles, or a kernel for rows of unequal length (``packed_attention``). The batch, its loss
and its gradients are those of the padded run, to the rounding of float32.

Source: Krell et al. 2021, arXiv:2107.02027, and Portes et al. 2023 (MosaicBERT), arXiv:2312.17482,
who do so in pretraining.
"""

from torch import Tensor
from transformers import PreTrainedModel

from warmstart.data.batches import Batch
from warmstart.models.architectures import ARCHITECTURES, Architecture
from warmstart.models.dropout import Noise, use_fast_dropout
from warmstart.models.packed_attention import PACKED
from warmstart.models.packing import pack


class Packed:
    """Runs one model over packed batches.

    Args:
        model: set to packed attention; called in any other way it computes what it did before.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._architecture: Architecture = ARCHITECTURES[model.config.model_type]
        self._noise = Noise()
        use_fast_dropout(model, self._noise)
        model.set_attn_implementation(PACKED)

    def logits(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Logits [B, C].

        Args:
            model: the one this was made for.
            batch: on the model's device.

        Raises:
            ValueError: it is another model, whose attention would not heed the packing.
        """
        if model is not self._model:
            raise ValueError("this packed execution was made for another model")
        if model.training:
            self._noise.renew()
        packing = pack(
            batch.offsets,
            model.config.num_attention_heads,
            self._noise,
            batch.input_ids.device,
        )
        architecture = self._architecture
        types = None if batch.token_type_ids is None else batch.token_type_ids[None]
        hidden = architecture.embed(model, batch.input_ids[None], types, packing)
        for index in range(len(architecture.layers(model)) - 1):
            hidden = architecture.layer(model, index, hidden, packing)
        return architecture.head(model, architecture.last_layer(model, hidden, packing))


def refusal(model: PreTrainedModel) -> str | None:
    """Why a model cannot run packed; None where it can."""
    architecture = ARCHITECTURES.get(model.config.model_type)
    if architecture is None:
        return f"no packed execution for {model.config.model_type} models"
    return architecture.refusal(model)

"""Packed execution: a batch runs as its real tokens, without padding.

Fine-tuning on short texts spends most of its arithmetic on padding: CoLA padded to 128 tokens is
91 % padding, and padded to the longest row of a random batch still half. Here every linear layer,
norm, activation and dropout sees the T real tokens of a batch and nothing else; attention alone is
given rectangles, or a kernel for rows of unequal length (``packed_attention``). The batch, its loss
and its gradients are those of the padded run, to the rounding of float32.

Source: Krell et al. 2021, arXiv:2107.02027, and Portes et al. 2023 (MosaicBERT), arXiv:2312.17482,
who do so in pretraining.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from warmstart.data.examples.batches import Batch
from warmstart.models.packed.architectures import ARCHITECTURES, Architecture
from warmstart.models.packed.dropout import Noise, use_fast_dropout, use_plain_dropout
from warmstart.models.packed.packed_attention import PACKED, flash_serves
from warmstart.models.packed.packing import Packing, pack


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

    def withdraw(self) -> None:
        """Give the model its own dropout back, to be run in another way."""
        use_plain_dropout(self._model)

    def logits(
        self, model: PreTrainedModel, batch: Batch, packing: Packing | None = None
    ) -> Tensor:
        """Logits [B, C].

        Args:
            model: the one this was made for.
            batch: on the model's device; where it has ``computed``, the model begins there.
            packing: its layout where that is known; else it is made from the offsets.

        Raises:
            ValueError: it is another model, whose attention would not heed the packing.
        """
        if model is not self._model:
            raise ValueError("this packed execution was made for another model")
        if model.training:
            self._noise.renew()
        return self._architecture.head(model, self.read(batch, packing)[:, None])

    def read(self, batch: Batch, packing: Packing | None = None) -> Tensor:
        """What the head reads of each row: [B, H]."""
        if batch.computed is not None and batch.computed.by_row:
            values: Tensor = batch.computed.values
            return values
        packing = packing or self._pack(batch)
        hidden = self._through(batch, packing, layers=len(self._layers()) - 1)
        return self._architecture.last_layer(self._model, hidden, packing)[:, 0]

    def states(self, batch: Batch, layers: int) -> Tensor:
        """Hidden states after so many layers: [T, H]."""
        return self._through(batch, self._pack(batch), layers)[0]

    def takes_rows_as_they_are(self, device: torch.device) -> bool:
        """Whether attention needs no rectangles there, in the precision of the moment."""
        config = self._model.config
        half = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if half else self._model.dtype
        return flash_serves(config.hidden_size // config.num_attention_heads, dtype, device)

    def _pack(self, batch: Batch) -> Packing:
        heads, device = self._model.config.num_attention_heads, batch.input_ids.device
        rectangles = not self.takes_rows_as_they_are(device)
        return pack(batch.offsets, heads, self._noise, device, rectangles=rectangles)

    def _through(self, batch: Batch, packing: Packing, layers: int) -> Tensor:
        """Hidden states [1, T, H] after so many layers."""
        model, architecture = self._model, self._architecture
        if batch.computed is None:
            types = None if batch.token_type_ids is None else batch.token_type_ids[None]
            hidden = architecture.embed(model, batch.input_ids[None], types, packing)
            done = 0
        else:
            hidden, done = batch.computed.values[None], batch.computed.layers
        for index in range(done, layers):
            hidden = architecture.layer(model, index, hidden, packing)
        return hidden

    def _layers(self) -> nn.ModuleList:
        return self._architecture.layers(self._model)


def refusal(model: PreTrainedModel) -> str | None:
    """Why a model cannot run packed; None where it can."""
    architecture = ARCHITECTURES.get(model.config.model_type)
    if architecture is None:
        return f"no packed execution for {model.config.model_type} models"
    return architecture.refusal(model)

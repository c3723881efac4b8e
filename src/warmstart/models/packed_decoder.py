"""Packed execution of a decoder: documents end to end, none padded, none seeing another.

The counterpart of ``packed`` for models that say something at every token. What they say is left as
``TokenLogits``, because the whole of it would be the largest tensor of a step.
"""

from typing import Any

import torch
from transformers import PreTrainedModel

from warmstart.data.batches import Batch
from warmstart.models.activations import use_fused_gelu, use_plain_gelu
from warmstart.models.decoders import DECODERS
from warmstart.models.dropout import Noise, use_fast_dropout, use_plain_dropout
from warmstart.models.packed_attention import PACKED, flash_serves
from warmstart.models.packing import Packing, pack
from warmstart.models.token_logits import LazyLogits


class PackedDecoder:
    """Runs one decoder over packed batches.

    Args:
        model: with a language-model head; set to packed attention; called in any other way it
            computes what it did before.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._decoder = DECODERS[model.config.model_type]
        self._noise = Noise()
        use_fast_dropout(model, self._noise)
        use_fused_gelu(model)
        model.set_attn_implementation(PACKED)

    def withdraw(self) -> None:
        """Give the model its own modules back, to be run in another way."""
        use_plain_dropout(self._model)
        use_plain_gelu(self._model)

    def logits(self, model: PreTrainedModel, batch: Batch) -> LazyLogits:
        """What the model says at the batch's tokens, [T, V] once it is asked for.

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
        packing = self._pack(batch)
        hidden = self._decoder.embed(model, batch.input_ids[None], packing)
        whole: Any = model
        output = whole.get_output_embeddings()
        return LazyLogits(self._decoder.run(model, hidden, packing)[0], _same, output)

    def _pack(self, batch: Batch) -> Packing:
        config, device = self._model.config, batch.input_ids.device
        half = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if half else self._model.dtype
        width = getattr(config, "head_dim", None)
        width = width or config.hidden_size // config.num_attention_heads
        rectangles = not flash_serves(width, dtype, device)
        heads = config.num_attention_heads
        return pack(batch.offsets, heads, self._noise, device, rectangles=rectangles, causal=True)


def decoder_refusal(model: PreTrainedModel) -> str | None:
    """Why a decoder cannot run packed; None where it can."""
    decoder = DECODERS.get(model.config.model_type)
    if decoder is None:
        return f"no packed execution for {model.config.model_type} models"
    return decoder.refusal(model)


def _same(hidden: torch.Tensor) -> torch.Tensor:
    return hidden

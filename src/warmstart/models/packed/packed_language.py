"""Packed execution of a language model: documents end to end, none padded, none seeing another.

The counterpart of ``packed`` for models that say something at every token, be it what comes next
(``decoders``) or what is hidden there (``masked``). What they say is left as ``TokenLogits``,
because the whole of it would be the largest tensor of a step.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.data.examples.batches import Batch
from warmstart.models.packed.activations import use_fused_gelu, use_plain_gelu
from warmstart.models.packed.decoders import DECODERS, LanguageModel
from warmstart.models.packed.dropout import Noise, use_fast_dropout, use_plain_dropout
from warmstart.models.packed.masked import MASKED
from warmstart.models.packed.packed_attention import PACKED, flash_serves
from warmstart.models.packed.packing import Packing, pack
from warmstart.models.packed.token_logits import LazyLogits

LANGUAGE_MODELS: dict[str, LanguageModel] = {**DECODERS, **MASKED}
"""By ``model_type`` of config.json."""


class PackedLanguage:
    """Runs one language model over packed batches.

    Args:
        model: with a language-model head; set to packed attention; called in any other way it
            computes what it did before.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._language = LANGUAGE_MODELS[model.config.model_type]
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
        language = self._language
        hidden = language.run(model, language.embed(model, batch.input_ids[None], packing), packing)

        def transform(states: Tensor) -> Tensor:
            return language.transform(model, states)

        return LazyLogits(hidden[0], transform, language.output(model))

    def _pack(self, batch: Batch) -> Packing:
        config, device = self._model.config, batch.input_ids.device
        half = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if half else self._model.dtype
        width = getattr(config, "head_dim", None)
        heads = config.num_attention_heads
        rectangles = not flash_serves(width or config.hidden_size // heads, dtype, device)
        causal = self._language.causal
        return pack(batch.offsets, heads, self._noise, device, rectangles=rectangles, causal=causal)


def language_refusal(model: PreTrainedModel) -> str | None:
    """Why a language model cannot run packed; None where it can."""
    language = LANGUAGE_MODELS.get(model.config.model_type)
    if language is None:
        return f"no packed execution for {model.config.model_type} models"
    return language.refusal(model)

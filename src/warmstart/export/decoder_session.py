"""A decoder's ONNX file and ONNX Runtime; and the same in the place of a PyTorch model.

A call reads new tokens and what was remembered of those before, and gives logits and the longer
memory (``export.decoder``). ``as_model`` puts that where a Transformers model has its body, so that
what goes on with texts (loop, filters, draws, beams, stop texts: ``models.generation``) runs the
file as it runs PyTorch's weights.

Letters: B rows, S new tokens, P tokens before them, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from warmstart.data.examples.tokens import Ints
from warmstart.export.decoder import positions
from warmstart.export.session import open_session
from warmstart.tasks.task import FloatArray

_FIRST_OF_PAST = 3
"""Inputs before the first layer's keys: token ids, mask, positions."""


@dataclass(frozen=True, slots=True)
class OnnxDecoder:
    """An open file.

    Args:
        session: ONNX Runtime's.
        past_names: inputs that remember: of each layer keys, then values.
        past_shapes: heads and width of each.
        vocabulary: V.
    """

    session: Any
    past_names: tuple[str, ...]
    past_shapes: tuple[tuple[int, int], ...]
    vocabulary: int

    @classmethod
    def open(cls, path: Path) -> "OnnxDecoder":
        """Open a file on the CPU.

        Args:
            path: as ``warmstart export`` writes it.

        Raises:
            ExportError: ONNX Runtime is not installed.
        """
        session = open_session(path)
        past = session.get_inputs()[_FIRST_OF_PAST:]
        return cls(
            session,
            tuple(given.name for given in past),
            tuple((given.shape[1], given.shape[3]) for given in past),
            session.get_outputs()[0].shape[-1],
        )

    def step(
        self, input_ids: Ints, attention_mask: Ints, position_ids: Ints, past: Sequence[Any]
    ) -> tuple[FloatArray, list[Any]]:
        """Read new tokens.

        Args:
            input_ids: int64 [B, S].
            attention_mask: 1 at real tokens, those before included, int64 [B, P + S].
            position_ids: int64 [B, S].
            past: as the call before gave it, float32 [B, heads, P, width] each; none at first.

        Returns:
            FloatArray, float32 [B, S, V], and the past of the next call.
        """
        feed = self.feed(input_ids, attention_mask, position_ids, past)
        logits, *present = self.session.run(None, feed)
        return logits, present

    def feed(
        self, input_ids: Ints, attention_mask: Ints, position_ids: Ints, past: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """The inputs by name; arguments as for ``step``."""
        rows = len(input_ids)
        empty = (np.zeros((rows, h, 0, width), np.float32) for h, width in self.past_shapes)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            **dict(zip(self.past_names, past or empty, strict=True)),
        }


def as_model(decoder: OnnxDecoder) -> PreTrainedModel:
    """The file as a Transformers model, which generates as any other does.

    A Llama lends its class, because it does nothing to what its body and its output layer give;
    both are replaced, whatever family the file is of.

    Args:
        decoder: the open file.
    """
    config = LlamaConfig(
        vocab_size=decoder.vocabulary,
        hidden_size=2,
        intermediate_size=1,
        num_attention_heads=1,
        num_hidden_layers=len(decoder.past_names) // 2,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.device("meta"):
        model: PreTrainedModel = LlamaForCausalLM(config)
    model.model, model.lm_head = _Body(decoder), nn.Identity()
    model.train(mode=False)
    return model


class _Body(nn.Module):
    """What answers in the place of a model's layers: logits for hidden states."""

    def __init__(self, decoder: OnnxDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        # Transformers asks a model's parameters where it stands.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """FloatArray [B, S, V]; what was remembered is in the cache, in place."""
        layers: Any = [] if past_key_values is None else past_key_values.layers
        kept = [layer for layer in layers if layer.is_initialized]
        past = [states.numpy() for layer in kept for states in (layer.keys, layer.values)]
        if attention_mask is None:  # nothing is padded
            read = past[0].shape[2] if past else 0
            attention_mask = torch.ones(len(input_ids), read + input_ids.shape[1]).long()
        if position_ids is None:
            position_ids = positions(attention_mask, input_ids.shape[1])
        position_ids = position_ids.expand(input_ids.shape)
        ids, mask, place = (
            given.contiguous().numpy() for given in (input_ids, attention_mask, position_ids)
        )
        logits, present = self.decoder.step(ids, mask, place, past)
        states = [torch.from_numpy(array) for array in present]
        for layer, keys, values in zip(layers, states[::2], states[1::2], strict=False):
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
        return BaseModelOutputWithPast(
            last_hidden_state=torch.from_numpy(logits), past_key_values=past_key_values
        )

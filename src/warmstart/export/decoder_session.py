"""Run a decoder's ONNX file with ONNX Runtime, and wrap it as a Transformers model.

A call takes new tokens and the cache of earlier ones, and returns logits and the extended cache
(``export.decoder``). ``as_model`` wraps this in a Transformers model, so that ``models.generation``
(loop, filters, sampling, beams, stop texts) can use the file like a PyTorch model.

Letters: B rows, S new tokens, P past (cached) tokens, V vocabulary.
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

from warmstart import errors
from warmstart.data.examples.tokens import Ints
from warmstart.export.decoder import positions
from warmstart.export.session import open_session, run_session
from warmstart.tasks.task import FloatArray

_FIRST_OF_PAST = 3
"""Number of inputs before the cache: token ids, mask, positions."""


@dataclass(frozen=True, slots=True)
class OnnxDecoder:
    """An open ONNX file of a decoder.

    Args:
        session: ONNX Runtime's session.
        past_names: names of the cache inputs: for each layer keys, then values.
        past_shapes: heads and width of each cache input.
        vocabulary: vocabulary size V.
        path: the file.
    """

    session: Any
    past_names: tuple[str, ...]
    past_shapes: tuple[tuple[int, int], ...]
    vocabulary: int
    path: Path

    @classmethod
    def open(cls, path: Path) -> "OnnxDecoder":
        """Open a file on the CPU, as ``open_session`` does.

        Raises:
            ExportError: as ``open_session``, or the file is no decoder.
        """
        session = open_session(path)
        inputs = session.get_inputs()
        past = inputs[_FIRST_OF_PAST:]  # each [B, heads, P, width]
        vocabulary = session.get_outputs()[0].shape[-1:]
        if not past or any(len(tensor.shape) != 4 for tensor in past):
            names = ", ".join(tensor.name for tensor in inputs)
            raise errors.export.unusable_file(path, f"its inputs are {names}")
        return cls(
            session,
            tuple(tensor.name for tensor in past),
            tuple((tensor.shape[1], tensor.shape[3]) for tensor in past),
            vocabulary[0],
            path,
        )

    def step(
        self, input_ids: Ints, attention_mask: Ints, position_ids: Ints, past: Sequence[Any]
    ) -> tuple[FloatArray, list[Any]]:
        """Run the decoder on new tokens.

        Args:
            input_ids: int64 [B, S].
            attention_mask: 1 at real tokens, past tokens included, int64 [B, P + S].
            position_ids: int64 [B, S].
            past: the cache from the previous call, float32 [B, heads, P, width] each; empty in the
                first call.

        Returns:
            Logits, float32 [B, S, V], and the cache for the next call.
        """
        feed = self.feed(input_ids, attention_mask, position_ids, past)
        logits, *present = run_session(self.session, self.path, feed)
        return logits, present

    def feed(
        self, input_ids: Ints, attention_mask: Ints, position_ids: Ints, past: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """The inputs of the session by name; arguments as for ``step``."""
        rows = len(input_ids)
        empty = (np.zeros((rows, h, 0, width), np.float32) for h, width in self.past_shapes)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            **dict(zip(self.past_names, past or empty, strict=True)),
        }


def as_model(decoder: OnnxDecoder) -> PreTrainedModel:
    """Wrap the file as a Transformers model with ``generate``.

    The class is Llama's for every model family, because ``LlamaForCausalLM`` only passes the output
    of its body through its output layer. Both modules are replaced here.

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
    """Replaces a model's body; it returns logits instead of hidden states."""

    def __init__(self, decoder: OnnxDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        # Transformers finds the device of a model by its parameters, so there must be one.
        self.device_parameter = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Return logits [B, S, V]; the cache is updated in place."""
        layers: Any = [] if past_key_values is None else past_key_values.layers
        filled = [layer for layer in layers if layer.is_initialized]
        past = [states.numpy() for layer in filled for states in (layer.keys, layer.values)]
        if attention_mask is None:  # there is no padding
            past_tokens = past[0].shape[2] if past else 0
            attention_mask = torch.ones(len(input_ids), past_tokens + input_ids.shape[1]).long()
        if position_ids is None:
            position_ids = positions(attention_mask, input_ids.shape[1])
        position_ids = position_ids.expand(input_ids.shape)  # [1, S] -> [B, S]
        ids, mask, place = (
            tensor.contiguous().numpy() for tensor in (input_ids, attention_mask, position_ids)
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

"""Export a decoder as one ONNX file with a key-value cache as inputs and outputs.

Inputs, int64: ``input_ids`` [B, S], ``attention_mask`` [B, P + S], ``position_ids`` [B, S]; and for
each layer I, float32: ``past_key_values.I.key`` and ``.value`` [B, heads, P, width]. Outputs:
``logits`` [B, S, V], and ``present.I.key`` and ``.value`` [B, heads, P + S, width], which are the
past of the next call. B, S and P are dynamic; P = 0 in the first call. The names are those of
Optimum and onnxruntime-genai, so other programs can use the file.

Letters: B rows, S new tokens, P past (cached) tokens, V vocabulary.

Source: ONNX Runtime generate() API documentation, "Configuration reference"
(onnxruntime.ai/docs/genai/reference/config.html; ``past_key_names``, ``present_key_names``);
Optimum documentation, "Export a model to ONNX", task ``text-generation-with-past``.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from warmstart import errors
from warmstart.export.onnx_file import ONE_FILE_BYTES, exported, save_onnx

Past = Sequence[tuple[Tensor, Tensor]]
"""The cache: keys and values of each layer, float32 [B, heads, P, width]."""

_ROWS, _TOKENS, _PAST = 5, 3, 4
"""Sizes of the example input. They differ from each other, because ``torch.export`` treats equal
sizes as one dimension, and from 0 and 1, which it treats as constants."""


class WithPast(nn.Module):
    """A decoder whose cache is a list of tensors, as inputs and outputs.

    Args:
        model: an unmodified Transformers model in evaluation mode, on the CPU.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: Past
    ) -> tuple[Tensor, ...]:
        """Return logits [B, S, V], then keys and values of each layer."""
        # A cache without the model's configuration: with it, sliding-window layers would drop old
        # tokens.
        cache: Any = DynamicCache()
        for layer, (keys, values) in enumerate(past):
            cache.update(keys, values, layer)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        present = [states for layer in cache.layers for states in (layer.keys, layer.values)]
        return (output.logits, *present)


def write_decoder(model: PreTrainedModel, path: Path, one_file_bytes: int = ONE_FILE_BYTES) -> None:
    """Export a decoder.

    Args:
        model: an unmodified Transformers model in evaluation mode, on the CPU.
        path: the file to write; larger weights are stored in a second file, ``path`` + ``.data``.
        one_file_bytes: largest size of weights in one file.

    Raises:
        ExportError: an operator of the model has no ONNX form, or the model's cache does not
            consist of keys and values.
        RunError: the file cannot be written.
    """
    import onnx_ir as ir

    names = cache_names(len(empty_past(model)))
    batch, tokens, past = map(torch.export.Dim, ("batch", "tokens", "past"))
    cached = {0: batch, 2: past}  # dynamic axes of [B, heads, P, width]
    inputs = ("input_ids", "attention_mask", "position_ids")
    program = exported(
        WithPast(model),
        type(model).__name__,
        _example(model),
        {
            "input_ids": {0: batch, 1: tokens},
            "attention_mask": {0: batch, 1: torch.export.Dim.DYNAMIC},
            "position_ids": {0: batch, 1: tokens},
            "past": [(cached, cached)] * (len(names) // 2),
        },
        ["logits", *(f"present.{name}" for name in names)],
        [*inputs, *(f"past_key_values.{name}" for name in names)],
    )
    # The exporter cannot name an axis that is the sum of two others.
    program.model.graph.inputs[1].shape = ir.Shape(["batch", "past + tokens"])
    save_onnx(program, model, path, one_file_bytes)


def cache_names(layers: int) -> list[str]:
    """Suffixes of the names of cache inputs and outputs, as ``0.key``, ``0.value``, ``1.key``."""
    return [f"{layer}.{part}" for layer, part in product(range(layers), ("key", "value"))]


@torch.no_grad()
def empty_past(model: PreTrainedModel, rows: int = 1, tokens: int = 0) -> Past:
    """A cache of zeros with the shapes of this model.

    Args:
        model: the decoder; it runs on one token to find the shapes.
        rows: number of rows, B.
        tokens: number of past tokens, P.

    Raises:
        ExportError: the model's cache does not consist of keys and values.
    """
    cache: Any = DynamicCache()
    try:
        model(torch.zeros(1, 1, dtype=torch.int64), past_key_values=cache, use_cache=True)
        shapes = [(layer.keys.shape, layer.values.shape) for layer in cache.layers]
    except (AttributeError, TypeError):
        shapes = []
    if not shapes:
        reason = "its cache does not consist of keys and values"
        raise errors.export.unsupported(type(model).__name__, reason)
    return [
        (
            torch.zeros(rows, keys[1], tokens, keys[3]),
            torch.zeros(rows, values[1], tokens, values[3]),
        )
        for keys, values in shapes
    ]


def _example(model: PreTrainedModel) -> dict[str, object]:
    """Example inputs for the exporter; every second row has two padding tokens on the left."""
    mask = torch.ones(_ROWS, _PAST + _TOKENS, dtype=torch.int64)
    mask[1::2, :2] = 0
    return {
        "input_ids": torch.arange(_ROWS * _TOKENS).reshape(_ROWS, _TOKENS)
        % model.config.vocab_size,
        "attention_mask": mask,
        "position_ids": positions(mask, _TOKENS),
        "past": empty_past(model, _ROWS, _PAST),
    }


def positions(attention_mask: Tensor, tokens: int) -> Tensor:
    """Position ids of the new tokens, as Transformers computes them for padding on the left.

    Args:
        attention_mask: 1 at real tokens, int64 [B, P + S].
        tokens: number of new tokens, S.

    Returns:
        int64 [B, S].

    >>> positions(torch.tensor([[0, 0, 1, 1, 1]]), tokens=2)
    tensor([[1, 2]])
    """
    return (attention_mask.cumsum(-1) - 1).clamp_min(0)[:, -tokens:]

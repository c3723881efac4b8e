"""A model that writes as one ONNX file, which remembers what it has read in its inputs.

Named inputs, int64: ``input_ids`` [B, S], ``attention_mask`` [B, P + S], ``position_ids`` [B, S];
and of each layer I, float32: ``past_key_values.I.key`` and ``.value`` [B, heads, P, width].
Outputs: ``logits`` [B, S, V], and ``present.I.key`` and ``.value`` [B, heads, P + S, width], which
are the next call's past. B, S and P are free; P = 0 is the first call. The names are those of
Optimum and of onnxruntime-genai, so that other programs' loops fit.

Letters: B rows, S new tokens, P tokens that were read before, V vocabulary.

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
from warmstart.export.onnx_file import ONE_FILE_BYTES, exported, save

Past = Sequence[tuple[Tensor, Tensor]]
"""Keys and values of each layer, float32 [B, heads, P, width]."""

_ROWS, _TOKENS, _PAST = 5, 3, 4
"""Of the example: unlike each other, and neither 0 nor 1, which PyTorch takes for constants."""


class WithPast(nn.Module):
    """A decoder whose past is tensors, in and out.

    Args:
        model: in evaluation mode, on the CPU, as Transformers made it.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: Past
    ) -> tuple[Tensor, ...]:
        """Logits, then keys and values of each layer."""
        # Not the cache of its configuration, which forgets what a window has passed.
        cache: Any = DynamicCache()
        for layer, (keys, values) in enumerate(past):
            cache.update(keys, values, layer)
        found = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        present = [states for layer in cache.layers for states in (layer.keys, layer.values)]
        return (found.logits, *present)


def write_decoder(model: PreTrainedModel, path: Path, one_file_bytes: int = ONE_FILE_BYTES) -> None:
    """Write a decoder.

    Args:
        model: in evaluation mode, on the CPU, as Transformers made it.
        path: the file to write; weights over the limit go to ``path`` with ``.data`` added.
        one_file_bytes: the limit.

    Raises:
        ExportError: PyTorch has no ONNX form of something the model does, or its memory of a text
            is no keys and values.
        RunError: the file cannot be written.
    """
    import onnx_ir as ir

    names = cache_names(len(empty_past(model)))
    batch, tokens, past = map(torch.export.Dim, ("batch", "tokens", "past"))
    kept = {0: batch, 2: past}
    inputs = ("input_ids", "attention_mask", "position_ids")
    program = exported(
        WithPast(model),
        type(model).__name__,
        _example(model),
        {
            "input_ids": {0: batch, 1: tokens},
            "attention_mask": {0: batch, 1: torch.export.Dim.DYNAMIC},
            "position_ids": {0: batch, 1: tokens},
            "past": [(kept, kept)] * (len(names) // 2),
        },
        ["logits", *(f"present.{name}" for name in names)],
        [*inputs, *(f"past_key_values.{name}" for name in names)],
    )
    # The exporter has no name for a sum of axes.
    program.model.graph.inputs[1].shape = ir.Shape(["batch", "past + tokens"])
    save(program, model, path, one_file_bytes)


def cache_names(layers: int) -> list[str]:
    """``0.key``, ``0.value``, ``1.key``, … as inputs and outputs end."""
    return [f"{layer}.{part}" for layer, part in product(range(layers), ("key", "value"))]


@torch.no_grad()
def empty_past(model: PreTrainedModel, rows: int = 1, tokens: int = 0) -> Past:
    """A past of zeros, in the shape that this model keeps one.

    Args:
        model: asked by reading a token.
        rows: how many, B.
        tokens: how many it claims to have read, P.

    Raises:
        ExportError: the model keeps something else than keys and values.
    """
    cache: Any = DynamicCache()
    try:
        model(torch.zeros(1, 1, dtype=torch.int64), past_key_values=cache, use_cache=True)
        shapes = [(layer.keys.shape, layer.values.shape) for layer in cache.layers]
    except (AttributeError, TypeError):
        shapes = []
    if not shapes:
        reason = "what it remembers of a text is no keys and values"
        raise errors.export.unsupported(type(model).__name__, reason)
    return [
        (
            torch.zeros(rows, keys[1], tokens, keys[3]),
            torch.zeros(rows, values[1], tokens, values[3]),
        )
        for keys, values in shapes
    ]


def _example(model: PreTrainedModel) -> dict[str, object]:
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
    """Place of each new token in its text, as Transformers counts where padding is on the left.

    Args:
        attention_mask: 1 at real tokens, int64 [B, P + S].
        tokens: new ones, S.

    Returns:
        int64 [B, S].

    >>> positions(torch.tensor([[0, 0, 1, 1, 1]]), tokens=2)
    tensor([[1, 2]])
    """
    return (attention_mask.cumsum(-1) - 1).clamp_min(0)[:, -tokens:]

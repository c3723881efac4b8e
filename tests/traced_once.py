"""Tracing a model for export takes seconds; tests of other parts of the export trace it once.

The kept trace is a real trace of the same weights, and every caller gets its own copy.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import pytest
import torch
from torch import nn

from warmstart.export import decoder, onnx_file

_TRACE = onnx_file.exported
_traced: dict[str, Any] = {}


def use(patch: pytest.MonkeyPatch) -> None:
    """After this, a model with the same weights and inputs is not traced again.

    Args:
        patch: undoes it.
    """
    patch.setattr(onnx_file, "exported", _exported)
    patch.setattr(decoder, "exported", _exported)


def _exported(
    model: nn.Module, name: str, inputs: Mapping[str, Any], *others: Any, **named: Any
) -> Any:
    """Like ``onnx_file.exported``: a new program each time, which the caller may change."""
    key = _key(model, [name, *inputs])
    if key not in _traced:
        program = _TRACE(model, name, inputs, *others, **named)
        _traced[key] = ir.serde.serialize_model(program.model)
    return torch.onnx.ONNXProgram(ir.serde.deserialize_model(_traced[key]), None)


def _key(model: nn.Module, names: Sequence[str]) -> str:
    digest = hashlib.sha256(" ".join(names).encode())
    for parameter_name, tensor in model.state_dict().items():
        digest.update(parameter_name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()

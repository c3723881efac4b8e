"""PyTorch traces a model for export in seconds; the tests trace each architecture only once.

What is kept is a real trace, before its constants are folded, in a file that all test processes
read. A model with other weights gets a copy with its own weights; the checks of an export compare
it with PyTorch as always.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch
from filelock import FileLock
from onnx_ir import tensor_adapters
from torch import nn
from transformers import PreTrainedModel

_TRACE = torch.onnx.export
_WITHOUT_EFFECT = {"_name_or_path", "id2label", "label2id", "problem_type"}
"""Settings of a model that its forward pass does not use."""


def use(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on a model of an architecture that was traced before is not traced again.

    Args:
        patch: undoes it.
        folder: the traces; processes of the same test session have it in common.
    """
    folder.mkdir(parents=True, exist_ok=True)
    patch.setattr(torch.onnx, "export", partial(_exported, folder))


def _exported(folder: Path, model: nn.Module, **options: Any) -> Any:
    """As ``torch.onnx.export``: a new program each time, which the caller may change."""
    body = next((part for part in model.modules() if isinstance(part, PreTrainedModel)), None)
    if body is None:
        return _TRACE(model, **options)
    file = folder / _key(model, body.config, options)
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            program = _TRACE(model, **options)
            assert program is not None
            file.write_bytes(ir.serde.serialize_model(program.model).SerializeToString())
    traced = ir.from_proto(ir.serde.onnx.ModelProto.FromString(file.read_bytes()))
    weights = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    for name, value in traced.graph.initializers.items():
        if name in weights:
            value.const_value = tensor_adapters.TorchTensor(weights[name].detach(), name=name)
    return torch.onnx.ONNXProgram(traced, None)


def _key(model: nn.Module, config: Any, options: Mapping[str, Any]) -> str:
    """Everything that the traced program depends on, except the values of the weights."""
    settings = {n: v for n, v in config.to_dict().items() if n not in _WITHOUT_EFFECT}
    content = {
        "class": type(model).__qualname__,
        "config": settings,
        "weights": {name: [*map(int, one.shape)] for name, one in model.state_dict().items()},
        "inputs": {name: str(value) for name, value in options.items() if name != "kwargs"},
        "examples": {name: [*one.shape] for name, one in options["kwargs"].items()
                     if isinstance(one, torch.Tensor)},
    }  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

"""PyTorch to one ONNX file, through ``torch.onnx`` (its exporter by ``torch.export``).

A classifier has the named inputs ``input_ids``, ``attention_mask`` and, where the model has them,
``token_type_ids``, int64 [B, L] each; its output ``logits`` is float32 [B, C], or [B, L, C] for a
classifier of tokens; B and L are free (``decoder`` describes the file of a model that generates).
The file is plain ONNX: any program that supports operator set 23 runs it, and ONNX Runtime fuses
operators when it opens the file.

Operator set 23 is the first that has attention as one operator, so that it need not be recognised
among its parts. Optimum's exporter is no alternative: it cannot be installed beside Transformers 5.

Source: PyTorch documentation, ``torch.onnx.export``; ONNX documentation, *Operators*,
``Attention``.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from warmstart import errors
from warmstart.export.session import PADDING_KEY

OPSET = 23

ONE_FILE_BYTES = 2**31 - 2**20
"""Weights up to here are in the file (the limit is protobuf's); more are in a second beside it."""

_ROWS, _TOKENS = 5, 3
"""Of the example: unlike each other, and neither 0 nor 1, which PyTorch takes for constants."""

_OPERATOR = re.compile(r"OpOverload\(op='([\w.]+)'")


def write_onnx(
    model: nn.Module,
    input_names: Sequence[str],
    pad_token_id: int,
    path: Path,
    one_file_bytes: int = ONE_FILE_BYTES,
    *,
    every_token: bool = False,
) -> None:
    """Write a classifier of rows, or of tokens.

    Args:
        model: in evaluation mode, on the CPU, as Transformers made it.
        input_names: what it is given.
        pad_token_id: kept in the file, for whoever fills rectangles.
        path: the file to write; weights over the limit go to ``path`` with ``.data`` added.
        one_file_bytes: the limit.
        every_token: whether the head reads every token: logits [B, L, C] instead of [B, C].

    Raises:
        ExportError: PyTorch has no ONNX form of something the model does.
        RunError: the file cannot be written.
    """
    from warmstart.export.first_tokens import take_first_tokens_early

    config: Any = model.config
    inputs = example(input_names, _ROWS, _TOKENS, config.vocab_size)
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    program = exported(
        model, type(model).__name__, inputs, dict.fromkeys(input_names, free), ["logits"]
    )
    if not every_token:
        take_first_tokens_early(program.model)
    program.model.metadata_props[PADDING_KEY] = str(pad_token_id)
    save(program, model, path, one_file_bytes)


def exported(
    model: nn.Module,
    name: str,
    inputs: Mapping[str, Any],
    free: Mapping[str, Any],
    output_names: Sequence[str],
    input_names: Sequence[str] | None = None,
) -> Any:
    """A model as ONNX, its constants worked out.

    Args:
        model: in evaluation mode, on the CPU.
        name: of the architecture, for a message.
        inputs: an example, by argument; sizes that are free are unlike each other, and neither 0
            nor 1, which PyTorch takes for constants.
        free: which axes of each are.
        output_names: of what it returns.
        input_names: where they are not the arguments'.

    Raises:
        ExportError: PyTorch has no ONNX form of something the model does.
    """
    import onnxscript.optimizer

    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                kwargs=dict(inputs),
                input_names=input_names,
                output_names=output_names,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=dict(free),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise errors.export.unsupported(name, _reason(error)) from error
    assert program is not None
    with _quiet():
        # PyTorch's own call of this also fuses rotary positions, to an operator that wants them
        # written out for every row and fails where they are not.
        onnxscript.optimizer.optimize(program.model)
    return program


def save(program: Any, model: nn.Module, path: Path, one_file_bytes: int) -> None:
    """Write what ``exported`` made.

    Args:
        program: the model as ONNX.
        model: it was made of.
        path: the file to write; weights over the limit go to ``path`` with ``.data`` added.
        one_file_bytes: the limit.

    Raises:
        RunError: the file cannot be written.
    """
    from onnx_ir.passes import common

    with _quiet():
        common.RemoveUnusedNodesPass()(program.model)
        # Else the file tells where on this machine the source code lies.
        common.ClearMetadataAndDocStringPass()(program.model)
        size = sum(weights.nbytes for weights in model.parameters())
        try:
            program.save(str(path), external_data=size > one_file_bytes)
        except OSError as error:
            raise errors.run.cannot_write(path, error) from error


def example(input_names: Sequence[str], rows: int, tokens: int, vocabulary: int) -> dict[str, Any]:
    """Made-up rows; every second one is filled up after half of its tokens.

    Args:
        input_names: of the model.
        rows: how many, B.
        tokens: longest row, L.
        vocabulary: token ids are below it.

    Returns:
        Tensors by name, int64 [B, L] each.
    """
    generator = torch.Generator().manual_seed(rows * tokens)
    mask = torch.ones(rows, tokens, dtype=torch.int64)
    mask[1::2, (tokens + 1) // 2 :] = 0
    types = torch.zeros_like(mask)
    types[:, tokens // 3 :] = 1
    inputs = {
        "input_ids": torch.randint(vocabulary, mask.shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": types * mask,
    }
    return {name: inputs[name] for name in input_names}


def _reason(error: BaseException) -> str:
    """The operator without an ONNX form where that is the matter, else the first cause's words."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for found in reversed(causes):
        operator = _OPERATOR.search(str(found))
        if operator:
            return f"there is no ONNX form of {operator[1]}"
    return str(causes[-1]).strip().split("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks, which are about its own workings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

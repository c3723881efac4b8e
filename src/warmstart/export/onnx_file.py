"""Export a PyTorch model to one ONNX file with ``torch.onnx`` (the exporter of ``torch.export``).

A classifier has the inputs ``input_ids``, ``attention_mask`` and, if the model uses them,
``token_type_ids``, int64 [B, L] each, and the output ``logits``, float32 [B, C], or [B, L, C] for a
classifier of tokens; for question answering the outputs ``start_logits`` and ``end_logits``,
float32 [B, L]. B and L are dynamic. (``decoder`` describes the file of a decoder.) The file is
plain ONNX: every runtime with operator set 23 can run it. ONNX Runtime fuses operators when it
opens the file.

Operator set 23 is the first with attention as one operator; in older sets, a runtime must recognise
it in a pattern of many operators. Optimum's exporter could not be used, because it cannot be
installed together with Transformers 5.

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
"""Larger weights are stored in a second file, because protobuf has a limit of 2 GiB."""

_ROWS, _TOKENS = 5, 3
"""Sizes of the example input. They differ from each other, because ``torch.export`` treats equal
sizes as one dimension, and from 0 and 1, which it treats as constants."""

_OPERATOR = re.compile(r"OpOverload\(op='([\w.]+)'")


def write_onnx(
    model: nn.Module,
    input_names: Sequence[str],
    pad_token_id: int,
    path: Path,
    one_file_bytes: int = ONE_FILE_BYTES,
    *,
    every_token: bool = False,
    output_names: Sequence[str] = ("logits",),
) -> None:
    """Export a classifier of rows or of tokens.

    Args:
        model: an unmodified Transformers model in evaluation mode, on the CPU.
        input_names: names of its inputs.
        pad_token_id: stored in the file's metadata, for programs that pad batches.
        path: the file to write; larger weights are stored in a second file, ``path`` + ``.data``.
        one_file_bytes: largest size of weights in one file.
        every_token: whether the head reads every token: logits [B, L, C] instead of [B, C].
        output_names: names of the outputs with logits.

    Raises:
        ExportError: an operator of the model has no ONNX form.
        RunError: the file cannot be written.
    """
    from warmstart.export.first_tokens import take_first_tokens_early

    config: Any = model.config
    inputs = example(input_names, _ROWS, _TOKENS, config.vocab_size)
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    program = exported(
        model,
        type(model).__name__,
        inputs,
        dict.fromkeys(input_names, dynamic),
        output_names,
    )
    if not every_token:
        take_first_tokens_early(program.model)
    program.model.metadata_props[PADDING_KEY] = str(pad_token_id)
    save_onnx(program, model, path, one_file_bytes)


def exported(
    model: nn.Module,
    name: str,
    inputs: Mapping[str, Any],
    dynamic: Mapping[str, Any],
    output_names: Sequence[str],
    input_names: Sequence[str] | None = None,
) -> Any:
    """Convert a model to ONNX in memory and fold its constants.

    Args:
        model: a model in evaluation mode, on the CPU.
        name: name of the architecture, for messages.
        inputs: example inputs by argument name; for their sizes see ``_ROWS``.
        dynamic: the dynamic axes of each input.
        output_names: names of the outputs.
        input_names: names of the inputs, if they differ from the argument names.

    Raises:
        ExportError: an operator of the model has no ONNX form.
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
                dynamic_shapes=dict(dynamic),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise errors.export.unsupported(name, _reason(error)) from error
    assert program is not None
    with _quiet():
        # Not `optimize=True` above: PyTorch would then also fuse rotary positions into an operator
        # that fails unless the positions are expanded for every row.
        onnxscript.optimizer.optimize(program.model)
    return program


def save_onnx(program: Any, model: nn.Module, path: Path, one_file_bytes: int) -> None:
    """Write the result of ``exported`` to a file.

    Args:
        program: the ONNX model.
        model: the PyTorch model from which it was made.
        path: the file to write; larger weights are stored in a second file, ``path`` + ``.data``.
        one_file_bytes: largest size of weights in one file.

    Raises:
        RunError: the file cannot be written.
    """
    from onnx_ir.passes import common

    with _quiet():
        common.RemoveUnusedNodesPass()(program.model)
        # The exporter's metadata contain paths of source files on this machine.
        common.ClearMetadataAndDocStringPass()(program.model)
        size = sum(weights.nbytes for weights in model.parameters())
        try:
            program.save(str(path), external_data=size > one_file_bytes)
        except OSError as error:
            raise errors.run.cannot_write(path, error) from error


def example(input_names: Sequence[str], rows: int, tokens: int, vocabulary: int) -> dict[str, Any]:
    """Random rows; the second half of every second row is padding.

    Args:
        input_names: names of the model's inputs.
        rows: number of rows, B.
        tokens: length of the longest row, L.
        vocabulary: vocabulary size; all token ids are smaller.

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
    """Name the operator without an ONNX form, or else the first line of the original error."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for cause in reversed(causes):
        operator = _OPERATOR.search(str(cause))
        if operator:
            return f"there is no ONNX form of {operator[1]}"
    return str(causes[-1]).strip().split("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's messages, which are about its internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

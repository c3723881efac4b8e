"""From a batch to logits: choose packed or padded execution of a model, and verify it.

A batch is packed (real tokens only). ``forward_for`` looks at a model once and returns the function
that runs it:

- **packed** (``packed_runner``), if the table of ``architectures`` has the model type with this
  head, and packed and padded logits of two real rows are equal up to rounding;
- **padded** in all other cases: rows of similar length form a rectangle, so that there is less
  padding than in one rectangle for the whole batch. Loss and gradients are the same.
  ``Forward.path`` gives the reason.

Letters: B rows, T tokens, A tokens that the head reads (``batch.asked``), R rows and W
width of a rectangle, C classes, V vocabulary.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.data.examples.tokens import Ints
from warmstart.models.checkpoints.configuration import READS, Head
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.models.output_logits import logits_of
from warmstart.models.packed.architectures import why_not_packed
from warmstart.models.packed.packed_runner import PackedRunner
from warmstart.models.packed.packing import MAX_RECTANGLES, rows_of_similar_length
from warmstart.models.packed.row_logits import for_rows
from warmstart.models.packed.token_logits import DenseLogits, TokenAndRowLogits

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.1}
"""Largest accepted difference of packed and padded logits, relative to their norm, by precision.

Rounding causes about 1e-6 in float32 and 1e-2 in half precision. If rows attend to each other, or
positions start elsewhere, the difference is as large as the logits themselves.
"""

TRIED_TOKENS = 64
"""Largest number of tokens whose logits are compared for a language model."""


@dataclass(frozen=True, slots=True)
class Forward:
    """How to run a model.

    Args:
        run: (model, batch) to logits: [B, C] for sequence classification, [A, C] for token
            classification and question answering, ``TokenLogits`` for language models,
            ``TokenAndRowLogits`` for both.
        path: Packed or padded, and the reason if padded, as a short text.
        packed: The runner; None if padded.
    """

    run: Callable[[Any, Batch], Any]
    path: str
    packed: PackedRunner | None = None


def forward_for(
    model: PreTrainedModel,
    head: Head,
    examples: Examples,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Forward:
    """Choose packed or padded execution and verify it on two rows.

    Packed execution is verified by running it, so any exception in it, of whatever kind, leads to
    padded execution. Call this while no other thread uses the model: the trial switches it to
    evaluation mode and back.

    Args:
        model: On its device. If it runs packed, its attention and dropout modules are replaced by
            equivalent ones; weights and their names stay.
        head: Its head.
        examples: Real rows to verify packed execution on; without any, the model runs padded.
        autocast: The precision of the forward passes.
    """
    rows = two_rows(examples) if len(examples) else None
    return forward_verified_on(rows, model, head, autocast)


def forward_verified_on(
    rows: Batch | None,
    model: PreTrainedModel,
    head: Head,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Forward:
    """``forward_for``, with the rows to verify packed execution on.

    Args:
        rows: A batch of two rows of different lengths; None to run padded.
        model: As for ``forward_for``.
        head: Its head.
        autocast: The precision of the forward passes.
    """
    padded = padded_forward(model, head)
    reason = _why_not(model, head, rows)
    if reason is None:
        assert rows is not None, "without rows there is a reason"
        packed = _verified(model, head, rows.to(model.device), padded, autocast)
        if isinstance(packed, PackedRunner):
            run = for_rows(packed.logits)
            return Forward(run, "packed: real tokens only, no padding", packed)
        reason = packed
    return Forward(padded.run, f"{padded.path}: {reason}")


def padded_forward(model: PreTrainedModel, head: Head) -> Forward:
    """Run the model as Transformers documents it, on rectangles of rows of similar length.

    Args:
        model: Any Transformers model whose output has logits (``output_logits``), or
            ``prediction_logits`` and ``seq_relationship_logits``, for BERT's pretraining heads.
        head: Its head.
    """
    reads = READS[head]

    def run(model: Any, batch: Batch) -> Any:
        outputs, groups = _in_rectangles(model, batch, lambda part: model(**part))
        lengths = np.diff(batch.offsets)
        # Logits of rows are in the order of the rectangles: restore the order of the batch.
        back = torch.from_numpy(np.argsort(np.concatenate(groups))).to(batch.input_ids.device)
        if reads == "both":
            tokens = _without_padding([one.prediction_logits for one in outputs], groups, lengths)
            of_rows = torch.cat([one.seq_relationship_logits for one in outputs])[back]  # [B, C]
            return TokenAndRowLogits(DenseLogits(tokens), of_rows)
        logits = [logits_of(one) for one in outputs]
        if reads == "first":
            return torch.cat(logits)[back]  # [B, C]
        of_tokens = _without_padding(logits, groups, lengths)  # [T, C] or [T, V]
        if reads == "asked":
            assert batch.asked is not None, "this head needs batch.asked"
            return of_tokens.index_select(0, batch.asked)  # [A, C]
        return DenseLogits(of_tokens)

    return Forward(for_rows(run), "padded, in rectangles of similar length")


def padded_states(model: PreTrainedModel, batch: Batch, layer: int) -> Tensor:
    """Hidden states of all tokens, from Transformers' ``hidden_states``: [T, H].

    Args:
        model: Any Transformers model.
        batch: On the model's device.
        layer: Index into ``hidden_states``: 0 for the embeddings.
    """
    body: Any = model.base_model

    def states(part: dict[str, Tensor]) -> Tensor:
        found: Tensor = body(**part, output_hidden_states=True).hidden_states[layer]
        return found

    return _without_padding(*_in_rectangles(model, batch, states), np.diff(batch.offsets))


def _in_rectangles(
    model: Any, batch: Batch, output: Callable[[dict[str, Tensor]], Any]
) -> tuple[list[Any], list[Ints]]:
    """The outputs for rectangles of rows of similar length, [R, …] each, and their rows."""
    lengths, device = np.diff(batch.offsets), batch.input_ids.device
    groups = rows_of_similar_length(lengths, MAX_RECTANGLES if device.type == "cpu" else 1)
    inputs = batch.padded(model.config.pad_token_id or 0)
    outputs = []
    for group in groups:
        rows, width = torch.from_numpy(group).to(device), int(lengths[group].max())
        outputs.append(output({name: values[rows, :width] for name, values in inputs.items()}))
    return outputs, groups


def two_rows(examples: Examples) -> Batch:
    """A batch of a short row (or window) and a long one, to verify packed execution on.

    Args:
        examples: At least one row; if there is only one, the batch is that row.
    """
    examples = examples.as_windows()
    order = np.argsort(examples.lengths[:1000], kind="stable")
    return collate(examples, np.unique(order[[0, -1]]))


def _why_not(model: PreTrainedModel, head: Head, rows: Batch | None) -> str | None:
    """Why packed execution is not even tried; None if it is."""
    if rows is None:
        return "no rows to try packed execution on"
    try:
        return why_not_packed(model, head)
    except Exception as error:  # e.g. a configuration that lacks a field of its family
        return _failure(error)


def _verified(
    model: PreTrainedModel,
    head: Head,
    rows: Batch,
    padded: Forward,
    autocast: Callable[[], AbstractContextManager[object]],
) -> PackedRunner | str:
    """The packed runner if its logits match the padded ones; otherwise the reason."""
    with autocast():
        lower = torch.is_autocast_enabled(model.device.type)
    # The tolerance of half precision is wide, so float32 is compared as well.
    contexts = (nullcontext, autocast) if lower else (nullcontext,)
    precisions = (torch.float32, torch.get_autocast_dtype(model.device.type))[: len(contexts)]
    expected = [_compared(padded, model, head, rows, context) for context in contexts]
    if not expected[0].numel():
        return "no tokens to try packed execution on"
    runner = None
    try:
        runner = PackedRunner(model, head)
        packed = Forward(runner.logits, "packed", runner)
        found = [_compared(packed, model, head, rows, context) for context in contexts]
        if all(map(_same, found, expected, precisions)):
            return runner
        reason = "packed execution gave different logits for two rows of the data"
    except Exception as error:  # any failure here would also occur in training: run padded instead
        reason = _failure(error)
    if runner is not None:
        runner.withdraw()
    return reason


def _failure(error: Exception) -> str:
    """The reason to run padded: the kind of exception and the first line of its message."""
    message = next(iter(str(error).splitlines()), "")
    return f"packed execution failed, {type(error).__name__}: {message}".removesuffix(": ")


def _same(found: Tensor, expected: Tensor, precision: torch.dtype) -> bool:
    """Whether logits differ by rounding only. NaN is never the same."""
    difference = float((found - expected).norm() / expected.norm())
    return difference <= TOLERANCE[precision]


@torch.no_grad()
def _compared(
    forward: Forward,
    model: nn.Module,
    head: Head,
    batch: Batch,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """The logits to compare, without dropout: [B, C], [A, C], or [N, V] of evenly spaced tokens."""
    with evaluation_mode(model), autocast():
        logits = forward.run(model, batch)
        if isinstance(logits, Tensor):
            return logits
        of_tokens = logits.of_tokens if isinstance(logits, TokenAndRowLogits) else logits
        step = batch.tokens // TRIED_TOKENS + 1
        at = torch.arange(0, batch.tokens, step, device=batch.input_ids.device)
        found: Tensor = of_tokens.at(at)
        if isinstance(logits, TokenAndRowLogits):
            found = torch.cat([found.ravel(), logits.of_rows.float().ravel()])
        return found


def _without_padding(logits: list[Tensor], groups: list[Ints], lengths: Ints) -> Tensor:
    """Logits of the batch's tokens, [T, C or V], from those of rectangles, [R, W, C or V] each."""
    rows = {
        int(row): rectangle[place, : lengths[row]]
        for rectangle, group in zip(logits, groups, strict=True)
        for place, row in enumerate(group)
    }
    return torch.cat([rows[row] for row in range(len(lengths))])

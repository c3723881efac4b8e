"""From a batch to logits: the one place that decides how a model reads a batch.

A batch is packed (real tokens only). ``forward_for`` looks at a model once and returns the function
that runs it:

- **packed** (``packed``), where the architecture is known and two real rows, tried at once, give
  what the model gives for them padded;
- **padded** otherwise, in rectangles of like length: the same batch, so the same loss and
  gradients, with less filling than one rectangle has. ``Forward.path`` says why.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.data.examples.tokens import Ints
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.packed.packed_language import PackedLanguage, language_refusal
from warmstart.models.packed.packed_runner import Packed, refusal
from warmstart.models.packed.packing import MAX_RECTANGLES, rows_of_like_length
from warmstart.models.packed.token_logits import DenseLogits

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.1}
"""How far packed logits may be from padded ones, as a share of their length, by precision.

Rounding makes 1e-6 of it in float32 and 1e-2 in half precision; a row that sees another row's
tokens, or positions that start elsewhere, make the whole of it another vector.
"""


LANGUAGE_HEADS = ("causal-lm", "masked-lm")
"""Heads that give logits over the vocabulary."""

TRIED_TOKENS = 64
"""Most tokens of a language model whose logits are compared; each has V logits."""


@dataclass(frozen=True, slots=True)
class Forward:
    """How to run a model.

    Args:
        run: (model, batch) to logits [B, C]; of a batch with targets ``TokenLogits``.
        path: how, and where not packed why, in a few words.
        packed: what runs it, where it is packed.
    """

    run: Callable[[Any, Batch], Any]
    path: str
    packed: Packed | PackedLanguage | None = None


def predicts_tokens(head: Head) -> bool:
    """Whether a head gives logits over the vocabulary: ``Forward.run`` then gives ``TokenLogits``.

    Args:
        head: of a model.
    """
    return head in LANGUAGE_HEADS


def forward_for(
    model: PreTrainedModel,
    head: Head,
    examples: Examples,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Forward:
    """The best way to run this model that gives right numbers.

    Args:
        model: on its device; where it can run packed, its attention and dropout modules are
            exchanged for ours, which changes no weight and no name.
        head: what the model has on its body.
        examples: real rows to try packed execution on; with none, it is not tried.
        autocast: the precision it will run in.
    """
    padded = padded_forward(model, head)
    says_tokens = head in LANGUAGE_HEADS
    reason = language_refusal(model) if says_tokens else refusal(model)
    if not len(examples):
        reason = "no rows to try packed execution on"
    if reason is not None:
        return Forward(padded.run, f"{padded.path}: {reason}")
    rows = two_rows(examples).to(model.device)
    with autocast():
        lower = torch.is_autocast_enabled(model.device.type)
    contexts = (nullcontext, autocast) if lower else (nullcontext,)
    precisions = (torch.float32, torch.get_autocast_dtype(model.device.type))[: len(contexts)]
    expected = [_answers(padded, model, rows, context) for context in contexts]
    runner = PackedLanguage(model) if says_tokens else Packed(model)
    packed = Forward(runner.logits, "packed: real tokens only, no padding", runner)
    try:
        found = [_answers(packed, model, rows, context) for context in contexts]
    except RuntimeError as error:  # NotImplementedError, of a missing kernel, is one too
        reason = f"packed execution failed here, {str(error).splitlines()[0]}"
    else:
        if all(map(_same, found, expected, precisions)):
            return packed
        reason = "packed execution gave other answers for two rows of the data"
    runner.withdraw()
    return Forward(padded.run, f"{padded.path}: {reason}")


def _same(found: Tensor, expected: Tensor, precision: torch.dtype) -> bool:
    """Whether logits differ by no more than rounding; never where one is no number."""
    apart = float((found - expected).norm() / expected.norm())
    return apart <= TOLERANCE[precision]


def padded_forward(model: PreTrainedModel, head: Head) -> Forward:
    """Run the model as Transformers does, on rectangles of rows of like length.

    Args:
        model: any Transformers model whose output has ``logits``: [B, C], or [B, L, V].
        head: what the model has on its body.
    """
    pad_token_id = model.config.pad_token_id or 0

    def run(model: Any, batch: Batch) -> Any:
        lengths = np.diff(batch.offsets)
        most = MAX_RECTANGLES if batch.input_ids.device.type == "cpu" else 1
        groups = rows_of_like_length(lengths, most)
        inputs = batch.padded(pad_token_id)
        logits = []
        for group in groups:
            width = int(lengths[group].max())
            rows = torch.from_numpy(group).to(batch.input_ids.device)
            part = {name: values[rows, :width] for name, values in inputs.items()}
            logits.append(model(**part).logits)
        if head in LANGUAGE_HEADS:
            return DenseLogits(_of_real_tokens(logits, groups, lengths))
        back = torch.from_numpy(np.argsort(np.concatenate(groups))).to(batch.input_ids.device)
        return torch.cat(logits)[back]

    return Forward(run, "padded, in rectangles of like length")


def _of_real_tokens(logits: list[Tensor], groups: list[Ints], lengths: Ints) -> Tensor:
    """What a model says at the tokens of a batch, [T, V], of what it says in rectangles."""
    rows = {
        int(row): rectangle[place, : lengths[row]]
        for rectangle, group in zip(logits, groups, strict=True)
        for place, row in enumerate(group)
    }
    return torch.cat([rows[row] for row in range(len(lengths))])


def two_rows(examples: Examples) -> Batch:
    """A short row and a long one, as a batch to try a forward on.

    Args:
        examples: at least one row; of one alone, which has no other to see, the batch is that row.
    """
    order = np.argsort(examples.lengths[:1000], kind="stable")
    return collate(examples, np.unique(order[[0, -1]]))


@torch.no_grad()
def _answers(
    forward: Forward,
    model: PreTrainedModel,
    batch: Batch,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """Logits [B, C], or [N, V] of N tokens, in evaluation mode; the model's mode is restored."""
    was_training = model.training
    model.eval()
    with autocast():
        logits = forward.run(model, batch)
        answers: Tensor = logits
        if not isinstance(logits, Tensor):
            step = batch.tokens // TRIED_TOKENS + 1
            answers = logits.at(torch.arange(0, batch.tokens, step, device=model.device))
    model.train(was_training)
    return answers

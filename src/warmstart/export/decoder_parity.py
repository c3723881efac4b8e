"""Whether a decoder's ONNX file writes as the trained model does, and how fast.

PyTorch's side is Transformers' own forward pass in float32. Rounding grows with what is rounded: a
logit of 100 is known to 1e-5 at best, and GPT-2's lie there, moved by a common amount that no
probability knows of. So logits may differ by 1e-4, or by a hundred-thousandth of the largest where
that is more; a token, a position or a mask mistaken makes differences a thousand times as large.

Units: differences are of logits; bits per byte are their own; times are seconds.
Letters: B rows, L tokens of a made-up row, P tokens read before, S new ones, V vocabulary.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from warmstart import errors
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.examples.ordering import evaluation_batches
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import Table
from warmstart.export.decoder import WithPast, empty_past, positions
from warmstart.export.decoder_session import OnnxDecoder, as_model
from warmstart.export.parity import METRIC_TOLERANCE, TOLERANCE, kept_rows
from warmstart.models.checkpoints.configuration import longest_input
from warmstart.models.packed.forward import padded_forward
from warmstart.runs.loaded_run import LoadedRun
from warmstart.tasks.predictions.document_predictions import DocumentPredictions
from warmstart.tasks.task import FloatArray

RELATIVE_TOLERANCE = 1e-5
"""Largest difference of a logit as a share of the largest one, where that is more."""

MAX_ROWS, MAX_TOKENS = 256, 32_768
"""Documents compared, and tokens of them: all of a smaller split."""
TOKENS_AT_ONCE = 1024
"""Of them; their logits are 200 MB for GPT-2, twice."""

STEPS = 64
"""Tokens that both write, the likeliest each time; fewer where the model reads fewer."""
_BEGINNINGS = (4, 7, 10, 13)
"""Tokens of the documents they begin with."""

_ROUNDS = 3

Step = Callable[[Ints, Ints, Ints, Sequence[Any]], tuple[FloatArray, Sequence[Any]]]
"""``OnnxDecoder.step``."""


def tolerance(expected: FloatArray) -> float:
    """How far logits may be from these."""
    return max(TOLERANCE, RELATIVE_TOLERANCE * float(np.abs(expected).max()))


def torch_step(model: PreTrainedModel) -> Step:
    """What ``OnnxDecoder.step`` does, by PyTorch.

    Args:
        model: as Transformers made it, in evaluation mode.
    """
    with_past = WithPast(model)

    @torch.no_grad()
    def step(ids: Ints, mask: Ints, place: Ints, past: Sequence[Any]) -> Any:
        kept = list(zip(past[::2], past[1::2], strict=True)) or empty_past(model, len(ids))
        given = (torch.from_numpy(array) for array in (ids, mask, place))
        logits, *present = with_past(*given, kept)
        return logits.numpy(), present

    return step


@torch.no_grad()
def check_shapes(run: LoadedRun, decoder: OnnxDecoder) -> list[dict[str, Any]]:
    """Made-up rows, read at once and in parts, every second one padded on the left.

    Args:
        run: the trained model.
        decoder: the file.

    Returns:
        ``{"rows", "tokens", "max_difference"}`` for each; ``tokens`` lists those of each call.

    Raises:
        ExportError: a logit differs.
    """
    checked = []
    whole = ((1, [1]), (1, [7]), (3, [5]), (2, [run.max_tokens]))
    for rows, calls in (*whole, (3, [4, 3]), (2, [3, 1, 2]), (3, [1] * 6)):
        ids, mask = _made_up(rows, sum(calls), decoder.vocabulary)
        place = positions(torch.from_numpy(mask), sum(calls))
        given = {"input_ids": ids, "attention_mask": mask}
        tensors = {name: torch.from_numpy(array) for name, array in given.items()}
        expected = run.model(**tensors, position_ids=place).logits.numpy()
        past: list[Any] = []
        parts = []
        for start, stop in pairwise(accumulate(calls, initial=0)):
            new = place[:, start:stop].numpy()
            logits, past = decoder.step(ids[:, start:stop], mask[:, :stop], new, past)
            parts.append(logits)
        real = mask.astype(bool)
        what = f"{rows} x {' + '.join(map(str, calls))} tokens"
        difference = _difference(what, np.concatenate(parts, axis=1)[real], expected[real])
        checked.append({"rows": rows, "tokens": calls, "max_difference": difference})
    return checked


def _made_up(rows: int, tokens: int, vocabulary: int) -> tuple[Ints, Ints]:
    """Token ids and mask, int64 [B, L]; every second row begins after a third of its tokens."""
    ids = np.random.default_rng(rows * tokens).integers(vocabulary, size=(rows, tokens))
    mask = np.ones_like(ids)
    mask[1::2, : tokens // 3] = 0
    return ids, mask


def scored_documents(run: LoadedRun) -> tuple[str, Table, Examples]:
    """Documents of the run's test split, else validation, and their tokens.

    Args:
        run: opened.

    Raises:
        ExportError: neither split is there.
        RunError: its file is damaged.
    """
    split, table = kept_rows(run, MAX_ROWS, labelled=False)
    examples = run.task.encode(table, table.rows, run.tokenizer, run.max_tokens)
    of_document = np.searchsorted(table.rows, examples.rows)
    tokens = np.bincount(of_document, examples.lengths, minlength=len(table))
    kept = np.cumsum(tokens) <= MAX_TOKENS
    kept[0] = True
    if not kept.all():
        table = table.filter(kept)
        examples = run.task.encode(table, table.rows, run.tokenizer, run.max_tokens)
    return split, table, examples


@torch.no_grad()
def check_rows(
    run: LoadedRun, decoder: OnnxDecoder, split: str, table: Table, examples: Examples
) -> dict[str, Any]:
    """Real documents: the logits of every predicted token, and the task's main metric.

    Args:
        run: the trained model.
        decoder: the file.
        split: the documents' name.
        table: the documents.
        examples: the same, tokenised.

    Returns:
        ``{"split", "compared", "tokens", "max_difference", "metric": {"name", "torch", "onnx"}}``.

    Raises:
        ExportError: a logit or the metric differs.
    """
    models = (run.model, as_model(decoder))
    what = f"{len(table):,} documents of the {split} split"
    batches = list(evaluation_batches(examples.lengths, TOKENS_AT_ONCE))
    differences, parts = [], []
    for rows in batches:
        batch = collate(examples, rows)
        logits = [padded_forward(model, run.task.head).run(model, batch) for model in models]
        expected, found = (one.values.numpy() for one in logits)
        differences.append(_difference(what, found, expected))
        parts.append([run.task.predictions(one, batch) for one in logits])
    order = np.concatenate(batches)
    answers = [DocumentPredictions.joined(list(one), order) for one in zip(*parts, strict=True)]
    scores = [run.task.score(one, table.rows) for one in answers]
    name = run.task.metrics[0].name
    before, after = (score.metrics[name].value for score in scores)
    if before is not None and (after is None or abs(before - after) > METRIC_TOLERANCE):
        within = f"{before:.4f} within {METRIC_TOLERANCE:g}, as PyTorch"
        raise errors.export.differs(what, f"{name} {after}", within)
    return {
        "split": split,
        "compared": len(table),
        "tokens": int(examples.lengths.sum()),
        "max_difference": max(differences),
        "metric": {"name": name, "torch": before, "onnx": after},
    }


def beginnings(examples: Examples) -> list[list[int]]:
    """The first tokens of the first documents, unlike in number.

    Args:
        examples: a document at least.
    """
    _, first = np.unique(examples.rows, return_index=True)
    starts = zip(examples.offsets[first], examples.lengths[first], _BEGINNINGS, strict=False)
    return [
        examples.tokens.input_ids[start : start + min(most, length)].tolist()
        for start, length, most in starts
    ]


def check_greedy(
    run: LoadedRun, decoder: OnnxDecoder, prompts: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Both write with what they remember, the likeliest token each time, and must write the same.

    Where PyTorch's own two best are nearer than rounding can tell, either is right; what follows
    is of another text and not compared.

    Args:
        run: the trained model.
        decoder: the file.
        prompts: tokens to go on with, in one batch, padded on the left.

    Returns:
        ``{"texts", "steps", "tokens", "ties"}``: how many of these tokens were compared, and how
        many texts ended earlier by a tie.

    Raises:
        ExportError: another token.
    """
    longest = max(map(len, prompts))
    context = longest_input(run.model.config, "causal-lm") or longest + STEPS
    steps = max(1, min(STEPS, context - longest))
    expected, gaps = greedy(torch_step(run.model), prompts, steps)
    found, _ = greedy(decoder.step, prompts, steps)
    compared, ties = 0, 0
    for row, same in enumerate(found == expected):
        step = int(np.argmin(same)) if not same.all() else steps
        compared += step
        if step < steps and gaps[row, step] > 0:
            what = f"token {step + 1} after the beginning of document {row + 1}"
            here, there = found[row, step], expected[row, step]
            raise errors.export.differs(what, f"it writes {here}", f"{there}, as PyTorch")
        ties += step < steps
    return {"texts": len(prompts), "steps": steps, "tokens": compared, "ties": ties}


def greedy(step: Step, prompts: Sequence[Sequence[int]], steps: int) -> tuple[Ints, Any]:
    """The likeliest token, again and again, past the end of a text too.

    Args:
        step: reads tokens.
        prompts: tokens to go on with, each one at least.
        steps: tokens to write.

    Returns:
        Them, int64 [B, steps]; and by how much more than rounding each was the likeliest, float64
        [B, steps].
    """
    width = max(map(len, prompts))
    ids = np.array([[0] * (width - len(prompt)) + [*prompt] for prompt in prompts])
    mask = np.array([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    past: Sequence[Any] = []
    written, gaps = [], []
    for _ in range(steps):
        place = positions(torch.from_numpy(mask), ids.shape[1]).numpy()
        logits, past = step(ids, mask, place, past)
        last = logits[:, -1]
        second, first = np.partition(last, (-2, -1), axis=1)[:, -2:].T
        ids = last.argmax(axis=1)[:, None]
        mask = np.pad(mask, ((0, 0), (0, 1)), constant_values=1)
        written.append(ids)
        gaps.append(first - second - 2 * tolerance(last))
    return np.concatenate(written, axis=1), np.stack(gaps, axis=1)


def measured(
    engines: Mapping[str, Step], prompts: Sequence[Sequence[int]], steps: int
) -> dict[str, dict[str, float]]:
    """Speed of several engines, in turns, writing with what they remember.

    Args:
        engines: by name, what reads tokens.
        prompts: tokens to go on with.
        steps: tokens to write.

    Returns:
        For each ``{"tokens_per_second", "tokens_per_second_together"}``: the best of three rounds
        for one text alone, and for all of them together.
    """
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(_ROUNDS):
        for name, step in engines.items():
            for texts in (1, len(prompts)):
                start = time.perf_counter()
                greedy(step, prompts[:texts], steps)
                seconds.setdefault((name, texts), []).append(time.perf_counter() - start)
    return {
        name: {
            "tokens_per_second": round(steps / min(seconds[name, 1]), 1),
            "tokens_per_second_together": round(
                steps * len(prompts) / min(seconds[name, len(prompts)]), 1
            ),
        }
        for name in engines
    }


def _difference(what: str, found: FloatArray, expected: FloatArray) -> float:
    """The largest difference of a logit, refused above the tolerance."""
    largest, most = float(np.abs(found - expected).max()), tolerance(expected)
    if not largest <= most:  # NaN is not
        text = f"logits differ by up to {largest:.2g}"
        raise errors.export.differs(what, text, f"at most {most:.2g}")
    return largest

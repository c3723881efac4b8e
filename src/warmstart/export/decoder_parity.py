"""Compare a decoder's ONNX file with the trained model: logits, generated tokens and speed.

The reference is Transformers' own forward pass in float32. Rounding errors grow with the numbers: a
logit of 100 has an error of about 1e-5, and GPT-2's logits are that large (a common offset, which
does not change probabilities). So logits may differ by 1e-4, or by 1e-5 times the largest logit if
that is more. A wrong token, position or mask causes differences that are a thousand times larger.

Units: differences are of logits; times are seconds.
Letters: B rows, L tokens of a random row, P past (cached) tokens, S new tokens, V vocabulary.
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
from warmstart.errors.counts import counted
from warmstart.export.decoder import WithPast, empty_past, positions
from warmstart.export.decoder_session import OnnxDecoder, as_model
from warmstart.export.kept_rows import kept_rows
from warmstart.export.parity import METRIC_TOLERANCE, TOLERANCE
from warmstart.models.checkpoints.configuration import longest_input
from warmstart.models.packed.forward import padded_forward
from warmstart.runs.loaded_run import LoadedRun
from warmstart.tasks.predictions.document_predictions import DocumentPredictions
from warmstart.tasks.task import FloatArray

RELATIVE_TOLERANCE = 1e-5
"""Largest difference of a logit relative to the largest logit, if this is more than ``TOLERANCE``.
"""

MAX_ROWS, MAX_TOKENS = 256, 32_768
"""Largest number of documents to compare, and of their tokens."""
TOKENS_AT_ONCE = 1024
"""Tokens per batch of this comparison; their logits need 2 · 200 MB for GPT-2."""

STEPS = 64
"""Number of tokens to generate greedily; fewer if the model's longest input is shorter."""
_PROMPT_TOKENS = (4, 7, 10, 13)
"""Number of tokens of each prompt."""

_ROUNDS = 3

Step = Callable[[Ints, Ints, Ints, Sequence[Any]], tuple[FloatArray, Sequence[Any]]]
"""``OnnxDecoder.step``."""


def tolerance(expected: FloatArray) -> float:
    """Largest accepted difference from these logits."""
    return max(TOLERANCE, RELATIVE_TOLERANCE * float(np.abs(expected).max()))


def torch_step(model: PreTrainedModel) -> Step:
    """The equivalent of ``OnnxDecoder.step`` in PyTorch.

    Args:
        model: an unmodified Transformers model in evaluation mode.
    """
    with_past = WithPast(model)

    @torch.no_grad()
    def step(ids: Ints, mask: Ints, position_ids: Ints, past: Sequence[Any]) -> Any:
        cache = list(zip(past[::2], past[1::2], strict=True)) or empty_past(model, len(ids))
        inputs = (torch.from_numpy(array) for array in (ids, mask, position_ids))
        logits, *present = with_past(*inputs, cache)
        return logits.numpy(), present

    return step


@torch.no_grad()
def check_decoder_shapes(run: LoadedRun, decoder: OnnxDecoder) -> list[dict[str, Any]]:
    """Compare logits of random rows, in one call and in several calls with the cache.

    Every second row is padded on the left.

    Args:
        run: the run with the trained model.
        decoder: the ONNX file.

    Returns:
        ``{"rows", "tokens", "max_difference"}`` for each case; ``tokens`` is a list with the number
        of tokens of each call.

    Raises:
        ExportError: a logit differs.
    """
    checked = []
    one_call = ((1, [1]), (1, [7]), (3, [5]), (2, [run.max_tokens]))
    for rows, calls in (*one_call, (3, [4, 3]), (2, [3, 1, 2]), (3, [1] * 6)):
        ids, mask = _random_rows(rows, sum(calls), decoder.vocabulary)
        position_ids = positions(torch.from_numpy(mask), sum(calls))
        inputs = {"input_ids": ids, "attention_mask": mask}
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        expected = run.model(**tensors, position_ids=position_ids).logits.numpy()
        past: list[Any] = []
        parts = []
        for start, stop in pairwise(accumulate(calls, initial=0)):
            new = position_ids[:, start:stop].numpy()
            logits, past = decoder.step(ids[:, start:stop], mask[:, :stop], new, past)
            parts.append(logits)
        real = mask.astype(bool)  # logits at padding have no meaning
        what = f"{rows} x {' + '.join(map(str, calls))} tokens"
        difference = _difference(what, np.concatenate(parts, axis=1)[real], expected[real])
        checked.append({"rows": rows, "tokens": calls, "max_difference": difference})
    return checked


def _random_rows(rows: int, tokens: int, vocabulary: int) -> tuple[Ints, Ints]:
    """Random token ids and mask, int64 [B, L]; a third of every second row is padding."""
    ids = np.random.default_rng(rows * tokens).integers(vocabulary, size=(rows, tokens))
    mask = np.ones_like(ids)
    mask[1::2, : tokens // 3] = 0
    return ids, mask


def scored_documents(run: LoadedRun) -> tuple[str, Table, Examples]:
    """Documents of the run's test split (or validation split), tokenised.

    Args:
        run: the run.

    Raises:
        ExportError: the run has neither split.
        RunError: the file of the split is damaged.
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
def check_documents(
    run: LoadedRun, decoder: OnnxDecoder, split: str, table: Table, examples: Examples
) -> dict[str, Any]:
    """Compare, on real documents, the logits of every predicted token and the main metric.

    Args:
        run: the run with the trained model.
        decoder: the ONNX file.
        split: name of the documents' split.
        table: the documents.
        examples: the tokenised documents.

    Returns:
        ``{"split", "compared", "tokens", "max_difference", "metric": {"name", "torch", "onnx"}}``.

    Raises:
        ExportError: a logit or the metric differs.
    """
    models = (run.model, as_model(decoder))
    what = f"{counted(len(table), 'document')} of the {split} split"
    batches = list(evaluation_batches(examples.lengths, TOKENS_AT_ONCE))
    differences, parts = [], []
    for rows in batches:
        batch = collate(examples, rows)
        logits = [padded_forward(model, run.task.head).run(model, batch) for model in models]
        expected, actual = (one.values.numpy() for one in logits)
        differences.append(_difference(what, actual, expected))
        parts.append([run.task.predictions(one, batch) for one in logits])
    order = np.concatenate(batches)
    # One entry for PyTorch and one for ONNX, each over all batches.
    predictions = [DocumentPredictions.joined(list(one), order) for one in zip(*parts, strict=True)]
    scores = [run.task.score(one, table.rows) for one in predictions]
    name = run.task.metrics[0].name
    before, after = (score.metrics[name].value for score in scores)
    if before is not None and (after is None or abs(before - after) > METRIC_TOLERANCE):
        within = f"{before:.4f} ± {METRIC_TOLERANCE:g}, as in PyTorch"
        raise errors.export.differs(what, f"{name} {after}", within)
    return {
        "split": split,
        "compared": len(table),
        "tokens": int(examples.lengths.sum()),
        "max_difference": max(differences),
        "metric": {"name": name, "torch": before, "onnx": after},
    }


def prompts_from(examples: Examples) -> list[list[int]]:
    """Prompts of different lengths: the first tokens of the first documents.

    Args:
        examples: at least one document.
    """
    # A document may be cut into several examples; use only the first one of each.
    _, first = np.unique(examples.rows, return_index=True)
    starts = zip(examples.offsets[first], examples.lengths[first], _PROMPT_TOKENS, strict=False)
    return [
        examples.tokens.input_ids[start : start + min(tokens, length)].tolist()
        for start, length, tokens in starts
    ]


def check_greedy(
    run: LoadedRun, decoder: OnnxDecoder, prompts: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Generate greedily with PyTorch and with ONNX, using the cache, and compare the tokens.

    If PyTorch's two best tokens differ by less than the rounding error (a tie), either one is
    correct. The rest of that text is not compared, because the two texts now differ.

    Args:
        run: the run with the trained model.
        decoder: the ONNX file.
        prompts: token ids of the prompts, which form one batch padded on the left.

    Returns:
        ``{"texts", "steps", "tokens", "ties"}``: ``tokens`` is the number of compared tokens,
        ``ties`` the number of texts that were compared only up to a tie.

    Raises:
        ExportError: a token differs.
    """
    longest = max(map(len, prompts))
    context = longest_input(run.model.config, "causal-lm") or longest + STEPS
    steps = max(1, min(STEPS, context - longest))
    expected, gaps = greedy(torch_step(run.model), prompts, steps)
    actual, _ = greedy(decoder.step, prompts, steps)
    compared, ties = 0, 0
    for row, same in enumerate(actual == expected):
        step = int(np.argmin(same)) if not same.all() else steps  # the first different token
        compared += step
        if step < steps and gaps[row, step] > 0:
            what = f"token {step + 1} after the beginning of document {row + 1}"
            onnx_id, torch_id = actual[row, step], expected[row, step]
            raise errors.export.differs(
                what, f"it generates token {onnx_id}", f"token {torch_id}, as in PyTorch"
            )
        ties += step < steps
    return {"texts": len(prompts), "steps": steps, "tokens": compared, "ties": ties}


def greedy(step: Step, prompts: Sequence[Sequence[int]], steps: int) -> tuple[Ints, Any]:
    """Greedy search; it continues after an end-of-text token.

    Args:
        step: a decoder step with cache.
        prompts: token ids of the prompts, at least one each.
        steps: number of tokens to generate.

    Returns:
        The generated token ids, int64 [B, steps]; and for each the distance to the second best
        logit minus twice the tolerance, float64 [B, steps]. A negative value is a tie.
    """
    width = max(map(len, prompts))
    ids = np.array([[0] * (width - len(prompt)) + [*prompt] for prompt in prompts])  # [B, width]
    mask = np.array([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    past: Sequence[Any] = []
    generated, gaps = [], []
    for _ in range(steps):
        position_ids = positions(torch.from_numpy(mask), ids.shape[1]).numpy()
        logits, past = step(ids, mask, position_ids, past)
        last = logits[:, -1]  # [B, S, V] -> [B, V]
        second, first = np.partition(last, (-2, -1), axis=1)[:, -2:].T
        ids = last.argmax(axis=1)[:, None]  # [B, 1]: from now on one new token per call
        mask = np.pad(mask, ((0, 0), (0, 1)), constant_values=1)
        generated.append(ids)
        gaps.append(first - second - 2 * tolerance(last))
    return np.concatenate(generated, axis=1), np.stack(gaps, axis=1)


def measured_decoders(
    engines: Mapping[str, Step], prompts: Sequence[Sequence[int]], steps: int
) -> dict[str, dict[str, float]]:
    """Measure the generation speed of several engines, alternately.

    Args:
        engines: decoder steps by engine name.
        prompts: token ids of the prompts.
        steps: number of tokens to generate.

    Returns:
        For each engine ``{"tokens_per_second", "tokens_per_second_together"}``: the best of three
        rounds for one text alone, and for all texts in one batch.
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


def _difference(what: str, actual: FloatArray, expected: FloatArray) -> float:
    """The largest difference of a logit; raises above the tolerance."""
    largest, limit = float(np.abs(actual - expected).max()), tolerance(expected)
    if not largest <= limit:  # also true for NaN
        text = f"logits differ by up to {largest:.2g}"
        raise errors.export.differs(what, text, f"at most {limit:.2g}")
    return largest

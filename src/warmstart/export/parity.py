"""Compare a classifier's ONNX file with the trained model: logits, labels, metric and speed.

The reference is Transformers' own padded forward pass in float32 (not our packed one), because this
is what users of the ``model/`` folder get. The rows are those of the run's test split (or
validation split) in ``evaluation/``, so the original data file is not needed.

Units: differences are of logits or of the metric; times are seconds unless named otherwise.
Letters: N rows, C classes, B rows and L tokens of a padded batch.
"""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warmstart import errors
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.examples.ordering import evaluation_batches
from warmstart.data.examples.targets import NoTargets
from warmstart.data.examples.token_targets import ReadsTokens
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.table import Table
from warmstart.errors.counts import counted
from warmstart.export.kept_rows import kept_rows, predictions_path
from warmstart.export.onnx_file import example
from warmstart.export.session import OnnxModel, open_session
from warmstart.export.word_parity import in_example_order, same_spans, taken
from warmstart.metrics.intervals import paired_difference
from warmstart.models.output_logits import logits_of
from warmstart.models.packed.forward import Forward, padded_forward
from warmstart.runs.loaded_run import LoadedRun
from warmstart.runs.stored import reading
from warmstart.tasks.capabilities import Compares, CountsChanges
from warmstart.tasks.predictions.tag_predictions import TagPredictions
from warmstart.tasks.task import FloatArray

TOLERANCE = 1e-4
"""Largest accepted difference of a logit; relative to the largest logit if that is above 1, as in
regression."""
METRIC_TOLERANCE = 1e-3
"""Largest accepted difference of the task's main metric."""

MAX_ROWS = 2_048
"""Largest number of rows to compare."""
TIMED_ROWS = 256
"""Largest number of rows in the throughput measurement."""

FUSED = ("Attention", "SkipLayerNormalization", "BiasGelu", "DynamicQuantizeMatMul")
"""Operators to count; all but attention, which the file already contains, are fused by ONNX
Runtime from several operators."""

_ROUNDS, _CALLS = 3, 40


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows on which a run was scored.

    Args:
        split: ``test`` or ``validation``.
        table: the N rows.
        labels: labels of these rows.
        examples: the rows tokenised with the run's tokenizer.
        logits: PyTorch's logits, float32 [N, C]; for A tokens that the head reads, [A, C].
    """

    split: str
    table: Table
    labels: Any
    examples: Examples
    logits: FloatArray


def scored_rows(run: LoadedRun) -> Rows:
    """The rows of the run's test split (or validation split) with PyTorch's logits.

    Args:
        run: a run with an unmodified Transformers model.

    Raises:
        ExportError: the run has neither split.
        RunError: the file of the split is damaged.
    """
    split, table = kept_rows(run, MAX_ROWS, labelled=True)
    with reading(predictions_path(run, split)):
        labels = run.task.labels(table)
        examples = run.task.encode(table, labels, run.tokenizer, run.max_tokens)
    logits = torch_logits(run, padded_forward(run.model, run.task.head), examples)
    return Rows(split, table, labels, examples, logits)


@torch.no_grad()
def torch_logits(run: LoadedRun, forward: Forward, examples: Examples) -> FloatArray:
    """PyTorch's logits in the order of the examples, float32: rows [N, C], or [A, C].

    Args:
        run: the run with the model.
        forward: padded or packed execution.
        examples: tokenised rows.
    """
    if not isinstance(examples.targets, ReadsTokens):
        examples = Examples(examples.tokens, NoTargets())
    batches = list(evaluation_batches(examples.lengths, max_tokens=2048))
    parts = [forward.run(run.model, collate(examples, rows)).numpy() for rows in batches]
    return in_example_order(examples, batches, parts)


@torch.no_grad()
def check_shapes(run: LoadedRun, onnx_model: OnnxModel) -> list[dict[str, Any]]:
    """Compare logits of random rows in several shapes, up to the longest input.

    Returns:
        ``{"rows", "tokens", "max_difference"}`` for each shape.

    Raises:
        ExportError: a logit differs.
    """
    checked = []
    for rows, tokens in ((1, 1), (1, 7), (3, 5), (2, run.max_tokens)):
        inputs = example(onnx_model.input_names, rows, tokens, run.model.config.vocab_size)
        expected = logits_of(run.model(**inputs)).numpy()
        actual = onnx_model.run({name: values.numpy() for name, values in inputs.items()})
        if expected.ndim == 3:  # [B, L, C]: logits of padding are never used
            real = inputs["attention_mask"].numpy().astype(bool)
            actual, expected = actual[real], expected[real]
        what = f"{rows} x {tokens} tokens"
        difference = _difference(what, actual, expected)
        checked.append({"rows": rows, "tokens": tokens, "max_difference": difference})
    return checked


def check_rows(
    run: LoadedRun, rows: Rows, onnx_model: OnnxModel, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Compare, on real rows, logits, labels and the task's main metric.

    Args:
        run: the run with the trained model.
        rows: rows on which it was scored.
        onnx_model: the ONNX file.
        tokenizer: the tokenizer used for serving, which does not need torch.

    Returns:
        ``{"split", "compared", "max_difference", "metric": {"name", "torch", "onnx"}}``; for tags
        also ``"words"`` and ``"spans"``, the numbers of words and spans that are the same.

    Raises:
        ExportError: a logit, a label, a span or the metric differs.
    """
    examples = run.task.encode(rows.table, rows.labels, tokenizer, run.max_tokens)
    actual = onnx_model.logits_of(examples)
    what = f"{counted(len(rows.table), 'row')} of the {rows.split} split"
    difference = _difference(what, actual, rows.logits)
    predictions = [run.task.predictions(logits, examples) for logits in (rows.logits, actual)]
    first, second = predictions
    different = first.changed(second) if isinstance(first, CountsChanges) else 0
    if different:
        raise errors.export.differs(
            what, counted(different, "different label"), "the same label for every row"
        )
    spans = same_spans(what, first, second) if isinstance(first, TagPredictions) else {}
    before, after = (_main_score(run, one, rows.labels) for one in predictions)
    name = run.task.metrics[0].name
    if before is not None and after is not None and abs(before - after) > METRIC_TOLERANCE:
        expected = f"{before:.4f} ± {METRIC_TOLERANCE:g}, as in PyTorch"
        raise errors.export.differs(what, f"{name} {after:.4f}", expected)
    return {
        "split": rows.split,
        "compared": len(rows.table),
        "max_difference": difference,
        "metric": {"name": name, "torch": before, "onnx": after},
        **spans,
    }


def check_int8(
    run: LoadedRun, rows: Rows, onnx_model: OnnxModel, int8_model: OnnxModel, max_drop: float
) -> dict[str, Any]:
    """Measure on real rows how much the main metric drops with 8-bit weights.

    Args:
        run: the run with the trained model.
        rows: rows on which it was scored.
        onnx_model: the float32 model.
        int8_model: the model with 8-bit weights.
        max_drop: largest accepted drop.

    Returns:
        ``{"name", "onnx", "int8", "drop", "low", "high", "max_drop", "rows"}``; ``low`` and
        ``high`` are the 95 % interval of the drop, from a paired bootstrap over rows.

    Raises:
        ExportError: the drop is larger than ``max_drop``.
    """
    metric = run.task.metrics[0]
    float32, int8 = (
        run.task.predictions(model.logits_of(rows.examples), rows.examples)
        for model in (onnx_model, int8_model)
    )
    assert isinstance(run.task, Compares)
    # For a metric such as an error, where lower is better, a drop is int8 minus float32.
    first, second = (float32, int8) if metric.higher_is_better else (int8, float32)
    one, other = (run.task.unit_sums(side, rows.labels) for side in (first, second))
    drop, low, high = paired_difference(one, other, metric.name)
    if drop is not None and drop > max_drop:
        interval = "" if low is None or high is None else f"[{low:.4f}, {high:.4f}]"
        raise errors.export.int8_worse(metric.name, drop, interval, len(float32), max_drop)
    return {
        "name": metric.name,
        "onnx": _main_score(run, float32, rows.labels),
        "int8": _main_score(run, int8, rows.labels),
        "drop": drop,
        "low": low,
        "high": high,
        "max_drop": max_drop,
        "rows": len(float32),
    }


def fused_operators(path: Path, layers: int | None, inputs: Mapping[str, Any]) -> dict[str, int]:
    """Count the operators of ``FUSED`` that ONNX Runtime runs in one pass.

    They are counted in ONNX Runtime's profile of a run, because the file does not show which
    operators are fused when it is opened.

    Args:
        path: the model file; the profile is written next to it and removed.
        layers: expected number of attentions; None if it is not known.
        inputs: inputs to run, by name.

    Raises:
        ExportError: the number of attention operators is not ``layers``.
    """
    session = open_session(path, profile=path.with_suffix(""))
    session.run(None, dict(inputs))
    log = Path(session.end_profiling())
    events = json.loads(log.read_text())
    log.unlink()
    nodes = {
        event["name"]: event["args"]["op_name"]
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time")
    }
    counts = Counter(nodes.values())
    fused = {name: counts[name] for name in FUSED}
    if layers is not None and fused["Attention"] != layers:
        raise errors.export.differs(
            "its operators",
            f"{fused['Attention']} attention operators",
            f"{layers}, one for each layer",
        )
    return fused


def measured(
    engines: Mapping[str, Callable[[Examples], object]], examples: Examples
) -> dict[str, dict[str, float]]:
    """Measure the speed of several engines alternately, from tokenised rows to logits.

    Args:
        engines: functions that compute the logits of rows, by engine name.
        examples: at least one row.

    Returns:
        For each engine ``{"one_row_ms", "rows_per_second"}``: the median time of one row of median
        length, and the best of three rounds over up to ``TIMED_ROWS`` rows.
    """
    order = np.argsort(examples.lengths, kind="stable")
    one = taken(examples, order[[len(order) // 2]])
    many = taken(examples, np.arange(min(len(examples), TIMED_ROWS)))
    alone: dict[str, list[float]] = {name: [] for name in engines}
    together: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(_ROUNDS):
        for name, compute in engines.items():
            together[name].append(_seconds(compute, many))
            alone[name] += [_seconds(compute, one) for _ in range(_CALLS)]
    return {
        name: {
            "one_row_ms": round(1e3 * statistics.median(alone[name]), 3),
            "rows_per_second": round(len(many) / min(together[name]), 1),
        }
        for name in engines
    }


def _seconds(compute: Callable[[Examples], object], examples: Examples) -> float:
    start = time.perf_counter()
    compute(examples)
    return time.perf_counter() - start


def _difference(what: str, actual: FloatArray, expected: FloatArray) -> float:
    """The largest difference of a logit; raises above ``TOLERANCE``."""
    if actual.shape != expected.shape:
        raise errors.export.differs(what, f"shape {actual.shape}", f"{expected.shape}")
    largest = float(np.abs(actual - expected).max())
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not largest <= limit:  # also true for NaN
        text = f"logits differ by up to {largest:.2g}"
        raise errors.export.differs(what, text, f"at most {limit:g}")
    return largest


def _main_score(run: LoadedRun, predictions: Any, labels: Any) -> float | None:
    return next(iter(run.task.score(predictions, labels).metrics.values())).value

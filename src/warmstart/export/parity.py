"""Whether an ONNX file answers as the trained model does, and what it costs and gains.

PyTorch's side is Transformers' own forward pass on padded rows in float32, not ours: what a person
would get from the ``model/`` folder. The rows are those of the run's test split (else validation)
as ``evaluation/`` keeps them, so no data file has to be at hand.

Units: differences are of logits; a metric's are its own; times are seconds unless named otherwise.
Letters: N rows, C classes, B rows and L tokens of a rectangle.
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
import pyarrow.parquet
import torch

from warmstart import errors
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.examples.ordering import evaluation_batches
from warmstart.data.examples.targets import NoTargets
from warmstart.data.examples.token_targets import WordTags
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import SourceFile, Table
from warmstart.export.onnx_file import example
from warmstart.export.session import OnnxModel, open_session
from warmstart.export.word_parity import in_example_order, same_spans, taken
from warmstart.models.packed.forward import Forward, padded_forward
from warmstart.preparation.stages import group_column
from warmstart.runs.loaded_run import LoadedRun
from warmstart.runs.run_record import SPLIT_ORDER
from warmstart.tasks.capabilities import Compares, CountsChanges, RestoresRows
from warmstart.tasks.predictions.tag_predictions import TagPredictions
from warmstart.tasks.task import FloatArray

TOLERANCE = 1e-4
"""Largest difference of a logit; of logits beyond 1, which are a regression's, as a share."""
METRIC_TOLERANCE = 1e-3
"""Largest difference of the task's main metric."""

MAX_ROWS = 2_048
"""Rows compared: all of a smaller split."""
TIMED_ROWS = 256
"""Of them, those that are timed together."""

FUSED = ("Attention", "SkipLayerNormalization", "BiasGelu", "DynamicQuantizeMatMul")
"""What ONNX Runtime runs in place of several operators (attention is one in the file already)."""

_ROUNDS, _CALLS = 3, 40


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows that a run was scored on.

    Args:
        split: ``test`` or ``validation``.
        table: N rows.
        labels: of these rows.
        examples: tokenised by the run's tokenizer.
        logits: PyTorch's, float32 [N, C]; of words, [W, C].
    """

    split: str
    table: Table
    labels: Any
    examples: Examples
    logits: FloatArray


def scored_rows(run: LoadedRun) -> Rows:
    """The rows of the run's test split, else validation, with PyTorch's logits.

    Args:
        run: opened, its model as Transformers made it.

    Raises:
        ExportError: neither split is there.
        RunError: its file is damaged.
    """
    split, table = kept_rows(run, MAX_ROWS, labelled=True)
    labels = run.task.labels(table)
    examples = run.task.encode(table, labels, run.tokenizer, run.max_tokens)
    logits = torch_logits(run, padded_forward(run.model, run.task.head), examples)
    return Rows(split, table, labels, examples, logits)


def kept_rows(run: LoadedRun, most: int, *, labelled: bool) -> tuple[str, Table]:
    """Rows that a run was scored on, as ``evaluation/`` keeps them.

    Args:
        run: opened.
        most: how many; of more, a sample.
        labelled: whether they have labels.

    Returns:
        The name of their split, test or else validation, and the rows.

    Raises:
        ExportError: neither split is there.
        RunError: its file is damaged.
    """
    split, found = _kept(run)
    data = run.config.data
    names = {setting.removeprefix("data."): name for setting, name in data.text_columns.items()}
    if len(found) > most:
        group = group_column(run.config)
        grouped = [column for column, name in names.items() if name == group]
        together = found["group" if not grouped else grouped[0]] if group else None
        found = found.take(sample(len(found), most, together))
    if labelled:
        names["label"] = data.label
    if data.group is not None and "group" in found.column_names:
        names["group"] = data.group
    columns = found.select(list(names)).rename_columns(list(names.values()))
    if isinstance(run.task, RestoresRows):
        for name, values in run.task.restored(found).items():
            columns = columns.append_column(name, values)
    table = Table(
        columns=columns,
        rows=found["row"].to_numpy(),
        files=(SourceFile(f"evaluation/{split}", sha256="", encoding=None, rows=len(found)),),
        file_index=np.zeros(len(found), dtype=np.int32),
        lines=found["line"].to_numpy(),
    )
    return split, table


def sample(rows: int, most: int, together: Any = None) -> Ints:
    """Positions of some rows, rising; groups are whole, for a ranking is judged by query.

    Args:
        rows: how many there are.
        most: how many to take; more only of a single group that is larger.
        together: the group of each row, an Arrow column of ``rows``; None for each its own.

    >>> len(sample(5, 3))
    3
    """
    units = np.arange(rows)
    if together is not None:
        units = together.dictionary_encode().combine_chunks().indices.to_numpy().astype(np.int64)
    order = np.random.default_rng(0).permutation(int(units.max()) + 1)
    taken = np.cumsum(np.bincount(units)[order]) <= most
    taken[0] = True
    return np.flatnonzero(np.isin(units, order[taken]))


def _kept(run: LoadedRun) -> tuple[str, Any]:
    """The split and its ``predictions.parquet``."""
    for split in SPLIT_ORDER:
        path = run.directory.evaluation(split) / "predictions.parquet"
        if path.exists():
            try:
                return split, pyarrow.parquet.read_table(path)
            except (OSError, ValueError) as error:
                raise errors.run.unreadable(path, error) from error
    raise errors.export.without_rows(run.directory.path)


@torch.no_grad()
def torch_logits(run: LoadedRun, forward: Forward, examples: Examples) -> FloatArray:
    """PyTorch's logits in the order of the examples, float32: rows [N, C], words [W, C].

    Args:
        run: whose model is run.
        forward: how.
        examples: tokenised rows.
    """
    if not isinstance(examples.targets, WordTags):
        examples = Examples(examples.tokens, NoTargets())
    batches = list(evaluation_batches(examples.lengths, max_tokens=2048))
    parts = [forward.run(run.model, collate(examples, rows)).numpy() for rows in batches]
    return in_example_order(examples, batches, parts)


@torch.no_grad()
def check_shapes(run: LoadedRun, onnx_model: OnnxModel) -> list[dict[str, Any]]:
    """Made-up rows of every kind of shape: one token, one row, several of both, the longest.

    Returns:
        ``{"rows", "tokens", "max_difference"}`` for each.

    Raises:
        ExportError: a logit differs.
    """
    checked = []
    for rows, tokens in ((1, 1), (1, 7), (3, 5), (2, run.max_tokens)):
        inputs = example(onnx_model.input_names, rows, tokens, run.model.config.vocab_size)
        expected = run.model(**inputs).logits.numpy()
        found = onnx_model.run({name: values.numpy() for name, values in inputs.items()})
        if expected.ndim == 3:  # [B, L, C]: logits of padding are never used
            real = inputs["attention_mask"].numpy().astype(bool)
            found, expected = found[real], expected[real]
        what = f"{rows} x {tokens} tokens"
        difference = _difference(what, found, expected)
        checked.append({"rows": rows, "tokens": tokens, "max_difference": difference})
    return checked


def check_rows(
    run: LoadedRun, rows: Rows, onnx_model: OnnxModel, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Real rows: logits, labels and the task's main metric.

    Args:
        run: the trained model.
        rows: what it was scored on.
        onnx_model: the file.
        tokenizer: the one it is served with, which needs no torch.

    Returns:
        ``{"split", "compared", "max_difference", "metric": {"name", "torch", "onnx"}}``; for tags
        also ``"words"`` and ``"spans"``, the numbers of words and spans that are the same.

    Raises:
        ExportError: a logit, a label, a span or the metric differs.
    """
    examples = run.task.encode(rows.table, rows.labels, tokenizer, run.max_tokens)
    found = onnx_model.logits_of(examples)
    what = f"{len(rows.table):,} rows of the {rows.split} split"
    difference = _difference(what, found, rows.logits)
    answers = [run.task.predictions(logits, examples) for logits in (rows.logits, found)]
    other = answers[0].changed(answers[1]) if isinstance(answers[0], CountsChanges) else 0
    if other:
        raise errors.export.differs(what, f"{other:,} other labels", "the same label for each")
    spans = same_spans(what, *answers) if isinstance(answers[0], TagPredictions) else {}
    before, after = (_main_score(run, given, rows.labels) for given in answers)
    name = run.task.metrics[0].name
    if before is not None and after is not None and abs(before - after) > METRIC_TOLERANCE:
        expected = f"{before:.4f} within {METRIC_TOLERANCE:g}, as PyTorch"
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
    """What weights of 8 bits cost of the task's main metric, on real rows.

    Args:
        run: the trained model.
        rows: what it was scored on.
        onnx_model: in float32.
        int8_model: in 8 bits.
        max_drop: the largest loss that is accepted.

    Returns:
        ``{"name", "onnx", "int8", "drop", "low", "high", "max_drop", "rows"}``; the interval is of
        the drop, by a paired bootstrap over rows, 95 %.

    Raises:
        ExportError: the drop is larger.
    """
    metric = run.task.metrics[0]
    full, small = (
        run.task.predictions(model.logits_of(rows.examples), rows.examples)
        for model in (onnx_model, int8_model)
    )
    assert isinstance(run.task, Compares)
    better, worse = (full, small) if metric.higher_is_better else (small, full)
    drop, low, high = run.task.difference(better, worse, rows.labels, metric.name)
    if drop is not None and drop > max_drop:
        interval = "" if low is None or high is None else f"[{low:.4f}, {high:.4f}]"
        raise errors.export.int8_worse(metric.name, drop, interval, len(full), max_drop)
    return {
        "name": metric.name,
        "onnx": _main_score(run, full, rows.labels),
        "int8": _main_score(run, small, rows.labels),
        "drop": drop,
        "low": low,
        "high": high,
        "max_drop": max_drop,
        "rows": len(full),
    }


def fused_operators(path: Path, layers: int | None, inputs: Mapping[str, Any]) -> dict[str, int]:
    """How often ONNX Runtime runs each operator of ``FUSED``, once through the graph.

    Counted from its own log of a run, so it is what is run here and not what the file says.

    Args:
        path: of the model; the log goes beside it and is removed.
        layers: how many attentions there must be; None where that is not known.
        inputs: what to run it on, by name.

    Raises:
        ExportError: attention is not one operator in every layer.
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
    found = {name: counts[name] for name in FUSED}
    if layers is not None and found["Attention"] != layers:
        raise errors.export.differs(
            "its operators", f"{found['Attention']} attentions", f"{layers}, one for each layer"
        )
    return found


def measured(
    engines: Mapping[str, Callable[[Examples], object]], examples: Examples
) -> dict[str, dict[str, float]]:
    """Speed of several engines, in turns, from tokenised rows to logits.

    Args:
        engines: by name, what computes the logits of rows.
        examples: at least one row.

    Returns:
        For each ``{"one_row_ms", "rows_per_second"}``: the median time of the row of median length
        alone, and the best of three rounds over up to ``TIMED_ROWS`` rows together.
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


def _difference(what: str, found: FloatArray, expected: FloatArray) -> float:
    """The largest difference of a logit, refused above ``TOLERANCE``."""
    if found.shape != expected.shape:
        raise errors.export.differs(what, f"shape {found.shape}", f"{expected.shape}")
    largest = float(np.abs(found - expected).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not largest <= allowed:  # NaN is not
        text = f"logits differ by up to {largest:.2g}"
        raise errors.export.differs(what, text, f"at most {allowed:g}")
    return largest


def _main_score(run: LoadedRun, answers: Any, labels: Any) -> float | None:
    return next(iter(run.task.score(answers, labels).metrics.values())).value

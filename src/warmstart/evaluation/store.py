"""An evaluation on disk: ``predictions.parquet`` and ``scores.json`` in ``evaluation/SPLIT/``.

``predictions.parquet`` has every row of the split: its origin, its text, its label, and the
prediction with the probability of every label, so that any question about the model's predictions
can be answered from this file. ``baseline-NAME.parquet`` has the predictions of a baseline for the
same rows.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet

from warmstart.config import DataConfig
from warmstart.data.table import Table
from warmstart.evaluation.baseline_scores import Scored
from warmstart.metrics.scores import Scores
from warmstart.runs.directory import RunDirectory
from warmstart.runs.safe_files import write_atomically
from warmstart.tasks.capabilities import ShowsLabels, StoresLabels
from warmstart.tasks.task import AnyTask, Predictions, Split

if TYPE_CHECKING:
    from warmstart.evaluation.evaluate import Evaluation

PREDICTIONS = "predictions.parquet"
"""The file with every row of a split and the model's predictions."""

ROW_COLUMNS = ("row", "file", "line", "text", "text_pair", "prompt", "group", "label")
"""Its columns that belong to the row; the others are the prediction."""


def write_evaluation(
    run: RunDirectory,
    name: str,
    task: AnyTask,
    evaluation: "Evaluation[Any]",
    split: Split,
    data: DataConfig,
    baselines: Mapping[str, Scored],
    overrides: Sequence[str] | None = None,
) -> None:
    """Write one split's predictions and scores.

    Args:
        run: the run directory.
        name: name of the split, or of the file that was evaluated.
        task: the task of the run.
        evaluation: predictions and scores.
        split: the rows of the split and their labels.
        data: names the columns.
        baselines: predictions and scores of the baselines for the same rows.
        overrides: for file(s) that are not a split of the run, the settings that differ from the
            run's, as typed.
    """
    labels = None
    if isinstance(task, StoresLabels):
        labels = task.label_column(split.labels)
    elif isinstance(task, ShowsLabels):
        labels = task.shown_labels(split.labels)
    folder, ids = run.evaluation(name), split.table.rows
    rows = prediction_table(evaluation.predictions, split.table, data, labels=labels)
    _write_table(folder / PREDICTIONS, rows)
    for baseline, found in baselines.items():
        answers = pa.table({"row": pa.array(ids), **found.predictions.columns(ids)})
        _write_table(folder / baseline_file(baseline), answers)
    scores = {baseline: found.scores for baseline, found in baselines.items()}
    content = scores_json(name, task, evaluation, len(split.table), scores)
    if overrides is not None:
        content["files"] = [file.path for file in split.table.files]
        content["overrides"] = list(overrides)
    run.write_json(f"evaluation/{name}/scores.json", content)


def _write_table(path: Path, rows: pa.Table) -> None:
    write_atomically(path, lambda temporary: pyarrow.parquet.write_table(rows, temporary))


def baseline_file(name: str) -> str:
    """The name of the file with the predictions of a baseline."""
    return f"baseline-{name}.parquet"


def baseline_rows(folder: Path, name: str) -> pa.Table:
    """A baseline's predictions with their rows, in the form of ``predictions.parquet``.

    Args:
        folder: the folder of the evaluation.
        name: name of the baseline.

    Raises:
        OSError: a file is missing.
        ValueError: the files do not have the same rows.
    """
    rows = pyarrow.parquet.read_table(folder / PREDICTIONS)
    answers = pyarrow.parquet.read_table(folder / baseline_file(name))
    if not rows["row"].equals(answers["row"]):
        raise ValueError(f"its rows are not those of {PREDICTIONS}")
    own = [column for column in rows.column_names if column in ROW_COLUMNS]
    return pa.table({column: rows[column] for column in own} | dict(_items(answers)))


def _items(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    return zip(table.column_names, table.columns, strict=True)


LONGEST_STEM = 80
"""Maximum number of characters of a file's name in the folder's name, for any file system."""


def folder_name(table: Table, overrides: Sequence[str] = ()) -> str:
    """The folder under ``evaluation/`` for file(s) that are scored: ``file-NAME-HASH``.

    The hash covers the content of every file, in order, and the settings that were given for them,
    so two evaluations share a folder only if they have the same input.

    Args:
        table: the rows, with their files.
        overrides: settings that differ from the run's, as typed.
    """
    first, *others = table.files
    # The stem of ``archive.zip!folder/test.csv.gz`` is ``test``.
    stem = Path(first.path.partition("#")[0].replace("!", "/")).name.partition(".")[0]
    more = f"-and-{len(others)}-more" if others else ""
    content = first.sha256
    if others or overrides:
        parts = [file.sha256 for file in table.files] + sorted(overrides)
        content = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"file-{stem[:LONGEST_STEM]}{more}-{content[:8]}"


def scores_json(
    name: str,
    task: AnyTask,
    evaluation: "Evaluation[Any]",
    rows: int,
    baselines: Mapping[str, Scores],
) -> dict[str, Any]:
    """The content of ``scores.json``.

    Args:
        name: name of the split.
        task: the task of the run.
        evaluation: scores and loss.
        rows: number of rows of the split.
        baselines: scores of the baselines on the same rows.
    """
    return {
        "split": name,
        "n": rows,
        "scored_unit": task.scored_unit,
        "loss": evaluation.loss,
        "scores": evaluation.scores.metrics_json(),
        "details": dict(evaluation.scores.details),
        "baselines": {baseline: scores.metrics_json() for baseline, scores in baselines.items()},
    }


def prediction_table(
    predictions: Predictions | None,
    table: Table,
    data: DataConfig,
    *,
    labels: pa.Array | pa.ChunkedArray | None,
) -> pa.Table:
    """Predictions with their rows: row, file, line, texts, group, label, the task's columns.

    Args:
        predictions: predictions for the rows of ``table``, in its order; None to leave them out.
        table: the rows.
        data: names the columns.
        labels: label of each row, if they are known, N.
    """
    columns: dict[str, Any] = {
        "row": pa.array(table.rows),
        "file": table.paths(),
        "line": pa.array(table.lines),
    }
    for setting, name in data.text_columns.items():
        if predictions is not None or name in table.columns.column_names:
            columns[setting.removeprefix("data.")] = table.column(name, setting)
    group, known = data.group, table.columns.column_names
    if group is not None and group in known and group not in data.text_columns.values():
        columns["group"] = table.column(group, "data.group")
    if labels is not None:
        columns["label"] = labels
    answers = {} if predictions is None else predictions.columns(table.rows)
    return pa.table({**columns, **answers})

"""An evaluation on disk: ``evaluation/SPLIT/predictions.parquet`` and ``scores.json``.

Every row of the split stands in ``predictions.parquet`` with where it came from, its text, its true
label, the predicted one and every label's probability, so that any question about the model's
answers can be put to the file itself.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from warmstart.config import DataConfig
from warmstart.data.table import Table
from warmstart.metrics.scores import Scores
from warmstart.runs.directory import RunDirectory, write_atomically
from warmstart.tasks.task import Answers

if TYPE_CHECKING:
    from warmstart.evaluation.evaluate import Evaluation


def write_evaluation(
    run: RunDirectory,
    split: str,
    found: "Evaluation",
    table: Table,
    data: DataConfig,
    baselines: Mapping[str, Scores],
    *,
    labels: pa.Array | pa.ChunkedArray | None,
) -> None:
    """Write one split's predictions and scores.

    Args:
        run: the run directory.
        split: name of the split, or of the file that was evaluated.
        found: what the model made of it.
        table: its rows.
        data: names the columns.
        baselines: scores of the models that cost nothing, on the same rows.
        labels: of each row, where they are known, N.
    """
    rows = prediction_table(found.predictions, table, data, labels=labels)
    write_atomically(
        run.evaluation(split) / "predictions.parquet",
        lambda temporary: pyarrow.parquet.write_table(rows, temporary),
    )
    run.write_json(f"evaluation/{split}/scores.json", scores_json(split, found, table, baselines))


LONGEST_STEM = 80
"""Characters of a file's name that are used, so that no file system refuses the folder's name."""


def folder_name(table: Table, overrides: Sequence[str] = ()) -> str:
    """The folder under ``evaluation/`` for file(s) that are scored: ``file-NAME-HASH``.

    The hash covers the content of every file, in order, and the settings that were given for them,
    so two evaluations share a folder only if they have the same input.

    Args:
        table: the rows, with the files they came from.
        overrides: settings that differ from the run's, as typed.
    """
    first, *others = table.files
    # ``archive.zip!folder/test.csv.gz`` is called ``test``.
    stem = Path(first.path.partition("#")[0].replace("!", "/")).name.partition(".")[0]
    more = f"-and-{len(others)}-more" if others else ""
    content = first.sha256
    if others or overrides:
        parts = [file.sha256 for file in table.files] + sorted(overrides)
        content = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"file-{stem[:LONGEST_STEM]}{more}-{content[:8]}"


def scores_json(
    split: str, found: "Evaluation", table: Table, baselines: Mapping[str, Scores]
) -> dict[str, Any]:
    """The content of ``scores.json``."""
    return {
        "split": split,
        "n": len(table),
        "loss": found.loss,
        "scores": found.scores.metrics_json(),
        "details": dict(found.scores.details),
        "baselines": {name: scores.metrics_json() for name, scores in baselines.items()},
    }


def prediction_table(
    predictions: Answers,
    table: Table,
    data: DataConfig,
    *,
    labels: pa.Array | pa.ChunkedArray | None,
) -> pa.Table:
    """Predictions beside their rows: row, file, line, texts, group, label, the task's columns.

    Args:
        predictions: one for each row of ``table``, in its order.
        table: the rows.
        data: names the columns.
        labels: of each row, where they are known, N.
    """
    paths = pa.array([file.path for file in table.files])
    columns: dict[str, Any] = {
        "row": pa.array(table.rows),
        "file": paths.take(pa.array(table.file_index)),
        "line": pa.array(table.lines),
    }
    for setting, name in data.text_columns.items():
        columns[setting.removeprefix("data.")] = table.column(name, setting)
    group, known = data.group, table.columns.column_names
    if group is not None and group in known and group not in data.text_columns.values():
        columns["group"] = table.column(group, "data.group")
    if labels is not None:
        columns["label"] = labels
    columns |= predictions.columns(table.rows)
    return pa.table(columns)

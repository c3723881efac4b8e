"""The rows on which an export is compared: those on which the run was scored, in ``evaluation/``.

A run that was trained on all rows, without a test split, has none: training rows are used, as long
as their files are there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from warmstart import errors
from warmstart.config.file_formats import NO_ROWS
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import SourceFile, Table
from warmstart.preparation.stages import group_column
from warmstart.preparation.training_rows import training_splits
from warmstart.runs.loaded_run import LoadedRun
from warmstart.runs.run_record import SPLIT_ORDER
from warmstart.runs.stored import reading
from warmstart.tasks.capabilities import RestoresRows


def kept_rows(run: LoadedRun, most: int, *, labelled: bool) -> tuple[str, Table]:
    """Rows on which two engines are compared.

    Args:
        run: the run.
        most: largest number of rows; if there are more rows, a sample is used.
        labelled: whether to include the labels.

    Returns:
        The name of the split and the rows: test rows, without them validation rows, and if the run
        has scored no split, training rows.

    Raises:
        ExportError: the stored rows are missing.
        DataError: the files with the training rows cannot be read, or have changed.
        RunError: the file of the split is damaged.
    """
    for split in SPLIT_ORDER:
        path = predictions_path(run, split)
        if path.exists():
            with reading(path):
                saved = pyarrow.parquet.read_table(path)
                return split, _table_of(run, split, saved, most, labelled=labelled)
    if run.config.data.validation != NO_ROWS or run.config.data.test is not None:
        raise errors.export.without_rows(run.directory.path)
    table = training_splits(run.directory)["train"]
    if len(table) > most:
        column = group_column(run.config)
        groups = table.column(column, "data.group") if column else None
        table = table.filter(np.isin(np.arange(len(table)), sample(len(table), most, groups)))
    return "train", table


def predictions_path(run: LoadedRun, split: str) -> Path:
    """The path of the rows and predictions of a split.

    Args:
        run: the run.
        split: name of the split.
    """
    return run.directory.evaluation(split) / "predictions.parquet"


def _table_of(run: LoadedRun, split: str, saved: Any, most: int, *, labelled: bool) -> Table:
    """The rows of ``predictions.parquet`` as a table with the columns of the original data."""
    if not len(saved):
        raise ValueError("it has no rows")
    for column in ("row", "line"):
        if saved[column].null_count or not pa.types.is_integer(saved[column].type):
            raise ValueError(f"the column {column!r} has a value that is not a whole number")
    for column in (setting.removeprefix("data.") for setting in run.config.data.text_columns):
        if saved[column].null_count or saved[column].type not in (pa.string(), pa.large_string()):
            raise ValueError(f"the column {column!r} has a value that is not a text")
    data = run.config.data
    # In `predictions.parquet` columns have the names of settings (`text`, `label`); the table needs
    # the names of the original data.
    names = {setting.removeprefix("data."): name for setting, name in data.text_columns.items()}
    if len(saved) > most:
        group = group_column(run.config)
        grouped = [column for column, name in names.items() if name == group]
        groups = saved["group" if not grouped else grouped[0]] if group else None
        saved = saved.take(sample(len(saved), most, groups))
    if labelled:
        names["label"] = data.label
    if data.group is not None and "group" in saved.column_names:
        names["group"] = data.group
    columns = saved.select(list(names)).rename_columns(list(names.values()))
    if isinstance(run.task, RestoresRows):
        for name, values in run.task.restored(saved).items():
            columns = columns.append_column(name, values)
    return Table(
        columns=columns,
        rows=saved["row"].to_numpy(),
        files=(SourceFile(f"evaluation/{split}", sha256="", encoding=None, rows=len(saved)),),
        file_index=np.zeros(len(saved), dtype=np.int32),
        lines=saved["line"].to_numpy(),
    )


def sample(rows: int, most: int, groups: Any = None) -> Ints:
    """Sorted positions of a random sample of rows; groups are not split (a ranking needs all).

    Args:
        rows: number of rows.
        most: largest number of rows to take; exceeded only by a single group that is larger.
        groups: the group of each row, an Arrow column; None if every row is its own group.

    >>> len(sample(5, 3))
    3
    """
    group_ids = np.arange(rows)
    if groups is not None:
        group_ids = groups.dictionary_encode().combine_chunks().indices.to_numpy().astype(np.int64)
    order = np.random.default_rng(0).permutation(int(group_ids.max()) + 1)
    taken = np.cumsum(np.bincount(group_ids)[order]) <= most
    taken[0] = True
    return np.flatnonzero(np.isin(group_ids, order[taken]))

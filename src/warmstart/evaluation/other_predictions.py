"""Predictions of another program, read from a file and scored like those of a run.

Letters: N rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.tokens import Bools, Ints
from warmstart.data.labels import label_numbers
from warmstart.data.reading.sources import read
from warmstart.errors.counts import counted
from warmstart.evaluation.stored_runs import StoredRun
from warmstart.metrics.intervals import UnitSums
from warmstart.tasks.capabilities import Compares
from warmstart.tasks.row_answers import JudgesRows, ReadsAnswers


@dataclass(frozen=True, slots=True)
class OtherPredictions:
    """A file with the predictions of another program for the rows of the split.

    Args:
        file: CSV, TSV, JSON lines, Parquet, or another format that ``data.train`` may have.
        column: has the label, the list of labels, or the number of each row.
        row_column: has the number of each row, from 0 in the order of the data files; without it,
            the file has one row for each row of the split, in the same order.
    """

    file: str
    column: str
    row_column: str | None = None


def other_sums(predictions: OtherPredictions, run: StoredRun) -> tuple[UnitSums, Bools | None]:
    """The sums of the predictions in a file, and which rows are right if that can be said.

    Args:
        predictions: the file.
        run: has the rows that are predicted.

    Raises:
        DataError: the file cannot be read, a prediction is not possible, or rows do not match.
    """
    task = run.task
    assert isinstance(task, ReadsAnswers)
    assert isinstance(task, Compares)
    file, row_column = predictions.file, predictions.row_column
    table = read(file, DataConfig(train=file), "--predictions")
    ids = run.rows["row"].to_numpy().astype(np.int64)
    if row_column is not None:
        with _answers_from("--row-column"):
            numbers = label_numbers(table, row_column)
        places = _places(numbers, ids, file, row_column)
        table = replace(
            table,
            columns=table.columns.take(pa.array(places)),
            file_index=table.file_index[places],
            lines=table.lines[places],
            rows=ids,
        )
    elif len(table) != len(ids):
        raise errors.comparison.other_number_of_rows(file, len(table), len(ids), run.split)
    with _answers_from("--prediction-column"):
        answers = task.answers(table, predictions.column)
    _, labels = task.read_back(run.rows)
    right = task.right(answers, labels) if isinstance(task, JudgesRows) else None
    return task.unit_sums(answers, labels), right


@contextmanager
def _answers_from(option: str) -> Iterator[None]:
    """Within the block, an error about a column advises the option that names it."""
    try:
        yield
    except errors.DataError as error:
        raise errors.comparison.unusable_column(error, option) from error


def _places(numbers: Any, ids: Ints, file: str, column: str) -> Ints:
    """Position in the file of each row of the split, int64 [N].

    Raises:
        DataError: a row occurs twice, or is missing.
    """
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        what = f"the row {ordered[twice[0]]:g} occurs twice"
        raise errors.comparison.rows_do_not_match(file, column, what)
    missing = np.setdiff1d(ids, ordered)
    if len(missing):
        what = f"the row {missing[0]} is missing ({counted(len(missing), 'row')} in all)"
        raise errors.comparison.rows_do_not_match(file, column, what)
    return np.asarray(order[np.searchsorted(ordered, ids)])

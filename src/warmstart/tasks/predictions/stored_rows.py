"""Columns of ``predictions.parquet`` as arrays: the inverse of ``Predictions.columns``.

Every function raises a ``ValueError`` if a column does not contain what was written.

Letters: N rows, C labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.tasks.mistakes import PROBABILITY


def stored_rows(rows: pa.Table) -> tuple[Ints, Bools]:
    """Row ids, int64 [N], and whether each row was truncated, bool [N].

    Args:
        rows: N rows of ``predictions.parquet``.
    """
    return _without_nulls(rows, "row").astype(np.int64), _without_nulls(rows, "truncated")


def stored_numbers(rows: pa.Table, name: str) -> Floats:
    """A column of numbers, float64 [N].

    Args:
        rows: N rows of ``predictions.parquet``.
        name: the column.
    """
    return _without_nulls(rows, name).astype(np.float64)


def stored_shares(rows: pa.Table, names: Sequence[str]) -> Floats:
    """The probability of each label for each row, float64 [N, C].

    Args:
        rows: N rows of ``predictions.parquet``.
        names: the labels, C.
    """
    return np.stack([stored_numbers(rows, f"{PROBABILITY}{name}") for name in names], axis=1)


def stored_classes(rows: pa.Table, column: str, names: Sequence[str]) -> Ints:
    """Index of each row's label, int64 [N].

    Args:
        rows: N rows of ``predictions.parquet``.
        column: the column with labels.
        names: the labels, C.
    """
    return _places(rows[column], names)


def stored_label_sets(rows: pa.Table, column: str, names: Sequence[str]) -> Bools:
    """Which of the labels each row has, bool [N, C].

    Args:
        rows: N rows of ``predictions.parquet``.
        column: the column with lists of labels.
        names: the labels, C.
    """
    lists = rows[column].combine_chunks()
    matrix = np.zeros((len(lists), len(names)), dtype=np.bool_)
    matrix[pc.list_parent_indices(lists).to_numpy(), _places(pc.list_flatten(lists), names)] = True
    return matrix


def lowest_share(shares: Floats, predicted: Bools) -> float:
    """A threshold that gives these predictions again: the lowest probability of a predicted row.

    Args:
        shares: probability of a label for each row, float64 [N].
        predicted: whether the label is predicted, bool [N].

    >>> lowest_share(np.array([0.2, 0.9, 0.6]), np.array([False, True, True]))
    0.6
    """
    return float(shares[predicted].min(initial=np.inf))


def _places(values: pa.Array | pa.ChunkedArray, names: Sequence[str]) -> Ints:
    places = pc.index_in(values.cast(pa.string()), value_set=pa.array(names, pa.string()))
    if places.null_count:
        unknown = values.filter(pc.is_null(places))[0].as_py()
        raise ValueError(f"the label {unknown!r} is not one of: {', '.join(names)}")
    return np.asarray(places.to_numpy(zero_copy_only=False)).astype(np.int64)


def _without_nulls(rows: pa.Table, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    if rows[name].null_count:
        raise ValueError(f"the column {name!r} has a row without a value")
    return np.asarray(rows[name].to_numpy())

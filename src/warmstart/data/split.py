"""Select the rows for training and the rows to hold out for validation.

Every row (or group of rows) gets a 64-bit random number from a counter-based generator, and the
rows with the smallest numbers are held out. A split is therefore a pure function of the seed, the
number of rows and, if used, the labels and groups. The raw output of Philox is used because NumPy
guarantees the same integers for a seed in every version (documentation of ``numpy.random.Philox``).
It gives no such guarantee for the methods of ``Generator``.

The splitters of scikit-learn were tested but are not used: ``StratifiedShuffleSplit`` cannot hold
out fewer rows than there are classes, and ``StratifiedGroupKFold`` needs 80 s for a million rows in
200,000 groups (this module: 0.3 s). As in scikit-learn, the number of held-out rows is rounded up,
and with groups the share counts groups, not rows.

N: rows. U: units (groups if rows are grouped, else rows).
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.data.labels import blank, label_texts
from warmstart.data.table import Table

Ints = np.ndarray[Any, np.dtype[np.int64]]


def hold_out(
    table: Table,
    share: float,
    seed: int,
    *,
    stratify_by: str | None,
    group_by: str | None,
    strata: Ints | None = None,
) -> tuple[Table, Table]:
    """Split a table into training rows and held-out rows, both in file order.

    With ``stratify_by``, the share of each label (rounded up) is held out, but at least one row of
    each label stays in training, so each label is in both splits. With ``group_by``, all rows of a
    group are in the same split, and a group is stratified by its most frequent label.

    Args:
        table: N rows.
        share: share of the rows to hold out, between 0 and 1 (with ``group_by``: of the groups).
        seed: seed of the selection; the same seed gives the same split.
        stratify_by: label column to stratify by.
        group_by: column whose equal values must stay in one split.
        strata: used instead of ``stratify_by``: the stratum of each row, from 0, int64 [N]; the row
            of a stratum with one row stays in training.

    Returns:
        (training rows, held-out rows).

    Raises:
        DataError: one split would be empty, a label to stratify by has only one row, or a row has
            no group.
    """
    labels = strata if stratify_by is None else _codes(label_texts(table, stratify_by))
    if group_by is None:
        if labels is not None and stratify_by is not None:
            _refuse_single_rows(labels, table, stratify_by)
        units = np.arange(len(table))
        strata = np.zeros_like(units) if labels is None else labels
    else:
        units = _groups(table, group_by)
        strata = _most_frequent_labels(labels, units)
    chosen = _choose(strata, share, seed)  # [U]
    held_out = chosen[units]  # [N]
    if held_out.all() or not held_out.any():
        unit = "row" if group_by is None else "group"
        raise errors.data.empty_split(share, len(strata), unit, stratified=labels is not None)
    return table.filter(~held_out), table.filter(held_out)


def refuse_same_file(tables: Mapping[str, Table], allow: bool) -> None:
    """Raise an error if two settings (``data.train``, ``data.test``) read identical files.

    Splits of the same setting share their files and are not compared.

    Args:
        tables: split -> its rows.
        allow: ``data.allow_same_file``; if true, nothing is checked.

    Raises:
        DataError: two settings read files with the same content.
    """
    if allow:
        return
    for one, other in combinations(tables.values(), 2):
        paths = {file.sha256: file.path for file in one.files}
        for file in other.files:
            if one.setting != other.setting and file.sha256 in paths:
                raise errors.data.same_file(
                    (one.setting, paths[file.sha256]), (other.setting, file.path)
                )


def _choose(strata: Ints, share: float, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which units are held out, bool [U]: the share of each stratum, rounded up, but never all.

    Args:
        strata: stratum of each unit, from 0, int64 [U].
        share: share to hold out.
        seed: seed of the random numbers.
    """
    numbers = np.random.Philox(seed).random_raw(len(strata))
    order = np.lexsort((numbers, strata))
    sizes = np.bincount(strata)
    # Decimal, because as floats 0.07 * 100 > 7, which would be rounded up to 8.
    counts = [min(math.ceil(Decimal(str(share)) * int(size)), int(size) - 1) for size in sizes]
    # Rank of each unit (in the sorted order) within its stratum, from 0 [U].
    rank = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(strata), dtype=np.bool_)
    chosen[order] = rank < np.repeat(counts, sizes)
    return chosen


def _codes(values: pa.ChunkedArray) -> Ints:
    """A number from 0 for each distinct value, in order of first appearance, int64 [N]."""
    codes: Ints = pc.index_in(values, value_set=pc.unique(values)).to_numpy().astype(np.int64)
    return codes


def _groups(table: Table, column: str) -> Ints:
    """Group of each row, from 0, int64 [N]."""
    values = table.column(column, "data.group")
    missing = blank(values)
    if missing.any():
        where = table.where(int(missing.argmax()))
        raise errors.data.missing_group(column, where, int(missing.sum()))
    return _codes(values)


def _most_frequent_labels(labels: Ints | None, groups: Ints) -> Ints:
    """The most frequent label of each group [U]; in a tie, the label with the lower number."""
    if labels is None:
        return np.zeros(int(groups.max()) + 1, dtype=np.int64)
    width = int(labels.max()) + 1
    pairs, rows = np.unique(groups * width + labels, return_counts=True)
    group, label = np.divmod(pairs, width)
    order = np.lexsort((-label, rows, group))
    last = np.flatnonzero(np.diff(group[order], append=-1))
    return np.unique(label[order][last], return_inverse=True)[1].astype(np.int64)


def _refuse_single_rows(labels: Ints, table: Table, column: str) -> None:
    """Raise an error if a label has only one row, which cannot be in both splits."""
    single = np.flatnonzero(np.bincount(labels) == 1)
    if len(single):
        row = int(np.flatnonzero(np.isin(labels, single))[0])
        label = str(table.column(column, "data.label")[row].as_py())
        raise errors.data.single_row_label(label, table.where(row), len(single))

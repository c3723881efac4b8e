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
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.data.labels import blank
from warmstart.data.table import Table

Ints = np.ndarray[Any, np.dtype[np.int64]]


def hold_out(
    table: Table,
    share: float,
    seed: int,
    *,
    strata: Ints | None = None,
    group_by: str | None = None,
    same: Ints | None = None,
) -> tuple[Table, Table]:
    """Split a table into training rows and held-out rows, both in file order.

    With ``strata`` each stratum gives its share, rounded up, and keeps at least one row in
    training. With ``group_by`` or ``same`` no group is on both sides, and a group counts as the
    stratum that most of its rows have. With both, a group consists of all rows that are connected
    by either.

    Args:
        table: N rows.
        share: share of the rows (of the groups, if there are any) to hold out, between 0 and 1.
        seed: chooses the rows; the same seed gives the same split.
        strata: a number from 0 for each row, whose shares both sides keep, int64 [N]; a row that is
            alone in its stratum stays in training.
        group_by: column whose equal values stay together.
        same: a number from 0 for each row; rows with the same number stay together, int64 [N].

    Returns:
        (training rows, held-out rows).

    Raises:
        DataError: one side would be empty, or a row has no group.
    """
    if group_by is None and same is None:
        units = np.arange(len(table))
        of_unit = np.zeros_like(units) if strata is None else strata
    else:
        groups = [] if group_by is None else [groups_of(table, group_by)]
        units = connected([*groups, *([] if same is None else [same])])
        of_unit = _most_frequent_labels(strata, units)
    chosen = _choose(of_unit, share, seed)
    held = chosen[units]
    if held.all() or not held.any():
        unit = "row" if group_by is None and same is None else "group"
        raise errors.data.empty_split(share, len(of_unit), unit, stratified=strata is not None)
    return table.filter(~held), table.filter(held)


def sample_rows(
    table: Table,
    count: int,
    seed: int,
    *,
    strata: Ints | None = None,
    group_by: str | None = None,
) -> Table:
    """At most ``count`` rows of a table, in file order; a larger sample contains a smaller one.

    With ``strata`` every stratum is in the sample, in its proportion. With ``group_by`` whole
    groups are selected, and a group counts as the stratum that most of its rows have.

    Args:
        table: N rows.
        count: maximum number of rows of the sample, less than N.
        seed: chooses the rows; the same seed gives the same sample.
        strata: a number from 0 for each row, int64 [N].
        group_by: column whose equal values stay together.

    Raises:
        ConfigError: there are more strata than rows in the sample, or its first group is too large.
    """
    units = np.arange(len(table)) if group_by is None else groups_of(table, group_by)
    of_unit = np.zeros_like(units) if strata is None else strata
    if group_by is not None:
        of_unit = _most_frequent_labels(strata, units)
    sizes = np.bincount(of_unit)
    numbers = np.random.Philox(seed).random_raw(len(of_unit))
    # The first unit of every stratum comes first. The others follow evenly over each stratum, so
    # that any number of them has the proportions of the whole.
    rank = _rank_in_stratum(of_unit, numbers)
    place = np.where(rank == 0, 0.0, (rank + 0.5) / sizes[of_unit])
    order = np.lexsort((numbers, place))
    rows = np.cumsum(np.bincount(units)[order])
    chosen = order[rows <= count]
    if len(chosen) < (parts := int(np.count_nonzero(sizes))):
        raise errors.splits.limit_too_small(count, parts, int(rows[parts - 1]), group_by)
    return table.filter(np.isin(units, chosen))


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
    sizes = np.bincount(strata)
    # Decimal, because as floats 0.07 * 100 > 7, which would be rounded up to 8.
    counts = [min(math.ceil(Decimal(str(share)) * int(size)), int(size) - 1) for size in sizes]
    return _rank_in_stratum(strata, numbers) < np.array(counts)[strata]


def _rank_in_stratum(strata: Ints, numbers: np.ndarray[Any, np.dtype[np.uint64]]) -> Ints:
    """Rank of each unit among those of its stratum, ordered by their numbers, from 0 [U]."""
    order = np.lexsort((numbers, strata))
    sizes = np.bincount(strata)
    rank = np.empty_like(strata)
    rank[order] = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank


def codes(values: pa.ChunkedArray) -> Ints:
    """A number from 0 for each distinct value, in order of first appearance, int64 [N]."""
    codes: Ints = pc.index_in(values, value_set=pc.unique(values)).to_numpy().astype(np.int64)
    return codes


def groups_of(table: Table, column: str) -> Ints:
    """Group of each row, from 0, int64 [N]."""
    values = table.column(column, "data.group")
    if pa.types.is_nested(values.type):
        raise errors.splits.group_of_lists(column)
    absent = blank(values)
    if absent.any():
        where = table.where(int(absent.argmax()))
        raise errors.data.missing_group(column, where, int(absent.sum()))
    return codes(values)


def connected(groupings: Sequence[Ints]) -> Ints:
    """The group of each row if rows that are in one group by any grouping belong together, [N]."""
    if len(groupings) == 1:
        return groupings[0]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A graph whose nodes are the groups of both groupings; each row is an edge.
    one, other = groupings
    first = int(one.max()) + 1
    nodes = first + int(other.max()) + 1
    edges = coo_array((np.ones(len(one), np.bool_), (one, first + other)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    units: Ints = component[one].astype(np.int64)
    return units


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


def refuse_rare_labels(labels: Ints, table: Table, column: str, parts: int) -> None:
    """Raise an error if a label has too few rows to be in every part."""
    counts = np.bincount(labels)
    rare = np.flatnonzero(counts < parts)
    if len(rare):
        row = int(np.flatnonzero(np.isin(labels, rare))[0])
        label = str(table.column(column, "data.label")[row].as_py())
        count = int(counts[labels[row]])
        raise errors.labels.rare_label(label, table.where(row), count, parts, len(rare))

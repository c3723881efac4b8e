"""Error messages about splits that are given as row ids."""

from collections.abc import Sequence

from warmstart.errors.base import DataError


def unknown_rows(rows: Sequence[int], count: int) -> DataError:
    """Row ids for a split that the training file does not have."""
    return DataError(
        found=f"row ids {', '.join(map(str, rows))} for a split; data.train has {count:,}",
        expected="row ids of usable rows of data.train, counted from 0",
        do="take the row ids from data.json of a run over the same file",
    )


def unknown_split(name: str, known: Sequence[str]) -> DataError:
    """Row ids for a split that no run has."""
    return DataError(
        found=f"row ids for the split {name!r}",
        expected=f"row ids for {', '.join(known)}",
        do=f"rename {name!r}, or leave it out",
    )


def missing_split(name: str) -> DataError:
    """Row ids without those of the training split, or without any validation rows."""
    return DataError(
        found=f"row ids without the split {name}",
        expected="row ids of train, and row ids or a file for validation",
        do=f"give the row ids of {name} as well",
    )


def empty_split(name: str) -> DataError:
    """A split with an empty list of row ids."""
    return DataError(
        found=f"the split {name} has no row ids",
        expected="at least one row for each split that is given",
        do=f"give row ids for {name}, or leave the split out",
    )


def not_row_ids(name: str, kind: str, axes: int) -> DataError:
    """Row ids that are not a list of integers, for example a mask of true and false."""
    shape = f"with {axes} axes" if axes != 1 else "with one axis"
    return DataError(
        found=f"the row ids of {name} are an array of {kind} {shape}",
        expected="whole numbers in one list",
        do="for a mask of true and false: numpy.flatnonzero(mask)",
    )


def repeated_rows(row: int, splits: Sequence[str], count: int) -> DataError:
    """A row id that occurs twice, in one split or in two."""
    places = f"twice in {splits[0]}" if len(set(splits)) == 1 else f"in {' and '.join(splits)}"
    return DataError(
        found=f"row id {row} occurs {places}" + (f" ({count:,} ids in all)" * (count > 1)),
        expected="every row at most once, and in one split only",
        do="remove the repeated ids: numpy.unique(ids), numpy.setdiff1d(ids, others)",
    )

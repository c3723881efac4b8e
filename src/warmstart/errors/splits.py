"""Error messages about splits that are given as row ids."""

from collections.abc import Sequence

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.counts import counted, form


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


def limit_without_effect(limit: int, rows: int) -> ConfigError:
    """A limit that is not below the number of training rows."""
    smaller = f"--set data.limit={rows // 2}, for example; or " if rows > 1 else ""
    return ConfigError(
        found=f"data.limit is {limit:,}, and there {form(rows, 'is', 'are')} "
        f"{counted(rows, 'training row')}",
        expected="a limit below the number of training rows: this one has no effect",
        do=f"{smaller}--set data.limit=null",
    )


def limit_of_given_rows(limit: int) -> ConfigError:
    """A limit next to row ids for the training split."""
    return ConfigError(
        found=f"data.limit is {limit:,}, and the training rows are given as row ids",
        expected="one of the two",
        do="give fewer row ids; or --set data.limit=null",
    )


def limit_too_small(limit: int, parts: int, needed: int, group: str | None) -> ConfigError:
    """A limit with which a label has no training row, or which is below the size of a group.

    Args:
        limit: ``data.limit``.
        parts: number of labels, of which each needs a row; 1 if rows are not stratified.
        needed: number of rows that is enough.
        group: the column whose equal values stay together, if any.
    """
    if parts > 1:
        found = f"data.limit is {limit:,}, and the training rows have {parts:,} labels"
    else:
        found = (
            f"data.limit is {limit:,}, and the first {group} of the sample has "
            f"{counted(needed, 'row')}"
        )
    together = f"; rows with the same {group} stay together" if group is not None else ""
    return ConfigError(
        found=found,
        expected=f"at least {counted(needed, 'row')}{together}",
        do=f"--set data.limit={needed}, or more",
    )


def problem_of_sample(limit: int, rows: int, problem: DataError) -> DataError:
    """An error about the training rows that only the sample of ``data.limit`` has.

    Args:
        limit: ``data.limit``.
        rows: number of training rows without it.
        problem: the error.
    """
    more = f"--set data.limit={2 * limit}, or more; or " if 2 * limit < rows else ""
    return DataError(
        found=f"{problem.found}; only data.limit={limit} of {counted(rows, 'training row')} are "
        "used",
        expected=problem.expected,
        do=f"{more}--set data.limit=null: with all training rows, there is no such error",
    )


def rows_and_together() -> DataError:
    """Splits that are given as row ids, next to a setting for the drawn split."""
    return DataError(
        found="row ids for the splits, and data.duplicates is together",
        expected="data.duplicates: together only if a share of data.train is drawn for validation",
        do="give no row ids; or --set data.duplicates=drop",
    )


def only_duplicates(rows: int) -> DataError:
    """No training row is left under ``data.duplicates: drop``."""
    return DataError(
        found=f"data.duplicates is drop, and none of the {rows:,} training rows remains: their "
        "texts are also in validation or test, or have different labels",
        expected="at least one training row with a text of its own",
        do="--set data.duplicates=keep, or other files for validation and test",
    )


def always_together(column: str) -> ConfigError:
    """``data.duplicates: together`` where groups keep rows with the same text in one split."""
    return ConfigError(
        found=f"data.duplicates is together, and the rows are split by {column}, which is a text",
        expected="data.duplicates: keep or drop, because rows with the same text are together",
        do="--set data.duplicates=keep",
    )


def more_folds_than(folds: int, count: int, unit: str) -> DataError:
    """There are fewer rows or groups than folds."""
    return DataError(
        f"{folds} folds for {counted(count, unit)}",
        f"at least one {unit} for each fold",
        f"use fewer folds: --folds {count}" if count > 1 else f"add {unit}s to the training file",
    )


def group_of_lists(column: str) -> DataError:
    """``data.group`` names a column with lists or objects."""
    return DataError(
        found=f"the column {column!r} (data.group) has lists or objects",
        expected="one value in each row: rows with the same value stay together",
        do="--set data.group=COLUMN with another column",
    )

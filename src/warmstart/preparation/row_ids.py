"""Splits that are given as row ids of the training file, for example by cross-validation."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import Table
from warmstart.runs.directory import RunDirectory
from warmstart.runs.stored import reading

SPLITS = ("train", "validation", "test")

_PIECE = 1 << 16
"""Number of ranges that exist as Python objects at the same time."""


def tables_of_rows(
    tables: Mapping[str, Table], rows: Mapping[str, Any], needed: Collection[str] = SPLITS[:2]
) -> dict[str, Table]:
    """The table of each split that is given as row ids; rows stay in file order.

    Args:
        tables: what was read, by split; the ids are those of ``train``.
        rows: row ids of each split, integers [N]; ``train`` is always among them.
        needed: the splits that the run must have.

    Raises:
        DataError: a split does not exist or is empty, an id is not an integer, does not exist or
            occurs twice, or a needed split is not given.
    """
    unknown = [name for name in rows if name not in SPLITS]
    if unknown:
        raise errors.splits.unknown_split(unknown[0], SPLITS)
    for name in needed:
        if name not in rows and (name == "train" or name not in tables):
            raise errors.splits.missing_split(name)
    ids = {name: _checked(name, given, tables["train"]) for name, given in rows.items()}
    values, counts = np.unique(np.concatenate(list(ids.values())), return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1]
        splits = [name for name, own in ids.items() for _ in range((own == twice[0]).sum())]
        raise errors.splits.repeated_rows(int(twice[0]), splits, len(twice))
    train = tables["train"]
    return {name: train.filter(np.isin(train.rows, own)) for name, own in ids.items()}


def _checked(name: str, given: Any, table: Table) -> Ints:
    """The ids of one split, int64 [N]."""
    ids = np.asarray(given)
    if not ids.size:
        raise errors.splits.empty_split(name)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise errors.splits.not_row_ids(name, str(ids.dtype), ids.ndim)
    known = np.isin(ids, table.rows)
    if not known.all():
        raise errors.splits.unknown_rows(ids[~known].tolist()[:3], len(table))
    return ids.astype(np.int64)


def row_ids(table: Table) -> str:
    """``"all"`` if the split is its whole source, otherwise the ids in the form of ``ranges``."""
    read_rows = sum(file.rows for file in table.files)
    return "all" if len(table) == read_rows else ranges(table.rows)


def ranges(rows: Ints) -> str:
    """Row ids as one text, in which consecutive ids are written as the first and the last of them.

    A list of millions of ids would become millions of Python objects when the file is read.

    Args:
        rows: ascending, int64 [N].

    >>> ranges(np.array([0, 1, 2, 5, 7, 8]))
    '0-2,5,7-8'
    """
    gaps = np.flatnonzero(np.diff(rows) != 1)
    first, last = np.append(rows[:1], rows[gaps + 1]), np.append(rows[gaps], rows[-1:])
    pieces = []
    for start in range(0, len(first), _PIECE):
        here = slice(start, start + _PIECE)
        pairs = zip(first[here].tolist(), last[here].tolist(), strict=True)
        pieces.append(",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in pairs))
    return ",".join(pieces)


def ids_of_ranges(text: str) -> Ints:
    """The row ids that ``ranges`` wrote, int64 [N].

    >>> ids_of_ranges("0-2,5,7-8").tolist()
    [0, 1, 2, 5, 7, 8]
    """
    parts = [part.split("-") for part in text.split(",") if part]
    runs = [np.arange(int(part[0]), int(part[-1]) + 1) for part in parts]
    return np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)


def given_rows(directory: RunDirectory) -> dict[str, Ints] | None:
    """The row ids of a run whose splits were given, to prepare it again; None for other runs.

    Args:
        directory: the run directory.
    """
    content = directory.read_json("data.json")
    if not content.get("rows_given"):
        return None
    with reading(directory.entry("data.json")):
        return {
            name: ids_of_ranges(split["given"])
            for name, split in content["splits"].items()
            if "given" in split
        }

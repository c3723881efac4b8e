"""Splits that are given as row ids of the training file, for example by cross-validation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import Table

SPLITS = ("train", "validation", "test")


def tables_of_rows(tables: Mapping[str, Table], rows: Mapping[str, Any]) -> dict[str, Table]:
    """The table of each split that is given as row ids; rows stay in file order.

    Args:
        tables: what was read, by split; the ids are those of ``train``.
        rows: row ids of each split, integers [N]; ``train`` is always among them.

    Raises:
        DataError: a split does not exist or is empty, an id is not an integer, does not exist or
            occurs twice, or training or validation rows are not given.
    """
    unknown = [name for name in rows if name not in SPLITS]
    if unknown:
        raise errors.splits.unknown_split(unknown[0], SPLITS)
    if "train" not in rows or ("validation" not in rows and "validation" not in tables):
        raise errors.splits.missing_split("train" if "train" not in rows else "validation")
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

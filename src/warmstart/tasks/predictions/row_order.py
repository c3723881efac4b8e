"""Put the arrays of several batches into row order."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from warmstart.data.examples.tokens import Ints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Array = TypeVar("Array", bound=np.ndarray[Any, Any])
PredictionsT = TypeVar("PredictionsT", bound="DataclassInstance")


def joined_rows(parts: Sequence[PredictionsT], positions: Ints) -> PredictionsT:
    """The predictions of several batches, in row order.

    Args:
        parts: one batch at least. Each field that is an array has one entry per row; the other
            fields are taken from the first batch.
        positions: position of each of these rows, each position once, int64 [N].
    """
    first = parts[0]
    arrays = {
        field.name: in_row_order([getattr(part, field.name) for part in parts], positions)
        for field in fields(first)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    return replace(first, **arrays)


def in_row_order(parts: Sequence[Array], positions: Ints) -> Array:
    """One array for all rows, in row order.

    Args:
        parts: one array for each batch; the first axis counts its rows.
        positions: position of each of these rows, each position once, int64 [N].

    >>> in_row_order([np.array([30.0, 10.0]), np.array([20.0])], np.array([2, 0, 1])).tolist()
    [10.0, 20.0, 30.0]
    """
    # mypy loses the element type of a TypeVar array in numpy's overloads.
    return cast("Array", np.concatenate(parts)[np.argsort(positions)])

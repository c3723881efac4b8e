"""Put the arrays of several batches into row order."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np

from warmstart.data.examples.tokens import Ints

Array = TypeVar("Array", bound=np.ndarray[Any, Any])


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

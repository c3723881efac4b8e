"""One number for each row: what a task answers that does not choose among classes.

Letters: N rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.encode import Bools, Floats, Ints


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)) of each number, none of which overflows.

    Args:
        logits: of any shape.
    """
    # Both halves, each where it is safe.
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """The model's number for one row."""

    row: int
    """Row id in its table."""
    name: str
    """What the number is called: ``score``, or ``value``."""
    value: float
    """The number."""
    truncated: bool = False
    """Whether the model saw only the beginning of the row."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", NAME, "truncated"}``."""
        return {"row": self.row, self.name: self.value, "truncated": self.truncated}


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The model's numbers for N rows; ``rows[i]`` gives one ``ScoredRow``.

    Args:
        name: what a number is called: ``score``, or ``value``.
        values: float64 [N].
        rows: row ids, int64 [N].
        truncated: whether the model saw only the beginning of the row, bool [N].
    """

    name: str
    values: Floats
    rows: Ints
    truncated: Bools

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The numbers of several batches, put in order.

        Args:
            parts: one batch at least.
            positions: of each of their rows in the whole, each once, int64 [N].
        """
        order = np.argsort(positions)
        return cls(
            parts[0].name,
            np.concatenate([part.values for part in parts])[order],
            np.concatenate([part.rows for part in parts])[order],
            np.concatenate([part.truncated for part in parts])[order],
        )

    @property
    def numbers(self) -> Floats:
        """As ``Labelled.answers`` takes them, float64 [N, 1]."""
        return self.values[:, None]

    def labels_unlike(self, other: Self) -> int:
        """None: there are numbers and no labels."""
        return 0

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """What ``predictions.parquet`` says of each row: its number, and truncated."""
        return {self.name: pa.array(self.values), "truncated": pa.array(self.truncated)}

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> ScoredRow:
        """The number at position ``index``."""
        value, truncated = float(self.values[index]), bool(self.truncated[index])
        return ScoredRow(int(self.rows[index]), self.name, value, truncated)

    def __iter__(self) -> Iterator[ScoredRow]:
        """Every number, one alive at a time."""
        return map(self.__getitem__, range(len(self)))

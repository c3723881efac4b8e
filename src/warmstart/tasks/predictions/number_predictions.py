"""One number for each row: a value (regression) or a score (ranking).

Letters: N rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.data.labels import shown_number
from warmstart.tasks.predictions.row_order import joined_rows
from warmstart.tasks.predictions.stored_rows import stored_numbers, stored_rows


@dataclass(frozen=True, slots=True)
class NumberPrediction:
    """The predicted number of one row."""

    row: int
    """Row id in its table."""
    name: str
    """The name of the number: ``score`` or ``value``."""
    value: float
    """The number."""
    truncated: bool = False
    """Whether the model got only the beginning of the row."""
    logit: float | None = None
    """For a score the number before the sigmoid, which orders rows whose scores are all 1."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", NAME, "truncated"}``, and ``"logit"`` after a score."""
        logit = {} if self.logit is None else {"logit": self.logit}
        return {"row": self.row, self.name: self.value, **logit, "truncated": self.truncated}

    def shown(self) -> str:
        """The number, as by ``shown_number``; after a score also its logit."""
        logit = "" if self.logit is None else f"  logit {shown_number(self.logit)}"
        return f"{shown_number(self.value)}{logit}"


@dataclass(frozen=True, slots=True)
class NumberPredictions:
    """The predicted numbers of N rows.

    Args:
        name: name of the numbers: ``score`` or ``value``.
        values: float64 [N].
        rows: row ids, int64 [N].
        truncated: whether the model got only the beginning of each row, bool [N].
        logits: for scores the numbers before the sigmoid, float64 [N], which rank the rows: a
            sigmoid is exactly 1 from a logit of 37 on. None if ``values`` are not rounded in this
            way.
    """

    name: str
    values: Floats
    rows: Ints
    truncated: Bools
    logits: Floats | None = None

    @property
    def ranks(self) -> Floats:
        """Numbers whose order is the order of the rows, float64 [N]."""
        return self.values if self.logits is None else self.logits

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order; see ``Predictions.joined``."""
        return joined_rows(parts, positions)

    @classmethod
    def stored(cls, rows: pa.Table, name: str) -> Self:
        """The predictions in rows of ``predictions.parquet``.

        Args:
            rows: N rows.
            name: name of the numbers.
        """
        logits = stored_numbers(rows, "logit") if "logit" in rows.column_names else None
        return cls(name, stored_numbers(rows, name), *stored_rows(rows), logits)

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """The number under its name, the logit if there is one, and ``truncated``."""
        logits = {} if self.logits is None else {"logit": pa.array(self.logits)}
        return {self.name: pa.array(self.values), **logits, "truncated": pa.array(self.truncated)}

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> NumberPrediction:
        """The prediction at position ``index``."""
        value, truncated = float(self.values[index]), bool(self.truncated[index])
        logit = None if self.logits is None else float(self.logits[index])
        return NumberPrediction(int(self.rows[index]), self.name, value, truncated, logit)

    def __iter__(self) -> Iterator[NumberPrediction]:
        """Every prediction, one object at a time."""
        return map(self.__getitem__, range(len(self)))

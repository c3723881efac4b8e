"""How well documents were predicted, token by token: what both language-model tasks answer.

Letters: N rows, D documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.batches import Batch
from warmstart.data.examples.encode import NO_LABEL, Bools, Floats, Ints

DOCUMENTS_AT_ONCE = 64
"""Documents tokenised in one call; they may be long."""

Sums = Mapping[str, Floats | Ints]
"""By name (``nats``, ``tokens``, …) what was summed over the predicted tokens of each row."""


@dataclass(frozen=True, slots=True)
class DocumentPrediction:
    """How well one row of a document was predicted."""

    row: int
    """Row id in its table."""
    sums: Mapping[str, float | int]
    """``nats``, ``tokens``, and what else the task sums over the predicted tokens."""
    truncated: bool
    """Whether the model saw only the beginning of the document."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "nats", "tokens", …, "truncated"}``."""
        return {"row": self.row, **self.sums, "truncated": self.truncated}


@dataclass(frozen=True, slots=True)
class DocumentPredictions:
    """How well N rows were predicted; a document that was cut into chunks has several.

    Args:
        rows: row ids, int64 [N].
        sums: over each row's predicted tokens, float64 or int64 [N]: ``nats`` (cross-entropy),
            ``tokens``, and what else the task sums.
        truncated: whether only the beginning of the document was seen, bool [N].
    """

    rows: Ints
    sums: Sums
    truncated: Bools

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, put in order.

        Args:
            parts: one batch at least.
            positions: of each of their rows in the whole, each once, int64 [N].
        """
        order = np.argsort(positions)
        return cls(
            np.concatenate([part.rows for part in parts])[order],
            {
                name: np.concatenate([part.sums[name] for part in parts])[order]
                for name in parts[0].sums
            },
            np.concatenate([part.truncated for part in parts])[order],
        )

    def by_document(self, rows: Ints) -> Self:
        """One for each document, its chunks added up.

        Args:
            rows: row ids of the documents, rising, int64 [D]; one of which no token could be
                predicted counts none.
        """
        place = np.searchsorted(rows, self.rows)

        def summed(values: Any) -> Any:
            return np.bincount(place, weights=values, minlength=len(rows))

        return type(self)(
            rows,
            {name: summed(values).astype(values.dtype) for name, values in self.sums.items()},
            summed(self.truncated) > 0,
        )

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """What ``predictions.parquet`` says of each document: every sum, and truncated."""
        found = self.by_document(rows)
        sums = {name: pa.array(values) for name, values in found.sums.items()}
        return {**sums, "truncated": pa.array(found.truncated)}

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> DocumentPrediction:
        """The row at position ``index``."""
        return DocumentPrediction(
            int(self.rows[index]),
            {name: values[index].item() for name, values in self.sums.items()},
            bool(self.truncated[index]),
        )

    def __iter__(self) -> Iterator[DocumentPrediction]:
        """Every row, one alive at a time."""
        return map(self.__getitem__, range(len(self)))


def summed_by_row(batch: Batch, values: Mapping[str, Any]) -> dict[str, Floats | Ints]:
    """What each row's predicted tokens have together, and ``tokens``: how many they are.

    Args:
        batch: with targets.
        values: by name, of every token that has a target, [N].

    Returns:
        By name; in the type of the values, [B].
    """
    assert batch.targets is not None
    predicted = (batch.targets != NO_LABEL).cpu().numpy()
    row = np.repeat(np.arange(len(batch)), np.diff(batch.offsets))[predicted]
    sums: dict[str, Floats | Ints] = {
        name: np.bincount(row, weights=array, minlength=len(batch)).astype(array.dtype)
        for name, array in values.items()
    }
    return {**sums, "tokens": np.bincount(row, minlength=len(batch))}

"""Cross-entropy and other sums for each document: the predictions of language models.

Letters: N rows, D documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.targets import NO_LABEL
from warmstart.data.examples.token_targets import TokenBatchTargets
from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.tasks.predictions.row_order import in_row_order, joined_rows
from warmstart.tasks.predictions.stored_rows import stored_rows

if TYPE_CHECKING:
    from warmstart.models.packed.token_logits import TokenLogits
    from warmstart.tasks.task import PredictedRows

DOCUMENTS_AT_ONCE = 64
"""Documents tokenised in one call; they may be long."""

Sums = Mapping[str, Floats | Ints]
"""By name (``nats``, ``tokens``, …): the sum over the predicted tokens of each row."""


@dataclass(frozen=True, slots=True)
class DocumentPrediction:
    """The sums for one row of a document."""

    row: int
    """Row id in its table."""
    sums: Mapping[str, float | int]
    """``nats``, ``tokens``, and other sums of the task over the predicted tokens."""
    truncated: bool
    """Whether the model got only the beginning of the document."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "nats", "tokens", …, "truncated"}``."""
        return {"row": self.row, **self.sums, "truncated": self.truncated}

    def shown(self) -> str:
        """Every sum with its name."""
        return "  ".join(f"{name} {value:.4g}" for name, value in self.sums.items())


@dataclass(frozen=True, slots=True)
class DocumentPredictions:
    """The sums for N rows; a document that was cut into chunks has several rows.

    Args:
        rows: row ids, int64 [N].
        sums: sums over each row's predicted tokens, float64 or int64 [N]: ``nats``
            (cross-entropy), ``tokens``, and other sums of the task.
        truncated: whether the model got only the beginning of the document, bool [N].
    """

    rows: Ints
    sums: Sums
    truncated: Bools

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order; see ``Predictions.joined``."""
        sums = {
            name: in_row_order([part.sums[name] for part in parts], positions)
            for name in parts[0].sums
        }
        return replace(joined_rows(parts, positions), sums=sums)

    @classmethod
    def stored(cls, rows: pa.Table, names: Sequence[str]) -> Self:
        """The predictions in rows of ``predictions.parquet``, one for each document.

        Args:
            rows: D rows.
            names: names of the sums.
        """
        ids, truncated = stored_rows(rows)
        return cls(ids, {name: rows[name].to_numpy() for name in names}, truncated)

    def by_document(self, rows: Ints) -> Self:
        """One entry for each document, the sum of its chunks.

        Args:
            rows: row ids of the documents, ascending, int64 [D]; a document without any predicted
                token gets zeros.
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
        """Every sum of each document, and ``truncated``."""
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
        """Every row, one object at a time."""
        return map(self.__getitem__, range(len(self)))


def masked_predictions(
    logits: "TokenLogits", targets: TokenBatchTargets, batch: "PredictedRows"
) -> DocumentPredictions:
    """Cross-entropy and correct tokens of each row, summed over its masked tokens.

    Args:
        logits: logits of the batch's T tokens.
        targets: the tokens behind masks.
        batch: the rows.
    """
    nats, right = logits.losses(targets.ids)
    values = {"nats": nats.double().cpu().numpy(), "correct": right.long().cpu().numpy()}
    sums = summed_by_row(targets, batch.offsets, values)
    return DocumentPredictions(batch.rows, sums, batch.truncated)


def summed_by_row(
    targets: TokenBatchTargets, offsets: Ints, values: Mapping[str, Any]
) -> dict[str, Floats | Ints]:
    """Sums over each row's predicted tokens, and ``tokens``, their number.

    Args:
        targets: targets of the batch.
        offsets: offsets of the batch's rows, int64 [B + 1].
        values: by name, one value for every token that has a target.

    Returns:
        The sums by name, in the type of the values, [B].
    """
    predicted = (targets.ids != NO_LABEL).cpu().numpy()
    rows = len(offsets) - 1
    row = np.repeat(np.arange(rows), np.diff(offsets))[predicted]
    sums: dict[str, Floats | Ints] = {
        name: np.bincount(row, weights=array, minlength=rows).astype(array.dtype)
        for name, array in values.items()
    }
    return {**sums, "tokens": np.bincount(row, minlength=rows)}

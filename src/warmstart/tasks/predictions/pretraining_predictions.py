"""Predictions of BERT's pretraining: a label for each pair, and sums over its masked tokens.

Letters: N rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from warmstart.data.examples.tokens import Bools, Ints
from warmstart.tasks.predictions.class_predictions import ClassPrediction, ClassPredictions
from warmstart.tasks.predictions.document_predictions import (
    DocumentPrediction,
    DocumentPredictions,
)


@dataclass(frozen=True, slots=True)
class PretrainingPrediction:
    """The prediction for one pair."""

    pair: ClassPrediction
    masks: DocumentPrediction

    @property
    def row(self) -> int:
        """Row id in its table."""
        return self.pair.row

    @property
    def truncated(self) -> bool:
        """Whether the model got only parts of the segments."""
        return self.pair.truncated

    def to_json(self) -> dict[str, Any]:
        """``{"row", "label", "probabilities", "truncated", "nats", "tokens", "correct"}``."""
        return {**self.pair.to_json(), **self.masks.sums}

    def shown(self) -> str:
        """The label and its probability, and every sum with its name."""
        return f"{self.pair.shown()}  {self.masks.shown()}"


@dataclass(frozen=True, slots=True)
class PretrainingPredictions:
    """The predictions for N pairs.

    Args:
        pairs: the labels.
        masks: the sums over masked tokens.
    """

    pairs: ClassPredictions
    masks: DocumentPredictions

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order; see ``Predictions.joined``."""
        return cls(
            ClassPredictions.joined([part.pairs for part in parts], positions),
            DocumentPredictions.joined([part.masks for part in parts], positions),
        )

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        return self.pairs.rows

    @property
    def truncated(self) -> Bools:
        """Whether the model got only parts of the segments, bool [N]."""
        return self.pairs.truncated

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """The columns of the labels, and every sum."""
        return {**self.masks.columns(rows), **self.pairs.columns(rows)}

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> PretrainingPrediction:
        """The prediction at position ``index``."""
        return PretrainingPrediction(self.pairs[index], self.masks[index])

    def __iter__(self) -> Iterator[PretrainingPrediction]:
        """Every prediction, one object at a time."""
        return map(self.__getitem__, range(len(self)))

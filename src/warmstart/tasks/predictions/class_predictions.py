"""One of C classes for each row.

Letters: N rows, C classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.tasks.predictions.numbers import log_shares, softmax
from warmstart.tasks.predictions.row_order import joined_rows
from warmstart.tasks.predictions.shown_labels import share_of_label, shown_columns, shown_shares
from warmstart.tasks.predictions.stored_rows import (
    lowest_share,
    stored_classes,
    stored_rows,
    stored_shares,
)


@dataclass(frozen=True, slots=True)
class ClassPrediction:
    """The predicted class of one row."""

    row: int
    """Row id in its table."""
    label: str
    """The most probable label; with a threshold, the label that it selects."""
    probabilities: Mapping[str, float]
    """Probability of every label; they sum to 1. Or of the most probable ones, best first."""
    truncated: bool = False
    """Whether the model got only the beginning of the row."""
    ranked: bool = False
    """Whether only the most probable labels have their probability here."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "label", "probabilities", "truncated"}``."""
        return {
            "row": self.row,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "truncated": self.truncated,
        }

    def shown(self) -> str:
        """The label and its probability; or those of the most probable labels."""
        if self.ranked:
            return f"{self.label}  ({shown_shares(self.probabilities)})"
        return f"{self.label}  {self.probabilities[self.label]:.3f}"


@dataclass(frozen=True, slots=True)
class ClassPredictions:
    """The predicted classes of N rows, stored flat.

    Args:
        label_names: the classes, in the order of the logits, C.
        uncalibrated: probability of each class for each row, without the temperature, float64
            [N, C].
        rows: row ids, int64 [N].
        truncated: whether the model got only the beginning of each row, bool [N].
        threshold: with two classes, the smallest probability with which the second is predicted.
        temperature: divides the logits; None for a model that is not calibrated.
        top: number of labels to show for each row, the most probable first; None for all, in the
            order of the logits.
    """

    label_names: tuple[str, ...]
    uncalibrated: Floats
    rows: Ints
    truncated: Bools
    threshold: float | None = None
    temperature: float | None = None
    top: int | None = None

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order; see ``Predictions.joined``."""
        return joined_rows(parts, positions)

    @classmethod
    def stored(cls, rows: pa.Table, label_names: tuple[str, ...], *, has_threshold: bool) -> Self:
        """The predictions in rows of ``predictions.parquet``.

        Args:
            rows: N rows.
            label_names: the classes, C.
            has_threshold: whether a threshold decided; the result has one that decides the same.
        """
        shares, threshold = stored_shares(rows, label_names), None
        if has_threshold:
            second = stored_classes(rows, "prediction", label_names) == 1
            threshold = lowest_share(shares[:, 1], second)
        return cls(label_names, shares, *stored_rows(rows), threshold)

    @property
    def probabilities(self) -> Floats:
        """Probability of each class for each row, with the temperature, float64 [N, C]."""
        return self._calibrated(self.uncalibrated)

    @property
    def predicted(self) -> Ints:
        """Index of each row's predicted class, int64 [N].

        The most probable class, or the first of equally probable ones; with a threshold, the second
        of two classes if its probability is at least the threshold.
        """
        if self.threshold is not None:
            return (self.probabilities[:, 1] >= self.threshold).astype(np.int64)
        # A temperature does not change the order, but may round two probabilities to the same.
        best: Ints = self.uncalibrated.argmax(axis=1)
        return best

    def changed(self, other: Self) -> int:
        """Number of rows for which ``other`` predicts a different label."""
        return int((self.predicted != other.predicted).sum())

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """``prediction``, ``truncated``, and the columns of ``shown_columns``."""
        names = pa.array(self.label_names, pa.string())
        return {
            "prediction": names.take(pa.array(self.predicted)),
            "truncated": pa.array(self.truncated),
            **shown_columns(self.label_names, self.probabilities, self.top),
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> ClassPrediction:
        """The prediction at position ``index``."""
        uncalibrated = self.uncalibrated[index]
        shares = self._calibrated(uncalibrated[None])[0]
        label = int(uncalibrated.argmax())
        if self.threshold is not None:
            label = int(shares[1] >= self.threshold)
        return ClassPrediction(
            int(self.rows[index]),
            self.label_names[label],
            share_of_label(self.label_names, shares, self.top),
            bool(self.truncated[index]),
            self.top is not None,
        )

    def __iter__(self) -> Iterator[ClassPrediction]:
        """Every prediction, one object at a time."""
        return map(self.__getitem__, range(len(self)))

    def _calibrated(self, shares: Floats) -> Floats:
        return (
            shares if self.temperature is None else softmax(log_shares(shares) / self.temperature)
        )

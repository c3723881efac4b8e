"""Any number of C labels for each row, each with its own probability.

Letters: N rows, C labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.data.label_lists import as_lists
from warmstart.tasks.predictions.numbers import log_odds, sigmoid
from warmstart.tasks.predictions.row_order import joined_rows
from warmstart.tasks.predictions.shown_labels import share_of_label, shown_columns, shown_shares
from warmstart.tasks.predictions.stored_rows import (
    lowest_share,
    stored_label_sets,
    stored_rows,
    stored_shares,
)


@dataclass(frozen=True, slots=True)
class LabelSetPrediction:
    """The predicted labels of one row."""

    row: int
    """Row id in its table."""
    labels: tuple[str, ...]
    """Labels that apply, in the order of the logits; may be empty."""
    probabilities: Mapping[str, float]
    """Probability that each label applies; they need not sum to 1. Or of the most probable ones."""
    truncated: bool = False
    """Whether the model got only the beginning of the row."""
    ranked: bool = False
    """Whether only the most probable labels have their probability here."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "labels", "probabilities", "truncated"}``."""
        return {
            "row": self.row,
            "labels": list(self.labels),
            "probabilities": dict(self.probabilities),
            "truncated": self.truncated,
        }

    def shown(self) -> str:
        """The labels with their probabilities; if none applies, the most probable one."""
        shares = self.probabilities
        if self.ranked:
            return f"{', '.join(self.labels) or 'none'}  ({shown_shares(shares)})"
        if not self.labels:
            best = max(shares, key=shares.__getitem__)
            return f"none  (most probable: {best} {shares[best]:.3f})"
        return "  ".join(f"{label} {shares[label]:.3f}" for label in self.labels)


@dataclass(frozen=True, slots=True)
class LabelSetPredictions:
    """The predicted labels of N rows.

    Args:
        label_names: the labels, in the order of the logits, C.
        thresholds: smallest probability with which each label is predicted, C.
        uncalibrated: probability of each label for each row, without the temperature, float64
            [N, C].
        rows: row ids, int64 [N].
        truncated: whether the model got only the beginning of each row, bool [N].
        temperature: divides the logits; None for a model that is not calibrated.
        top: number of labels to show for each row, the most probable first; None for all, in the
            order of the logits.
    """

    label_names: tuple[str, ...]
    thresholds: tuple[float, ...]
    uncalibrated: Floats
    rows: Ints
    truncated: Bools
    temperature: float | None = None
    top: int | None = None

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order; see ``Predictions.joined``."""
        return joined_rows(parts, positions)

    @classmethod
    def stored(cls, rows: pa.Table, label_names: tuple[str, ...]) -> Self:
        """The predictions in rows of ``predictions.parquet``, with thresholds that decide the same.

        Args:
            rows: N rows.
            label_names: the labels, C.
        """
        shares = stored_shares(rows, label_names)
        predicted = stored_label_sets(rows, "prediction", label_names)
        thresholds = tuple(map(lowest_share, shares.T, predicted.T))
        return cls(label_names, thresholds, shares, *stored_rows(rows))

    @property
    def probabilities(self) -> Floats:
        """Probability of each label for each row, with the temperature, float64 [N, C]."""
        return self._calibrated(self.uncalibrated)

    @property
    def predicted(self) -> Bools:
        """Whether each label is predicted for each row, bool [N, C]."""
        return np.asarray(self.probabilities >= np.array(self.thresholds))

    def changed(self, other: Self) -> int:
        """Number of rows for which ``other`` predicts different labels."""
        return int((self.predicted != other.predicted).any(axis=1).sum())

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """``prediction`` (a list), ``truncated``, and the columns of ``shown_columns``."""
        return {
            "prediction": as_lists(self.predicted, self.label_names),
            "truncated": pa.array(self.truncated),
            **shown_columns(self.label_names, self.probabilities, self.top),
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> LabelSetPrediction:
        """The prediction at position ``index``."""
        shares = self._calibrated(self.uncalibrated[index])
        pairs = zip(self.label_names, shares, self.thresholds, strict=True)
        return LabelSetPrediction(
            int(self.rows[index]),
            tuple(label for label, share, threshold in pairs if share >= threshold),
            share_of_label(self.label_names, shares, self.top),
            bool(self.truncated[index]),
            self.top is not None,
        )

    def __iter__(self) -> Iterator[LabelSetPrediction]:
        """Every prediction, one object at a time."""
        return map(self.__getitem__, range(len(self)))

    def _calibrated(self, shares: Floats) -> Floats:
        return shares if self.temperature is None else sigmoid(log_odds(shares) / self.temperature)

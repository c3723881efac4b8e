"""Any number of labels for each row: what a task answers that asks of each whether it applies.

Letters: N rows, C labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.encode import Bools, Floats, Ints
from warmstart.data.label_lists import as_lists


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The model's answer for one row."""

    row: int
    """Row id in its table."""
    labels: tuple[str, ...]
    """Those that apply, in the order of the logits; perhaps none."""
    probabilities: Mapping[str, float]
    """Of every label that it applies; each for itself."""
    truncated: bool = False
    """Whether the model saw only the beginning of the row."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "labels", "probabilities", "truncated"}``."""
        return {
            "row": self.row,
            "labels": list(self.labels),
            "probabilities": dict(self.probabilities),
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class LabelSets:
    """The model's answers for N rows; ``sets[i]`` gives one ``LabelSet``.

    Args:
        label_names: in the order of the logits, C.
        thresholds: from which probability on each label is answered, C.
        probabilities: of each label for each row, float64 [N, C].
        rows: row ids, int64 [N].
        truncated: whether the model saw only the beginning of the row, bool [N].
    """

    label_names: tuple[str, ...]
    thresholds: tuple[float, ...]
    probabilities: Floats
    rows: Ints
    truncated: Bools

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The answers of several batches, put in order.

        Args:
            parts: one batch at least.
            positions: of each of their rows in the whole, each once, int64 [N].
        """
        order = np.argsort(positions)
        return cls(
            parts[0].label_names,
            parts[0].thresholds,
            np.concatenate([part.probabilities for part in parts])[order],
            np.concatenate([part.rows for part in parts])[order],
            np.concatenate([part.truncated for part in parts])[order],
        )

    @property
    def answered(self) -> Bools:
        """Which labels are answered, bool [N, C]."""
        return np.asarray(self.probabilities >= np.array(self.thresholds))

    def labels_unlike(self, other: Self) -> int:
        """In how many rows ``other`` answers other labels."""
        return int((self.answered != other.answered).any(axis=1).sum())

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """What ``predictions.parquet`` says of each row: labels, truncated, every probability."""
        shares = zip(self.label_names, self.probabilities.T, strict=True)
        return {
            "prediction": as_lists(self.answered, self.label_names),
            "truncated": pa.array(self.truncated),
            **{f"probability:{label}": pa.array(share) for label, share in shares},
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> LabelSet:
        """The answer at position ``index``."""
        shares = dict(zip(self.label_names, self.probabilities[index].tolist(), strict=True))
        floors = zip(shares.items(), self.thresholds, strict=True)
        return LabelSet(
            int(self.rows[index]),
            tuple(label for (label, share), least in floors if share >= least),
            shares,
            bool(self.truncated[index]),
        )

    def __iter__(self) -> Iterator[LabelSet]:
        """Every answer, one alive at a time."""
        return map(self.__getitem__, range(len(self)))

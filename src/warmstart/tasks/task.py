"""What a task is: everything about learning that depends on *what* is learned.

The loop, the evaluation, the run directory and the commands know a task through this protocol
alone. A new task is one file that satisfies it and one line in ``TASKS``; ``tests/contract`` then
holds it to the same battery as every other.

Letters: B rows of a batch, C classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pyarrow as pa

from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.encode import Bools, Examples, Floats, Ints, Tokenizer
from warmstart.data.table import Table
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


Logits = np.ndarray[Any, np.dtype[np.float32]]
"""Scores of C classes for N rows, before they are made probabilities, float32 [N, C]."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The model's answer for one row."""

    row: int
    """Row id in its table."""
    label: str
    """The likeliest label; with a threshold, that which it decides."""
    probabilities: Mapping[str, float]
    """Every label's probability; they sum to 1."""
    truncated: bool = False
    """Whether the model saw only the beginning of the row."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "label", "probabilities", "truncated"}``."""
        return {
            "row": self.row,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Predictions:
    """The model's answers for N rows, stored flat; ``predictions[i]`` gives one ``Prediction``.

    Args:
        label_names: the classes, in the order of the logits, C.
        probabilities: of each class for each row, float64 [N, C].
        rows: row ids, int64 [N].
        truncated: whether the model saw only the beginning of the row, bool [N].
        threshold: of two classes, from which probability on the second is answered.
    """

    label_names: tuple[str, ...]
    probabilities: Floats
    rows: Ints
    truncated: Bools
    threshold: float | None = None

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
            np.concatenate([part.probabilities for part in parts])[order],
            np.concatenate([part.rows for part in parts])[order],
            np.concatenate([part.truncated for part in parts])[order],
            parts[0].threshold,
        )

    @property
    def answered(self) -> Ints:
        """Index of each row's label: the likeliest, of equally likely ones the first, int64 [N].

        With a threshold the second of two wherever its probability reaches that.
        """
        if self.threshold is not None:
            return (self.probabilities[:, 1] >= self.threshold).astype(np.int64)
        best: Ints = self.probabilities.argmax(axis=1)
        return best

    def labels_unlike(self, other: Self) -> int:
        """In how many rows ``other`` answers another label."""
        return int((self.answered != other.answered).sum())

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """What ``predictions.parquet`` says of each row: label, truncated, every probability."""
        names = pa.array(self.label_names, pa.string())
        shares = zip(self.label_names, self.probabilities.T, strict=True)
        return {
            "prediction": names.take(pa.array(self.answered)),
            "truncated": pa.array(self.truncated),
            **{f"probability:{label}": pa.array(share) for label, share in shares},
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Prediction:
        """The answer at position ``index``."""
        shares = self.probabilities[index]
        label = int(shares.argmax())
        if self.threshold is not None:
            label = int(shares[1] >= self.threshold)
        return Prediction(
            int(self.rows[index]),
            self.label_names[label],
            dict(zip(self.label_names, shares.tolist(), strict=True)),
            bool(self.truncated[index]),
        )

    def __iter__(self) -> Iterator[Prediction]:
        """Every answer, one alive at a time."""
        return map(self.__getitem__, range(len(self)))


class Answers(Protocol):
    """What a task makes of logits: answers for N rows, stored flat; ``answers[i]`` gives one."""

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The answers of several batches, put in order by the rows' positions, int64 [N]."""
        ...

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """What ``predictions.parquet`` says of each row of a table, whose row ids these are."""
        ...

    def __len__(self) -> int:
        """Number of rows, N."""
        ...


class Answered(Protocol):
    """What an answer says of its row beside the label: a ``Batch`` knows it, so do ``Examples``."""

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        ...

    @property
    def truncated(self) -> Bools:
        """Whether the model saw only the beginning of the row, bool [N]."""
        ...


class Task(Protocol):
    """One kind of learning, e.g. ``text-classification``."""

    @property
    def name(self) -> str:
        """The Hugging Face task name."""
        ...

    head: ClassVar[Head]
    """What it puts on a checkpoint's body."""
    stratifies: ClassVar[bool]
    """Whether ``data.label`` holds classes, whose shares a validation share may keep."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What was learned from the training split, JSON-ready, as kept in ``task.json``."""
        ...

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """The rows that can be used, and how many were left out for which reason.

        Args:
            data: names the columns and says what to do with incomplete rows.
            table: as read.
            labelled: whether a row without label is incomplete.

        Raises:
            DataError: a column is missing, or a row is incomplete and ``data.missing`` is
                ``error``.
        """
        ...

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Take what must be known before training (label names, …) from the training split alone.

        Raises:
            DataError: the split cannot be learned from (one class only, a missing column, …).
        """
        ...

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task as it was when ``facts`` were written."""
        ...

    def examples(
        self, table: Table, tokenizer: Tokenizer, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise a clean table; ``labelled=False`` ignores the label column, as for prediction.

        Raises:
            DataError: a column is missing, or a label was never seen in training.
        """
        ...

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's body with this task's head on it, new weights drawn from ``seed``."""
        ...

    def loss(self, logits: Any, batch: Batch) -> tuple["Tensor", int]:
        """Sum of the loss in nats over the batch's labels, and their number, ``batch.count``.

        Args:
            logits: what ``Forward.run`` gives: [B, C], or of tokens ``TokenLogits``.
            batch: the rows.
        """
        ...

    def predictions(self, logits: Any, batch: Any) -> Any:
        """The answers for a batch's rows, in batch order: ``Answers``.

        Args:
            logits: what ``Forward.run`` gives; of a ``Labelled`` task also ONNX Runtime's,
                floats [B, C].
            batch: the rows; ``Answered`` is all that a ``Labelled`` task wants of them.
        """
        ...

    def score(self, predictions: Any, table: Table) -> Scores:
        """Compare answers with the table; both in the same row order."""
        ...

    def targets(self, table: Table) -> Any:
        """What is to be answered of each row, [N]: classes, int64; None where rows have no label.

        Raises:
            DataError: a label cannot be learned, or was never seen in training.
        """
        ...


@runtime_checkable
class Stratifies(Protocol):
    """Of a type of tasks: a validation share keeps shares of something else than one label."""

    @staticmethod
    def strata(data: DataConfig, table: Table) -> Ints:
        """What a row is of, whose share both sides are to keep: a number from 0, int64 [N]."""
        ...


@runtime_checkable
class Settles(Protocol):
    """Of a task: something in its answers is settled on the validation rows, after training."""

    def settled(self, predictions: Any, table: Table, metric: str) -> "tuple[Task, str]":
        """The task with what is best on these rows, and a sentence on it.

        Args:
            predictions: of the kept model, on the validation rows.
            table: these rows.
            metric: what is to be best.
        """
        ...


def shown_labels(task: Task, table: Table) -> pa.Array | pa.ChunkedArray | None:
    """Each row's label as a person reads it, N; None of a task whose rows have none.

    Args:
        task: what is learned.
        table: the rows.
    """
    return task.shown_labels(table) if isinstance(task, Labelled) else None


@runtime_checkable
class Labelled(Protocol):
    """Of a task: rows have labels, and answers are numbers that other models can give too."""

    def answers(self, numbers: Floats, rows: Ints, truncated: Bools) -> Any:
        """Answers from numbers, wherever they come from (the model, a baseline).

        Args:
            numbers: of each row, such as its probability of each class, float64 [B, C].
            rows: row ids, int64 [B].
            truncated: whether only the beginning of the row was seen, bool [B].
        """
        ...

    def shown_labels(self, table: Table) -> pa.Array | pa.ChunkedArray:
        """Each row's label as a person reads it, N: text, a number, or a list of texts."""
        ...

    def remarks(self, table: Table) -> list[str]:
        """What a person should know of these rows, beside what is counted of any task's."""
        ...

    def difference(
        self, first: Any, second: Any, table: Table, metric: str
    ) -> tuple[float | None, float | None, float | None]:
        """How much higher ``first`` scores than ``second`` on the same rows.

        Args:
            first: answers for the table's rows, in their order.
            second: other answers for them.
            table: the rows.
            metric: of the task.

        Returns:
            The difference and its 95 % interval, by a paired bootstrap; None where undefined.
        """
        ...

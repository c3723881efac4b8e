"""What a task is: everything in training and prediction that depends on *what* is learned.

The loop, the evaluation, the run directory and the commands use a task only through the protocols
here. A new task is one file that satisfies ``Task`` and one line in ``TASKS``; ``tests/contract``
then runs it through the same tests as every other task.

``Task`` has the members that every task has. What only some tasks can do (baselines, mistakes for
the report, an export, …) are small protocols in ``capabilities``; code that needs one checks
``isinstance(task, HasBaselines)`` and never the task's name.

The members of a task are called in this order::

    clean(table)                     rows that can be used                        reading
    learn(config, train)             label names, … from the training split       before weights
    labels(table)                    labels of a split, parsed once
    encode(table, labels)            tokens and targets
    model(checkpoint, seed)          body and head
    loss(logits, batch)              (sum, count)                                 in every step
    predictions(logits, batch)       what the model predicts                      scoring, serving
    score(predictions, labels)       metrics with intervals

Letters: N rows, B rows of a batch, A tokens that the head reads, C classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    Self,
    TypeVar,
)

import numpy as np
import pyarrow as pa

from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import BatchTargets, Targets
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.examples.tokens import Bools, Ints
from warmstart.data.table import Table
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
"""Logits as numpy: [N, C], or [A, C]."""


class Prediction(Protocol):
    """What the model predicts for one row."""

    @property
    def row(self) -> int:
        """Row id in its table."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether the model got only the beginning of the row."""
        ...

    def to_json(self) -> dict[str, Any]:
        """As printed by ``predict --json``: ``{"row", …, "truncated"}``."""
        ...

    def shown(self) -> str:
        """As shown in the terminal, on one or several lines."""
        ...


class Predictions(Protocol):
    """The predictions for N rows, stored flat; ``predictions[i]`` is one ``Prediction``."""

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order.

        Args:
            parts: predictions of at least one batch.
            positions: position of each of their rows, each position once, int64 [N].
        """
        ...

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        ...

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """The columns that the task adds to ``predictions.parquet``, one value per table row.

        Args:
            rows: row ids of the table; a row that was cut into several pieces has one value.
        """
        ...

    def __len__(self) -> int:
        """Number of rows, N."""
        ...

    def __getitem__(self, index: int) -> Prediction:
        """The prediction at position ``index``."""
        ...

    def __iter__(self) -> Iterator[Prediction]:
        """Every prediction, one object at a time."""
        ...


class PredictedRows(Protocol):
    """The rows of a prediction: a ``Batch``, or ``Examples`` if torch is not used."""

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        ...

    @property
    def truncated(self) -> Bools:
        """Whether the model got only the beginning of each row, bool [N]."""
        ...

    @property
    def offsets(self) -> Ints:
        """Row i is tokens ``offsets[i]`` to ``offsets[i + 1]``, int64 [N + 1]."""
        ...

    @property
    def targets(self) -> Targets | BatchTargets:
        """Their targets; a prediction uses the positions of words, never the labels."""
        ...


class Usage(NamedTuple):
    """How a trained model of this task is used: for the model card, the report and the terminal."""

    python: str
    """Lines of Python that use ``model/`` with Transformers alone."""
    note: str
    """What warmstart's own prediction adds to these lines, as one sentence."""
    limits: tuple[str, ...]
    """Sentences that a reader of the model card must know."""
    command: str = 'warmstart predict {run} --text "…"'
    """A warmstart command, with ``{run}`` for the run directory."""


LabelsT = TypeVar("LabelsT")
"""The labels of one split, as the task parses them."""
LogitsT = TypeVar("LogitsT", contravariant=True)
"""Output of the head: ``Tensor`` [B, C] or [A, C], or ``TokenLogits``."""
PredictionsT = TypeVar("PredictionsT", bound=Predictions)
"""The task's type of predictions."""


class Task(Protocol[LabelsT, LogitsT, PredictionsT]):
    """One kind of learning, e.g. ``text-classification``."""

    name: ClassVar[str]
    """Key in ``TASKS`` and value of the setting ``task``."""
    pipeline_tag: ClassVar[str]
    """The Hugging Face Hub's name for models of this kind."""
    other_names: ClassVar[tuple[str, ...]]
    """Names that other tools have for the task, to suggest it: ``ner``, ``seq_cls``."""
    head: ClassVar[Head]
    """The head that is added to a checkpoint's body."""
    reads: ClassVar[frozenset[str]]
    """Settings that this task reads, in addition to those that every task reads. A given setting
    that the task does not read is refused (``tasks.settings``)."""
    losses: ClassVar[tuple[LossName, ...]]
    """Accepted values of ``train.loss``, the default first."""
    loss_unit: ClassVar[str]
    """Unit of the loss: ``nats``."""
    scored_unit: ClassVar[str]
    """The unit that n counts in the scores: ``rows``, ``queries``, ``documents``."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that ``score`` reports, the main metric first."""
        ...

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """The usable rows, and the number of rows left out for each reason.

        Args:
            data: names the columns, and decides what happens to incomplete rows.
            table: the table as read from the files.
            labelled: whether a row without a label is incomplete.

        Raises:
            DataError: a column is missing, or a row is incomplete and ``data.missing`` is
                ``error``.
        """
        ...

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """The task with everything that must be known before training, from the training split.

        Raises:
            DataError: nothing can be learned from the split (only one class, …).
        """
        ...

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task as it was when ``facts`` were written.

        Args:
            config: names the columns.
            facts: what the task learned from the training split (``KeepsFacts``); empty if it
                learns nothing.
        """
        ...

    def labels(self, table: Table) -> LabelsT:
        """The labels of a clean table, parsed and checked; called once for each split.

        Raises:
            DataError: a label cannot be learned, or is not among those of the training split.
        """
        ...

    def encode(
        self, table: Table, labels: LabelsT | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise a clean table.

        Args:
            table: N rows.
            labels: labels of the same rows; None if they are to be predicted.
            tokenizer: the checkpoint's tokenizer.
            max_tokens: the model's maximum input length, special tokens included.

        Raises:
            DataError: a column is missing.
        """
        ...

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The configuration of ``model`` with its labels; needs no weights."""
        ...

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's body with this task's head; new weights depend on ``seed``."""
        ...

    def loss(self, logits: LogitsT, batch: Batch) -> tuple["Tensor", int]:
        """Sum of the loss over the batch's labels, and their number, ``batch.count``."""
        ...

    def predictions(self, logits: LogitsT, batch: PredictedRows) -> PredictionsT:
        """The predictions for a batch's rows, in batch order.

        The same function is used for evaluation, export checks and prediction, so that they
        cannot differ.
        """
        ...

    def score(self, predictions: PredictionsT, labels: LabelsT) -> Scores:
        """Compare predictions with labels; both are in the same row order."""
        ...

    def usage(self) -> Usage:
        """How a trained model of this task is used."""
        ...


AnyTask = Task[Any, Any, Any]
"""A task of unspecified types, as in ``TASKS``."""


@dataclass(frozen=True, slots=True)
class Split:
    """The rows of one split and their labels.

    Args:
        table: N clean rows.
        labels: labels of these rows, as the task parses them.
    """

    table: Table
    labels: Any

"""What only some tasks can do: small protocols that the rest of the program checks for.

Code that needs one of these checks ``isinstance(task, HasBaselines)``. A task has a capability if
its class has the members of the protocol; nothing is registered. Letters: N rows, P plotted rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeVar, runtime_checkable

import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import Table
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.scores import Metric, Score
from warmstart.models.output_scale import OutputScale
from warmstart.tasks.mistakes import Mistakes
from warmstart.tasks.task import AnyTask, LabelsT, Split

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from warmstart.devices.place import DeviceAndPrecision
    from warmstart.devices.processes import Processes
    from warmstart.models.packed.forward import Forward

LabelsIn = TypeVar("LabelsIn", contravariant=True)
PredictionsIn = TypeVar("PredictionsIn", contravariant=True)
AnyPredictionsT = TypeVar("AnyPredictionsT")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The predictions of a cheap model on every split.

    Args:
        predictions: by split, in the task's own type.
        note: a remark for readers of its scores, for example that it was fitted on a sample.
    """

    predictions: Mapping[str, Any]
    note: str | None = None


@runtime_checkable
class ChecksSettings(Protocol):
    """The task checks for contradictions between settings that only it knows."""

    @classmethod
    def check(cls, config: RunConfig) -> list[errors.ConfigError]:
        """The contradictions; empty if there are none."""
        ...


@runtime_checkable
class KeepsFacts(Protocol):
    """The task learns facts from the training split before training, stored in ``task.json``."""

    @property
    def facts(self) -> dict[str, Any]:
        """The learned facts as JSON values; ``from_facts`` rebuilds the task from them."""
        ...


def facts_of(task: AnyTask) -> dict[str, Any]:
    """The facts that a task learned from the training split before training; may be empty."""
    return task.facts if isinstance(task, KeepsFacts) else {}


def with_settings(task: AnyTask, config: RunConfig) -> AnyTask:
    """The same task, with the same facts, for other settings.

    Args:
        task: any task.
        config: settings for the same kind of task, for example with other columns.
    """
    return type(task).from_facts(config, facts_of(task))


@runtime_checkable
class HasBaselines(Protocol):
    """Cheap models are compared with the trained one."""

    baseline_titles: ClassVar[Mapping[str, str]]
    """The name of each baseline for use in a sentence: ``the majority class``."""

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """Fit each baseline on the training split and predict every other split with it.

        Args:
            config: names the columns.
            train: the training split.
            splits: the splits to predict, by name.
        """
        ...


@runtime_checkable
class ComparesWithStart(Protocol):
    """The model before training is scored as a baseline, because it can already do the task."""

    scores_start: ClassVar[Literal[True]]


START_TITLES = {
    "untouched": "the model before training",
    "linear-probe": "a linear model on the unchanged checkpoint",
}
"""Names of the baselines that are the model before the first step, for use in a sentence."""


@runtime_checkable
class Compares(Protocol[LabelsT, AnyPredictionsT]):
    """Two sets of predictions for the same rows can be compared (``metrics.intervals``)."""

    def unit_sums(self, predictions: AnyPredictionsT, labels: LabelsT) -> UnitSums:
        """The sums from which every metric of ``metrics`` follows; N rows."""
        ...

    def read_back(self, rows: pa.Table) -> tuple[AnyPredictionsT, LabelsT]:
        """Predictions and labels that were stored; they have the scores that they had then.

        Args:
            rows: N rows of ``predictions.parquet``.
        """
        ...


@runtime_checkable
class CountsChanges(Protocol):
    """Predictions contain labels, so that the disagreements of two models can be counted."""

    def changed(self, other: Self) -> int:
        """Number of rows, or of words, for which ``other`` predicts a different label."""
        ...


@runtime_checkable
class Stratifies(Protocol):
    """A sample of the rows preserves the proportions of something (classes, labels)."""

    @staticmethod
    def strata(data: DataConfig, table: Table, *, parts: int = 2) -> Ints:
        """The stratum of each row of a clean table, numbered from 0, int64 [N].

        Args:
            data: the settings of the data.
            table: N rows.
            parts: number of parts that are made of the table.

        Raises:
            DataError: a stratum that must be in every part has too few rows.
        """
        ...


@runtime_checkable
class KeepsGroups(Protocol):
    """Some rows belong together even if ``data.group`` is not set."""

    @staticmethod
    def group(data: DataConfig) -> str:
        """The column whose rows stay together in a split."""
        ...


@runtime_checkable
class ScalesOutput(Protocol):
    """The model learns standardised numbers, and outputs them in the unit of the labels."""

    @property
    def scale(self) -> OutputScale:
        """Mean and standard deviation of the training labels."""
        ...


@runtime_checkable
class NamesLabels(Protocol):
    """The head has one logit per label, and the labels have names."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        ...


def label_names_of(task: AnyTask) -> tuple[str, ...]:
    """The labels of a task, in the order of the logits; empty if its outputs have no names."""
    return task.label_names if isinstance(task, NamesLabels) else ()


@runtime_checkable
class RanksLabels(Protocol[AnyPredictionsT]):
    """Predictions have a probability for each label, so that the most probable can be shown."""

    @staticmethod
    def most_probable(predictions: AnyPredictionsT, count: int) -> AnyPredictionsT:
        """The same predictions, shown with the ``count`` most probable labels of each row."""
        ...


@runtime_checkable
class RanksAnswers(Protocol):
    """What ``RanksLabels`` shows are not labels but answers, of which only the best are kept."""

    most_answers: ClassVar[int]
    """Largest number of answers that can be shown for a row."""


@runtime_checkable
class ShowsLabels(Protocol[LabelsIn]):
    """Labels can be shown next to their rows."""

    def shown_labels(self, labels: LabelsIn) -> pa.Array | pa.ChunkedArray:
        """The label of each row in readable form, N values: text, a number, or a list of texts."""
        ...

    def remarks(self, labels: LabelsIn) -> list[str]:
        """Sentences about these rows for the findings, in addition to the counts for every task."""
        ...


@runtime_checkable
class StoresLabels(Protocol[LabelsIn]):
    """``predictions.parquet`` has labels in a different form than ``shown_labels``."""

    def label_column(self, labels: LabelsIn) -> pa.Array | pa.ChunkedArray:
        """The column ``label`` of ``predictions.parquet``, N values."""
        ...


@runtime_checkable
class LabelsSpans(Protocol[LabelsIn]):
    """Labels belong to spans of words, and some spans of a file may be unusable."""

    label_unit: ClassVar[Literal["span"]]

    def problems(self, labels: LabelsIn) -> list[str]:
        """Sentences about labels that were changed, refused or cannot be predicted."""
        ...


@runtime_checkable
class LeavesOutRows(Protocol):
    """After tokenising, some rows may have no token that can be predicted: they give no example."""

    nothing_to_predict: ClassVar[str]
    """The reason, a key of ``data.checking.check.REASONS``."""

    @staticmethod
    def nothing_left(table: Table, max_tokens: int) -> errors.DataError:
        """The error for a table in which this is true of every row.

        Args:
            table: the rows.
            max_tokens: the model's maximum input length, special tokens included.
        """
        ...


@runtime_checkable
class ReadsWords(Protocol):
    """The model gets single words, each tokenised as after a space in a text."""

    reads_words: ClassVar[Literal[True]]


@runtime_checkable
class WritesConll(Protocol[PredictionsIn]):
    """Predictions can be written as a CoNLL file: a word and its tag on each line."""

    def conll(self, predictions: PredictionsIn) -> Iterator[str]:
        """The text of the file, in pieces.

        Args:
            predictions: for the rows of a file.

        Raises:
            DataError: the format cannot contain a word.
        """
        ...


@runtime_checkable
class RestoresRows(Protocol):
    """Clean rows have columns that can be rebuilt from ``predictions.parquet``."""

    def restored(self, rows: pa.Table) -> dict[str, pa.Array]:
        """The columns that ``clean`` adds to a table, including labels, N values each.

        Args:
            rows: N rows of ``predictions.parquet``.
        """
        ...


@runtime_checkable
class ShowsMistakes(Protocol):
    """The report shows rows that the model got wrong."""

    def mistakes(self, predictions: "Path", most: int) -> Mistakes:
        """The worst rows of a split.

        Args:
            predictions: its ``predictions.parquet``.
            most: maximum number of rows to show.
        """
        ...


@runtime_checkable
class PlotsNumbers(Protocol):
    """The report plots predicted numbers against true numbers."""

    def points(self, predictions: "Path", most: int) -> tuple[Any, Any]:
        """True and predicted numbers, float64 [P] each.

        Args:
            predictions: path of a ``predictions.parquet``.
            most: largest P; if there are more rows, an evenly spaced sample is used.
        """
        ...


@runtime_checkable
class Generates(Protocol):
    """The model generates text."""

    def prompts(self, table: Table) -> Iterator[str]:
        """Prompts for generated samples, in row order; if there are none, empty texts without end.

        Args:
            table: rows with a prompt.
        """
        ...


ExportKind = Literal["rows", "tokens", "decoder"]
"""Form of the ONNX model: logits per row [B, C], per token [B, L, C], or a decoder with cache."""


@runtime_checkable
class Exports(Protocol):
    """The model can be exported to ONNX."""

    export_kind: ClassVar[ExportKind]


@runtime_checkable
class ScoresFinally(Protocol):
    """Some metrics are computed only at the end of a run."""

    final_metrics: ClassVar[tuple[Metric, ...]]
    """These metrics; they are listed after those of ``score``."""
    final_rows: ClassVar[int]
    """Largest number of rows that ``final_scores`` uses."""

    def final_scores(
        self,
        forward: "Forward",
        model: "PreTrainedModel",
        examples: Examples,
        place: "DeviceAndPrecision",
        processes: "Processes",
    ) -> Mapping[str, Score]:
        """Further scores by metric name; all processes call this and get the same scores.

        Args:
            forward: how the model is run.
            model: on its device, in evaluation mode.
            examples: at least one tokenised row.
            place: device and precision.
            processes: the processes that share the work.
        """
        ...


def metrics_of(task: AnyTask) -> tuple[Metric, ...]:
    """All metrics of a finished run: those of ``score``, then those computed only at its end."""
    return (*task.metrics, *(task.final_metrics if isinstance(task, ScoresFinally) else ()))

"""What only some tasks can do: small protocols that the rest of the program asks for.

Code that needs one of these asks ``isinstance(task, HasBaselines)``. A task has a capability by
having its members; nothing is registered.

Letters: N rows, P plotted rows.
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
from warmstart.metrics.intervals import Difference
from warmstart.metrics.scores import Metric, Score
from warmstart.tasks.mistakes import Mistakes
from warmstart.tasks.task import AnyTask, Split

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
    """What a cheap model predicts on every split.

    Args:
        predictions: by split, of the task's own kind.
        note: what a reader of its scores must know, such as that it was fitted on a sample.
    """

    predictions: Mapping[str, Any]
    note: str | None = None


@runtime_checkable
class ChecksSettings(Protocol):
    """Some settings contradict each other in a way that only this task knows."""

    @classmethod
    def check(cls, config: RunConfig) -> list[errors.ConfigError]:
        """The contradictions; empty where there are none."""
        ...


@runtime_checkable
class KeepsFacts(Protocol):
    """Something is learned from the training split before training, and kept in ``task.json``."""

    @property
    def facts(self) -> dict[str, Any]:
        """What was learned, JSON-ready; ``from_facts`` rebuilds the task from it."""
        ...


def facts_of(task: AnyTask) -> dict[str, Any]:
    """What a task learned from the training split before training; empty where it is nothing."""
    return task.facts if isinstance(task, KeepsFacts) else {}


def with_settings(task: AnyTask, config: RunConfig) -> AnyTask:
    """The same task, with the same facts, for other settings.

    Args:
        task: any task.
        config: of the same kind of task, for example with other columns.
    """
    return type(task).from_facts(config, facts_of(task))


@runtime_checkable
class HasBaselines(Protocol):
    """Cheap models stand next to the trained one."""

    baseline_titles: ClassVar[Mapping[str, str]]
    """What each baseline is called in a sentence, by its name: ``the majority class``."""

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """Fit each baseline on the training split and predict every other split with it.

        Args:
            config: names the columns and the seed.
            train: the training split.
            splits: the splits to predict, by name.
        """
        ...


@runtime_checkable
class ComparesWithStart(Protocol):
    """The model before training is scored as a baseline, because it can already do the task."""

    scores_start: ClassVar[Literal[True]]


START_TITLES = {"untouched": "the model before training"}
"""What that baseline is called in a sentence, by its name."""


@runtime_checkable
class Compares(Protocol[LabelsIn, PredictionsIn]):
    """Two sets of predictions for the same rows can be compared."""

    def difference(
        self, first: PredictionsIn, second: PredictionsIn, labels: LabelsIn, metric: str
    ) -> Difference:
        """Score of ``first`` minus score of ``second`` on the same rows.

        Args:
            first: predictions for the rows.
            second: other predictions for them.
            labels: of the rows.
            metric: name of one of the task's metrics.

        Returns:
            The difference and its 95 % interval, by a paired bootstrap; None where undefined.
        """
        ...


@runtime_checkable
class CountsChanges(Protocol):
    """Predictions that name labels, so that it can be counted where two models disagree."""

    def changed(self, other: Self) -> int:
        """Number of rows, or of words, for which ``other`` predicts another label."""
        ...


@runtime_checkable
class Stratifies(Protocol):
    """A validation share keeps the shares of something (classes, labels)."""

    @staticmethod
    def strata(data: DataConfig, table: Table) -> Ints:
        """The stratum of each row, numbered from 0, int64 [N].

        Raises:
            DataError: a stratum cannot be on both sides.
        """
        ...


@runtime_checkable
class KeepsGroups(Protocol):
    """Some rows belong together even where ``data.group`` is not set."""

    @staticmethod
    def group(data: DataConfig) -> str:
        """The column whose rows stay together in a split."""
        ...


@runtime_checkable
class NamesLabels(Protocol):
    """The head has one logit per label, and the labels have names."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        ...


def label_names_of(task: AnyTask) -> tuple[str, ...]:
    """The labels of a task, in the order of the logits; none where its outputs have no names."""
    return task.label_names if isinstance(task, NamesLabels) else ()


@runtime_checkable
class ShowsLabels(Protocol[LabelsIn]):
    """Labels can be shown next to their rows."""

    def shown_labels(self, labels: LabelsIn) -> pa.Array | pa.ChunkedArray:
        """The label of each row as a person reads it, N: text, a number, or a list of texts."""
        ...

    def remarks(self, labels: LabelsIn) -> list[str]:
        """Sentences on these rows for the findings, beside what is counted for every task."""
        ...


@runtime_checkable
class StoresLabels(Protocol[LabelsIn]):
    """``predictions.parquet`` holds labels in another form than ``shown_labels``."""

    def label_column(self, labels: LabelsIn) -> pa.Array | pa.ChunkedArray:
        """The column ``label`` of ``predictions.parquet``, N values."""
        ...


@runtime_checkable
class ReadsWords(Protocol):
    """The model reads single words, each as it stands after a space in a text."""

    reads_words: ClassVar[Literal[True]]


@runtime_checkable
class WritesConll(Protocol[PredictionsIn]):
    """Predictions can be written as a CoNLL file: a word and its tag on each line."""

    def conll(self, predictions: PredictionsIn) -> Iterator[str]:
        """The text of the file, in pieces.

        Args:
            predictions: for the rows of a file.

        Raises:
            DataError: the format cannot hold a word.
        """
        ...


@runtime_checkable
class RestoresRows(Protocol):
    """Clean rows have columns that can be made again from ``predictions.parquet``."""

    def restored(self, rows: pa.Table) -> dict[str, pa.Array]:
        """The columns that ``clean`` adds to a table, labels among them, N values each.

        Args:
            rows: N rows of ``predictions.parquet``.
        """
        ...


@runtime_checkable
class ChoosesThreshold(Protocol[LabelsIn, AnyPredictionsT]):
    """Something in the predictions (a threshold) is chosen on the validation rows."""

    def with_threshold(
        self, predictions: AnyPredictionsT, labels: LabelsIn, metric: str
    ) -> "tuple[AnyTask, str]":
        """The task with the best choice on these rows, and a sentence about it.

        Args:
            predictions: of the kept model, on the validation rows.
            labels: of these rows.
            metric: the metric to maximise.
        """
        ...

    def repeated(self, predictions: AnyPredictionsT) -> AnyPredictionsT:
        """The same probabilities with this task's threshold applied."""
        ...


@runtime_checkable
class ShowsMistakes(Protocol):
    """The report shows rows that the model got wrong."""

    def mistakes(self, predictions: "Path", most: int) -> Mistakes:
        """The worst rows of a split.

        Args:
            predictions: its ``predictions.parquet``.
            most: number of rows to show.
        """
        ...


@runtime_checkable
class PlotsNumbers(Protocol):
    """The report plots predicted numbers over true ones."""

    def points(self, predictions: "Path", most: int) -> tuple[Any, Any]:
        """True and predicted numbers, float64 [P] each.

        Args:
            predictions: a ``predictions.parquet``.
            most: largest P; more rows are sampled evenly.
        """
        ...


@runtime_checkable
class Generates(Protocol):
    """The model writes text."""

    def prompts(self, table: Table, count: int) -> list[str]:
        """Prompts of the first rows, for samples of what the model writes; empty texts without."""
        ...


ExportKind = Literal["rows", "words", "decoder"]
"""How a model becomes ONNX: logits per row [B, C], per token [B, L, C], or a decoder with cache."""


@runtime_checkable
class Exports(Protocol):
    """The model can be exported to ONNX."""

    export_kind: ClassVar[ExportKind]


@runtime_checkable
class ScoresFinally(Protocol):
    """Some metrics are computed only at the end of a run."""

    final_metrics: ClassVar[tuple[Metric, ...]]
    """These metrics; they follow those of ``score``."""

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
            forward: how the model runs.
            model: on its device, in evaluation mode.
            examples: tokenised rows, one at least.
            place: device and precision.
            processes: the processes that share the work.
        """
        ...


def metrics_of(task: AnyTask) -> tuple[Metric, ...]:
    """All metrics of a finished run: those of ``score``, then those computed only at its end."""
    return (*task.metrics, *(task.final_metrics if isinstance(task, ScoresFinally) else ()))

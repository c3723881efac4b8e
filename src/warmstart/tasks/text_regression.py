"""A number for a text, or for a pair of texts.

Reads the columns ``data.text``, for pairs also ``data.text_pair``, and ``data.label``, which has
numbers. The single logit is the number itself, so the logit that Transformers returns is the
predicted number. It is learned with squared error in standard deviations from the mean of the
training labels (``models.output_scale``), so labels may have any unit: years, prices, shares.

Main score: Pearson correlation; Spearman correlation, mean squared and mean absolute error are
reported too.
Known problem: a few labels far from all others (a price of a million among prices of ten) decide
mean, standard deviation and squared error; take their logarithm first.
Letters: N rows, B rows of a batch.
Source: Cer et al. 2017, SemEval-2017 task 1, arXiv:1708.00055 (sentence similarity, scored by
Pearson correlation).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.long_rows import encode_rows
from warmstart.data.examples.targets import NoTargets, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.examples.tokens import Floats
from warmstart.data.labels import clean_rows, label_numbers, shown_number
from warmstart.data.table import Table
from warmstart.errors.counts import counted
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.regression_metrics import METRICS, regression_scores, regression_sums
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.models.output_scale import OutputScale
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.mistakes import CHECK_LABELS, Mistakes, mistake, worst_rows
from warmstart.tasks.predictions.number_predictions import NumberPredictions
from warmstart.tasks.predictions.numbers import as_numbers
from warmstart.tasks.predictions.stored_rows import stored_numbers
from warmstart.tasks.stored_facts import number_in
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import LABELS, LOSS, NEW_HEAD, TEXTS
from warmstart.tasks.usage_lines import example_row, predict_command, window_limits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


@final
@dataclass(frozen=True, slots=True)
class TextRegression:
    """A number for each text, or pair of texts.

    Args:
        data: names the columns.
        scale: mean and standard deviation of the training labels.
    """

    data: DataConfig
    scale: OutputScale = field(default_factory=OutputScale)

    name: ClassVar[str] = "text-regression"
    pipeline_tag: ClassVar[str] = "text-classification"
    other_names: ClassVar[tuple[str, ...]] = (
        "regression",
        "regressor",
        "sts",
        "scoring",
    )
    head: ClassVar[Head] = "sequence-classification"
    reads: ClassVar[frozenset[str]] = LABELS | TEXTS | LOSS | NEW_HEAD
    losses: ClassVar[tuple[LossName, ...]] = ("squared-error",)
    loss_unit: ClassVar[str] = "squared error of standardised labels"
    scored_unit: ClassVar[str] = "rows"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    needs_more: ClassVar[frozenset[str]] = frozenset()
    export_kind: ClassVar[ExportKind] = "rows"
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "mean": "the mean of the training rows",
        "ridge": "TF-IDF with ridge regression",
    }

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text and, if needed, with a label; number of rows left out."""
        return clean_rows(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """The mean and the standard deviation of the training labels.

        Raises:
            DataError: all numbers are equal, or a label is not a number.
        """
        task = cls.from_facts(config, {})
        numbers = task.labels(train)
        if (numbers == numbers[0]).all():
            raise errors.labels.one_number(config.data.label, float(numbers[0]), len(numbers))
        with np.errstate(over="ignore"):
            mean, deviation = float(numbers.mean()), float(numbers.std())
        if not 0 < deviation < np.inf:  # out of the range of float64
            return task
        return replace(task, scale=OutputScale(mean, deviation))

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the mean and the standard deviation that it learned."""
        return cls(config.data, OutputScale(**{name: number_in(facts, name) for name in facts}))

    @property
    def facts(self) -> dict[str, Any]:
        """``{"mean", "deviation"}``."""
        return asdict(self.scale)

    def labels(self, table: Table) -> Floats:
        """The number of each row, float64 [N].

        Raises:
            DataError: a label is not a number, or not a finite one.
        """
        return label_numbers(table, self.data.label)

    def encode(
        self, table: Table, labels: Floats | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise the text column, or both columns of pairs."""
        tokens = encode_rows(table, self.data, tokenizer, max_tokens)
        if labels is None:
            return Examples(tokens, NoTargets())
        return Examples(tokens, RowTargets(labels.astype(np.float32)))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the labels of the head."""
        return with_labels(checkpoint.config, ("value",), "regression")

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head of one logit."""
        from warmstart.models.checkpoints.load import regressor

        return regressor(checkpoint, seed, self.scale)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Squared error, *summed* over the batch, and the number of rows; logits [B, 1].

        In squared standard deviations of the training labels.
        """
        numbers = of_kind(batch.targets, RowBatchTargets).values  # float32 [B]
        errors = (logits.float()[:, 0] - numbers) / self.scale.deviation
        return errors.square().sum(), batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> NumberPredictions:
        """The number of each row, which is its logit; [B, 1]."""
        return NumberPredictions("value", as_numbers(logits)[:, 0], batch.rows, batch.truncated)

    def score(self, predictions: NumberPredictions, labels: Floats) -> Scores:
        """Every metric of ``metrics`` with its interval over rows."""
        return regression_scores(predictions.values, labels)

    def usage(self) -> Usage:
        """The text-classification pipeline, without a sigmoid."""
        return Usage(
            python='predict = pipeline("text-classification", model="model")\n'
            f"predict({example_row(self.data)}, truncation=True)",
            command=predict_command(self.data),
            note="The `score` is the predicted number. warmstart also reports truncated texts",
            limits=(
                "The model always predicts a number, even for a text that allows none.",
                *window_limits(self.data),
            ),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """The mean, and ridge regression on TF-IDF features."""
        from warmstart.baselines.linear import mean, ridge
        from warmstart.tasks.row_baselines import predicted, texts_of

        texts = texts_of(train.table, config.data)
        fitted = {
            "mean": mean(train.labels),
            "ridge": ridge(texts, train.labels),
        }

        def predictions(numbers: Any, table: Table) -> NumberPredictions:
            none = np.zeros(len(table), dtype=np.bool_)
            return NumberPredictions("value", numbers[:, 0], table.rows, none)

        return predicted(fitted, splits, config.data, predictions)

    def shown_labels(self, labels: Floats) -> pa.Array:
        """The number of each row."""
        return pa.array(labels)

    def remarks(self, labels: Floats) -> list[str]:
        """The range of the labels."""
        return [
            f"labels from {shown_number(labels.min())} to {shown_number(labels.max())}, "
            f"mean {shown_number(labels.mean())}, "
            f"standard deviation {shown_number(labels.std())}"
        ]

    def unit_sums(self, predictions: NumberPredictions, labels: Floats) -> UnitSums:
        """The sums over units of rows."""
        return regression_sums(predictions.values, labels)

    def read_back(self, rows: pa.Table) -> tuple[NumberPredictions, Floats]:
        """The stored numbers, predicted and true."""
        return NumberPredictions.stored(rows, "value"), stored_numbers(rows, "label")

    def answers(self, table: Table, column: str) -> NumberPredictions:
        """The numbers in a column of a file."""
        none = np.zeros(len(table), dtype=np.bool_)
        return NumberPredictions("value", label_numbers(table, column), table.rows, none)

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The rows whose predicted number is farthest from the true number."""

        def distance(rows: pa.RecordBatch) -> pa.Array:
            return pc.abs(pc.subtract(rows["value"], rows["label"]))

        rows, count = worst_rows(predictions, most, distance)
        return Mistakes(
            heading="Largest errors",
            note=f"{len(rows)} of {counted(count, 'row')}, the largest error first.",
            hint=CHECK_LABELS,
            columns=("text", "true number", "predicted number", "error"),
            rows=tuple(
                mistake(row, *(shown_number(row[name]) for name in ("label", "value", "amount")))
                for row in rows
            ),
            count=count,
        )

    def points(self, predictions: Path, most: int) -> tuple[Floats, Floats]:
        """True and predicted numbers of rows sampled evenly, float64 [P] each."""
        table = pq.read_table(predictions, columns=["label", "value"])
        rows = np.unique(np.linspace(0, len(table) - 1, most).round().astype(np.int64))
        true, predicted = (table[name].to_numpy()[rows] for name in ("label", "value"))
        return true, predicted

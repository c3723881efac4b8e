"""One of C labels for a text, or for a pair of texts.

Reads the columns ``data.text``, for pairs also ``data.text_pair``, and ``data.label``; labels are
compared as text, whatever type the file has. Learns the label names from the training split,
sorted, and keeps them as facts: a label that appears only in the validation or test split is an
error, not a new class.

Main score: Matthews correlation for two labels, macro F1 for more. Accuracy is reported next to it,
never alone: on CoLA a model that always predicts "acceptable" is right for 70 % of the rows.
Known problem: with fewer than ten rows of a class the intervals are too wide to rank runs.
Letters: B rows, C classes, H hidden width.
Source: one linear layer over the first token's vector, as in Devlin et al. 2019, arXiv:1810.04805,
section 4.1; the head itself is the checkpoint family's own in Transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.long_rows import encode_rows
from warmstart.data.examples.targets import NoTargets, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.data.labels import class_index, clean_rows, label_names
from warmstart.data.named_labels import class_texts, in_order_of_ids
from warmstart.data.split import codes, refuse_rare_labels
from warmstart.data.table import Table
from warmstart.metrics.classification_metrics import (
    NEEDS_PROBABILITIES,
    classification_scores,
    classification_sums,
    metrics_for,
)
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.scores import Metric, Scores
from warmstart.metrics.temperature import fit_temperature, with_uncalibrated
from warmstart.metrics.thresholds import THRESHOLD_METRICS, best_threshold
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.focal_loss import focal_factor
from warmstart.tasks.mistakes import Mistakes, most_confident
from warmstart.tasks.predictions.class_predictions import ClassPredictions
from warmstart.tasks.predictions.numbers import as_numbers, log_shares, softmax
from warmstart.tasks.predictions.shown_labels import with_top
from warmstart.tasks.predictions.stored_rows import stored_classes
from warmstart.tasks.stored_facts import names_in, number_in, numbers_in, temperature_in
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import (
    CALIBRATION,
    CLASSES,
    LABELS,
    LOSS,
    NAMES,
    NEW_HEAD,
    RARE_LABELS,
    TEXTS,
)
from warmstart.tasks.usage_lines import (
    example_row,
    predict_command,
    temperature_limits,
    window_limits,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


@final
@dataclass(frozen=True, slots=True)
class TextClassification:
    """One of C labels for each text, or pair of texts.

    Args:
        data: names the columns.
        label_names: the classes, in the order of the logits.
        loss_name: ``cross-entropy`` or ``focal``.
        focal_gamma: exponent of the focal loss.
        class_weights: weight of a row of each class in the loss, C; empty if all weights are 1.
        threshold: with two classes, the smallest probability with which the second is predicted;
            None for the more probable class.
        temperature: divides the logits before the softmax; None if the model is not calibrated.
    """

    data: DataConfig
    label_names: tuple[str, ...]
    loss_name: LossName = "cross-entropy"
    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] = ()
    threshold: float | None = None
    temperature: float | None = None

    name: ClassVar[str] = "text-classification"
    pipeline_tag: ClassVar[str] = "text-classification"
    other_names: ClassVar[tuple[str, ...]] = (
        "classification",
        "classifier",
        "seq_cls",
        "sequence-classification",
        "sentiment",
        "sentiment-analysis",
        "nli",
        "single-label",
    )
    head: ClassVar[Head] = "sequence-classification"
    reads: ClassVar[frozenset[str]] = (
        LABELS | CLASSES | NAMES | TEXTS | LOSS | RARE_LABELS | CALIBRATION | NEW_HEAD
    )
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy", "focal")
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "rows"
    export_kind: ClassVar[ExportKind] = "rows"
    most_probable = staticmethod(with_top)
    needs_more: ClassVar[frozenset[str]] = NEEDS_PROBABILITIES
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "majority": "the majority class",
        "tfidf": "TF-IDF with logistic regression",
    }

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that ``score`` reports, the main metric first."""
        return metrics_for(len(self.label_names))

    @property
    def facts(self) -> dict[str, Any]:
        """The label names, in the order of the logits; if any, weights, threshold, temperature."""
        facts: dict[str, Any] = {"label_names": list(self.label_names)}
        if self.class_weights:
            facts["class_weights"] = list(self.class_weights)
        if self.threshold is not None:
            facts["threshold"] = self.threshold
        if self.temperature is not None:
            facts["temperature"] = self.temperature
        return facts

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text and, if needed, with a label; number of rows left out."""
        return clean_rows(table, data, labelled=labelled)

    @staticmethod
    def strata(data: DataConfig, table: Table, *, parts: int = 2) -> Ints:
        """The label of each row, numbered from 0, int64 [N].

        Raises:
            DataError: a label has fewer rows than there are parts.
        """
        labels = codes(class_texts(table, data))
        if data.group is None:
            refuse_rare_labels(labels, table, data.label, parts)
        return labels

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Take the label names from the training split, which must have at least two.

        With ``train.class_weights: balanced`` a class with n of N rows has the weight N / (C · n),
        as in scikit-learn; the mean over the rows is 1.

        Raises:
            ConfigError: a threshold is requested, and there are more than two labels.
            DataError: there is only one label, or a label has two spellings.
        """
        names = in_order_of_ids(label_names(class_texts(train, config.data)), config.data)
        if config.train.choose_threshold and len(names) > 2:
            raise errors.config.threshold_of_many(len(names))
        task = cls.from_facts(config, {"label_names": names})
        if config.train.class_weights is None:
            return task
        counts = np.bincount(task.labels(train), minlength=len(names))
        weights = len(train) / (len(names) * counts)
        return replace(task, class_weights=tuple(weights.tolist()))

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the label names that it learned."""
        names = names_in(facts)
        return cls(
            config.data,
            names,
            config.train.loss or cls.losses[0],
            config.train.focal_gamma,
            numbers_in(facts, "class_weights", len(names)),
            number_in(facts, "threshold") if "threshold" in facts else None,
            temperature_in(facts),
        )

    def labels(self, table: Table) -> Ints:
        """Index of each row's label among the label names, int64 [N]."""
        return class_index(class_texts(table, self.data), self.label_names, table)

    def encode(
        self, table: Table, labels: Ints | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise the text column, or both columns of pairs."""
        tokens = encode_rows(table, self.data, tokenizer, max_tokens)
        return Examples(tokens, NoTargets() if labels is None else RowTargets(labels))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the labels of the head."""
        return with_labels(checkpoint.config, self.label_names)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head."""
        from warmstart.models.checkpoints.load import sequence_classifier

        return sequence_classifier(checkpoint, self.label_names, seed)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the batch, and the number of rows; logits [B, C].

        The focal loss multiplies each row by (1 - p)^gamma, where p is the probability of its
        label; class weights multiply either loss.

        Source of the focal loss: Lin et al. 2017, arXiv:1708.02002, equation 4.
        """
        from torch import as_tensor
        from torch.nn import functional

        labels = of_kind(batch.targets, RowBatchTargets).values  # int64 [B]
        nats = functional.cross_entropy(logits.float(), labels, reduction="none")  # [B]
        if self.loss_name == "focal":
            nats = nats * focal_factor(nats, self.focal_gamma)
        if self.class_weights:
            weights = as_tensor(self.class_weights, dtype=nats.dtype, device=nats.device)
            # Rows that only fill up a batch have the label -100, and a loss of 0.
            nats = nats * weights[labels.clamp(min=0)]
        return nats.sum(), batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> ClassPredictions:
        """The most probable label of each row, with the probability of every label; [B, C]."""
        return self._of_shares(softmax(as_numbers(logits)), batch.rows, batch.truncated)

    def _of_shares(self, shares: Any, rows: Ints, truncated: Bools) -> ClassPredictions:
        return ClassPredictions(
            self.label_names, shares, rows, truncated, self.threshold, self.temperature
        )

    def score(self, predictions: ClassPredictions, labels: Ints) -> Scores:
        """Every metric of ``metrics`` with its interval; the confusion matrix in the details."""
        names, predicted = self.label_names, predictions.predicted

        def scores(shares: Floats) -> Scores:
            return classification_scores(shares, labels, names, intervals=True, predicted=predicted)

        found = scores(predictions.probabilities)
        if predictions.temperature is None:
            return found
        return with_uncalibrated(found, scores(predictions.uncalibrated), predictions.temperature)

    def usage(self) -> Usage:
        """The text-classification pipeline."""
        applied = "" if self.temperature is None else "applies the temperature of the run, "
        return Usage(
            python='classify = pipeline("text-classification", model="model")\n'
            f"classify({example_row(self.data)}, truncation=True)",
            command=predict_command(self.data),
            note=f"warmstart also {applied}reports all probabilities, and which texts were "
            "truncated",
            limits=(
                "The model always predicts one of its labels, even for a text to which none "
                "applies.",
                *window_limits(self.data),
                *temperature_limits(self.temperature, "softmax"),
            ),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """The majority class, and logistic regression on TF-IDF features."""
        from warmstart.baselines.linear import majority, tfidf
        from warmstart.tasks.row_baselines import predicted, texts_of

        texts = texts_of(train.table, config.data)
        classes = len(self.label_names)
        fitted = {
            "majority": majority(texts, train.labels, classes),
            "tfidf": tfidf(texts, train.labels, classes),
        }

        def predictions(shares: Any, table: Table) -> ClassPredictions:
            return self._of_shares(shares, table.rows, np.zeros(len(table), dtype=np.bool_))

        return predicted(fitted, splits, config.data, predictions)

    def shown_labels(self, labels: Ints) -> pa.Array:
        """The label of each row as text."""
        return pa.array(self.label_names, pa.string()).take(pa.array(labels))

    def remarks(self, labels: Ints) -> list[str]:
        """Nothing: the counts of the labels are reported for every task."""
        return []

    def unit_sums(self, predictions: ClassPredictions, labels: Ints) -> UnitSums:
        """The sums over units of rows."""
        return classification_sums(predictions.probabilities, labels, predictions.predicted)

    def read_back(self, rows: pa.Table) -> tuple[ClassPredictions, Ints]:
        """The stored predictions, and the index of each row's label."""
        has_threshold = self.threshold is not None
        found = ClassPredictions.stored(rows, self.label_names, has_threshold=has_threshold)
        return found, stored_classes(rows, "label", self.label_names)

    def with_temperature(self, predictions: ClassPredictions, labels: Ints) -> tuple[Self, str]:
        """The task with the temperature of the lowest log-loss on these rows, and a sentence.

        Args:
            predictions: predictions of the kept model for the validation rows.
            labels: labels of these rows.
        """
        fit = fit_temperature(log_shares(predictions.uncalibrated), labels)
        return replace(self, temperature=fit.temperature), fit.in_words()

    def right(self, predictions: ClassPredictions, labels: Ints) -> Bools:
        """Whether the label of each row is predicted."""
        return np.asarray(predictions.predicted == labels)

    def answers(self, table: Table, column: str) -> ClassPredictions:
        """The labels in a column of a file, each with the probability 1."""
        data = self.data.model_copy(update={"label": column})
        classes = class_index(class_texts(table, data), self.label_names, table)
        shares = np.eye(len(self.label_names))[classes]
        none = np.zeros(len(table), dtype=np.bool_)
        plain = replace(self, threshold=None, temperature=None)
        return plain._of_shares(shares, table.rows, none)

    def with_threshold(
        self, predictions: ClassPredictions, labels: Ints, metric: str
    ) -> tuple[Self, str]:
        """The task with the best threshold on these rows, and a sentence about it.

        Args:
            predictions: predictions of the kept model for the validation rows.
            labels: labels of these rows.
            metric: the metric to maximise; the main metric is used instead if a threshold
                does not change it.
        """
        if metric not in THRESHOLD_METRICS:
            metric = self.metrics[0].name
        threshold = best_threshold(predictions.probabilities[:, 1], labels, metric)
        sentence = (
            f"{self.label_names[1]!r} is predicted if its probability is at least {threshold:.3f}, "
            f"which gives the best {metric.replace('_', ' ')} on the validation rows"
        )
        return replace(self, threshold=threshold), sentence

    def repeated(self, predictions: ClassPredictions) -> ClassPredictions:
        """The same predictions with this task's temperature and threshold."""
        return replace(predictions, threshold=self.threshold, temperature=self.temperature)

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The wrong predictions with the highest probability."""
        return most_confident(predictions, most)

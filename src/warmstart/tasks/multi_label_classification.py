"""Any number of C labels for a text, or for a pair of texts: topics, tags, kinds of abuse.

Reads the columns ``data.text``, for pairs also ``data.text_pair``, and the labels in one of three
forms: a list in ``data.label``, a text in it with ``data.label_separator`` between labels, or one
column of 0 and 1 for each label (``data.label_columns``). A row may have no label.

Each label is a yes-or-no question of its own, with its own probability. A label is predicted if its
probability is at least one half, or at least a threshold that is chosen for each label on the
validation rows (``train.choose_threshold``).

Main score: macro F1, the mean over labels; also micro F1, mean average precision, subset accuracy.
Accuracy per label would be misleading: if most rows have no label, predicting none is mostly right.
Known problem: for a label with few rows neither threshold nor F1 is reliable; the report shows the
number of rows next to each label.
Letters: N rows, B rows of a batch, C labels.
Source: Boutell et al. 2004, Pattern Recognition 37(9), "Learning multi-label scene classification"
(one binary classifier per label); Lipton, Elkan & Naryanaswamy 2014, arXiv:1402.1892 (thresholds).
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
from warmstart.data.label_lists import (
    as_lists,
    label_lists,
    label_matrix,
    multi_hot,
    names_of,
    rarest_label,
    refuse_unused_separator,
    without_label_list,
    without_separator,
)
from warmstart.data.labels import clean_rows
from warmstart.data.named_labels import in_order_of_ids
from warmstart.data.table import Table
from warmstart.errors.counts import counted
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.label_set_metrics import (
    METRICS,
    NEEDS_PROBABILITIES,
    label_set_scores,
    label_set_sums,
)
from warmstart.metrics.scores import Metric, Scores
from warmstart.metrics.temperature import fit_temperature, with_uncalibrated
from warmstart.metrics.thresholds import best_threshold
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.focal_loss import focal_factor
from warmstart.tasks.label_sets import LabelSets, remarks_on, thresholds_in_words
from warmstart.tasks.mistakes import (
    CHECK_LABELS,
    Mistakes,
    joined_labels,
    mistake,
    most_certain_of_lists,
    percent,
    worst_rows,
)
from warmstart.tasks.predictions.label_set_predictions import LabelSetPredictions
from warmstart.tasks.predictions.numbers import as_numbers, log_odds, sigmoid
from warmstart.tasks.predictions.shown_labels import with_top
from warmstart.tasks.predictions.stored_rows import stored_label_sets
from warmstart.tasks.stored_facts import names_in, numbers_in, temperature_in
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import (
    CALIBRATION,
    CLASSES,
    LABEL_LISTS,
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
class MultiLabelClassification:
    """Which of C labels apply to each text, or pair of texts.

    Args:
        data: names the columns.
        label_names: the labels, in the order of the logits.
        loss_name: ``binary-cross-entropy`` or ``focal``.
        focal_gamma: exponent of the focal loss.
        label_weights: for each label, the weight in its loss of a row that has it; rows without it
            have weight 1; C numbers; empty if all weights are 1.
        thresholds: smallest probability with which each label is predicted, C; empty for one half.
        temperature: divides all logits before the sigmoid; None if the model is not calibrated.
    """

    data: DataConfig
    label_names: tuple[str, ...]
    loss_name: LossName = "binary-cross-entropy"
    focal_gamma: float = 2.0
    label_weights: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    temperature: float | None = None

    name: ClassVar[str] = "multi-label-classification"
    pipeline_tag: ClassVar[str] = "text-classification"
    other_names: ClassVar[tuple[str, ...]] = ("multi-label", "multilabel", "multi_label")
    head: ClassVar[Head] = "sequence-classification"
    reads: ClassVar[frozenset[str]] = (
        LABELS | CLASSES | NAMES | LABEL_LISTS | TEXTS | LOSS | RARE_LABELS | CALIBRATION | NEW_HEAD
    )
    losses: ClassVar[tuple[LossName, ...]] = ("binary-cross-entropy", "focal")
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "rows"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    export_kind: ClassVar[ExportKind] = "rows"
    most_probable = staticmethod(with_top)
    needs_more: ClassVar[frozenset[str]] = NEEDS_PROBABILITIES
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "shares": "the share of each label",
        "tfidf": "TF-IDF with logistic regression",
    }

    @property
    def facts(self) -> dict[str, Any]:
        """The label names, in the order of the logits; if any, weights, thresholds, temperature."""
        facts: dict[str, Any] = {"label_names": list(self.label_names)}
        if self.label_weights:
            facts["label_weights"] = list(self.label_weights)
        if self.thresholds:
            facts["thresholds"] = list(self.thresholds)
        if self.temperature is not None:
            facts["temperature"] = self.temperature
        return facts

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text and, if needed, with labels (or none); number of rows left out."""
        return clean_rows(table, data, labelled=labelled, unlabelled=without_label_list)

    @staticmethod
    def strata(data: DataConfig, table: Table, *, parts: int = 2) -> Ints:
        """The rarest label of each row, so that each side of a split has some rows of it."""
        return rarest_label(label_lists(table, data))

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Take the label names from the training split.

        With ``train.class_weights: balanced``, the weight of rows with a label in the loss of that
        label is the number of rows without the label divided by the number of rows with it.

        Raises:
            DataError: all rows have the same labels, a label has two spellings, or a separator
                was given for lists of labels.
        """
        refuse_unused_separator(train, config.data)
        lists = label_lists(train, config.data)
        names = tuple(config.data.label_columns or in_order_of_ids(names_of(lists), config.data))
        task = cls.from_facts(config, {"label_names": names})
        with_label = label_matrix(lists, names, train).sum(axis=0)  # rows of each label, [C]
        if ((with_label == 0) | (with_label == len(train))).all():
            everywhere = [name for name, rows in zip(names, with_label, strict=True) if rows]
            raise errors.labels.same_labels(len(train), ", ".join(map(repr, everywhere)))
        if config.train.class_weights is None:
            return task
        weights = (len(train) - with_label) / np.maximum(with_label, 1)
        return replace(task, label_weights=tuple(weights.tolist()))

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the label names that it learned."""
        names = names_in(facts)
        return cls(
            config.data,
            names,
            config.train.loss or cls.losses[0],
            config.train.focal_gamma,
            numbers_in(facts, "label_weights", len(names)),
            numbers_in(facts, "thresholds", len(names)),
            temperature_in(facts),
        )

    def labels(self, table: Table) -> LabelSets:
        """Which of the labels each row has."""
        matrix = label_matrix(label_lists(table, self.data), self.label_names, table)
        lacks_separator = without_separator(table, self.data)
        return LabelSets(matrix, lacks_separator, multi_hot(table, self.data))

    def encode(
        self, table: Table, labels: LabelSets | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise the text column, or both columns of pairs."""
        tokens = encode_rows(table, self.data, tokenizer, max_tokens)
        if labels is None:
            return Examples(tokens, NoTargets())
        return Examples(tokens, RowTargets(labels.matrix.astype(np.float32)))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the labels of the head."""
        names = self.label_names
        return with_labels(checkpoint.config, names, "multi_label_classification")

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head, one logit per label."""
        from warmstart.models.checkpoints.load import sequence_classifier

        names = self.label_names
        return sequence_classifier(checkpoint, names, seed, "multi_label_classification")

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Binary cross-entropy in nats, *summed* over rows and labels, and their number; [B, C].

        The focal loss multiplies each row and label by (1 - p)^gamma, where p is the probability of
        the right outcome; label weights multiply either loss.
        """
        from torch import as_tensor
        from torch.nn import functional

        truth = of_kind(batch.targets, RowBatchTargets).values  # float32 [B, C]
        nats = functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
        if self.loss_name == "focal":
            nats = nats * focal_factor(nats, self.focal_gamma)
        if self.label_weights:
            weights = as_tensor(self.label_weights, dtype=nats.dtype, device=nats.device)  # [C]
            nats = nats * (truth * (weights - 1) + 1)
        return nats.sum(), batch.count

    def predictions(
        self, logits: "Tensor | FloatArray", batch: PredictedRows
    ) -> LabelSetPredictions:
        """The labels of each row, with the probability of every label; logits [B, C]."""
        shares = sigmoid(as_numbers(logits))
        return self._of_shares(shares, batch.rows, batch.truncated)

    def _of_shares(self, shares: Any, rows: Ints, truncated: Bools) -> LabelSetPredictions:
        return LabelSetPredictions(
            self.label_names, self._thresholds, shares, rows, truncated, self.temperature
        )

    def score(self, predictions: LabelSetPredictions, labels: LabelSets) -> Scores:
        """Every metric of ``metrics`` with its interval; the scores per label in the details."""
        names, predicted = self.label_names, predictions.predicted

        def scores(shares: Floats) -> Scores:
            return label_set_scores(shares, labels.matrix, predicted, names, predictions.thresholds)

        found = scores(predictions.probabilities)
        if predictions.temperature is None:
            return found
        return with_uncalibrated(found, scores(predictions.uncalibrated), predictions.temperature)

    def usage(self) -> Usage:
        """The text-classification pipeline, with all labels."""
        applied = "thresholds" if self.temperature is None else "temperature and the thresholds"
        return Usage(
            python='classify = pipeline("text-classification", model="model", top_k=None)\n'
            f"classify({example_row(self.data)}, truncation=True)",
            command=predict_command(self.data),
            note="Each `score` is the probability that the label applies. warmstart also applies "
            f"the {applied} of the run and reports which texts were truncated",
            limits=(
                "It knows only the labels of its training rows.",
                *window_limits(self.data),
                *temperature_limits(self.temperature, "sigmoid"),
            ),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """The share of each label, and one logistic regression per label on TF-IDF features."""
        from warmstart.baselines.linear import label_shares, tfidf_labels
        from warmstart.tasks.row_baselines import predicted, texts_of

        texts, matrix = texts_of(train.table, config.data), train.labels.matrix
        fitted = {
            "shares": label_shares(matrix),
            "tfidf": tfidf_labels(texts, matrix),
        }

        def predictions(shares: Any, table: Table) -> LabelSetPredictions:
            return self._of_shares(shares, table.rows, np.zeros(len(table), dtype=np.bool_))

        return predicted(fitted, splits, config.data, predictions)

    def shown_labels(self, labels: LabelSets) -> pa.Array:
        """The labels of each row, N lists of texts."""
        return as_lists(labels.matrix, self.label_names)

    def remarks(self, labels: LabelSets) -> list[str]:
        """Number of labels per row, and a separator that does not occur."""
        return remarks_on(labels, self.label_names, self.data)

    def unit_sums(self, predictions: LabelSetPredictions, labels: LabelSets) -> UnitSums:
        """The sums over units of rows."""
        return label_set_sums(predictions.probabilities, labels.matrix, predictions.predicted)

    def read_back(self, rows: pa.Table) -> tuple[LabelSetPredictions, LabelSets]:
        """The stored predictions, and the labels of each row."""
        true = stored_label_sets(rows, "label", self.label_names)
        labels = LabelSets(true, lacks_separator=False, multi_hot=False)
        return LabelSetPredictions.stored(rows, self.label_names), labels

    def with_temperature(
        self, predictions: LabelSetPredictions, labels: LabelSets
    ) -> tuple[Self, str]:
        """The task with the temperature of the lowest log-loss on these rows, and a sentence."""
        yes = log_odds(predictions.uncalibrated).ravel()
        fit = fit_temperature(
            np.stack([np.zeros_like(yes), yes], axis=1), labels.matrix.ravel().astype(np.int64)
        )
        return replace(self, temperature=fit.temperature), fit.in_words()

    def right(self, predictions: LabelSetPredictions, labels: LabelSets) -> Bools:
        """Whether exactly the labels of each row are predicted."""
        return np.asarray((predictions.predicted == labels.matrix).all(axis=1))

    def answers(self, table: Table, column: str) -> LabelSetPredictions:
        """The lists of labels in a column of a file, each with the probability 1."""
        data = self.data.model_copy(update={"label": column, "label_columns": None})
        shares = label_matrix(label_lists(table, data), self.label_names, table).astype(np.float64)
        none = np.zeros(len(table), dtype=np.bool_)
        plain = replace(self, thresholds=(), temperature=None)
        return plain._of_shares(shares, table.rows, none)

    def with_threshold(
        self, predictions: LabelSetPredictions, labels: LabelSets, metric: str
    ) -> tuple[Self, str]:
        """The task with the threshold of the best F1 of each label, and a sentence about them.

        Args:
            predictions: predictions for the validation rows.
            labels: labels of these rows.
            metric: not used, because a threshold affects only the F1 of its own label.
        """
        pairs = zip(predictions.probabilities.T, labels.matrix.T, strict=True)
        chosen = tuple(
            best_threshold(share, truth.astype(np.int64), "f1") for share, truth in pairs
        )
        sentence = (
            "each label is predicted from a threshold of its own, which gives its best F1 on the "
            f"validation rows: {thresholds_in_words(self.label_names, chosen)}"
        )
        return replace(self, thresholds=chosen), sentence

    def repeated(self, predictions: LabelSetPredictions) -> LabelSetPredictions:
        """The same predictions with this task's temperature and thresholds."""
        return replace(predictions, thresholds=self._thresholds, temperature=self.temperature)

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The rows with wrong labels for which the model was most certain about one of them."""
        rows, count = worst_rows(predictions, most, most_certain_of_lists)
        return Mistakes(
            heading="Most confident mistakes",
            note=f"{len(rows)} of {counted(count, 'row')} with wrong labels, the most confident "
            "first; the probability is that of the wrong outcome that the model predicted with "
            "most certainty.",
            hint=CHECK_LABELS,
            columns=("text", "true labels", "predicted labels", "probability"),
            rows=tuple(
                mistake(
                    row,
                    joined_labels(row["label"]),
                    joined_labels(row["prediction"]),
                    percent(row["amount"]),
                )
                for row in rows
            ),
            count=count,
        )

    @property
    def _thresholds(self) -> tuple[float, ...]:
        return self.thresholds or (0.5,) * len(self.label_names)

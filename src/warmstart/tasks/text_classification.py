"""One label for a text, or for a pair of texts.

Reads the columns ``data.text``, of pairs also ``data.text_pair``, and ``data.label``; labels are
compared as text, whatever the file holds. Learns the label names from the training split, sorted,
and keeps them as facts: a label first met in the validation or test split is an error, not a new
class.

Main score: Matthews correlation for two labels, macro F1 for more. Accuracy is reported beside it,
never alone: on CoLA always answering "acceptable" is right 70 % of the time.
Known problem: with fewer than ten rows of a class the intervals are too wide to rank runs.
Letters: B rows, C classes, H hidden width.
Source: one layer over the first token's vector, as in Devlin et al. 2019, arXiv:1810.04805,
section 4.1; the head itself is the checkpoint family's own in Transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.encode import (
    NO_LABEL,
    Bools,
    Examples,
    Floats,
    Ints,
    Tokenizer,
    encode_table,
)
from warmstart.data.labels import class_index, clean_rows, label_names, label_texts
from warmstart.data.table import Table
from warmstart.metrics.classification_metrics import (
    classification_scores,
    metrics_for,
    paired_difference,
)
from warmstart.metrics.scores import Metric, Scores
from warmstart.metrics.thresholds import THRESHOLD_METRICS, best_threshold
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks.focal_loss import focal_factor
from warmstart.tasks.task import Answered, Logits, Predictions

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


@final
@dataclass(frozen=True, slots=True)
class TextClassification:
    """One of C labels for each text, or pair of texts.

    Args:
        data: names the columns.
        label_names: the classes, in the order of the logits.
        loss_name: ``cross-entropy`` or ``focal``.
        focal_gamma: of the focal loss.
        class_weights: what a row of each class weighs in the loss, C; empty where all weigh 1.
        threshold: of two classes, from which probability on the second is answered; None for
            whichever is likelier.
    """

    data: DataConfig
    label_names: tuple[str, ...]
    loss_name: LossName = "cross-entropy"
    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] = ()
    threshold: float | None = None

    name: ClassVar[str] = "text-classification"
    head: ClassVar[Head] = "sequence-classification"
    stratifies: ClassVar[bool] = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        return metrics_for(len(self.label_names))

    @property
    def facts(self) -> dict[str, Any]:
        """The label names, in the order of the logits; weights and threshold, where there are."""
        facts: dict[str, Any] = {"label_names": list(self.label_names)}
        if self.class_weights:
            facts["class_weights"] = list(self.class_weights)
        if self.threshold is not None:
            facts["threshold"] = self.threshold
        return facts

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text, and with a label where one is needed; how many were left out."""
        return clean_rows(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Take the label names from the training split, which must hold at least two.

        With ``train.class_weights: balanced`` a class of n of N rows weighs N / (C · n), as in
        scikit-learn; the mean over the rows is 1.

        Raises:
            ConfigError: a threshold is to be chosen, and there are more than two labels.
            DataError: there is one label only, or a label has two spellings.
        """
        names = label_names(label_texts(train, config.data.label))
        if config.train.choose_threshold and len(names) > 2:
            raise errors.config.threshold_of_many(len(names))
        task = cls.from_facts(config, {"label_names": names})
        if config.train.class_weights is None:
            return task
        counts = np.bincount(task.targets(train), minlength=len(names))
        weights = len(train) / (len(names) * counts)
        return replace(task, class_weights=tuple(weights.tolist()))

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the label names it learned."""
        return cls(
            config.data,
            tuple(facts["label_names"]),
            config.loss,
            config.train.focal_gamma,
            tuple(facts.get("class_weights", ())),
            facts.get("threshold"),
        )

    def targets(self, table: Table) -> Ints:
        """Index of each row's label among the label names, int64 [N]."""
        return class_index(label_texts(table, self.data.label), self.label_names, table)

    def examples(
        self, table: Table, tokenizer: Tokenizer, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise the text column, or both of pairs."""
        labels = self.targets(table) if labelled else np.full(len(table), NO_LABEL)
        return encode_table(table, self.data, tokenizer, labels, max_tokens)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head."""
        from warmstart.models.checkpoints.load import sequence_classifier

        return sequence_classifier(checkpoint, self.label_names, seed)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the batch, and how many rows were summed.

        The focal loss takes of each row (1 - p)^gamma times as much, p being the probability of its
        label; class weights multiply either.

        Source of the focal loss: Lin et al. 2017, arXiv:1708.02002, equation 4.
        """
        from torch import as_tensor
        from torch.nn import functional

        nats = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
        if self.loss_name == "focal":
            nats = nats * focal_factor(nats, self.focal_gamma)
        if self.class_weights:
            weights = as_tensor(self.class_weights, dtype=nats.dtype, device=nats.device)
            nats = nats * weights[batch.labels.clamp(min=0)]
        return nats.sum(), batch.count

    def predictions(self, logits: "Tensor | Logits", batch: Answered) -> Predictions:
        """The likeliest label of each row, with the probability of every label; logits [B, C]."""
        # In float64 the shares of a row sum to 1 as closely as a JSON reader can tell.
        numbers = logits if isinstance(logits, np.ndarray) else logits.double().numpy(force=True)
        scores = numbers.astype(np.float64, copy=False)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return self.answers(shares, batch.rows, batch.truncated)

    def answers(self, numbers: Floats, rows: Ints, truncated: Bools) -> Predictions:
        """The label of each row, with the probability of every label, [B, C]."""
        return Predictions(self.label_names, numbers, rows, truncated, self.threshold)

    def score(self, predictions: Predictions, table: Table) -> Scores:
        """Every metric of ``metrics`` with its interval; the confusion matrix among the details."""
        return classification_scores(
            predictions.probabilities,
            self.targets(table),
            self.label_names,
            intervals=True,
            predicted=predictions.answered,
        )

    def shown_labels(self, table: Table) -> pa.ChunkedArray:
        """The label of each row as text."""
        return label_texts(table, self.data.label)

    def remarks(self, table: Table) -> list[str]:
        """None: labels are counted in any case."""
        return []

    def difference(
        self, first: Predictions, second: Predictions, table: Table, metric: str
    ) -> tuple[float | None, float | None, float | None]:
        """How much higher ``first`` scores than ``second``, by a paired bootstrap over rows."""
        answered = first.answered, second.answered
        shares = first.probabilities, second.probabilities
        return paired_difference(*shares, self.targets(table), metric, answered)

    def settled(self, predictions: Predictions, table: Table, metric: str) -> tuple[Self, str]:
        """The same with the threshold that is best on these rows, and a sentence on it.

        Args:
            predictions: on the validation rows.
            table: these rows.
            metric: what is to be best; one that no threshold moves leaves the choice to the main
                metric.
        """
        if metric not in THRESHOLD_METRICS:
            metric = self.metrics[0].name
        shares = predictions.probabilities[:, 1]
        threshold = best_threshold(shares, self.targets(table), metric)
        said = (
            f"{self.label_names[1]!r} is answered from a probability of {threshold:.3f} on, which "
            f"has the best {metric.replace('_', ' ')} on the validation rows"
        )
        return replace(self, threshold=threshold), said

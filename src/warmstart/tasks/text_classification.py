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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from warmstart.config import DataConfig
from warmstart.data.batches import Batch
from warmstart.data.encode import (
    CHUNK_ROWS,
    NO_LABEL,
    Bools,
    Examples,
    Floats,
    Ints,
    Tokenizer,
    encode,
)
from warmstart.data.labels import class_index, clean_rows, label_names, label_texts
from warmstart.data.table import Table
from warmstart.metrics.labels import classification_scores, metrics_for
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.configuration import Head
from warmstart.tasks.task import Answered, Logits, Predictions

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.load import Checkpoint


@final
@dataclass(frozen=True, slots=True)
class TextClassification:
    """One of C labels for each text, or pair of texts.

    Args:
        data: names the columns.
        label_names: the classes, in the order of the logits.
    """

    data: DataConfig
    label_names: tuple[str, ...]

    name: ClassVar[str] = "text-classification"
    head: ClassVar[Head] = "sequence-classification"
    stratifies: ClassVar[bool] = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        return metrics_for(len(self.label_names))

    @property
    def facts(self) -> dict[str, Any]:
        """The label names, in the order of the logits."""
        return {"label_names": list(self.label_names)}

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text, and with a label where one is needed; how many were left out."""
        return clean_rows(table, data, labelled=labelled)

    @classmethod
    def learn(cls, data: DataConfig, train: Table) -> Self:
        """Take the label names from the training split, which must hold at least two."""
        return cls(data, label_names(label_texts(train, data.label)))

    @classmethod
    def from_facts(cls, data: DataConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the label names it learned."""
        return cls(data, tuple(facts["label_names"]))

    def targets(self, table: Table) -> Ints:
        """Index of each row's label among the label names, int64 [N]."""
        return class_index(label_texts(table, self.data.label), self.label_names, table)

    def examples(
        self, table: Table, tokenizer: Tokenizer, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise the text column, or both of pairs."""
        labels = self.targets(table) if labelled else np.full(len(table), NO_LABEL)
        texts = table.chunks(self.data.text_columns, CHUNK_ROWS)
        return encode(tokenizer, texts, labels, table.rows, max_tokens)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head."""
        from warmstart.models.load import sequence_classifier

        return sequence_classifier(checkpoint, self.label_names, seed)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the batch, and how many rows were summed."""
        from torch.nn import functional

        summed = functional.cross_entropy(logits.float(), batch.labels, reduction="sum")
        return summed, batch.count

    def predictions(self, logits: "Tensor | Logits", batch: Answered) -> Predictions:
        """The likeliest label of each row, with the probability of every label; logits [B, C]."""
        # In float64 the shares of a row sum to 1 as closely as a JSON reader can tell.
        numbers = logits if isinstance(logits, np.ndarray) else logits.double().numpy(force=True)
        scores = numbers.astype(np.float64, copy=False)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return self.answers(shares, batch.rows, batch.truncated)

    def answers(self, shares: Floats, rows: Ints, truncated: Bools) -> Predictions:
        """The likeliest label of each row, with the probability of every label; shares [B, C]."""
        return Predictions(self.label_names, shares, rows, truncated)

    def score(self, predictions: Predictions, table: Table) -> Scores:
        """Every metric of ``metrics`` with its interval; the confusion matrix among the details."""
        return classification_scores(
            predictions.probabilities, self.targets(table), self.label_names, intervals=True
        )

"""A number for a text, or for a pair of texts: ``problem: regression``.

Reads the columns ``data.text``, of pairs also ``data.text_pair``, and ``data.label``, which holds
numbers. One logit is the number itself, learned by squared error; nothing is scaled on the way, so
what Transformers reads from the model is what is meant.

Main score: Pearson's correlation; Spearman's, mean squared and mean absolute error beside it.
Known problem: the head begins near 0 and its steps are as large as the rate, whatever the scale of
the labels, so numbers in the hundreds are hardly reached in a few epochs. The findings say so:
divide such labels (a year by 1000, a price in thousands).
Letters: B rows.
Source: Cer et al. 2017, SemEval-2017 task 1, arXiv:1708.00055 (similarity of sentences, scored by
Pearson's correlation).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.encode import (
    Bools,
    Examples,
    Floats,
    Ints,
    Tokenizer,
    encode_table,
)
from warmstart.data.labels import clean_rows, label_numbers
from warmstart.data.table import Table
from warmstart.metrics.regression_metrics import METRICS, paired_difference, regression_scores
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks.predictions.number_predictions import ScoredRows
from warmstart.tasks.task import Answered, Logits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

FAR = 10.0
"""Labels that reach further from 0 are learned slowly."""
NARROW = 0.1
"""A smaller standard deviation drowns in the noise of a head that begins by chance."""


@final
@dataclass(frozen=True, slots=True)
class TextRegression:
    """A number for each text, or pair of texts.

    Args:
        data: names the columns.
    """

    data: DataConfig

    name: ClassVar[str] = "text-classification"
    head: ClassVar[Head] = "sequence-classification"
    stratifies: ClassVar[bool] = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        return METRICS

    @property
    def facts(self) -> dict[str, Any]:
        """None: what is learned is in the weights."""
        return {}

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text, and with a label where one is needed; how many were left out."""
        return clean_rows(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Check that the training rows have different numbers.

        Raises:
            DataError: they are all equal, or one is no number.
        """
        task = cls.from_facts(config, {})
        numbers = task.targets(train)
        if (numbers == numbers[0]).all():
            raise errors.labels.one_number(config.data.label, float(numbers[0]), len(numbers))
        return task

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(config.data)

    def targets(self, table: Table) -> Floats:
        """The number of each row, float64 [N].

        Raises:
            DataError: one is no number, or not a finite one.
        """
        return label_numbers(table, self.data.label)

    def examples(
        self, table: Table, tokenizer: Tokenizer, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise the text column, or both of pairs."""
        labels = self.targets(table) if labelled else np.full(len(table), np.nan)
        return encode_table(table, self.data, tokenizer, labels.astype(np.float32), max_tokens)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head of one logit."""
        from warmstart.models.checkpoints.load import sequence_classifier

        return sequence_classifier(checkpoint, ("value",), seed, "regression")

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Squared error, *summed* over the batch, and how many rows were summed; logits [B, 1]."""
        from torch.nn import functional

        total = functional.mse_loss(logits.float()[:, 0], batch.labels, reduction="sum")
        return total, batch.count

    def predictions(self, logits: "Tensor | Logits", batch: Answered) -> ScoredRows:
        """The number of each row, which is its logit, [B, 1]."""
        numbers = logits if isinstance(logits, np.ndarray) else logits.double().numpy(force=True)
        return self.answers(numbers.astype(np.float64, copy=False), batch.rows, batch.truncated)

    def answers(self, numbers: Floats, rows: Ints, truncated: Bools) -> ScoredRows:
        """The number of each row, [B, 1]."""
        return ScoredRows("value", numbers[:, 0], rows, truncated)

    def score(self, predictions: ScoredRows, table: Table) -> Scores:
        """Every metric of ``metrics`` with its interval over rows."""
        return regression_scores(predictions.values, self.targets(table))

    def shown_labels(self, table: Table) -> pa.Array:
        """The number of each row."""
        return pa.array(self.targets(table))

    def remarks(self, table: Table) -> list[str]:
        """The range of the labels; and where it is far from that of a new head, what to do."""
        numbers = self.targets(table)
        mean, deviation, farthest = numbers.mean(), numbers.std(), np.abs(numbers).max()
        said = [
            f"labels from {numbers.min():g} to {numbers.max():g}, mean {mean:.4g}, "
            f"standard deviation {deviation:.4g}"
        ]
        if farthest > FAR:
            unit = 10 ** np.ceil(np.log10(farthest))
            said.append(
                f"labels so far from 0 are learned slowly: divide them, by {unit:g} for instance"
            )
        elif 0 < deviation < NARROW:
            said.append("labels so close together are learned badly: spread them, in another unit")
        return said

    def difference(
        self, first: ScoredRows, second: ScoredRows, table: Table, metric: str
    ) -> tuple[float | None, float | None, float | None]:
        """How much higher ``first`` scores than ``second``, by a paired bootstrap over rows."""
        return paired_difference(first.values, second.values, self.targets(table), metric)

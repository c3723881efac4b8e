"""Any number of labels for a text, or for a pair of texts: ``problem: multi-label``.

Reads ``data.text``, of pairs also ``data.text_pair``, and the labels of each row: a list, or a text
with ``data.label_separator`` between them, in the column ``data.label``; or a column of 0 and 1 for
each label, ``data.label_columns``. Label names are learned from the training split; a row may have
none.

Each label has a logit of its own, and is answered where its sigmoid reaches one half, or the
threshold that is best for it on the validation rows (``train.choose_threshold``).

Main score: macro F1, in which a rare label counts as much as a common one. Subset accuracy is
reported beside it, never alone: where most rows have no label, answering none is right that often.
Known problem: of a label with few rows neither threshold nor F1 means much; the report has the
number of rows beside each.
Letters: B rows, C labels.
Source: Boutell et al. 2004, Pattern Recognition 37(9), "Learning multi-label scene classification"
(one binary classifier a label); Lipton, Elkan & Naryanaswamy 2014, arXiv:1402.1892 (thresholds).
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
    Bools,
    Examples,
    Floats,
    Ints,
    Tokenizer,
    encode_table,
)
from warmstart.data.label_lists import (
    SEPARATOR,
    label_lists,
    label_matrix,
    names_of,
    rarest_label,
    unlabelled,
    without_separator,
)
from warmstart.data.labels import clean_rows
from warmstart.data.table import Table
from warmstart.metrics.label_set_metrics import METRICS, label_set_scores, paired_difference
from warmstart.metrics.scores import Metric, Scores
from warmstart.metrics.thresholds import best_threshold
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks.focal_loss import focal_factor
from warmstart.tasks.predictions.label_set_predictions import LabelSets
from warmstart.tasks.predictions.number_predictions import sigmoid
from warmstart.tasks.task import Answered, Logits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


SHOWN = 10
"""Labels that a sentence names; of more, how many."""


@final
@dataclass(frozen=True, slots=True)
class MultiLabel:
    """Which of C labels apply to each text, or pair of texts.

    Args:
        data: names the columns.
        label_names: in the order of the logits.
        loss_name: ``binary-cross-entropy`` or ``focal``.
        focal_gamma: of the focal loss.
        label_weights: what a row with the label weighs in its loss beside one without, C; empty
            where all weigh 1.
        thresholds: from which probability on each label is answered, C; empty for one half.
    """

    data: DataConfig
    label_names: tuple[str, ...]
    loss_name: LossName = "binary-cross-entropy"
    focal_gamma: float = 2.0
    label_weights: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()

    name: ClassVar[str] = "text-classification"
    head: ClassVar[Head] = "sequence-classification"
    stratifies: ClassVar[bool] = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        return METRICS

    @property
    def facts(self) -> dict[str, Any]:
        """The label names, in the order of the logits; weights and thresholds, where there are."""
        facts: dict[str, Any] = {"label_names": list(self.label_names)}
        if self.label_weights:
            facts["label_weights"] = list(self.label_weights)
        if self.thresholds:
            facts["thresholds"] = list(self.thresholds)
        return facts

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text, and with labels (or none) where they are needed; how many were not."""
        return clean_rows(table, data, labelled=labelled, unlabelled=unlabelled)

    @staticmethod
    def strata(data: DataConfig, table: Table) -> Ints:
        """For each row the rarest of its labels, so that both sides of a split have some of it."""
        return rarest_label(label_lists(table, data))

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Take the label names from the training split.

        With ``train.class_weights: balanced`` a row with a label weighs, in the loss of that label,
        as many times more as there are more rows without it than with it.

        Raises:
            DataError: all rows have the same labels, or a label has two spellings.
        """
        lists = label_lists(train, config.data)
        names = tuple(config.data.label_columns or names_of(lists))
        task = cls.from_facts(config, {"label_names": names})
        with_it = label_matrix(lists, names, train).sum(axis=0)
        if ((with_it == 0) | (with_it == len(train))).all():
            everywhere = [name for name, rows in zip(names, with_it, strict=True) if rows]
            raise errors.labels.same_labels(len(train), ", ".join(map(repr, everywhere)))
        if config.train.class_weights is None:
            return task
        weights = (len(train) - with_it) / np.maximum(with_it, 1)
        return replace(task, label_weights=tuple(weights.tolist()))

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the label names it learned."""
        return cls(
            config.data,
            tuple(facts["label_names"]),
            config.loss,
            config.train.focal_gamma,
            tuple(facts.get("label_weights", ())),
            tuple(facts.get("thresholds", ())),
        )

    def targets(self, table: Table) -> Bools:
        """Which of the labels each row has, bool [N, C]."""
        return label_matrix(label_lists(table, self.data), self.label_names, table)

    def examples(
        self, table: Table, tokenizer: Tokenizer, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise the text column, or both of pairs."""
        labels = np.full((len(table), len(self.label_names)), np.nan, dtype=np.float32)
        if labelled:
            labels = self.targets(table).astype(np.float32)
        return encode_table(table, self.data, tokenizer, labels, max_tokens)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head, a logit for each label."""
        from warmstart.models.checkpoints.load import sequence_classifier

        names = self.label_names
        return sequence_classifier(checkpoint, names, seed, "multi_label_classification")

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Binary cross-entropy in nats, *summed* over rows and labels, and how many were summed.

        The focal loss takes of each row and label (1 - p)^gamma times as much, p being the
        probability of the right answer; label weights multiply either.
        """
        from torch import as_tensor
        from torch.nn import functional

        scores, truth = logits.float(), batch.labels
        nats = functional.binary_cross_entropy_with_logits(scores, truth, reduction="none")
        weighed = nats
        if self.loss_name == "focal":
            weighed = weighed * focal_factor(nats, self.focal_gamma)
        if self.label_weights:
            weights = as_tensor(self.label_weights, dtype=nats.dtype, device=nats.device)
            weighed = weighed * (truth * (weights - 1) + 1)
        return weighed.sum(), batch.count

    def predictions(self, logits: "Tensor | Logits", batch: Answered) -> LabelSets:
        """The labels of each row, with the probability of every label; logits [B, C]."""
        numbers = logits if isinstance(logits, np.ndarray) else logits.double().numpy(force=True)
        shares = sigmoid(numbers.astype(np.float64, copy=False))
        return self.answers(shares, batch.rows, batch.truncated)

    def answers(self, numbers: Floats, rows: Ints, truncated: Bools) -> LabelSets:
        """The labels of each row, with the probability of every label, [B, C]."""
        return LabelSets(self.label_names, self._thresholds, numbers, rows, truncated)

    def score(self, predictions: LabelSets, table: Table) -> Scores:
        """Every metric of ``metrics`` with its interval; each label's own among the details."""
        return label_set_scores(
            predictions.probabilities,
            self.targets(table),
            predictions.answered,
            self.label_names,
            predictions.thresholds,
        )

    def shown_labels(self, table: Table) -> pa.Array:
        """The labels of each row, N lists of texts."""
        return label_lists(table, self.data)

    def remarks(self, table: Table) -> list[str]:
        """How many labels a row has, and a separator that stands nowhere."""
        found = self.targets(table)
        counts, absent = found.sum(axis=1), ~found.any(axis=0)
        none = int((counts == 0).sum())
        said = [
            f"{counts.mean():.2f} labels a row; {none:,} of {len(table):,} rows have none "
            f"({none / len(table):.1%})"
        ]
        if absent.any():
            names = [repr(self.label_names[index]) for index in np.flatnonzero(absent)]
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            said.append(f"no row has the label {', '.join(names[:SHOWN])}{more}")
        if without_separator(table, self.data):
            separator = self.data.label_separator or SEPARATOR
            said.append(
                f"no row has {separator!r} between labels, so none has more than one: "
                "if that is wrong, set data.label_separator"
            )
        return said

    def difference(
        self, first: LabelSets, second: LabelSets, table: Table, metric: str
    ) -> tuple[float | None, float | None, float | None]:
        """How much higher ``first`` scores than ``second``, by a paired bootstrap over rows."""
        one, other = ((found.probabilities, found.answered) for found in (first, second))
        return paired_difference(one, other, self.targets(table), metric)

    def settled(self, predictions: LabelSets, table: Table, metric: str) -> tuple[Self, str]:
        """The same with each label's threshold of the best F1 on these rows, and a sentence on it.

        Args:
            predictions: on the validation rows.
            table: these rows.
            metric: not asked: every threshold moves the F1 of its own label.
        """
        pairs = zip(predictions.probabilities.T, self.targets(table).T, strict=True)
        found = tuple(best_threshold(one, truth.astype(np.int64), "f1") for one, truth in pairs)
        said = (
            "each label is answered from a probability of its own on, which has its best F1 on the "
            f"validation rows: {_listed(self.label_names, found)}"
        )
        return replace(self, thresholds=found), said

    @property
    def _thresholds(self) -> tuple[float, ...]:
        return self.thresholds or (0.5,) * len(self.label_names)


def _listed(names: tuple[str, ...], thresholds: tuple[float, ...]) -> str:
    """``'rude' 0.312, 'spam' 0.550``; the first of many, and how many more."""
    shown = [f"{name!r} {t:.3f}" for name, t in zip(names[:SHOWN], thresholds, strict=False)]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(shown) + more

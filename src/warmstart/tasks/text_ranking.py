"""How well a document answers a query, to put the documents of each query in order.

Reads the columns ``data.text`` (query), ``data.text_pair`` (document) and ``data.label``: how
relevant the document is, 0 for not at all, 1 or more. Query and document are read together (a
*cross-encoder*), and the model gives one number for them. Rows of one query, or of one value of
``data.group``, are ranked against one another, and stay together in a split: a random split over
pairs would show the model other documents of the queries it is scored on.

Learns by ``train.loss``: ``binary-cross-entropy`` (one logit) or ``cross-entropy`` (two) from each
row alone; ``pairwise`` (every relevant document of a query against every less relevant one) or
``listwise`` (the softmax over a query's documents) from the rows of a query together, whose losses
are means over queries; a query whose documents are all alike teaches nothing there and is not read.

Main score: nDCG@10 over the documents given for each query; MRR@10, MAP and recall beside it, as
means over the queries that have a relevant document. The score of a row is a probability for the
losses of single rows; for the others only its order within a query means anything.
Known problem: with few queries a random split over pairs scores much too well, and an honest one by
query has wide intervals; cross-validation over queries uses every row.
Letters: B rows.
Source: Nogueira & Cho 2019, arXiv:1901.04085 (cross-encoders for ranking); Burges et al. 2005,
ICML, "Learning to rank using gradient descent" (pairwise); Bruch et al. 2019, ICTIR, "An analysis
of the softmax cross entropy loss for learning-to-rank with binary relevance" (listwise).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import LIST_LOSSES, DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.encode import (
    NO_LIST,
    Bools,
    Examples,
    Floats,
    Ints,
    Tokenizer,
    encode_table,
)
from warmstart.data.labels import clean_rows
from warmstart.data.table import Table
from warmstart.metrics.ranking_metrics import METRICS, paired_difference, ranking_scores
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks.predictions.number_predictions import ScoredRows, sigmoid
from warmstart.tasks.task import Answered, Logits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

BINARY = ("binary-cross-entropy", "cross-entropy")
"""Losses that know relevant and not relevant alone."""


@final
@dataclass(frozen=True, slots=True)
class TextRanking:
    """A score for each pair of query and document.

    Args:
        data: names the columns.
        query: the column whose rows are ranked against one another.
        loss_name: what is learned by.
    """

    data: DataConfig
    query: str
    loss_name: LossName

    name: ClassVar[str] = "text-ranking"
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
        """Rows with both texts, and a relevance where one is needed; how many were left out."""
        return clean_rows(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Check that the training rows have something to tell apart.

        Raises:
            DataError: all documents are equally relevant, or those of each query are and the loss
                compares them.
        """
        task = cls.from_facts(config, {})
        grades = task.targets(train)
        if (grades == grades[0]).all():
            raise errors.labels.one_grade(config.data.label, float(grades[0]), len(grades))
        if task.loss_name in LIST_LOSSES and (task.lists(train) == NO_LIST).all():
            raise errors.labels.no_list_to_learn_from(task.query, task.loss_name)
        return task

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        assert config.group is not None
        return cls(config.data, config.group, config.loss)

    def targets(self, table: Table) -> Floats:
        """How relevant each row's document is to its query, float64 [N].

        Raises:
            DataError: one is no number or below zero, or beyond what the loss tells apart.
        """
        column = self.data.label
        found = _numbers(table, column)
        beyond = (found > 1) | (found != np.round(found))
        if self.loss_name in BINARY and beyond.any():
            row = int(beyond.argmax())
            grade, where = float(found[row]), table.where(row)
            raise errors.labels.graded_for_binary_loss(column, grade, where, self.loss_name)
        return found

    def queries(self, table: Table) -> Ints:
        """The query of each row, from 0 in order of first appearance, int64 [N]."""
        values = table.column(self.query, "data.group")
        codes: Ints = pc.index_in(values, value_set=pc.unique(values)).to_numpy().astype(np.int64)
        return codes

    def lists(self, table: Table) -> Ints:
        """The query of each row, from 0, of those whose documents can be told apart; int64 [N].

        The others have ``NO_LIST``: where all documents are equally relevant, or there is one, no
        order is better than another.
        """
        queries, grades = self.queries(table), self.targets(table)
        count = int(queries.max()) + 1
        highest, lowest = np.zeros(count), np.full(count, np.inf)
        np.maximum.at(highest, queries, grades)
        np.minimum.at(lowest, queries, grades)
        differ = highest > lowest
        numbers = np.where(differ, np.cumsum(differ) - 1, NO_LIST)
        return np.asarray(numbers[queries])

    def examples(
        self, table: Table, tokenizer: Tokenizer, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise both texts; rows that are learned together know their query."""
        labels = np.full(len(table), np.nan)
        if labelled:
            labels = self.targets(table)
        found = encode_table(table, self.data, tokenizer, labels.astype(np.float32), max_tokens)
        if labelled and self.loss_name in LIST_LOSSES:
            return replace(found, lists=self.lists(table))
        return found

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head: one logit, or two."""
        from warmstart.models.checkpoints.load import sequence_classifier

        if self.loss_name == "cross-entropy":
            return sequence_classifier(checkpoint, ("irrelevant", "relevant"), seed)
        return sequence_classifier(checkpoint, ("relevance",), seed, problem=None)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """The loss *summed* over the batch's rows, or over its queries; and how many were summed.

        Args:
            logits: [B, 1], or [B, 2].
            batch: the rows.
        """
        from torch.nn import functional

        grades = batch.labels
        if self.loss_name == "cross-entropy":
            classes = grades.long()
            return functional.cross_entropy(logits.float(), classes, reduction="sum"), batch.count
        scores = logits.float()[:, 0]
        if self.loss_name == "binary-cross-entropy":
            total = functional.binary_cross_entropy_with_logits(scores, grades, reduction="sum")
            return total, batch.count
        assert batch.lists is not None
        by_list = pairwise if self.loss_name == "pairwise" else listwise
        return by_list(scores, grades, batch.lists), batch.count

    def predictions(self, logits: "Tensor | Logits", batch: Answered) -> ScoredRows:
        """The score of each row: of one logit its sigmoid, of two the probability of the second."""
        numbers = logits if isinstance(logits, np.ndarray) else logits.double().numpy(force=True)
        found = numbers.astype(np.float64, copy=False)
        margin = found[:, 0] if found.shape[1] == 1 else found[:, 1] - found[:, 0]
        return self.answers(sigmoid(margin)[:, None], batch.rows, batch.truncated)

    def answers(self, numbers: Floats, rows: Ints, truncated: Bools) -> ScoredRows:
        """The score of each row, [B, 1]."""
        return ScoredRows("score", numbers[:, 0], rows, truncated)

    def score(self, predictions: ScoredRows, table: Table) -> Scores:
        """Every metric of ``metrics`` with its interval over queries."""
        return ranking_scores(predictions.values, self.targets(table), self.queries(table))

    def shown_labels(self, table: Table) -> pa.Array:
        """The grade of each row as text, one spelling for each number, however the file has it."""
        return pa.array(self.targets(table)).cast(pa.string())

    def remarks(self, table: Table) -> list[str]:
        """How many queries there are, and how many of them say nothing about a ranking."""
        queries = self.queries(table)
        best = np.zeros(int(queries.max()) + 1)
        np.maximum.at(best, queries, self.targets(table))
        without = int((best == 0).sum())
        said = f"{len(best):,} queries (values of {self.query})"
        if without:
            said += f"; {without:,} have no relevant document and are left out of the means"
        if self.loss_name in LIST_LOSSES:
            learned = int(self.lists(table).max()) + 1
            said += f"; {learned:,} have documents to compare"
        return [said]

    def difference(
        self, first: ScoredRows, second: ScoredRows, table: Table, metric: str
    ) -> tuple[float | None, float | None, float | None]:
        """How much higher ``first`` scores than ``second``, by a paired bootstrap over queries."""
        truth = self.targets(table), self.queries(table)
        return paired_difference(first.values, second.values, *truth, metric)


def pairwise(scores: "Tensor", grades: "Tensor", lists: Ints) -> "Tensor":
    """RankNet: -log sigmoid(s_i - s_j) over all pairs of a list where i is more relevant than j.

    Each list gives the mean over its pairs, and the result is the sum over lists.

    Args:
        scores: [B].
        grades: how relevant each row is, [B].
        lists: the list of each row, int64 [B].
    """
    from torch.nn import functional

    same = _same_list(lists, scores.device)
    pairs = (same & (grades[:, None] > grades[None, :])).float()
    losses = functional.softplus(scores[None, :] - scores[:, None]) * pairs
    of_list = same.float() @ pairs.sum(dim=1)
    return (losses.sum(dim=1) / of_list.clamp(min=1)).sum()


def listwise(scores: "Tensor", grades: "Tensor", lists: Ints) -> "Tensor":
    """Cross-entropy between a list's relevance, as shares, and the softmax of its scores.

    Args:
        scores: [B].
        grades: how relevant each row is, [B].
        lists: the list of each row, int64 [B].
    """
    same = _same_list(lists, scores.device)
    log_total = scores[None, :].masked_fill(~same, -float("inf")).logsumexp(dim=1)
    shares = grades / (same.float() @ grades).clamp(min=1e-30)
    return ((log_total - scores) * shares).masked_fill(~same.diagonal(), 0).sum()


def _same_list(lists: Ints, device: Any) -> "Tensor":
    """Which rows are in one list, bool [B, B]; those in none are not even with themselves."""
    from torch import from_numpy

    numbers = from_numpy(lists).to(device)
    return (numbers[:, None] == numbers[None, :]) & (numbers != NO_LIST)


def _numbers(table: Table, column: str) -> Floats:
    """A column of numbers from 0 on, float64 [N]."""
    values = table.column(column, "data.label")
    texts = values.cast(pa.string())
    plain = pc.utf8_trim_whitespace(texts)
    number = pc.match_substring_regex(plain, r"^[+]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    if not pc.all(number).as_py():
        row = int(pc.index(number, False).as_py())
        raise errors.labels.not_a_grade(column, str(texts[row].as_py()), table.where(row))
    found: Floats = plain.cast(pa.float64()).to_numpy()
    if not np.isfinite(found).all():
        row = int(np.isfinite(found).argmin())
        raise errors.labels.not_a_grade(column, str(texts[row].as_py()), table.where(row))
    return found

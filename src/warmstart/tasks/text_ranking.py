"""A score for how well a document answers a query, to order the documents of each query.

Reads the columns ``data.text`` (query), ``data.text_pair`` (document) and ``data.label``, the
relevance of the document: 0 for not relevant, 1 or more for relevant. Query and document are one
input (a *cross-encoder*), and the model outputs one score for both. The rows of one query, or of
one value of ``data.group``, are ranked against one another, and stay together in a split: with a
random split over pairs, the model would see in training other documents of the scored queries.

``train.loss`` is ``binary-cross-entropy`` (one logit) or ``cross-entropy`` (two), which learn from
each row alone; or ``pairwise`` (every relevant document of a query against every less relevant one)
or ``listwise`` (the softmax over a query's documents), which learn from all rows of a query
together. These two are means over queries; a query whose documents all have the same grade adds
nothing to them and is skipped in training.

Main score: nDCG@10 over the documents given for each query; MRR@10, MAP and recall are reported
too, as means over the queries that have a relevant document. The score of a row is a probability
for the losses of single rows; for the other losses only its order within a query has a meaning.
Known problem: with few queries a random split over pairs scores much too high, and a correct split
by query has wide intervals; cross-validation over queries uses every row.
Letters: N rows, B rows of a batch.
Source: Nogueira & Cho 2019, arXiv:1901.04085 (cross-encoders for ranking); Burges et al. 2005,
ICML, "Learning to rank using gradient descent" (pairwise); Bruch et al. 2019, ICTIR, "An analysis
of the softmax cross entropy loss for learning-to-rank with binary relevance" (listwise).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import LIST_LOSSES, DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import (
    NO_GROUP,
    ListTargets,
    NoTargets,
    RowBatchTargets,
    RowTargets,
    of_kind,
)
from warmstart.data.examples.tokenise import Tokenizer, encode_table
from warmstart.data.examples.tokens import Floats, Ints
from warmstart.data.labels import clean_rows, grades_of, label_numbers
from warmstart.data.table import Table
from warmstart.errors.counts import counted, form
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.ranking_metrics import METRICS, ranking_scores, ranking_sums
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.list_losses import listwise, pairwise
from warmstart.tasks.mistakes import Mistakes, Segment, mistake, shortened
from warmstart.tasks.predictions.number_predictions import NumberPredictions
from warmstart.tasks.predictions.numbers import as_numbers, sigmoid
from warmstart.tasks.predictions.stored_rows import stored_numbers
from warmstart.tasks.query_mistakes import worst_queries
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import LABELS, LOSS, NEW_HEAD, PAIRS, POOLING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

BINARY = ("binary-cross-entropy", "cross-entropy")
"""Losses that distinguish only relevant and not relevant."""


class Relevance(NamedTuple):
    """The labels of the rows of one split."""

    grades: Floats
    """Relevance of each row's document to its query, 0 or more, float64 [N]."""
    queries: Ints
    """The query of each row, numbered from 0 in order of first appearance, int64 [N]."""

    @property
    def lists(self) -> Ints:
        """The list of each row for the losses that compare rows, int64 [N].

        Queries whose documents have different grades, numbered from 0; ``NO_GROUP`` for the rows of
        all other queries, because no order of their documents is better than another.
        """
        count = int(self.queries.max()) + 1
        highest, lowest = np.zeros(count), np.full(count, np.inf)
        np.maximum.at(highest, self.queries, self.grades)
        np.minimum.at(lowest, self.queries, self.grades)
        differ = highest > lowest
        numbers = np.where(differ, np.cumsum(differ) - 1, NO_GROUP)
        return np.asarray(numbers[self.queries])


@final
@dataclass(frozen=True, slots=True)
class TextRanking:
    """A score for each pair of query and document.

    Args:
        data: names the columns.
        query: the column whose rows are ranked against one another.
        loss_name: ``train.loss``.
    """

    data: DataConfig
    query: str
    loss_name: LossName

    name: ClassVar[str] = "text-ranking"
    pipeline_tag: ClassVar[str] = "text-ranking"
    other_names: ClassVar[tuple[str, ...]] = (
        "reranking",
        "rerank",
        "ranking",
        "cross-encoder",
        "retrieval",
        "search",
        "sentence-similarity",
    )
    head: ClassVar[Head] = "sequence-classification"
    reads: ClassVar[frozenset[str]] = LABELS | PAIRS | POOLING | LOSS | NEW_HEAD
    losses: ClassVar[tuple[LossName, ...]] = (
        "binary-cross-entropy",
        "cross-entropy",
        "pairwise",
        "listwise",
    )
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "queries"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    needs_more: ClassVar[frozenset[str]] = frozenset()
    export_kind: ClassVar[ExportKind] = "rows"
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "chance": "a random order",
        "bm25": "BM25",
    }

    @classmethod
    def check(cls, config: RunConfig) -> list[errors.ConfigError]:
        """Check that the document column is named."""
        return [] if config.data.text_pair else [errors.config.ranking_without_documents()]

    @staticmethod
    def group(data: DataConfig) -> str:
        """The column whose rows are ranked against one another: ``data.group`` or the query."""
        return data.group or data.text

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with both texts and, if needed, with a grade; number of rows left out."""
        return clean_rows(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Check that the training rows have different grades.

        Raises:
            DataError: all documents have the same grade; or the loss compares the documents of a
                query, and they have the same grade in every query.
        """
        task = cls.from_facts(config, {})
        found = task.labels(train)
        grades = found.grades
        if (grades == grades[0]).all():
            raise errors.labels.one_grade(config.data.label, float(grades[0]), len(grades))
        if task.loss_name in LIST_LOSSES and (found.lists == NO_GROUP).all():
            raise errors.labels.no_list_to_learn_from(task.query, task.loss_name)
        return task

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(config.data, cls.group(config.data), config.train.loss or cls.losses[0])

    def labels(self, table: Table) -> Relevance:
        """The grade and the query of each row.

        Raises:
            DataError: a grade is not a number or is below zero, or the loss does not support it.
        """
        column = self.data.label
        grades = grades_of(table, column)
        beyond = (grades > 1) | (grades != np.round(grades))
        if self.loss_name in BINARY and beyond.any():
            row = int(beyond.argmax())
            grade, where = float(grades[row]), table.where(row)
            raise errors.labels.graded_for_binary_loss(column, grade, where, self.loss_name)
        return Relevance(grades, _numbered(table.column(self.query, "data.group")))

    def encode(
        self, table: Table, labels: Relevance | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise both texts; rows that are compared in training get the number of their list."""
        tokens = encode_table(table, self.data, tokenizer, max_tokens)
        if labels is None:
            return Examples(tokens, NoTargets())
        grades = labels.grades.astype(np.float32)
        if self.loss_name in LIST_LOSSES:
            return Examples(tokens, ListTargets(grades, labels.lists))
        return Examples(tokens, RowTargets(grades))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the labels of the head."""
        if self.loss_name == "cross-entropy":
            return with_labels(checkpoint.config, ("irrelevant", "relevant"))
        return with_labels(checkpoint.config, ("relevance",), None)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head: one logit, or two."""
        from warmstart.models.checkpoints.load import sequence_classifier

        if self.loss_name == "cross-entropy":
            return sequence_classifier(checkpoint, ("irrelevant", "relevant"), seed)
        return sequence_classifier(checkpoint, ("relevance",), seed, problem=None)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """The loss *summed* over the batch's rows, or over its queries; and their number.

        Args:
            logits: [B, 1], or [B, 2].
            batch: the rows.
        """
        from torch.nn import functional

        targets = of_kind(batch.targets, RowBatchTargets)
        grades = targets.values  # float32 [B]
        if self.loss_name == "cross-entropy":
            classes = grades.long()
            return functional.cross_entropy(logits.float(), classes, reduction="sum"), batch.count
        scores = logits.float()[:, 0]
        if self.loss_name == "binary-cross-entropy":
            total = functional.binary_cross_entropy_with_logits(scores, grades, reduction="sum")
            return total, batch.count
        assert targets.groups is not None
        list_loss = pairwise if self.loss_name == "pairwise" else listwise
        return list_loss(scores, grades, targets.groups), batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> NumberPredictions:
        """The score of each row: sigmoid of one logit, or the probability of the second of two."""
        numbers = as_numbers(logits)
        margin = numbers[:, 0] if numbers.shape[1] == 1 else numbers[:, 1] - numbers[:, 0]
        return NumberPredictions("score", sigmoid(margin), batch.rows, batch.truncated, margin)

    def score(self, predictions: NumberPredictions, labels: Relevance) -> Scores:
        """Every metric of ``metrics`` with its interval over queries."""
        return ranking_scores(predictions.ranks, labels.grades, labels.queries)

    def usage(self) -> Usage:
        """sentence-transformers' cross-encoder."""
        # A model with two logits gives two numbers; the score is the probability of the second.
        two = self.loss_name == "cross-entropy"
        return Usage(
            command='warmstart predict {run} --text "…" --text-pair "…"',
            python="from sentence_transformers import CrossEncoder\n\n"
            'ranker = CrossEncoder("model")\n'
            'pairs = [("Your query here.", "A document."), ("Your query here.", "Another one.")]\n'
            f"ranker.predict(pairs{', apply_softmax=True)[:, 1]' if two else ')'}",
            note="warmstart gives the same scores and also reports which texts were truncated",
            limits=(
                "Scores order the documents of one query; across queries they are not comparable.",
            ),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """A random order, and BM25."""
        from warmstart.baselines.bm25 import bm25, chance

        (_, query), (setting, document) = config.data.text_columns.items()
        fitted = {
            "chance": chance(),
            "bm25": bm25(train.table.column(document, setting)),
        }

        def predicted(numbers: Any, table: Table) -> NumberPredictions:
            none = np.zeros(len(table), dtype=np.bool_)
            return NumberPredictions("score", numbers[:, 0], table.rows, none)

        return {
            name: Baseline(
                {
                    split: predicted(
                        baseline.predict(rows.table.columns.select([query, document])), rows.table
                    )
                    for split, rows in splits.items()
                },
                baseline.note,
            )
            for name, baseline in fitted.items()
        }

    def shown_labels(self, labels: Relevance) -> pa.Array:
        """The grade of each row."""
        return pa.array(labels.grades)

    def remarks(self, labels: Relevance) -> list[str]:
        """Number of queries, and of queries that cannot be scored or learned from."""
        best = np.zeros(int(labels.queries.max()) + 1)
        np.maximum.at(best, labels.queries, labels.grades)
        without = int((best == 0).sum())
        grades, rows = np.unique(labels.grades, return_counts=True)
        sentence = f"{counted(len(best), 'query', 'queries')} (values of {self.query})"
        if without:
            have = form(
                without, "has no relevant document and is", "have no relevant document and are"
            )
            sentence += f"; {without:,} {have} left out of the means"
        if self.loss_name in LIST_LOSSES:
            lists = int(labels.lists.max()) + 1
            sentence += f"; {lists:,} {form(lists, 'has', 'have')} documents to compare"
        if len(grades) > SHOWN_GRADES:
            return [sentence, f"{len(grades):,} different grades"]
        counts = ", ".join(
            f"{grade:g}: {count:,}" for grade, count in zip(grades, rows, strict=True)
        )
        return [sentence, f"documents by grade: {counts}"]

    def unit_sums(self, predictions: NumberPredictions, labels: Relevance) -> UnitSums:
        """The sums over units of queries."""
        return ranking_sums(predictions.ranks, labels.grades, labels.queries)

    def read_back(self, rows: pa.Table) -> tuple[NumberPredictions, Relevance]:
        """The stored scores and grades."""
        query = "text_pair" if self.query == self.data.text_pair else "text"
        queries = _numbered(rows["group" if "group" in rows.column_names else query])
        grades = stored_numbers(rows, "label")
        return NumberPredictions.stored(rows, "score"), Relevance(grades, queries)

    def answers(self, table: Table, column: str) -> NumberPredictions:
        """The scores in a column of a file; a higher one is better."""
        none = np.zeros(len(table), dtype=np.bool_)
        return NumberPredictions("score", label_numbers(table, column), table.rows, none)

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The queries whose first relevant document has the lowest rank."""
        rows, count = worst_queries(predictions, most)
        return Mistakes(
            heading="Worst queries",
            note=f"{len(rows)} of {counted(count, 'query', 'queries')} whose first document is not "
            "a relevant one, the worst first.",
            hint="Often a document is relevant and is not marked: check it first.",
            columns=(
                "query",
                "first relevant document",
                "ranked first",
                "rank of the relevant one",
            ),
            rows=tuple(
                replace(
                    mistake(
                        top,
                        shortened(best["text_pair"]),
                        shortened(top["text_pair"]),
                        str(rank),
                    ),
                    text=(Segment(shortened(top["text"])),),
                )
                for best, top, rank in rows
            ),
            count=count,
        )


def _numbered(queries: pa.ChunkedArray) -> Ints:
    """The number of each row's query, from 0 in order of first appearance, int64 [N]."""
    codes = pc.index_in(queries, value_set=pc.unique(queries)).to_numpy()
    return np.asarray(codes).astype(np.int64)


SHOWN_GRADES = 10
"""Grades that a finding counts one by one."""

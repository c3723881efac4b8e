"""Whether a segment of a document follows another one: BERT's next sentence prediction.

Reads documents from the column ``data.text`` and cuts them into segments (``data.segments``). A row
is a segment and a second one: in half of the rows the next segment of the document, in the others a
segment of another document. In training the second segments are drawn anew in every epoch, in
evaluation they are always the same. A document of one sentence gives no row. Predicts pairs of
texts. There are no facts; the labels are those of Transformers' models: 0 for the next segment.

Main score: accuracy, as in BERT's pretraining; half of the labels are ``IsNext``. The other scores
of two classes are next to it. Intervals are over documents, whose segments are not independent.
Known problem: random segments differ in their topic, so the topic alone is often enough
(Lan et al. 2020, arXiv:1909.11942, section 3.1); accuracies of different corpora do not compare.
Letters: N rows, B rows of a batch.
Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa

from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.masking import FIXED
from warmstart.data.examples.segment_pairs import SegmentPairs
from warmstart.data.examples.targets import NoTargets, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokenise import Tokenizer, encode_table
from warmstart.data.examples.tokens import Bools, Ints, Tokens
from warmstart.data.labels import class_index, label_texts, rows_with_text
from warmstart.data.segments import (
    DOCUMENT_COLUMN,
    FOLLOWING,
    LABELS,
    PAIR_COLUMN,
    document_pairs,
    drawn_pairs,
)
from warmstart.data.split import codes, groups_of
from warmstart.data.table import Table
from warmstart.metrics.classification_metrics import (
    METRICS,
    classification_scores,
    classification_sums,
)
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.mistakes import Mistakes, most_confident
from warmstart.tasks.predictions.class_predictions import ClassPredictions
from warmstart.tasks.predictions.numbers import as_numbers, softmax
from warmstart.tasks.predictions.stored_rows import stored_classes
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import FREEZING, INT8, ONNX, SEGMENTS
from warmstart.tasks.usage_lines import predict_command

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

PAIR_METRICS = tuple(sorted(METRICS, key=lambda metric: metric.name != "accuracy"))
"""The metrics of two classes, accuracy first."""


@dataclass(frozen=True, slots=True)
class PairLabels:
    """The labels of N pairs of segments.

    Args:
        classes: index of the label among ``LABELS``, int64 [N].
        documents: the document of the first segment, a number from 0, int64 [N].
    """

    classes: Ints
    documents: Ints


@final
@dataclass(frozen=True, slots=True)
class NextSentence:
    """Whether the second of two segments follows the first.

    Args:
        data: names the columns; contains the length of the segments.
    """

    data: DataConfig

    name: ClassVar[str] = "next-sentence"
    pipeline_tag: ClassVar[str] = "text-classification"
    other_names: ClassVar[tuple[str, ...]] = (
        "nsp",
        "next-sentence-prediction",
        "sentence-order",
        "coherence",
    )
    head: ClassVar[Head] = "next-sentence"
    reads: ClassVar[frozenset[str]] = SEGMENTS | FREEZING | ONNX | INT8
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "documents"
    metrics: ClassVar[tuple[Metric, ...]] = PAIR_METRICS
    label_names: ClassVar[tuple[str, ...]] = LABELS
    export_kind: ClassVar[ExportKind] = "rows"
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "majority": "the majority class",
        "tfidf": "TF-IDF with logistic regression on the similarity",
    }

    @staticmethod
    def defaults() -> Mapping[str, str]:
        """The columns of second segments and of documents, which ``clean`` adds."""
        return {"text_pair": PAIR_COLUMN, "group": DOCUMENT_COLUMN}

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """The pairs of successive segments of documents; or pairs of texts to predict."""
        return document_pairs(table, data) if labelled else rows_with_text(table, data)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """The task; nothing is learned before training."""
        return cls(config.data)

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(config.data)

    def drawn(self, table: Table) -> Table:
        """The rows of a split with the second segments and labels of an evaluation."""
        return drawn_pairs(table, self.data)

    def labels(self, table: Table) -> PairLabels:
        """The label of each row, and its document."""
        assert self.data.group is not None, "the task sets it"
        texts = label_texts(table, self.data.label)
        documents = groups_of(table, self.data.group)
        return PairLabels(class_index(texts, LABELS, table), documents)

    def encode(
        self, table: Table, labels: PairLabels | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise pairs of texts; those of a split can be drawn anew.

        Raises:
            DataError: special tokens alone fill ``max_tokens``.
        """
        if labels is None or FOLLOWING not in table.columns.column_names:
            tokens = encode_table(table, self.data, tokenizer, max_tokens)
            return Examples(tokens, NoTargets() if labels is None else RowTargets(labels.classes))

        def targets(tokens: Tokens, classes: Ints, begins_word: Bools | None) -> RowTargets:
            return RowTargets(classes)

        pairs = SegmentPairs.of(table, self.data, tokenizer, max_tokens, targets)
        return pairs.examples(FIXED)

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the names of the labels."""
        return with_labels(checkpoint.config, LABELS)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's encoder with its family's next-sentence head."""
        from warmstart.models.checkpoints.load import pretraining_model

        return pretraining_model(checkpoint, seed, LABELS)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the batch, and the number of rows; logits [B, 2]."""
        from torch.nn import functional

        classes = of_kind(batch.targets, RowBatchTargets).values  # int64 [B]
        return functional.cross_entropy(logits.float(), classes, reduction="sum"), batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> ClassPredictions:
        """The more probable label of each row, with both probabilities; logits [B, 2]."""
        shares = softmax(as_numbers(logits))
        return ClassPredictions(LABELS, shares, batch.rows, batch.truncated)

    def score(self, predictions: ClassPredictions, labels: PairLabels) -> Scores:
        """Every metric of ``metrics`` with its interval; the confusion matrix in the details."""
        found = classification_scores(
            predictions.probabilities,
            labels.classes,
            LABELS,
            intervals=True,
            groups=labels.documents,
        )
        in_order = {metric.name: found.metrics[metric.name] for metric in PAIR_METRICS}
        return Scores(in_order, {**found.details, "rows": len(labels.classes)})

    def unit_sums(self, predictions: ClassPredictions, labels: PairLabels) -> UnitSums:
        """The sums over units of documents."""
        return classification_sums(
            predictions.probabilities, labels.classes, predictions.predicted, labels.documents
        )

    def read_back(self, rows: pa.Table) -> tuple[ClassPredictions, PairLabels]:
        """The stored predictions, and the label and document of each row."""
        classes = stored_classes(rows, "label", LABELS)
        found = ClassPredictions.stored(rows, LABELS, has_threshold=False)
        return found, PairLabels(classes, codes(rows["group"]))

    def usage(self) -> Usage:
        """Transformers' model with this head, which no pipeline opens."""
        return Usage(
            command=predict_command(self.data),
            python="from transformers import AutoModelForNextSentencePrediction, AutoTokenizer\n\n"
            'tokenizer = AutoTokenizer.from_pretrained("model")\n'
            'model = AutoModelForNextSentencePrediction.from_pretrained("model")\n'
            'pair = tokenizer("Your text here.", "The second text.", return_tensors="pt")\n'
            "model(**pair).logits.softmax(-1)[0, 0].item()  # the second text follows the first",
            note="warmstart gives the same probability and also reports which texts were truncated",
            limits=(
                "It learned to tell the next segment of a document from one of another document, "
                "whose topic is often different; it does not judge the order of sentences on one "
                "topic.",
            ),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """The majority class, and logistic regression on the TF-IDF similarity of the segments."""
        from warmstart.baselines.linear import majority, tfidf_similarity
        from warmstart.tasks.row_baselines import predicted, texts_of

        texts, classes = texts_of(train.table, config.data), train.labels.classes
        fitted = {
            "majority": majority(texts, classes, len(LABELS)),
            "tfidf": tfidf_similarity(texts, classes, len(LABELS)),
        }

        def predictions(shares: Any, table: Table) -> ClassPredictions:
            none = np.zeros(len(table), dtype=np.bool_)
            return ClassPredictions(LABELS, shares, table.rows, none)

        return predicted(fitted, splits, config.data, predictions)

    def shown_labels(self, labels: PairLabels) -> pa.Array:
        """The label of each row as text."""
        return pa.array(LABELS, pa.string()).take(pa.array(labels.classes))

    def remarks(self, labels: PairLabels) -> list[str]:
        """How many documents the pairs are from."""
        documents = int(labels.documents.max()) + 1
        return [f"{len(labels.classes):,} pairs of segments of {documents:,} documents"]

    def right(self, predictions: ClassPredictions, labels: PairLabels) -> Bools:
        """Whether the label of each row is predicted."""
        return np.asarray(predictions.predicted == labels.classes)

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The wrong predictions with the highest probability."""
        return most_confident(predictions, most)

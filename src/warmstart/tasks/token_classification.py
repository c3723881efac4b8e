"""A tag for each word: names, slots of a request, parts of speech.

Reads words with tags (CoNLL files; lists in ``data.words`` and ``data.tags`` of JSON lines or
Parquet), or texts with character spans (exports of Label Studio, doccano, spaCy and brat; lists of
spans in ``data.spans``). Character spans are the reference: each is kept, snapped to the borders of
words, or refused, and the three counts are shown. Tags may be BIO, IOB1, IOBES, BILOU or without
prefixes (``data.tag_scheme``); the model learns BIO.

The head reads the first token of each word. A text that is longer than the model's limit is cut
into windows with overlap (``data.overlap_tokens``), and each word is predicted once, in the window
where it has most context; no word is lost.

Main score: entity F1 (micro) as in conlleval and seqeval, with intervals over documents if the file
has them, otherwise over rows; precision, recall, macro F1 and word accuracy are reported too.
Invalid sequences of predicted tags are repaired by conlleval's rule and counted.
Known problem: the same name in training and test rows makes scores too high; the findings count
repeated texts, not repeated names.
Letters: N rows, W words, A words of a batch, C tags.
Source: Devlin et al. 2019, arXiv:1810.04805, section 5.3 (first sub-token of each word); Tjong Kim
Sang & De Meulder 2003, CoNLL-2003 shared task (scores).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import NO_LABEL, of_kind
from warmstart.data.examples.token_targets import WordBatchTargets, WordTags
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.table import Table
from warmstart.data.tags.documents import DOCUMENT
from warmstart.data.tags.encode_words import encode_words
from warmstart.data.tags.schemes import OUTSIDE, SCHEMES
from warmstart.data.tags.span_formats import SPANS
from warmstart.data.tags.word_labels import WordLabels, learned_tags, word_labels
from warmstart.data.tags.word_table import (
    STARTS,
    TAGS,
    WORDS,
    layout_of,
    stored_words,
    word_table,
)
from warmstart.metrics.entity_metrics import (
    METRICS,
    RowWords,
    entity_scores,
    entity_sums,
)
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.mistakes import Mistakes
from warmstart.tasks.predictions.numbers import as_numbers, softmax
from warmstart.tasks.predictions.stored_rows import stored_numbers
from warmstart.tasks.predictions.tag_predictions import TagPredictions
from warmstart.tasks.span_mistakes import span_mistakes
from warmstart.tasks.stored_facts import names_in
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import NAMES, NEW_HEAD, OVERLAP, WORDS_AND_TAGS

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


@final
@dataclass(frozen=True, slots=True)
class TokenClassification:
    """A tag for each word.

    Args:
        data: names the columns.
        label_names: the tags that the model predicts, in the order of the logits, C.
        scheme: the tag scheme of the training rows, one of ``SCHEMES``.
        evidence: how the scheme was recognised, one sentence; empty if it was given.
    """

    data: DataConfig
    label_names: tuple[str, ...]
    scheme: str = "BIO"
    evidence: str = ""

    name: ClassVar[str] = "token-classification"
    pipeline_tag: ClassVar[str] = "token-classification"
    other_names: ClassVar[tuple[str, ...]] = (
        "ner",
        "pos",
        "tagging",
        "tags",
        "token_cls",
        "named-entity-recognition",
        "slot-filling",
        "chunking",
        "sequence-labeling",
    )
    head: ClassVar[Head] = "token-classification"
    reads: ClassVar[frozenset[str]] = WORDS_AND_TAGS | NAMES | OVERLAP | NEW_HEAD
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "rows"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    export_kind: ClassVar[ExportKind] = "tokens"
    reads_words: ClassVar[Literal[True]] = True
    label_unit: ClassVar[Literal["span"]] = "span"
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "frequent_tag": "each word's most frequent tag",
    }

    @property
    def facts(self) -> dict[str, Any]:
        """The tags, in the order of the logits, and the scheme of the training rows."""
        return {
            "label_names": list(self.label_names),
            "scheme": self.scheme,
            "evidence": self.evidence,
        }

    @property
    def _predicted_scheme(self) -> str:
        """The scheme of the model's own tags."""
        return "plain" if self.scheme == "plain" else "BIO"

    @classmethod
    def check(cls, config: RunConfig) -> list[errors.ConfigError]:
        """Check the name of the tag scheme."""
        scheme = config.data.tag_scheme
        if scheme in ("auto", *SCHEMES):
            return []
        return [errors.tags.unknown_scheme(scheme, ("auto", *SCHEMES))]

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with words and, if needed, with tags or spans; number of rows left out.

        The table gets the columns that ``data.tags.word_table`` describes.
        """
        return word_table(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Take the tags and their scheme from the training split.

        Raises:
            DataError: all words have the same tag, or the tags have two schemes.
        """
        names, scheme, evidence = learned_tags(config.data, train)
        return cls(config.data, names, scheme, evidence)

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the tags that it learned."""
        if facts["scheme"] not in SCHEMES:
            raise ValueError(f"scheme is {facts['scheme']!r} and not one of: {', '.join(SCHEMES)}")
        return cls(config.data, names_in(facts), facts["scheme"], str(facts.get("evidence", "")))

    def labels(self, table: Table) -> WordLabels:
        """The tag of each word and the annotated spans."""
        return word_labels(self.data, table, self.label_names, self.scheme)

    def encode(
        self, table: Table, labels: WordLabels | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise the words and cut long rows into windows."""
        layout = layout_of(table, self.data)
        values = np.full(len(layout.words.starts), NO_LABEL, dtype=np.int64)
        if labels is not None:
            values = labels.classes
        overlap, control = self.data.overlap_tokens, self.data.control_tokens
        found = encode_words(table, layout, values, tokenizer, max_tokens, overlap, control)
        return Examples(found.tokens, found.targets, notes=found.notes())

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the labels of the head."""
        # A problem_type describes whole texts; Transformers' token classifiers do not use it.
        return with_labels(checkpoint.config, self.label_names, None)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's token-classification head."""
        from warmstart.models.checkpoints.load import token_classifier

        return token_classifier(checkpoint, self.label_names, seed)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the words, and their number; logits [A, C]."""
        from torch.nn import functional

        tags = of_kind(batch.targets, WordBatchTargets).values  # int64 [A]
        total = functional.cross_entropy(
            logits.float(), tags, ignore_index=NO_LABEL, reduction="sum"
        )
        return total, batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> TagPredictions:
        """The most probable tag of each word; logits [A, C]."""
        targets = batch.targets
        assert isinstance(targets, WordBatchTargets | WordTags)
        shares = softmax(as_numbers(logits))
        order = np.argsort(targets.words)  # the rows of a batch are in any order
        labels = shares.argmax(axis=1)
        confidences = shares[np.arange(len(labels)), labels]
        return TagPredictions(
            self.label_names,
            self._predicted_scheme,
            targets.source,
            targets.words[order],
            labels[order],
            confidences[order],
            frozenset(batch.rows[batch.truncated].tolist()),
        )

    def score(self, predictions: TagPredictions, labels: WordLabels) -> Scores:
        """Every metric of ``metrics`` with its interval; scores per type in the details."""
        found = predictions.tag_spans()
        return entity_scores(
            labels.characters,
            predictions.character_spans(),
            len(labels.bounds) - 1,
            documents=labels.documents,
            words=self._words(predictions, labels),
            repaired=int(found.repaired.sum()),
        )

    def _words(self, predictions: TagPredictions, labels: WordLabels) -> RowWords:
        """Number of words of each row, and how many of them have the correct tag."""
        right = (predictions.labels == labels.classes[predictions.words]).astype(np.float64)
        row = predictions.layout.row_of_word[predictions.words]
        rows = len(labels.bounds) - 1
        correct = np.bincount(row, weights=right, minlength=rows).astype(np.int64)
        return RowWords(np.diff(labels.bounds), correct)

    def unit_sums(self, predictions: TagPredictions, labels: WordLabels) -> UnitSums:
        """The sums over units of rows or, if they are known, of documents."""
        return entity_sums(
            labels.characters,
            predictions.character_spans(),
            len(labels.bounds) - 1,
            documents=labels.documents,
            words=self._words(predictions, labels),
        )

    def read_back(self, rows: pa.Table) -> tuple[TagPredictions, WordLabels]:
        """The stored tags, and the labels that the stored spans give."""
        columns = pa.table({self.data.text: rows["text"], **self.restored(rows)})
        ids, lines = (stored_numbers(rows, name).astype(np.int64) for name in ("row", "line"))
        table = Table(columns, ids, (), np.zeros(len(rows), dtype=np.int32), lines)
        layout, scheme = layout_of(table, self.data), self._predicted_scheme
        found = TagPredictions.stored(rows, self.label_names, scheme, layout)
        return found, self.labels(table)

    def conll(self, predictions: TagPredictions) -> Iterator[str]:
        """The text of a CoNLL file with each word and its predicted tag, in pieces."""
        return predictions.conll()

    def usage(self) -> Usage:
        """The token-classification pipeline, one entity for the tokens of a span."""
        limits = [
            "It knows only the types of its training rows, and predicts flat spans: no span inside "
            "another.",
            "The pipeline of Transformers separates words where its tokenizer does. BERT's also "
            "splits them at underscores; warmstart predict keeps such a word whole.",
            "With a byte-level tokenizer (GPT-2, RoBERTa, ModernBERT), the pipeline of "
            "Transformers ends words only at spaces, so punctuation belongs to the word before it; "
            "warmstart predict separates them.",
        ]
        if self.scheme == "plain":
            limits.append(
                "The tags have no prefixes: the pipeline of Transformers joins neighbouring words "
                "with the same tag, and warmstart predict gives each word its own span."
            )
        return Usage(
            python='tag = pipeline(\n    "token-classification", model="model", '
            'aggregation_strategy="first"\n)\ntag("Your text here.")',
            note="warmstart also accepts texts longer than the model's limit, and writes CoNLL "
            "files (`--output FILE.conll`)",
            limits=tuple(limits),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """Each word's most frequent tag in the training rows."""
        from warmstart.baselines.word_tags import frequent_tags

        words = train.table.columns.column(WORDS).combine_chunks().flatten()
        known = train.labels.classes != NO_LABEL
        names = pa.array(self.label_names, pa.string())
        tags = names.take(pa.array(train.labels.classes[known]))
        fitted = frequent_tags(words.filter(pa.array(known)), tags)
        index = {name: place for place, name in enumerate(self.label_names)}

        def predicted(table: Table) -> TagPredictions:
            found = fitted.predict(table.columns.column(WORDS).combine_chunks().flatten())
            labels = np.array([index.get(tag, 0) for tag in found], dtype=np.int64)
            layout = layout_of(table, self.data)
            every = np.arange(len(labels))
            share = np.ones(len(labels))
            scheme = self._predicted_scheme
            return TagPredictions(self.label_names, scheme, layout, every, labels, share)

        return {"frequent_tag": Baseline({n: predicted(s.table) for n, s in splits.items()})}

    def shown_labels(self, labels: WordLabels) -> pa.Array:
        """The type of every span of each row, N lists of texts."""
        return labels.types_by_row()

    def label_column(self, labels: WordLabels) -> pa.Array:
        """The annotated spans of each row, N lists of ``{start, end, type}``."""
        return labels.spans_by_row()

    def restored(self, rows: pa.Table) -> dict[str, pa.Array]:
        """The words of each row, and its annotated spans or, for plain tags, its tags."""
        columns = stored_words(rows["text"], rows["words"])
        if DOCUMENT in rows.column_names:
            columns[DOCUMENT] = rows[DOCUMENT].combine_chunks()
        spans = rows["label"].combine_chunks()
        if self.scheme != "plain":
            return {**columns, SPANS: spans}
        tags = []
        for starts, row in zip(columns[STARTS].to_pylist(), spans.to_pylist(), strict=True):
            types = {span["start"]: span["type"] for span in row}
            tags.append([types.get(start, OUTSIDE) for start in starts])
        return {**columns, TAGS: pa.array(tags, pa.list_(pa.string()))}

    def remarks(self, labels: WordLabels) -> list[str]:
        """Scheme, repaired and aligned spans, and types that do not occur in training."""
        return labels.remarks()

    def problems(self, labels: WordLabels) -> list[str]:
        """Spans that were snapped, refused or repaired, and types without training rows."""
        return labels.problems()

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The rows with the largest number of wrong spans, with every span marked in the text."""
        return span_mistakes(predictions, most)

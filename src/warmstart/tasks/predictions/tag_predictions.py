"""Tags of words, and the spans that they form: entities, slots, parts of speech.

Letters: N rows, W words, A predicted words, C tags.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.data.tags.alignment import character_spans
from warmstart.data.tags.conll import conll_lines
from warmstart.data.tags.documents import DOCUMENT
from warmstart.data.tags.schemes import TagSequences, TagSpans, spans_of_tags, tags_of_spans
from warmstart.data.tags.spans import Spans
from warmstart.data.tags.word_table import WordLayout
from warmstart.tasks.predictions.stored_rows import stored_classes, stored_rows

PREDICTED_SPAN = pa.struct(
    [
        ("text", pa.string()),
        ("type", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("confidence", pa.float64()),
    ]
)
"""One predicted span in ``predictions.parquet``; offsets in characters of the text."""


@dataclass(frozen=True, slots=True)
class SpanPrediction:
    """One predicted span of a text."""

    text: str
    type: str
    start: int
    """First character in the text."""
    end: int
    """The index after its last character."""
    confidence: float
    """Mean, over its words, of the probability of the predicted tag."""

    def to_json(self) -> dict[str, Any]:
        """``{"text", "type", "start", "end", "confidence"}``."""
        return {
            "text": self.text,
            "type": self.type,
            "start": self.start,
            "end": self.end,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True)
class TagPrediction:
    """The predicted spans of one row."""

    row: int
    """Row id in its table."""
    spans: tuple[SpanPrediction, ...]
    """In the order of the text."""
    truncated: bool = False
    """Whether some word was too long, so that the model got only its first tokens."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "spans": [{"text", "type", "start", "end", "confidence"}], "truncated"}``."""
        spans = [span.to_json() for span in self.spans]
        return {"row": self.row, "spans": spans, "truncated": self.truncated}

    def shown(self) -> str:
        """One line for each span: type, text, place, confidence."""
        return (
            "\n".join(
                f"{span.type}  {span.text}  [{span.start}:{span.end}]  {span.confidence:.3f}"
                for span in self.spans
            )
            or "no spans"
        )


@dataclass(frozen=True, slots=True)
class TagPredictions:
    """The predicted tags of words.

    Args:
        label_names: the tags, in the order of the logits, C.
        scheme: ``BIO``, or ``plain`` if every word has a tag of its own.
        layout: the words of all rows.
        words: the words that are predicted here, ascending, int64 [A].
        labels: index of each word's tag, int64 [A].
        confidences: its probability, float64 [A].
        cut: row ids of rows with a word of which the model got only the first tokens.
    """

    label_names: tuple[str, ...]
    scheme: str
    layout: WordLayout
    words: Ints
    labels: Ints
    confidences: Floats
    cut: frozenset[int] = frozenset()

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in the order of the words.

        Args:
            parts: predictions of at least one batch.
            positions: not used, because words have their own numbers.
        """
        words = np.concatenate([part.words for part in parts])
        order = np.argsort(words)
        first = parts[0]
        return cls(
            first.label_names,
            first.scheme,
            first.layout,
            words[order],
            np.concatenate([part.labels for part in parts])[order],
            np.concatenate([part.confidences for part in parts])[order],
            frozenset().union(*(part.cut for part in parts)),
        )

    @classmethod
    def stored(
        cls, rows: pa.Table, label_names: tuple[str, ...], scheme: str, layout: WordLayout
    ) -> Self:
        """The predictions in rows of ``predictions.parquet``; the confidences are not stored.

        Args:
            rows: N rows.
            label_names: the tags, C.
            scheme: ``BIO`` or ``plain``.
            layout: the words of these rows.
        """
        ids, truncated = stored_rows(rows)
        tags = pa.table({"tags": pc.list_flatten(rows["tags"])})
        labels = stored_classes(tags, "tags", label_names)
        words, cut = np.arange(len(labels)), frozenset(ids[truncated].tolist())
        return cls(label_names, scheme, layout, words, labels, np.full(len(labels), np.nan), cut)

    @property
    def _present(self) -> Ints:
        """Positions in the layout of the rows with a predicted word, int64 [N]."""
        return np.unique(self.layout.row_of_word[self.words])

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        return self.layout.rows[self._present]

    @property
    def truncated(self) -> Bools:
        """Whether a row has a word of which the model got only the first tokens, bool [N]."""
        return np.isin(self.rows, sorted(self.cut))

    def tag_spans(self) -> TagSpans:
        """The predicted spans, with borders in words of their row; invalid tags are repaired."""
        present = self._present
        counts = np.bincount(
            np.searchsorted(present, self.layout.row_of_word[self.words]), minlength=len(present)
        )
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        found = spans_of_tags(TagSequences(self.labels, self.label_names, bounds), self.scheme)
        spans = found.spans
        rows = present[spans.rows] if len(spans) else spans.rows
        # A window has consecutive words: if it begins inside a row, shift its borders to the row.
        first = self.words[bounds[:-1]] - self.layout.bounds[present]
        shift = first[spans.rows] if len(spans) else spans.starts
        moved = Spans(rows, spans.starts + shift, spans.ends + shift, spans.types, spans.names)
        return TagSpans(moved, found.repaired)

    def character_spans(self) -> Spans:
        """The predicted spans with borders in characters; rows are positions in the layout."""
        return character_spans(self.layout.words, self.tag_spans().spans)

    def conll(self) -> Iterator[str]:
        """The text of a CoNLL file with each word and its tag, in pieces.

        The tags are those of the predicted spans, so that every program reads the same spans.
        Document borders are kept.

        Raises:
            DataError: a word has a tab or a line end, which the format cannot contain.
        """
        layout = self.layout
        tags = tags_of_spans(self.tag_spans().spans, layout.bounds, self.scheme).to_lists()
        words = layout.words.texts(layout.texts.to_pylist())
        documents = None if layout.documents is None else layout.documents.tolist()
        yield from conll_lines(words, tags, documents)

    def changed(self, other: Self) -> int:
        """Number of words for which ``other`` predicts a different tag."""
        return int((self.labels != other.labels).sum())

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """``prediction`` (spans), ``tags``, ``words``, ``document`` if known, and ``truncated``."""
        names = pa.array(self.label_names, pa.string())
        counts = np.bincount(self.layout.row_of_word[self.words], minlength=len(self.layout.rows))
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        tags = pa.ListArray.from_arrays(offsets, names.take(pa.array(self.labels)))
        spans = [[one.to_json() for one in prediction.spans] for prediction in self]
        words = self.layout.words.texts(self.layout.texts.to_pylist())
        documents = self.layout.documents
        return {
            "prediction": pa.array(spans, pa.list_(PREDICTED_SPAN)),
            "words": pa.array(words, pa.list_(pa.string())),
            "tags": tags,
            **({} if documents is None else {DOCUMENT: pa.array(documents)}),
            "truncated": pa.array(self.truncated),
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self._present)

    def __getitem__(self, index: int) -> TagPrediction:
        """The prediction at position ``index``."""
        return list(self)[index]

    def __iter__(self) -> Iterator[TagPrediction]:
        """Every prediction, one object at a time."""
        inside = self.tag_spans().spans
        characters = character_spans(self.layout.words, inside)
        place = np.full(len(self.layout.words.starts) + 1, len(self.words), dtype=np.int64)
        place[self.words] = np.arange(len(self.words))
        for position in self._present.tolist():
            text = self.layout.texts[position].as_py()
            spans = []
            # Spans are in the order of their rows.
            for span in range(*np.searchsorted(inside.rows, [position, position + 1]).tolist()):
                first = place[self.layout.bounds[position] + inside.starts[span]]
                length = int(inside.ends[span] - inside.starts[span])
                share = self.confidences[first : first + length].mean()
                start, end = int(characters.starts[span]), int(characters.ends[span])
                kind = inside.names[inside.types[span]]
                spans.append(SpanPrediction(text[start:end], kind, start, end, float(share)))
            row = int(self.layout.rows[position])
            yield TagPrediction(row, tuple(spans), row in self.cut)

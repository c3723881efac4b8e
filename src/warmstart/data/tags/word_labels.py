"""The labels of a table of words: a class for each word, and the spans that are scored.

Letters: N rows, W words, S spans.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.targets import NO_LABEL
from warmstart.data.table import Table
from warmstart.data.tags.alignment import REASONS, Alignment, align_spans, character_spans
from warmstart.data.tags.schemes import (
    OUTSIDE,
    REPAIR_RULE,
    TagSequences,
    has_prefix,
    recognise_scheme,
    spans_of_tags,
    tag_sequences,
    tags_of_spans,
)
from warmstart.data.tags.span_formats import REFUSED_SPANS, SPAN_TYPE, SPANS, spans_of_column
from warmstart.data.tags.spans import Ints, Spans
from warmstart.data.tags.word_table import TAGS, layout_of
from warmstart.errors.counts import counted

OVERLAPS = REASONS.index("overlaps another")
"""Spans that were refused although they are correct: they count as missed."""

TYPES_SHOWN = 12
"""Maximum number of types whose spans are counted in a message."""


@dataclass(frozen=True, slots=True)
class WordLabels:
    """The labels of N rows.

    Args:
        bounds: first word of each row, and the number of words, int64 [N + 1].
        classes: index of each word's tag, int64 [W]; ``NO_LABEL`` for a type that does not occur in
            training.
        characters: the spans that are scored, with borders in characters.
        documents: document of each row, if the file has documents, int64 [N].
        counts: number of input spans that were kept, snapped and refused, and why; empty for tags.
        repaired: number of spans whose tags were invalid in the scheme of these rows.
        unseen: number of spans of each type that does not occur in training.
        evidence: the scheme that these rows have on their own, and why; empty for spans, and if the
            scheme was given.
    """

    bounds: Ints
    classes: Ints
    characters: Spans
    documents: Ints | None
    counts: Mapping[str, int]
    repaired: int
    unseen: Mapping[str, int]
    evidence: str = ""

    def types_by_row(self) -> pa.Array:
        """The type of every span of each row, in the order of the text, N lists of texts."""
        counts = np.bincount(self.characters.rows, minlength=len(self.bounds) - 1)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        names = pa.array(self.characters.names, pa.string())
        return pa.ListArray.from_arrays(offsets, names.take(pa.array(self.characters.types)))

    def spans_by_row(self) -> pa.Array:
        """The spans of each row, N lists of ``{start, end, type}``."""
        rows = [
            [{"start": start, "end": end, "type": kind} for start, end, kind in row]
            for row in self.characters.to_lists(len(self.bounds) - 1)
        ]
        return pa.array(rows, SPAN_TYPE)

    def remarks(self) -> list[str]:
        """Messages for the user about these rows."""
        words, spans = int(self.bounds[-1]), len(self.characters)
        size = f"{counted(words, 'word')}, {counted(spans, 'span')}"
        totals = np.bincount(self.characters.types, minlength=len(self.characters.names)).tolist()
        shares = [
            f"{kind} {count:,}"
            for kind, count in zip(self.characters.names, totals, strict=True)
            if kind and count
        ]
        if len(shares) > TYPES_SHOWN:
            shares[TYPES_SHOWN:] = [counted(len(shares) - TYPES_SHOWN, "other type")]
        sentences = [f"{size} ({', '.join(shares)})" if shares else size]
        if self.evidence:
            sentences.append(self.evidence.rstrip("."))
        if self.counts and not self._has_changed_spans:
            sentences.append(self._outcomes())
        return sentences + self.problems()

    def problems(self) -> list[str]:
        """The messages about spans that were changed, refused or cannot be predicted."""
        sentences = [self._outcomes()] if self._has_changed_spans else []
        if self.repaired:
            sentences.append(
                f"{counted(self.repaired, 'span')} with invalid tags, read by {REPAIR_RULE}"
            )
        if self.unseen:
            types = ", ".join(f"{kind!r} ({count:,})" for kind, count in self.unseen.items())
            sentences.append(f"types that no training row has, never predicted: {types}")
        return sentences

    @property
    def _has_changed_spans(self) -> bool:
        return bool(self.counts.get("snapped") or self.counts.get("refused"))

    def _outcomes(self) -> str:
        """How many input spans were kept, snapped and refused, and why."""
        outcomes = ("kept", "snapped", "refused")
        total = sum(self.counts[name] for name in outcomes)
        reasons = ", ".join(
            f"{reason} {count:,}"
            for reason, count in self.counts.items()
            if reason not in outcomes and count
        )
        return (
            f"{total:,} character span{'s' * (total != 1)}: {self.counts['kept']:,} kept, "
            f"{self.counts['snapped']:,} snapped to words, {self.counts['refused']:,} refused"
            + (f" ({reasons})" if reasons else "")
        )


class _Parsed(NamedTuple):
    """Spans of a table in words, and the outcomes of its input spans."""

    spans: Spans
    bounds: Ints
    alignment: Alignment | None
    original: Spans | None
    repaired: int


def learned_tags(data: DataConfig, train: Table) -> tuple[tuple[str, ...], str, str]:
    """The tags to predict, the scheme of the training rows, and how it was recognised.

    Args:
        data: may name the scheme.
        train: a table from ``word_table``.

    Raises:
        DataError: all words have the same tag, or the tags have two schemes.
    """
    scheme, evidence = "BIO", ""
    if SPANS not in train.columns.column_names:
        scheme = data.tag_scheme
        tags = tag_sequences(train.columns.column(TAGS))
        if scheme == "auto":
            found = recognise_scheme(tags, _paths(train))
            scheme, evidence = found.scheme, found.evidence
        elif scheme != "plain" and (odd := _tag_with(False, tags)) is not None:
            raise errors.tags.no_prefix(_where(train, tags, odd), odd, scheme)
    if scheme == "plain":
        tags = tag_sequences(train.columns.column(TAGS))
        names = tuple(sorted(tags.names))
    else:
        types = _parsed(data, train, scheme).spans.names
        pairs = [(f"B-{kind}", f"I-{kind}") if kind else ("B", "I") for kind in types]
        names = (OUTSIDE, *(tag for pair in pairs for tag in pair))
    if len(names) < 2:
        if SPANS not in train.columns.column_names:
            raise errors.tags.no_entities(len(train))
        parsed = _parsed(data, train, scheme)
        assert parsed.alignment is not None
        counts = _span_counts(train, parsed.alignment)
        raise errors.tags.no_usable_span(counts.pop("refused"), counts)
    return names, scheme, evidence


def word_labels(
    data: DataConfig, table: Table, label_names: tuple[str, ...], scheme: str
) -> WordLabels:
    """The labels of a table.

    Args:
        data: names the columns.
        table: a table from ``word_table``.
        label_names: the tags that the model predicts, C.
        scheme: the scheme of the training rows.

    Raises:
        DataError: the tags are of another kind than those of the training rows.
    """
    learned = scheme
    scheme, evidence = _own_scheme(data, table, label_names, learned)
    found = _parsed(data, table, scheme)
    layout = layout_of(table, data)
    own = "plain" if learned == "plain" else "BIO"
    if own == "plain":
        sequences = tag_sequences(table.columns.column(TAGS))
    else:
        sequences = tags_of_spans(found.spans, found.bounds, own)
    classes = _classes(sequences, label_names)
    characters = character_spans(layout.words, found.spans)
    counts: dict[str, int] = {}
    if found.alignment is not None and found.original is not None:
        counts = _span_counts(table, found.alignment)
        characters = _with_overlapping(characters, found.original, found.alignment)
    known = {name.partition("-")[2] if own == "BIO" else name for name in label_names}
    totals = np.bincount(characters.types, minlength=len(characters.names)).tolist()
    unseen = {
        kind: count
        for kind, count in zip(characters.names, totals, strict=True)
        if count and kind not in known
    }
    return WordLabels(
        found.bounds,
        classes,
        characters,
        layout.documents,
        counts,
        found.repaired,
        unseen,
        evidence,
    )


def _own_scheme(
    data: DataConfig, table: Table, label_names: tuple[str, ...], learned: str
) -> tuple[str, str]:
    """The scheme of a table's tags, and how it was recognised (empty if it was not).

    Raises:
        DataError: the tags, with or without a prefix, are of another kind than the learned ones.
    """
    if SPANS in table.columns.column_names:
        if learned == "plain":
            raise errors.tags.other_kind(f"{_paths(table)} has character spans", learned)
        return "BIO", ""
    tags, given = tag_sequences(table.columns.column(TAGS)), data.tag_scheme
    if given != "auto" and (given == "plain") != (learned == "plain"):
        raise errors.tags.other_kind(f"data.tag_scheme is {given}", learned)
    kinds = {has_prefix(name) for name in label_names if name != OUTSIDE}
    for kind in {True, False} - kinds:
        if (odd := _tag_with(kind, tags)) is not None:
            what = f"{_where(table, tags, odd)} has the tag {odd!r}, with{'' if kind else 'out'} "
            raise errors.tags.other_kind(f"{what}a prefix of a tag scheme", learned)
    if given != "auto":
        return given, ""
    found = recognise_scheme(tags, _paths(table))
    has_entities = any(name != OUTSIDE for name in tags.names)
    return found.scheme if has_entities else learned, found.evidence


def _tag_with(prefix: bool, tags: TagSequences) -> str | None:
    """The first tag with a prefix, or the first one without, except ``O``; None without such."""
    found = (name for name in tags.names if name != OUTSIDE and has_prefix(name) == prefix)
    return next(found, None)


def _where(table: Table, tags: TagSequences, tag: str) -> str:
    """``file:line`` of the first row with a tag."""
    word = int((tags.ids == tags.names.index(tag)).argmax())
    return table.where(int(np.searchsorted(tags.bounds, word, "right")) - 1)


def _paths(table: Table) -> str:
    return ", ".join(file.path for file in table.files)


def _parsed(data: DataConfig, table: Table, scheme: str) -> _Parsed:
    layout = layout_of(table, data)
    if SPANS in table.columns.column_names:
        original = spans_of_column(table.columns.column(SPANS))
        alignment = align_spans(layout.words, original)
        return _Parsed(alignment.spans, layout.bounds, alignment, original, 0)
    tags = tag_sequences(table.columns.column(TAGS))
    found = spans_of_tags(tags, scheme)
    return _Parsed(found.spans, tags.bounds, None, None, int(found.repaired.sum()))


def _span_counts(table: Table, alignment: Alignment) -> dict[str, int]:
    """Number of spans that were kept, snapped and refused, and of refused spans by reason.

    The refused spans include those that were refused when the file was read.
    """
    counts, reasons = alignment.counts(), Counter(alignment.refusals())
    if REFUSED_SPANS in table.columns.column_names:
        refused = table.columns.column(REFUSED_SPANS).combine_chunks().flatten().to_pylist()
        counts["refused"] += len(refused)
        reasons.update(refused)
    return {**counts, **reasons}


def _classes(tags: TagSequences, label_names: tuple[str, ...]) -> Ints:
    """Index of each word's tag among the names, int64 [W]."""
    index = {name: place for place, name in enumerate(label_names)}
    places = np.array([index.get(name, NO_LABEL) for name in tags.names], dtype=np.int64)
    return places[tags.ids]


def _with_overlapping(aligned: Spans, original: Spans, alignment: Alignment) -> Spans:
    """The aligned spans, and those refused because they overlap another, in row order.

    The model cannot predict the refused ones, but they are correct: they must count as missed.
    """
    extra = original.select(np.flatnonzero(alignment.reasons == OVERLAPS))
    if not len(extra):
        return aligned
    joined = Spans(
        np.concatenate([aligned.rows, extra.rows]),
        np.concatenate([aligned.starts, extra.starts]),
        np.concatenate([aligned.ends, extra.ends]),
        np.concatenate([aligned.types, extra.types]),
        aligned.names,
    )
    return joined.select(np.lexsort((joined.ends, joined.starts, joined.rows)))

"""Tables of words for token classification: the same columns for every file format.

Rows are words with tags (CoNLL files, lists in JSON lines or Parquet) or texts with character spans
(exports of annotation tools, plain texts to predict). ``word_table`` converts all of them to the
same columns:

=================  ================  ========================================================
column             type              content
=================  ================  ========================================================
``data.text``      string            the text; for words, the words with spaces between them
``words``          list<string>      the words
``word_starts``    list<int64>       first character of each word in the text
``word_ends``      list<int64>       the index after its last character
``tags``           list<string>      the tag of each word, if the file has tags
``spans``          list<start, end,  the annotated spans in characters, if the file has spans
                   type>
``refused_spans``  list<string>      why spans of the text are not in ``spans``, one reason each,
                                     if the file is an export of an annotation tool
``document``       int64             number of the document, if the file has documents
=================  ================  ========================================================

All other columns of the file are kept.

Letters: N rows, W words.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.labels import blank
from warmstart.data.table import Table
from warmstart.data.tags.alignment import TextWords, joined_words, split_words
from warmstart.data.tags.span_formats import SPAN_TYPE
from warmstart.data.tags.spans import Bools, Ints

WORDS, STARTS, ENDS, TAGS, SPANS, REFUSED_SPANS, DOCUMENT = (
    "words",
    "word_starts",
    "word_ends",
    "tags",
    "spans",
    "refused_spans",
    "document",
)
"""Names of the columns, see above."""


@dataclass(frozen=True, slots=True)
class WordLayout:
    """The positions of a table's words in its texts.

    Args:
        rows: row ids, int64 [N].
        words: row i has the words ``words.bounds[i]`` to ``words.bounds[i + 1] - 1``.
        texts: the N texts.
        documents: document of each row, if the file has documents, int64 [N].
    """

    rows: Ints
    words: TextWords
    texts: pa.ChunkedArray
    documents: Ints | None = None

    @property
    def bounds(self) -> Ints:
        """First word of each row, and the number of words, int64 [N + 1]."""
        return self.words.bounds

    @property
    def row_of_word(self) -> Ints:
        """Position of the row that each word belongs to, int64 [W]."""
        return np.repeat(np.arange(len(self.rows)), np.diff(self.bounds))


def layout_of(table: Table, data: DataConfig) -> WordLayout:
    """The positions of a table's words.

    Args:
        table: a table from ``word_table``.
        data: names the text column.
    """
    texts = table.column(data.text, "data.text")
    starts, ends = (table.columns.column(name) for name in (STARTS, ENDS))
    counts = pc.list_value_length(starts).to_numpy().astype(np.int64)
    words = TextWords(
        pc.list_flatten(starts).to_numpy().astype(np.int64),
        pc.list_flatten(ends).to_numpy().astype(np.int64),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        pc.utf8_length(texts).to_numpy().astype(np.int64),
    )
    documents = None
    if DOCUMENT in table.columns.column_names:
        column = table.columns.column(DOCUMENT)
        if not column.null_count:
            documents = column.to_numpy().astype(np.int64)
    return WordLayout(table.rows, words, texts, documents)


def word_table(table: Table, data: DataConfig, *, labelled: bool) -> tuple[Table, dict[str, int]]:
    """The usable rows, with the columns above, and the number of rows left out.

    Args:
        table: the table as read from the files.
        data: names the columns.
        labelled: whether every row needs tags or spans.

    Returns:
        The table, and ``{"empty_text": n, "missing_label": n}``.

    Raises:
        DataError: there are no words and no text, a column has values of a wrong kind, words and
            tags differ in number, or rows are incomplete and ``data.missing`` is ``error``.
    """
    name = _named(table, data.words, WORDS)
    if name in table.columns.column_names:
        return _of_words(table, data, name, labelled=labelled)
    return _of_texts(table, data, labelled=labelled)


def stored_words(texts: pa.ChunkedArray, words: pa.ChunkedArray) -> dict[str, pa.Array]:
    """The word columns for texts and words that were stored without offsets.

    Args:
        texts: N texts.
        words: the words of each, in the order of the text.

    Raises:
        ValueError: a word does not occur in its text.

    >>> texts, words = pa.chunked_array([["to be"]]), pa.chunked_array([[["to", "be"]]])
    >>> stored_words(texts, words)["word_starts"].to_pylist()
    [[0, 3]]
    """
    starts, ends = [], []
    for text, row in zip(texts.to_pylist(), words.to_pylist(), strict=True):
        # Words from a file are joined with one space, and may be blank themselves.
        are_joined = " ".join(row) == text
        place, own = 0, []
        for word in row:
            own.append(place if are_joined else text.index(word, place))
            place = own[-1] + len(word) + are_joined
        starts.append(own)
        ends.append([start + len(word) for start, word in zip(own, row, strict=True)])
    lists = pa.list_(pa.int64())
    return {
        WORDS: words.combine_chunks(),
        STARTS: pa.array(starts, lists),
        ENDS: pa.array(ends, lists),
    }


def _named(table: Table, name: str | None, default: str) -> str:
    """The column that a setting names, if the table has it; otherwise the default one.

    A CoNLL file names its columns by numbers or in its header, and its table has default names.
    """
    return name if name is not None and name in table.columns.column_names else default


def _of_words(
    table: Table, data: DataConfig, name: str, *, labelled: bool
) -> tuple[Table, dict[str, int]]:
    """Rows of words, with tags if they are labelled."""
    words = _lists(table, name, "data.words")
    # Words may be blank (in some corpora); a row is empty only if it has no words.
    empty = np.array([not row for row in words], dtype=np.bool_)
    tags: list[list[str] | None] = [None] * len(words)
    tag_name = _named(table, data.tags, TAGS)
    if labelled:
        have = table.columns.column_names
        if tag_name not in have and DOCUMENT in have:  # a CoNLL file with words alone
            path, _, line = table.where(0).rpartition(":")
            raise errors.tags.one_column(path, int(line), str((words[0] or [""])[0]))
        tags = _lists(table, tag_name, "data.tags")
    missing = np.array([labelled and row is None for row in tags], dtype=np.bool_) & ~empty
    kept, counts = _kept(table, data, (name, "data.words"), tag_name, empty, missing)
    places = np.flatnonzero(kept)
    rows = [words[place] or [] for place in places]
    texts, found = joined_words(rows)
    columns: dict[str, Any] = {WORDS: pa.array(rows, pa.list_(pa.string()))}
    if labelled:
        own = [tags[place] or [] for place in places]
        for place, row, tagged in zip(places.tolist(), rows, own, strict=True):
            if len(row) != len(tagged):
                raise errors.tags.unequal_lengths(table.where(place), len(row), len(tagged))
        columns[TAGS] = pa.array(own, pa.list_(pa.string()))
    return _with_words(table, kept, data, texts, found, columns), counts


def _of_texts(table: Table, data: DataConfig, *, labelled: bool) -> tuple[Table, dict[str, int]]:
    """Texts, with character spans if they are labelled."""
    if data.text not in table.columns.column_names:
        path = ", ".join(file.path for file in table.files)
        raise errors.tags.no_words(data.text, table.columns.column_names, path)
    column = table.column(data.text, "data.text")
    empty = blank(column)
    missing = np.zeros(len(table), dtype=np.bool_)
    columns: dict[str, Any] = {}
    if labelled:
        have = table.columns.column_names
        # An export always has the default name, whatever the setting is.
        spans = _spans(table, SPANS if data.spans not in have and SPANS in have else data.spans)
        missing = pc.is_null(spans).to_numpy() & ~empty
        columns[SPANS] = spans
    kept, counts = _kept(table, data, (data.text, "data.text"), data.spans, empty, missing)
    texts = [text for text, keep in zip(column.to_pylist(), kept.tolist(), strict=True) if keep]
    found = split_words(texts)
    wordless = np.diff(found.bounds) == 0
    if wordless.any():  # white space that Python does not recognise, or only control characters
        counts["empty_text"] += int(wordless.sum())
        if data.missing == "error":
            place = int(np.flatnonzero(kept)[wordless.argmax()])
            total = int(wordless.sum())
            raise errors.data.empty_text(data.text, table.where(place), total, setting="data.text")
        kept[np.flatnonzero(kept)[wordless]] = False
        texts = [text for text, gone in zip(texts, wordless.tolist(), strict=True) if not gone]
        found = split_words(texts)
    if SPANS in columns:
        columns[SPANS] = columns[SPANS].filter(pa.array(kept))
    columns[WORDS] = pa.array(found.texts(texts), pa.list_(pa.string()))
    return _with_words(table, kept, data, texts, found, columns), counts


def _kept(
    table: Table,
    data: DataConfig,
    content: tuple[str, str],
    label: str,
    empty: Bools,
    missing: Bools,
) -> tuple[Bools, dict[str, int]]:
    """Which rows are kept, bool [N], and the number of the others by reason."""
    counts = {"empty_text": int(empty.sum()), "missing_label": int(missing.sum())}
    if data.missing == "error":
        if empty.any():
            name, setting = content
            where = table.where(int(empty.argmax()))
            raise errors.data.empty_text(name, where, counts["empty_text"], setting=setting)
        if missing.any():
            where = table.where(int(missing.argmax()))
            raise errors.labels.missing_label(label, where, counts["missing_label"])
    kept = ~(empty | missing)
    if not kept.any():
        raise errors.data.nothing_left(len(table), {content[1]: content[0]}, setting=table.setting)
    return kept, counts


def _with_words(
    table: Table,
    kept: Bools,
    data: DataConfig,
    texts: list[str],
    words: TextWords,
    columns: dict[str, Any],
) -> Table:
    """The kept rows with the word columns."""
    offsets = pa.array(words.bounds, pa.int32())
    columns = {
        data.text: pa.array(texts, pa.string()),
        **columns,
        STARTS: pa.ListArray.from_arrays(offsets, pa.array(words.starts)),
        ENDS: pa.ListArray.from_arrays(offsets, pa.array(words.ends)),
    }
    rest = table.filter(kept)
    others = {name: rest.columns.column(name) for name in rest.columns.column_names}
    return replace(rest, columns=pa.table({**others, **columns}))


def _lists(table: Table, name: str, setting: str) -> list[list[str] | None]:
    """Lists of texts, from a list column or from JSON texts; None for missing values."""
    column = table.column(name, setting)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        try:
            texts: list[list[str] | None] = column.cast(pa.list_(pa.string())).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise errors.data.not_text(name, str(column.type), setting=setting) from None
        return texts
    return _from_json(table, column, name, setting, _is_text_list)


def _spans(table: Table, name: str) -> pa.ChunkedArray:
    """Character spans, from a column of spans or from JSON texts; null for missing values."""
    column = table.column(name, "data.spans")
    if column.type == SPAN_TYPE:
        return column
    values = _from_json(table, column, name, "data.spans", _is_span_list)
    spans = [None if row is None else [_plain(one) for one in row] for row in values]
    return pa.chunked_array([pa.array(spans, SPAN_TYPE)])


def _from_json(
    table: Table,
    column: pa.ChunkedArray,
    name: str,
    setting: str,
    fits: Callable[[Any], bool],
) -> list[Any]:
    """The values of a column of JSON texts or Arrow lists, each one checked."""
    nested = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if not nested and not pa.types.is_string(column.type):
        raise errors.data.not_text(name, str(column.type), setting=setting)
    values: list[Any] = []
    for place, given in enumerate(column.to_pylist()):
        if given is None or (isinstance(given, str) and not given.strip()):
            values.append(None)
            continue
        try:
            value = json.loads(given) if isinstance(given, str) else given
        except (ValueError, RecursionError):
            value = None
        if value is None or not fits(value):
            raise errors.tags.not_a_list(table.where(place), name, str(given), setting)
        values.append(value)
    return values


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _plain(span: Any) -> dict[str, Any]:
    """A span with the default keys, from a list of three values or from an object."""
    if isinstance(span, dict):
        kind = span.get("type", span.get("label"))
        return {"start": span["start"], "end": span["end"], "type": kind}
    return dict(zip(("start", "end", "type"), span, strict=True))


def _is_span_list(value: Any) -> bool:
    def is_span(one: Any) -> bool:
        if isinstance(one, dict):
            kind = one.get("type", one.get("label"))
            return isinstance(kind, str) and all(
                isinstance(one.get(n), int) for n in ("start", "end")
            )
        return (
            isinstance(one, list)
            and len(one) == 3
            and all(isinstance(place, int) for place in one[:2])
            and isinstance(one[2], str)
        )

    return isinstance(value, list) and all(map(is_span, value))

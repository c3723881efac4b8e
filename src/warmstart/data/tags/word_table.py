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
                                     or of texts without words before it that were left out
``document``       int64 or string   the document, if the file has documents
=================  ================  ========================================================

Words and tags are used if the file has both, otherwise texts and spans; a note tells what is not
read. All other columns of the file are kept.

Letters: N rows, W words.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.labels import blank
from warmstart.data.named_labels import named_tags
from warmstart.data.table import Table
from warmstart.data.tags.alignment import TextWords, joined_words, split_words
from warmstart.data.tags.documents import DOCUMENT, document_numbers, is_conll
from warmstart.data.tags.list_columns import holds_lists, span_lists, text_lists
from warmstart.data.tags.span_formats import REFUSED_SPANS, SPANS, is_export
from warmstart.data.tags.spans import Bools, Ints

WORDS, STARTS, ENDS, TAGS = (
    "words",
    "word_starts",
    "word_ends",
    "tags",
)
"""Names of the columns, see above."""

ANSWER, ANSWERS, REJECTED = "answer", ("accept", "reject", "ignore"), ("reject", "ignore")
"""Prodigy's column with the decision of the annotator, its values, and those of rows not to use."""

NO_WORDS = "in a text without words"
"""Why the spans of a text that was left out are refused."""


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
        documents = document_numbers(table.columns.column(DOCUMENT))
    return WordLayout(table.rows, words, texts, documents)


def word_table(table: Table, data: DataConfig, *, labelled: bool) -> tuple[Table, dict[str, int]]:
    """The usable rows, with the columns above, and the number of rows left out.

    Args:
        table: the table as read from the files.
        data: names the columns.
        labelled: whether every row needs tags or spans.

    Returns:
        The table, and ``{"empty_text": n, "missing_label": n}``, with ``"not_annotated": n`` if
        annotators did not finish or rejected some texts.

    Raises:
        DataError: there are no words and no text, a column that was named does not exist or has
            values of a wrong kind, words and tags differ in number, or rows are incomplete and
            ``data.missing`` is ``error``.
    """
    if labelled:
        table, rejected = _without_rejected(table)
    else:
        rejected = 0
    if _reads_words(table, data, labelled=labelled):
        names = data.words or WORDS, data.tags or TAGS
        if is_conll(table.columns):  # the columns that were chosen now have these names
            names = WORDS, TAGS
        used, counts = _of_words(table, data, *names, labelled=labelled)
    else:
        used, counts = _of_texts(table, data, labelled=labelled)
    return used, counts | ({"not_annotated": rejected} if rejected else {})


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


def _reads_words(table: Table, data: DataConfig, *, labelled: bool) -> bool:
    """Whether to read words with tags, and not texts with spans.

    Raises:
        DataError: a setting names a column that does not exist or would not be read.
    """
    have = table.columns.column_names
    if is_conll(table.columns):
        reads_words = True
    elif data.words is not None:
        # A model that learned from lists of words can also predict texts.
        reads_words = labelled or data.words in have or data.text not in have
    elif WORDS not in have or (data.text in have and not holds_lists(table, WORDS)):
        reads_words = False
    elif data.spans != SPANS and data.tags is None:
        reads_words = data.spans not in have
    else:
        reads_words = data.tags is not None or TAGS in have or not {data.text, SPANS} <= {*have}
    if labelled:
        _refuse_unused(table, data, reads_words=reads_words)
    return reads_words


def _refuse_unused(table: Table, data: DataConfig, *, reads_words: bool) -> None:
    """Raise if a setting names a column that does not exist or that is not read."""
    have = [name for name in table.columns.column_names if name != REFUSED_SPANS]
    others: dict[str, str | None]
    if reads_words:
        form, read, others = "words and tags", ["words", "tags"], {"spans": SPANS, "text": "text"}
    else:
        form, read = "texts with spans", ["spans"]
        others = {"words": None, "tags": None, "tag_scheme": "auto", "label_names": None}
    for name, default in others.items():
        if (value := getattr(data, name)) != default:
            setting = f"data.{name}"
            raise errors.tags.unused_column(_paths(table), setting, value, default, have, form)
    if is_conll(table.columns):  # its columns were chosen by number or name when it was read
        return
    for name in read:
        value = getattr(data, name)
        unset = None if reads_words else SPANS
        if value != unset and (value not in have or is_export(table.columns)):
            setting = f"data.{name}"
            raise errors.tags.no_list_column(_paths(table), setting, value, unset, have)


def _without_rejected(table: Table) -> tuple[Table, int]:
    """The rows that an annotator finished and accepted, and the number of the others.

    The others are texts without spans in an export, and rows of Prodigy with such an ``answer``.
    """
    if is_export(table.columns):
        gone = table.columns.column(SPANS).is_null()
    elif ANSWER in table.columns.column_names:
        answers = table.columns.column(ANSWER)
        is_text = pa.types.is_string(answers.type)
        if not is_text or not set(answers.unique().to_pylist()) <= {*ANSWERS, None}:
            return table, 0
        gone = pc.is_in(answers, pa.array(REJECTED))
    else:
        return table, 0
    kept = ~gone.to_numpy().astype(np.bool_)
    if not kept.any():
        raise errors.tags.no_records(_paths(table))
    return (table if kept.all() else table.filter(kept)), int((~kept).sum())


def _paths(table: Table) -> str:
    return ", ".join(file.path for file in table.files)


def _of_words(
    table: Table, data: DataConfig, name: str, tag_name: str, *, labelled: bool
) -> tuple[Table, dict[str, int]]:
    """Rows of words, with tags if they are labelled."""
    words = text_lists(table, name, "data.words")
    # Words may be blank (in some corpora); a row is empty only if it has no words.
    empty = np.array([not row for row in words], dtype=np.bool_)
    tags: list[list[str] | None] = [None] * len(words)
    if labelled:
        if tag_name not in table.columns.column_names and is_conll(table.columns):
            path, _, line = table.where(0).rpartition(":")
            raise errors.tags.one_column(path, int(line), str((words[0] or [""])[0]))
        tags = named_tags(text_lists(table, tag_name, "data.tags"), data, table)
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
        if SPANS in table.columns.column_names:
            note = f"Words and tags are read; the column {SPANS!r} is not."
            files = tuple(replace(file, notes=(*file.notes, note)) for file in table.files)
            table = replace(table, files=files)
    return _with_words(table, kept, data, texts, found, columns), counts


def _of_texts(table: Table, data: DataConfig, *, labelled: bool) -> tuple[Table, dict[str, int]]:
    """Texts, with character spans if they are labelled."""
    if data.text not in table.columns.column_names:
        raise errors.tags.no_words(data.text, table.columns.column_names, _paths(table))
    column = table.column(data.text, "data.text")
    empty = blank(column)
    missing = np.zeros(len(table), dtype=np.bool_)
    columns: dict[str, Any] = {}
    if labelled:
        spans = span_lists(table, data.spans)
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
        columns |= _spans_of_kept(table, columns[SPANS], kept)
    columns[WORDS] = pa.array(found.texts(texts), pa.list_(pa.string()))
    return _with_words(table, kept, data, texts, found, columns), counts


def _spans_of_kept(table: Table, spans: pa.ChunkedArray, kept: Bools) -> dict[str, Any]:
    """The spans of the kept rows, and the reasons for all spans that are not among them.

    The spans of a row that is left out are counted in the next kept row (or in the last one), so
    that kept, snapped and refused spans of all splits add up to the spans of the files.
    """
    reasons: list[list[str]] = [[] for _ in range(len(table))]
    if is_export(table.columns):
        reasons = table.columns.column(REFUSED_SPANS).to_pylist()
    places = np.flatnonzero(kept)
    lengths = pc.list_value_length(spans).fill_null(0).to_numpy()
    for row in np.flatnonzero(~kept).tolist():
        lost = [*reasons[row], *[NO_WORDS] * int(lengths[row])]
        next_kept = min(int(np.searchsorted(places, row)), len(places) - 1)
        reasons[int(places[next_kept])] += lost
    own = pa.array([reasons[place] for place in places], pa.list_(pa.string()))
    return {SPANS: spans.filter(pa.array(kept)), REFUSED_SPANS: own}


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
    # The file's own columns with these names have another meaning, or are not read.
    names = set(rest.columns.column_names) - {WORDS, STARTS, ENDS, TAGS, SPANS, REFUSED_SPANS}
    others = {
        name: rest.columns.column(name) for name in rest.columns.column_names if name in names
    }
    return replace(rest, columns=pa.table({**others, **columns}))

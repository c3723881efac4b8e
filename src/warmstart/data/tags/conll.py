r"""CoNLL files: one word per line with its tag, a blank line after each sentence.

::

    -DOCSTART- -X- O O        a document begins (also "# newdoc" and "#begin document")

    # a comment               begins with #, before a sentence, with another number of columns
    EU NNP B-NP B-ORG
    rejects VBZ B-VP O

The first line with a word determines the layout: columns are separated by tabs if the line has a
tab, otherwise by one or more spaces, and every other line must have the same number of columns.
Columns are selected by number (from 1; -1 is the last) or by name. Names come from the settings,
from a header line with all the requested names, from ``# global.columns`` (CoNLL-U Plus) or, in a
CoNLL-U file, from the format. There, word ranges (``1-2``) and empty words (``8.1``) are skipped
and counted.

Lines count from 1 and end in LF, CR LF or CR.

Source: CoNLL-2003 shared task (Tjong Kim Sang & De Meulder 2003); universaldependencies.org,
"CoNLL-U Format" and "CoNLL-U Plus Format".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.data.tags.spans import Ints

DOCUMENT_START = "-DOCSTART-"

CONLLU = tuple("ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split())
"""Columns of a CoNLL-U file."""

OPTIONAL = "optional"
"""See ``ConllColumns.tags``."""

_DOCUMENT_COMMENT = re.compile(r"#\s*(newdoc|begin document)\b")
_COLUMNS_COMMENT = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_SPACES = re.compile(" +")
_BYTE_ORDER_MARK = "\ufeff"
_BAD_IN_WORD = re.compile(r"[\t\r\n]|^-DOCSTART-(\s|$)")


@dataclass(frozen=True, slots=True)
class ConllColumns:
    """Which columns to read.

    Args:
        words: name or number of the column with the words.
        tags: name or number of the column with the tags; ``None`` reads no tags, and ``OPTIONAL``
            reads the last column, unless the file has only one.
        names: names of all columns, for a file without a header.
        words_setting: the setting that named ``words``, for messages.
        tags_setting: the setting that named ``tags``.
    """

    words: str | int = 1
    tags: str | int | None = -1
    names: Sequence[str] | None = None
    words_setting: str = "data.words"
    tags_setting: str = "data.tags"


@dataclass(frozen=True, slots=True)
class ConllFile:
    """N sentences.

    Args:
        columns: ``words`` list<string>, ``tags`` list<string> (unless no tags were requested) and
            ``document`` int64, the number of the sentence's document from 0, or null in a file
            without document borders.
        lines: line of each sentence's first word, int64 [N].
        notes: how the file was read and what was skipped, one sentence each.
    """

    columns: pa.Table
    lines: Ints
    notes: tuple[str, ...]


def read_conll(blocks: Iterable[bytes], path: str, columns: ConllColumns) -> ConllFile:
    r"""The sentences of a CoNLL file.

    Args:
        blocks: the file in UTF-8, in blocks of whole lines.
        path: the file, for messages.
        columns: which columns to read.

    Raises:
        DataError: no sentence, an unknown column, or a line with a different number of columns or
            with an empty tag.

    >>> found = read_conll([b"EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n"], "a.conll", ConllColumns())
    >>> found.columns["words"].to_pylist(), found.lines.tolist()
    ([['EU', 'rejects'], ['Peter']], [1, 4])
    """
    reader = _Reader(path, columns)
    for block in blocks:
        reader.feed(block.decode())
    return reader.finished()


def conll_lines(
    words: Iterable[Sequence[str]],
    tags: Iterable[Sequence[str]],
    documents: Iterable[int | None] | None = None,
) -> Iterator[str]:
    r"""Format words and tags as a CoNLL file with two columns, one sentence at a time.

    A sentence without words cannot be written and gives an empty text.

    Args:
        words: words of each sentence.
        tags: tags of each sentence, one for each word.
        documents: document of each sentence; a document border is written when it changes.

    Raises:
        DataError: a word that the format cannot contain.

    >>> "".join(conll_lines([["EU"], ["Peter", "Blackburn"]], [["B-ORG"], ["B-PER", "I-PER"]]))
    'EU\tB-ORG\n\nPeter\tB-PER\nBlackburn\tI-PER\n\n'
    """
    last: int | None = None
    pairs = zip(words, tags, strict=True)
    every = zip(pairs, repeat(None) if documents is None else documents, strict=False)
    for number, ((sentence, labels), document) in enumerate(every, 1):
        for word in sentence:
            if _BAD_IN_WORD.search(word):
                raise errors.tags.unwritable_word(number, word)
        lines = [f"{word}\t{tag}\n" for word, tag in zip(sentence, labels, strict=True)]
        if lines and document is not None and document != last:
            lines.insert(0, f"{DOCUMENT_START}\tO\n\n")
            last = document
        yield "".join([*lines, "\n"]) if lines else ""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How to read the lines of one file."""

    separator: str
    """A tab or a space."""
    width: int
    """Number of columns."""
    line: int
    """Number of the line that determined the layout."""
    words: int
    """Position of the column from 0."""
    tags: int | None
    is_header: bool
    """Whether that line is a header."""
    has_ids: bool
    """Whether the first column is the number of the word, as in CoNLL-U."""

    def fields(self, line: str) -> list[str]:
        """The columns of a line."""
        return line.split("\t") if self.separator == "\t" else _SPACES.split(line.strip(" "))


@dataclass(slots=True)
class _Reader:
    """Collect sentences line by line; ``words`` and ``tags`` have those not yet in a table."""

    path: str
    columns: ConllColumns
    layout: _Layout | None = None
    names: tuple[str, ...] | None = None
    """From ``# global.columns``."""
    line: int = 0
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    bounds: list[int] = field(default_factory=lambda: [0])
    lines: list[int] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    all_lines: list[Ints] = field(default_factory=list)
    document: int = 0
    is_new_document: bool = True
    borders: int = 0
    comments: int = 0
    skipped: int = 0
    empty: int = 0

    def feed(self, text: str) -> None:
        """Read the next lines."""
        if not self.line:
            text = text.removeprefix(_BYTE_ORDER_MARK)
        pieces = _LINE_END.split(text) if "\r" in text else text.split("\n")
        if not pieces[-1]:
            pieces.pop()  # after the last line end
        if self.layout is None:
            self._decide(pieces)
        layout = self.layout
        for number, line in enumerate(pieces, self.line + 1):
            if not line or line.isspace():
                self._end_sentence()
            elif layout is None or line.startswith(("#", DOCUMENT_START)):
                self._special(line, number)
            else:
                self._word(layout, line, number)
        self.line += len(pieces)
        self._flush()

    def finished(self) -> ConllFile:
        """Every sentence that was read."""
        self._end_sentence()
        self._flush()
        if not self.tables or self.layout is None:
            raise errors.tags.no_sentences(self.path)
        table = pa.concat_tables(self.tables)
        if not self.borders:
            position = table.column_names.index("document")
            nulls = pa.nulls(table.num_rows, pa.int64())
            table = table.set_column(position, "document", nulls)
        return ConllFile(table, np.concatenate(self.all_lines), tuple(self._notes(self.layout)))

    def _word(self, layout: _Layout, line: str, number: int) -> None:
        """Add the word of a line."""
        fields = layout.fields(line)
        if len(fields) != layout.width:
            raise errors.tags.column_count(
                self.path, number, line, len(fields), layout.width, layout.line
            )
        if layout.is_header and number == layout.line:
            return
        if layout.has_ids and not fields[0].isdecimal():
            self.skipped += 1
            return
        # The word unchanged: in a file with tabs it may be empty or a space (a lost emoji).
        word = fields[layout.words]
        tag = fields[layout.tags].strip(" ") if layout.tags is not None else "O"
        if not tag:
            raise errors.tags.empty_tag(self.path, number)
        self.empty += not word.strip(" ")
        if len(self.words) == self.bounds[-1]:
            self._begin_sentence(number)
        self.words.append(word)
        self.tags.append(tag)

    def _special(self, line: str, number: int) -> None:
        """A line that begins with #: a document border, a comment, or a word."""
        begins = len(self.words) == self.bounds[-1]
        if line.split()[0] == DOCUMENT_START:
            self._end_sentence()
            self._begin_document()
            return
        layout = self.layout
        is_word = layout is not None and len(layout.fields(line)) == layout.width
        if layout is not None and (is_word or not begins or not line.startswith("#")):
            self._word(layout, line, number)
            return
        self.comments += 1
        if _DOCUMENT_COMMENT.match(line):
            self._begin_document()

    def _begin_document(self) -> None:
        self.borders += 1
        if not self.is_new_document:
            self.document += 1
            self.is_new_document = True

    def _begin_sentence(self, number: int) -> None:
        self.lines.append(number)
        self.documents.append(self.document)
        self.is_new_document = False

    def _end_sentence(self) -> None:
        if len(self.words) > self.bounds[-1]:
            self.bounds.append(len(self.words))

    def _flush(self) -> None:
        """Move the sentences that have ended to a table."""
        count, end = len(self.bounds) - 1, self.bounds[-1]
        if not count:
            return
        bounds = pa.array(self.bounds, pa.int32())
        lists = {"words": pa.ListArray.from_arrays(bounds, pa.array(self.words[:end], pa.string()))}
        if self.layout is not None and self.layout.tags is not None:
            flat = pa.array(self.tags[:end], pa.string())
            lists["tags"] = pa.ListArray.from_arrays(bounds, flat)
        documents = pa.array(self.documents[:count], pa.int64())
        self.tables.append(pa.table({**lists, "document": documents}))
        self.all_lines.append(np.array(self.lines[:count], np.int64))
        del self.words[:end], self.tags[:end]
        del self.lines[:count], self.documents[:count]
        self.bounds = [0]

    def _decide(self, lines: Sequence[str]) -> None:
        """Set the layout from the first line with a word, if these lines have one."""
        filled = [(n, line) for n, line in enumerate(lines, self.line + 1) if line.strip()]
        inside = [(n, line) for n, line in filled if line.split()[0] != DOCUMENT_START]
        for _, line in inside:
            if found := _COLUMNS_COMMENT.match(line):
                self.names = tuple(found[1].split())
        # A line that begins with # is used only if there is no other line.
        ordinary = ((n, line) for n, line in inside if not line.startswith("#"))
        first = next(ordinary, None) or next(((n, x) for n, x in inside if "\t" in x), None)
        if first is not None:
            self.layout = _layout(self.path, *first, self.columns, self.names)

    def _notes(self, layout: _Layout) -> Iterator[str]:
        separator = "tabs" if layout.separator == "\t" else "spaces"
        shown = [f"words from column {layout.words + 1}"]
        if layout.tags is not None:
            shown.append(f"tags from column {layout.tags + 1}")
        width = f"{layout.width} column{'s' * (layout.width > 1)}"
        yield f"CoNLL file with {width} separated by {separator}: {', '.join(shown)}."
        if self.borders:
            yield f"Documents: {self.document + (not self.is_new_document):,}."
        if self.comments:
            yield f"Comment lines skipped: {self.comments:,}."
        if self.empty:
            yield f"Empty words, kept because each has a tag: {self.empty:,}."
        if self.skipped:
            yield f"Lines skipped, with a range of words or a word left out: {self.skipped:,}."


def _layout(
    path: str, number: int, line: str, columns: ConllColumns, global_names: Sequence[str] | None
) -> _Layout:
    """The layout that follows from the first line with a word."""
    separator = "\t" if "\t" in line else " "
    cells = line.split("\t") if separator == "\t" else _SPACES.split(line.strip(" "))
    fields = [cell.strip(" ") for cell in cells]
    is_conllu = separator == "\t" and len(fields) == len(CONLLU) and fields[0][:1].isdecimal()
    wanted: str | int | None = columns.tags
    if wanted == OPTIONAL:
        wanted = -1 if len(fields) > 1 else None
    asked = [one for one in (columns.words, wanted) if one is not None]
    named = {str(one) for one in asked if _number(one) is None}
    is_header = columns.names is None and bool(named) and named <= set(fields)
    names: Sequence[str] = columns.names or global_names or (CONLLU if is_conllu else ())
    if is_header:
        names, is_conllu = fields, False
    elif names and len(names) != len(fields):
        raise errors.tags.name_count(path, number, line, len(fields), names)
    words = _position(path, columns.words, names, fields, columns.words_setting)
    tags = None
    if wanted is not None:
        if len(fields) == 1:
            raise errors.tags.one_column(path, number, line)
        tags = _position(path, wanted, names, fields, columns.tags_setting)
        if tags == words:
            raise errors.tags.same_column(
                path, words + 1, columns.words_setting, columns.tags_setting
            )
    has_ids = is_conllu or (names is global_names and names[0] == "ID")
    return _Layout(separator, len(fields), number, words, tags, is_header, has_ids)


def _number(column: str | int) -> int | None:
    """The number of a column, if the column is given as a number or as a number in text."""
    if isinstance(column, int):
        return column
    return int(column) if re.fullmatch(r"-?\d+", column) else None


def _position(
    path: str, column: str | int, names: Sequence[str], fields: Sequence[str], setting: str
) -> int:
    """The index of a column, from 0."""
    if str(column) in names:
        return list(names).index(str(column))
    number = _number(column)
    if number is None:
        raise errors.tags.no_such_column(path, str(column), names, fields, setting)
    if number == 0 or abs(number) > len(fields):
        raise errors.tags.no_such_number(path, number, len(fields), setting)
    return number - 1 if number > 0 else number + len(fields)

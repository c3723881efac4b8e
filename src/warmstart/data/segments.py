"""Cut documents into segments and pair them: next neighbours, or segments of different documents.

A *sentence* is a line of a document. A document of one line, and a line that is longer than a
segment, are cut where sentences end: after ``.``, ``!``, ``?`` or ``…`` before white space, and
after their Chinese forms. The rule is simple: it also cuts after an abbreviation (``Dr. Smith``).
A *segment* is as many successive sentences as fit into ``data.segment_characters``, at least one; a
document that would be a single segment is cut in the middle. Each segment with a next one is a row.

Half of the rows keep their next segment; the others get a random segment of another document, one
that is itself the next segment of a row. So the second segments of both halves have the same
distribution, and only the relation of the two segments tells the halves apart. Which rows these are
is a function of seed, epoch and row id; in evaluation it is always the same.

Letters: N rows, D documents.

Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 2 (next sentence prediction).
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.masking import FIXED, Draw, random_bits, row_states
from warmstart.data.examples.tokens import Ints
from warmstart.data.labels import rows_with_text
from warmstart.data.mapped import mapped_table
from warmstart.data.split import groups_of
from warmstart.data.table import Table

PAIR_COLUMN, DOCUMENT_COLUMN = "next_text", "document"
"""The columns of pairs of segments, unless ``data.text_pair`` and ``data.group`` name others."""
FOLLOWING = "the next segment"
"""The column with the true next segment of each row, also of rows with a random one."""
LABELS = ("IsNext", "NotNext")
"""The labels, in the order of the logits of Transformers' models."""

_LINE = re.compile(r"\S[^\r\n]*")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”’）\"']*")
_DOCUMENTS_AT_ONCE = 256

Span = tuple[int, int]


def sentences(text: str, longest: int) -> list[Span]:
    r"""The start and stop of each sentence of a document.

    Args:
        text: a document.
        longest: a line with more characters is cut into sentences.

    >>> text = "He came. Did she?\nYes."
    >>> [text[start:stop] for start, stop in sentences(text, longest=20)]
    ['He came. Did she?', 'Yes.']
    >>> [text[start:stop] for start, stop in sentences(text, longest=10)]
    ['He came.', 'Did she?', 'Yes.']
    """
    lines = [found.span() for found in _LINE.finditer(text)]
    spans = []
    for start, stop in lines:
        ends = [stop]
        if len(lines) == 1 or stop - start > longest:
            ends = [found.end() for found in _SENTENCE_END.finditer(text, start, stop)] + ends
        for begin, end in zip([start, *ends], ends, strict=False):
            part = text[begin:end]
            if part.strip():
                spans.append((end - len(part.lstrip()), begin + len(part.rstrip())))
    return spans


def text_segments(text: str, longest: int) -> list[str]:
    """The segments of a document; one if it has a single sentence, none if it is empty.

    Args:
        text: a document.
        longest: largest number of characters of a segment of several sentences.

    >>> text_segments("One. Two. Three. Four.", longest=10)
    ['One. Two.', 'Three.', 'Four.']
    >>> text_segments("One. Two. Three. Four.", longest=100)
    ['One. Two.', 'Three. Four.']
    """
    spans = sentences(text, longest)
    found: list[Span] = []
    for start, stop in spans:
        if found and stop - found[-1][0] <= longest:
            found[-1] = found[-1][0], stop
        else:
            found.append((start, stop))
    if len(found) == 1 and len(spans) > 1:
        middle = (spans[0][0] + spans[-1][1]) / 2
        cut = 1 + int(np.argmin([abs(stop - middle) for _, stop in spans[:-1]]))
        found = [(spans[0][0], spans[cut - 1][1]), (spans[cut][0], spans[-1][1])]
    return [text[start:stop] for start, stop in found]


def document_pairs(table: Table, data: DataConfig) -> tuple[Table, dict[str, int]]:
    """A row for each segment that has a next one in its document, and the next one beside it.

    Args:
        table: documents as read from the files.
        data: names the columns, and the length of the segments.

    Returns:
        The rows, each with the line of its document and the label ``IsNext``; and the number of
        documents left out for each reason.

    Raises:
        DataError: no document has two sentences, a column is missing, or the column for the second
            segments exists.
    """
    assert data.text_pair is not None, "the task sets it"
    if data.text_pair in table.columns.column_names:
        raise errors.unlearnable.documents_with_pairs(table.files[0].path, data.text_pair)
    documents, counts = rows_with_text(table, data.model_copy(update={"text_pair": None}))
    sources: list[Ints] = []
    names = [data.text, data.text_pair]
    schema = pa.schema([(name, pa.string()) for name in names])
    columns = mapped_table(_batches(documents, data, schema, sources), schema)
    source = np.concatenate(sources)  # the document of each row, [N]
    single = len(documents) - len(np.unique(source))
    if not len(source):
        raise errors.unlearnable.only_single_sentences(
            table.setting, len(documents), documents.where(0)
        )
    group = data.group or DOCUMENT_COLUMN
    if group in documents.columns.column_names:
        values = documents.column(group, "data.group").take(pa.array(source))
    elif group == DOCUMENT_COLUMN:
        values = pa.array(documents.rows[source]).cast(pa.string())
    else:
        documents.column(group, "data.group")  # fails: there is no such column
    columns = columns.append_column(group, values)
    # The rows of a file are its pairs, so that a row id leads to a file.
    of_files = np.bincount(documents.file_index[source], minlength=len(documents.files)).tolist()
    files = zip(documents.files, of_files, strict=True)
    pairs = Table(
        columns=columns.append_column(data.label, _labels(np.zeros(len(source), np.int64))),
        rows=np.arange(len(source), dtype=np.int64),
        files=tuple(replace(file, rows=count) for file, count in files),
        file_index=documents.file_index[source],
        lines=documents.lines[source],
        setting=documents.setting,
    )
    return pairs, {**counts, "one_sentence": single}


def _batches(
    documents: Table, data: DataConfig, schema: pa.Schema, sources: list[Ints]
) -> Iterator[pa.RecordBatch]:
    """The pairs of successive segments; the index of the document of each goes into ``sources``."""
    start = 0
    for texts in documents.chunks({"data.text": data.text}, _DOCUMENTS_AT_ONCE):
        of_texts = [text_segments(text, data.segment_characters) for text in texts]
        firsts = [one for found in of_texts for one in found[:-1]]
        seconds = [one for found in of_texts for one in found[1:]]
        pairs = [max(len(found) - 1, 0) for found in of_texts]
        sources.append(np.repeat(np.arange(start, start + len(texts)), pairs))
        yield pa.record_batch([pa.array(one, pa.string()) for one in (firsts, seconds)], schema)
        start += len(texts)


def _labels(classes: Ints) -> pa.Array:
    return pa.array(LABELS, pa.string()).take(pa.array(classes))


def drawn_pairs(table: Table, data: DataConfig) -> Table:
    """The rows of a split as they are evaluated: half with their next segment.

    Args:
        table: rows of ``document_pairs``, those of one split.
        data: names the columns.

    Returns:
        The table with the drawn second segments and labels, and with the column ``FOLLOWING``.

    Raises:
        DataError: all rows are from one document.
    """
    assert data.text_pair is not None, "the task sets it"
    assert data.group is not None, "the task sets it"
    documents = groups_of(table, data.group)
    if not documents.any():
        raise errors.unlearnable.one_document(table.setting, len(table), table.where(0))
    partners, classes = draw_partners(table.rows, documents, FIXED)
    following = table.column(data.text_pair, "data.text_pair")
    columns = table.columns
    new = {data.text_pair: following.take(pa.array(partners)), data.label: _labels(classes)}
    for name, values in new.items():
        columns = columns.set_column(columns.column_names.index(name), name, values)
    columns = columns.append_column(FOLLOWING, following)
    return replace(table, columns=columns)


def draw_partners(rows: Ints, documents: Ints, draw: Draw) -> tuple[Ints, Ints]:
    """The row whose next segment each row gets, its own in half of the cases; and the labels.

    Args:
        rows: row ids, int64 [N].
        documents: the document of each row, a number from 0, int64 [N]; if there is only one, all
            rows keep their next segment.
        draw: seed and epoch.

    Returns:
        Positions of rows, int64 [N]; and index among ``LABELS``, int64 [N].
    """
    states = row_states(draw, rows, np.zeros_like(rows))
    coins = random_bits(states, np.zeros_like(rows))
    classes = (coins >> np.uint64(63)).astype(np.int64)
    # Rows in the order of their documents: those of another document are before or after the own.
    order = np.argsort(documents, kind="stable")
    sizes = np.bincount(documents)
    start, size = (np.cumsum(sizes) - sizes)[documents], sizes[documents]
    others = len(rows) - size
    classes[others == 0] = 0
    choices = np.maximum(others, 1).astype(np.uint64)
    place = (random_bits(states, np.ones_like(rows)) % choices).astype(np.int64)
    place = np.where(place < start, place, place + size)
    partners = order[np.minimum(place, len(rows) - 1)]  # above it only without another document
    return np.where(classes == 0, np.arange(len(rows)), partners), classes

"""Documents: rows that belong together, so that intervals are computed over documents.

A CoNLL file numbers its documents from 0 if it has borders. Any other file may have a column
``document``: rows with the same value belong to the same document, in all files.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from warmstart.data.tags.spans import Ints

DOCUMENT = "document"
"""Name of the column."""

ONE_DOCUMENT = "No document borders: the file is one document, because another file has borders."
"""Note on a CoNLL file without borders that is read with others that have them."""


def is_conll(table: pa.Table) -> bool:
    """Whether a table was read from CoNLL files.

    Only their documents are numbers: scalars of all other formats are read as texts.

    Args:
        table: the columns of one or several files.
    """
    schema = table.schema
    return DOCUMENT in schema.names and schema.field(DOCUMENT).type == pa.int64()


def labelled_form(table: pa.Table) -> str | None:
    """What a table has labels for, if it can be used for token classification; otherwise None.

    Args:
        table: the columns of one or several files.

    >>> labelled_form(pa.table({"words": [["Anna"]], "tags": [["B-PER"]]}))
    'words with tags'
    """
    have = set(table.column_names)
    if is_conll(table) or {"words", "tags"} <= have:
        return "words with tags"
    return "texts with spans" if {"text", "spans"} <= have else None


def joined_documents(tables: Sequence[pa.Table]) -> tuple[list[pa.Table], list[bool]]:
    """Number the documents of several files consecutively.

    If some CoNLL files have document borders, every CoNLL file without them is one document.

    Args:
        tables: the columns of each file.

    Returns:
        The tables, and for each whether it counts as one document because it has no borders.

    >>> files = [pa.table({"document": pa.array(ids, pa.int64())}) for ids in ([0, 1], [0])]
    >>> [table["document"].to_pylist() for table in joined_documents(files)[0]]
    [[0, 1], [2]]
    """
    known = [is_conll(table) and not table[DOCUMENT].null_count for table in tables]
    if not any(known):
        return list(tables), [False] * len(tables)
    joined, first = [], 0
    for table, has_borders in zip(tables, known, strict=True):
        if not is_conll(table):
            joined.append(table)
            continue
        own = np.zeros(len(table), np.int64)
        if has_borders:
            own = table[DOCUMENT].to_numpy()
        place = table.column_names.index(DOCUMENT)
        joined.append(table.set_column(place, DOCUMENT, pa.array(own + first, pa.int64())))
        first += int(own.max()) + 1
    return joined, [
        is_conll(table) and not has_borders
        for table, has_borders in zip(tables, known, strict=True)
    ]


def document_numbers(column: pa.ChunkedArray) -> Ints | None:
    """The document of each row as a number, int64 [N]; None if no row has one.

    Args:
        column: N numbers or texts; a row without a value is a document of its own.

    >>> document_numbers(pa.chunked_array([["b", None, "a", "b"]])).tolist()
    [0, 2, 1, 0]
    """
    if column.null_count == len(column) or pa.types.is_nested(column.type):
        return None
    if pa.types.is_integer(column.type) and not column.null_count:
        numbers: Ints = column.to_numpy().astype(np.int64)
        return numbers
    encoded = column.combine_chunks().dictionary_encode()
    numbers = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    missing = numbers < 0
    numbers[missing] = len(encoded.dictionary) + np.arange(missing.sum())
    return numbers

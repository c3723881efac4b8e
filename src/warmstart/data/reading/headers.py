"""Lines of a CSV file that are not rows: Excel's ``sep=;``, a title, a repeated header.

Source: Microsoft Support, "Text Import Wizard" (the line ``sep=`` is understood by Excel only).
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.reading.content import Content

DELIMITERS_TO_TRY = "\t,;|"

_SEPARATOR_LINE = re.compile(
    rb'[\r\n]*"?sep=([\x00-\x7f])"?[ \t]*(?:\r\n|\r|\n)[\r\n]*', re.IGNORECASE
)

_TITLE_RECORDS = 10
"""A header is searched below at most this number of records."""


class Header(NamedTuple):
    """The header below a title."""

    line: int
    """Its line, counted from 1 from the first line of the title."""
    delimiter: str


def separator_line(text: Content) -> tuple[int, str] | None:
    r"""The offset after Excel's line ``sep=;`` and its delimiter; None if there is no such line.

    Args:
        text: the content of a file, in UTF-8.

    >>> separator_line(b"sep=;\na;b\n")
    (6, ';')
    """
    match = _SEPARATOR_LINE.match(text)
    return (match.end(), match[1].decode()) if match else None


def header_below_title(head: str, delimiter: str, known: Sequence[str]) -> Header | None:
    """The header of a file that starts with a title, if it does.

    A title has one field, which may be followed by empty ones. Below it are the header and at least
    one row, with the same number of fields, at least two.

    Args:
        head: the start of the file.
        delimiter: the given delimiter, which is tried first.
        known: names of columns; a first line with one of them is a header.
    """
    for mark in dict.fromkeys(delimiter + DELIMITERS_TO_TRY):
        records = list(islice(_records(head, mark), _TITLE_RECORDS + 1))
        if not records or _filled(records[0][1]) != 1 or set(records[0][1]) & set(known):
            return None
        below = next((n for n, (_, fields) in enumerate(records) if _filled(fields) > 1), 0)
        if not 0 < below < len(records) - 1:
            continue
        (line, names), (_, row) = records[below : below + 2]
        if "" not in names and len(row) == len(names) and len(records[0][1]) in (1, len(names)):
            return Header(line, mark)
    return None


def repeated_headers(table: pa.Table, names: Sequence[str]) -> list[int]:
    """Indices of the records that are equal to the header, except for case and space.

    Args:
        table: all records, one column of texts for each name.
        names: the names in the header, at least two.
    """
    found = np.arange(table.num_rows)
    for index in sorted(range(len(names)), key=lambda index: table.column(index).nbytes):
        texts = table.column(index)
        if len(found) < table.num_rows:
            texts = texts.take(pa.array(found))
        plain = pc.utf8_lower(pc.utf8_trim(texts, characters=" \t\ufeff"))
        same = pc.equal(plain, names[index].strip(" \t\ufeff").lower())
        found = found[same.to_numpy()]
        if not len(found):
            break
    return [int(record) for record in found]


def _records(head: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, with the line of their last character, from 1."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error:
        return


def _filled(fields: Sequence[str]) -> int:
    """Number of fields that are not empty; 0 if the first one is empty."""
    return sum(map(bool, fields)) if fields[0] else 0

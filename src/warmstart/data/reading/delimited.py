"""Parse CSV and TSV: every field is a string, and the line of every row is known.

Pyarrow parses the file without type inference: ``NA`` and ``0123`` stay text, and an empty field is
an empty string. Pyarrow does not report line numbers, so they are computed from its result: a row
has one line, plus one for each line break inside its (quoted) fields. Rows with a wrong number of
fields are reported.

Source: RFC 4180; pyarrow documentation, ``pyarrow.csv`` (``ParseOptions.invalid_row_handler``).
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.mapped import filtered, mapped_table
from warmstart.data.reading.content import Content, blocks, collected, find_byte
from warmstart.data.reading.headers import (
    DELIMITERS_TO_TRY,
    header_below_title,
    repeated_headers,
    separator_line,
)
from warmstart.data.reading.lines import MAX_COLUMNS, Ints, Mask, Parsed, line_starts, slices
from warmstart.data.reading.quotes import Records, check_quotes

BLOCKS = (1 << 24, (1 << 31) - 1)
"""Block sizes for the parser, in bytes. The second, the largest of pyarrow, is only used if a row
is longer than the first."""

_HEAD = 1 << 20
"""The first record must end within this number of bytes."""
_TITLE = 1 << 16
"""Characters at the start of a file in which a title and the header below it are searched."""

_KEPT_TEXTS = 100
"""Maximum number of ragged rows whose text is kept."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The format of a file."""

    path: str
    delimiter: str
    names: list[str]
    """Column names in file order; ``""`` for a column without a name in the header."""
    header: int
    """1 if the first record is a header, else 0."""
    line: int
    """Line number of the first record."""
    quoted: bool
    """Whether the file contains quotes and ``data.quoting`` makes them special."""


@dataclass(frozen=True, slots=True)
class _Ragged:
    """A record with a wrong number of fields, which the parser skipped."""

    record: int
    """Its index among all records, from 0."""
    fields: int
    breaks: int
    """Number of line breaks inside it."""
    text: str


def parse_delimited(text: Content, path: str, delimiter: str, data: DataConfig) -> Parsed:
    """Rows of a CSV or TSV file.

    Blank lines are skipped. Columns without a name in the header are dropped, because no setting
    could refer to them.

    Args:
        text: the content, in UTF-8.
        path: the file as shown in messages.
        delimiter: the character between fields, ASCII.
        data: the format of the file (``columns``, ``quoting``, ``ragged``) and the label column.

    Raises:
        DataError: no rows; a missing or ambiguous header; the wrong delimiter; a quote that spans
            several rows; or a row with a wrong number of fields, unless ``data.ragged`` is
            ``drop``.
    """
    if not delimiter.isascii() or delimiter in '"\r\n\0':
        raise errors.delimited.unusable_delimiter(delimiter)
    blank = re.match(rb"[\r\n]*", text)
    start = blank.end() if blank else 0
    notes: tuple[str, ...] = ()
    if (separator := separator_line(text)) is not None:
        start = separator[0]
        delimiter = data.delimiter or separator[1]
        notes = (f"the first line, sep={separator[1]}, is not a row; delimiter: {delimiter!r}",)
    body = collected(blocks(text, start)) if start else text
    layout = _layout(body, path, delimiter, data, line=len(line_starts(text[:start])) + 1)
    table, ragged = _records(body, layout)
    fits = np.ones(table.num_rows + len(ragged), np.bool_)
    fits[[record.record for record in ragged]] = False
    breaks = np.zeros(len(fits), np.int64)
    starts = line_starts(body) if layout.quoted else breaks
    if len(starts) != len(fits):  # a record has several lines
        breaks[fits] = _line_ends_inside(table, find_byte(body, b"\r") >= 0)
        breaks[~fits] = [record.breaks for record in ragged]
    lines = layout.line + np.cumsum(1 + breaks) - (1 + breaks)
    if layout.header and fits[0]:
        table = table.slice(1)
        fits[0] = False
    if layout.quoted:
        texts = slices(body, starts[lines - layout.line])
        label = layout.names.index(data.label) if data.label in layout.names else None
        labels = None if label is None else table.column(label)
        records = Records(texts, lines, breaks, fits, label, labels)
        check_quotes(records, path, delimiter, len(layout.names))
    return replace(_rows(table, ragged, fits, lines, body, layout, data), notes=notes)


def _rows(
    table: pa.Table,
    ragged: list[_Ragged],
    fits: Mask,
    lines: Ints,
    body: Content,
    layout: _Layout,
    data: DataConfig,
) -> Parsed:
    """The records with the right number of fields, without blank lines; fails if there are none."""
    if ragged and data.columns is not None and not table.num_rows:
        raise errors.delimited.column_count(
            layout.path, layout.line, columns=len(layout.names), fields=ragged[0].fields
        )
    if ragged and data.ragged == "error":
        raise errors.delimited.ragged_row(
            layout.path,
            int(lines[ragged[0].record]),
            fields=ragged[0].fields,
            columns=len(layout.names),
            text=ragged[0].text,
            quoting=data.quoting,
        )
    if len(layout.names) > 1 and (again := repeated_headers(table, layout.names)):
        numbers = lines[np.flatnonzero(fits)[again]].tolist()
        raise errors.delimited.repeated_header(
            layout.path, numbers, first_line=layout.line, named=data.columns is not None
        )
    blank = _blank(table, body, lines[fits] - layout.line)
    is_row = np.ones(len(fits), np.bool_)
    is_row[: layout.header] = False
    is_row[np.flatnonzero(fits)[blank]] = False
    kept = is_row & fits
    if not kept.any():
        if ragged or not layout.header:
            raise errors.data.no_rows(layout.path, len(ragged))
        raise errors.delimited.header_only(layout.path, layout.line)
    columns = table.rename_columns(layout.names)
    if len(blank):
        columns = filtered(columns, is_row[fits])
    return Parsed(
        columns=columns.select([index for index, name in enumerate(layout.names) if name]),
        positions=np.cumsum(is_row)[kept] - 1,
        lines=lines[kept],
        total=int(np.count_nonzero(is_row)),
    )


def _layout(body: Content, path: str, delimiter: str, data: DataConfig, line: int) -> _Layout:
    """The columns, from ``data.columns`` or from the first record; checks the delimiter."""
    head = bytes(body[:_HEAD]).decode(errors="ignore")
    quoted = data.quoting == "double" and find_byte(body, b'"') >= 0
    try:
        source = io.StringIO(head, newline="")
        first = next(
            csv.reader(
                source,
                delimiter=delimiter,
                quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            )
        )
    except csv.Error:  # an unclosed quote; it is reported after all records are parsed
        first = [head]
    used = [*data.text_columns.values(), data.label]
    if (
        data.columns is None
        and (header := header_below_title(head[:_TITLE], delimiter, used)) is not None
    ):
        raise errors.delimited.title_line(
            path,
            line,
            text=head.splitlines()[0],
            header=line + header.line - 1,
            delimiter=None if header.delimiter == delimiter else header.delimiter,
        )
    if len(first) == 1:
        likely = _likely_delimiter(head, delimiter, len(data.columns) if data.columns else None)
        if likely is not None:
            raise errors.delimited.wrong_delimiter(path, line, delimiter=delimiter, likely=likely)
    names = first if data.columns is None else data.columns
    if len(names) > MAX_COLUMNS:
        raise errors.data.too_many_columns(f"{path}:{line}", MAX_COLUMNS)
    repeated = sorted(name for name, times in Counter(names).items() if name and times > 1)
    if repeated:
        raise errors.delimited.duplicate_columns(path, line, repeated)
    return _Layout(path, delimiter, names, int(data.columns is None), line, quoted)


def _likely_delimiter(head: str, delimiter: str, columns: int | None) -> str | None:
    """Another delimiter that splits the first two lines into several columns, if there is one.

    Args:
        head: the start of the file.
        delimiter: the given delimiter, which gives only one column.
        columns: the expected number of columns, if known.
    """
    first, second, *_ = [*re.split(r"\r\n|\r|\n", head, maxsplit=2), ""]
    for other in DELIMITERS_TO_TRY:
        count = first.count(other)
        fits = second.count(other) >= count if columns is None else count == columns - 1
        if other != delimiter and count and fits:
            return other
    return None


def _records(body: Content, layout: _Layout) -> tuple[pa.Table, list[_Ragged]]:
    """All records (including a header) as strings, and the records with a wrong field count."""
    names = [str(position) for position in range(len(layout.names))]
    for block in BLOCKS:
        ragged: list[_Ragged] = []

        def refuse(row: pacsv.InvalidRow, ragged: list[_Ragged] = ragged) -> str:
            breaks = len(line_starts(row.text.encode())) - 1 if layout.quoted else 0
            text = row.text if len(ragged) < _KEPT_TEXTS else ""
            ragged.append(_Ragged(row.number - 1, row.actual_columns, max(0, breaks), text))
            return "skip"

        try:
            reader = pacsv.open_csv(
                pa.BufferReader(pa.py_buffer(body)),
                # One thread: only then does pyarrow pass the row number to the handler.
                read_options=pacsv.ReadOptions(
                    column_names=names, use_threads=False, block_size=block
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=layout.delimiter,
                    quote_char='"' if layout.quoted else False,
                    newlines_in_values=layout.quoted,
                    ignore_empty_lines=False,
                    invalid_row_handler=refuse,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
            table = mapped_table(reader, reader.schema)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
        else:
            return table, ragged
    raise errors.delimited.endless_row(layout.path, BLOCKS[-1])


def _line_ends_inside(table: pa.Table, returns: bool) -> Ints:
    """Number of line breaks inside the fields of each record [R]; ``returns``: CR can occur."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        total += pc.count_substring(column, "\n").to_numpy()
        if returns:
            total += pc.count_substring(column, "\r").to_numpy()
            total -= pc.count_substring(column, "\r\n").to_numpy()
    return total


def _blank(table: pa.Table, body: Content, line_numbers: Ints) -> Ints:
    """Indices of the records that are blank lines: the parser turns them into empty fields.

    ``line_numbers``: the line of each record, from 0 [R].
    """
    empty = np.ones(table.num_rows, np.bool_)
    for column in table.columns:
        empty &= pc.equal(pc.binary_length(column), 0).to_numpy()
    candidates = np.flatnonzero(empty)
    if not len(candidates):
        return candidates
    starts = line_starts(body)[line_numbers[candidates]]
    first = np.frombuffer(body, np.uint8)[starts]
    blank: Ints = candidates[(first == ord("\n")) | (first == ord("\r"))]
    return blank

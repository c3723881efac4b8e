"""Parse the content of a file into rows: CSV, TSV, JSON lines, Parquet, plain text.

Only a few megabytes of a file are parsed at a time, and the result is appended to a table on disk
(see ``mapped``). Memory is needed for one row at a time, plus 8 bytes per row for its line number.

In every format, a scalar is converted to text (``1`` to ``"1"``, ``true`` to ``"true"``), so that
the same label is equal in files of different formats. Null values stay null.

Source: pyarrow documentation, ``pyarrow.json`` and ``pyarrow.parquet``; JSON Lines, jsonlines.org.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson
import pyarrow.parquet as pq

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.mapped import PIECE_ROWS, mapped_table
from warmstart.data.reading.content import BLOCK, Content, blocks, line_blocks
from warmstart.data.reading.delimited import parse_delimited
from warmstart.data.reading.encodings import to_utf8
from warmstart.data.reading.lines import Ints, Parsed, line_starts, slices
from warmstart.data.tags.conll import OPTIONAL, ConllColumns, read_conll
from warmstart.data.tags.span_formats import read_spans

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".conll": "conll",
    ".conllu": "conll",
    ".bio": "conll",
    ".json": "spans",
}
"""Suffix of a file's name (without .gz and .xz) -> format."""

DELIMITERS = {"csv": ",", "tsv": "\t"}

_DISGUISED = (
    (b"\x1f\x8b", "gzip", "rename the file so that it ends in .gz"),
    (b"\xfd7zXZ", "xz", "rename the file so that it ends in .xz"),
    (
        b"PK\x03\x04",
        "a zip or a spreadsheet",
        "if it is a spreadsheet, save it as CSV; if it is a zip archive, rename it to end in .zip",
    ),
    (b"PAR1", "Parquet", "--set data.format=parquet"),
)

_EXACT_TYPES = frozenset({pa.string(), pa.bool_(), pa.int64(), pa.null()})
"""Types of pyarrow's JSON reader that convert back to the exact text of the file: not dates and
floats."""

_CHUNK_LINES = 4096

Column = TypeVar("Column", pa.Array, pa.ChunkedArray)
ParseLines = Callable[[bytes, Ints, pa.LargeStringArray, Sequence[str]], pa.Table]
"""(block of complete lines, line numbers [N], the lines as texts [N], column names so far) -> a
table of N rows."""


def parse(
    content: Content, name: str, path: str, data: DataConfig, setting: str
) -> tuple[Parsed, str | None]:
    """Rows of a file, and its original encoding (``None`` for Parquet).

    Args:
        content: the uncompressed content of the file.
        name: the file's name, whose suffix shows the format if ``data.format`` is ``auto``.
        path: the file as shown in messages.
        data: settings for the format of the file.
        setting: the setting that named the file.

    Raises:
        DataError: the content does not match the name or the settings, or it has no rows.
    """
    kind: str = data.format
    if kind == "auto":
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in FORMATS:
            raise errors.files.unknown_suffix(path, setting, list(FORMATS))
        kind = FORMATS[suffix]
    if not content:
        raise errors.files.empty_file(path)
    if kind == "parquet":
        return _parquet(content, path), None
    for magic, what, remedy in _DISGUISED:
        if content[: len(magic)] == magic:
            raise errors.files.disguised(path, what, remedy)
    text, encoding = to_utf8(content, data.encoding, path)
    if all(block.isspace() for block in blocks(text)):
        raise errors.files.empty_file(path)
    if kind == "jsonl":
        return _by_lines(text, partial(_json_lines, path)), encoding
    if kind == "text":
        return _by_lines(text, _plain), encoding
    if kind == "conll":
        return _conll(text, path, data), encoding
    if kind == "spans":
        return _annotated(text, path, data), encoding
    return parse_delimited(text, path, data.delimiter or DELIMITERS[kind], data), encoding


def _conll(text: Content, path: str, data: DataConfig) -> Parsed:
    """Sentences of a CoNLL file: words, tags, and the document of each."""
    columns = ConllColumns(words=data.words or 1, tags=data.tags or OPTIONAL, names=data.columns)
    found = read_conll(line_blocks(text), path, columns)
    return replace(all_rows(found.columns, found.lines), notes=found.notes)


def _annotated(text: Content, path: str, data: DataConfig) -> Parsed:
    """Texts with character spans, from the export of an annotation tool."""
    key = data.text if "text" in data.model_fields_set else None
    found = read_spans(bytes(text[:]).decode("utf-8"), path, text_key=key)
    table = found.columns.rename_columns(
        [data.text if name == "text" else name for name in found.columns.column_names]
    )
    return replace(all_rows(table, found.lines), notes=found.notes, row_unit=found.row_unit)


def _by_lines(text: Content, parse_lines: ParseLines) -> Parsed:
    """Rows of a file with one row per line; lines with only white space are skipped."""
    numbers: list[Ints] = []
    names: dict[str, None] = {}

    def tables() -> Iterator[pa.Table]:
        before = 0
        for block in line_blocks(text):
            starts = line_starts(block)
            lines, pieces = _nonblank_lines(slices(block, starts))
            lines += before
            before += len(starts)
            if len(lines):
                table = parse_lines(block, lines, pieces, list(names))
                names.update(dict.fromkeys(table.column_names))
                numbers.append(lines)
                yield _with_columns(table, names)

    # A new table starts where a new column first occurs; the column is null in the tables before.
    parts = []
    for _, same_columns in groupby(tables(), key=lambda table: table.num_columns):
        first = next(same_columns)
        batches = (batch for table in chain([first], same_columns) for batch in table.to_batches())
        parts.append(mapped_table(batches, first.schema))
    table = pa.concat_tables(parts, promote_options="default")
    return all_rows(table, np.concatenate(numbers))


def _with_columns(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """The table with these columns in this order; columns that it lacks are null."""
    nulls = pa.nulls(table.num_rows, pa.string())
    have = set(table.column_names)
    return pa.table({name: table.column(name) if name in have else nulls for name in names})


def _nonblank_lines(pieces: pa.LargeStringArray) -> tuple[Ints, pa.LargeStringArray]:
    """The lines that are not only white space: their numbers, int64 [N], and their texts [N]."""
    nonblank = pc.invert(pc.utf8_is_space(pieces))
    lines = np.flatnonzero(nonblank.to_numpy(zero_copy_only=False)) + 1
    return lines, pieces if len(lines) == len(pieces) else pieces.filter(nonblank)


def _plain(_: bytes, lines: Ints, pieces: pa.LargeStringArray, names: Sequence[str]) -> pa.Table:
    """The lines without their line breaks, in one column ``text``."""
    return pa.table({"text": pc.ascii_rtrim(pieces, "\r\n").cast(pa.string())})


def _json_lines(
    path: str, block: bytes, lines: Ints, pieces: pa.LargeStringArray, names: Sequence[str]
) -> pa.Table:
    """One row per object; a key that an object lacks is null in its row."""
    table = _json_by_arrow(block)
    if table is None or table.num_rows != len(lines):
        table = _json_by_line(lines, pieces, names, path)
    return table


def _json_by_arrow(text: bytes) -> pa.Table | None:
    """The table, if all values convert back to their exact text; else ``None``."""
    try:
        table = pajson.read_json(
            pa.BufferReader(text),
            read_options=pajson.ReadOptions(use_threads=False, block_size=len(text)),
        )
    except pa.ArrowInvalid:  # invalid JSON or mixed types: the caller parses line by line
        return None
    if not table.num_columns or not _EXACT_TYPES.issuperset(table.schema.types):
        return None
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _json_by_line(
    lines: Ints, pieces: pa.LargeStringArray, names: Sequence[str], path: str
) -> pa.Table:
    """The table from Python's JSON parser, which is slow but exact and reports the line."""
    chunks = []
    keys = dict.fromkeys(names)
    for start in range(0, len(pieces), _CHUNK_LINES):
        numbered = zip(
            lines[start : start + _CHUNK_LINES],
            pieces.slice(start, _CHUNK_LINES).to_pylist(),
            strict=True,
        )
        rows = [_object(line, path, int(number)) for number, line in numbered]
        keys.update(dict.fromkeys(key for row in rows for key in row))
        if not keys:
            raise errors.data.bad_json_line(path, int(lines[0]), reason="it is empty", text="{}")
        chunks.append(
            pa.table({key: pa.array([row.get(key) for row in rows], pa.string()) for key in keys})
        )
    return pa.concat_tables(chunks, promote_options="default")


def _object(line: str, path: str, number: int) -> dict[str, str | None]:
    """The object on a line; values other than strings and null are converted to JSON text."""
    try:
        value = json.loads(line)
        line.encode() if "\\u" not in line else json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise errors.data.bad_json_line(path, number, reason=reason, text=line) from None
    if not isinstance(value, dict):
        reason = f"it is a {type(value).__name__}"
        raise errors.data.bad_json_line(path, number, reason=reason, text=line)
    return {
        key: item if item is None or isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        for key, item in value.items()
    }


def _parquet(content: Content, path: str) -> Parsed:
    """Every column as strings, except those without a text (lists, structures, binary)."""
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)))
        names = file.schema_arrow.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise errors.data.duplicate_columns(path, 1, twice)
        if not file.metadata.num_rows:
            raise errors.data.no_rows(path, 0)
        table = _strings_of(file)
    except (pa.ArrowException, OSError) as error:
        raise errors.files.corrupt(path, "Parquet", error) from error
    return all_rows(table, np.arange(1, table.num_rows + 1, dtype=np.int64))


def _strings_of(file: pq.ParquetFile) -> pa.Table:
    """The file's columns, converted as by ``as_strings`` and read batch by batch."""
    metadata, schema = file.metadata, file.schema_arrow
    size = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    rows = min(max(1, BLOCK * metadata.num_rows // max(1, size)), PIECE_ROWS)

    def has_text(field: pa.Field) -> bool:
        if pa.types.is_nested(field.type):
            return False
        # Whether a binary column is text depends on all its values; otherwise the type decides.
        probes: Iterable[pa.Array] = [pa.array([], field.type)]
        if "binary" in str(field.type):
            probes = (one[0] for one in file.iter_batches(rows, columns=[field.name]))
        return all(_as_string(probe).type == pa.string() for probe in probes)

    types = {field.name: pa.string() if has_text(field) else field.type for field in schema}
    strings = pa.schema(list(types.items()))
    return mapped_table((batch.cast(strings) for batch in file.iter_batches(rows)), strings)


def as_strings(table: pa.Table) -> pa.Table:
    """The table with every column converted to strings, except columns that are not text.

    Args:
        table: columns of any type; nested and undecodable columns are not changed.
    """
    columns = {name: _as_string(table.column(name)) for name in table.column_names}
    return pa.table(columns)


def _as_string(column: Column) -> Column:
    """The column as strings, or unchanged if it cannot be converted."""
    if pa.types.is_nested(column.type):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def all_rows(table: pa.Table, lines: Ints) -> Parsed:
    """The result for a file from which no row was dropped.

    Args:
        table: N rows.
        lines: line of each row, int64 [N].
    """
    return Parsed(table, np.arange(len(lines), dtype=np.int64), lines, len(lines))

"""A file's bytes to rows: CSV, TSV, JSON lines, Parquet, plain text.

Whatever the format, a scalar becomes its text (``1`` is ``"1"``, ``true`` is ``"true"``), so that
labels compare alike wherever they were written. What is null stays null.

Source: pyarrow documentation, ``pyarrow.json`` and ``pyarrow.parquet``; JSON Lines, jsonlines.org.
"""

import json
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson
import pyarrow.parquet as pq

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.delimited import parse_delimited
from warmstart.data.encodings import to_utf8
from warmstart.data.lines import Ints, Parsed, line_starts, slices
from warmstart.data.mapped import mapped_table

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}
"""Format by how a file's name ends, once gz and xz are undone."""

DELIMITERS = {"csv": ",", "tsv": "\t"}

_DISGUISED = (
    (b"\x1f\x8b", "gzip", "end its name in .gz"),
    (b"\xfd7zXZ", "xz", "end its name in .xz"),
    (
        b"PK\x03\x04",
        "a zip or a spreadsheet",
        "save a spreadsheet as CSV; end a zip's name in .zip",
    ),
    (b"PAR1", "Parquet", "--set data.format=parquet"),
)

_EXACT_TYPES = frozenset({pa.string(), pa.bool_(), pa.int64(), pa.null()})
"""Types of pyarrow's JSON reader whose text is the text in the file: no dates, no floats."""

_BLOCK = 1 << 24
_CHUNK_LINES = 4096
_SLICE_LINES = 1 << 20


def parse(
    content: bytes, name: str, path: str, data: DataConfig, setting: str
) -> tuple[Parsed, str | None]:
    """Rows of a file, and the encoding it was in (None for Parquet).

    Args:
        content: the whole file, uncompressed.
        name: its name, which tells the format where ``data.format`` does not.
        path: the file, for messages.
        data: how the file is written.
        setting: the setting that named it.

    Raises:
        DataError: it is not what its name or the settings say, or has no rows.
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
        if content.startswith(magic):
            raise errors.files.disguised(path, what, remedy)
    text, encoding = to_utf8(content, data.encoding, path)
    if not text or text.isspace():
        raise errors.files.empty_file(path)
    if kind == "jsonl":
        return _json_lines(text, path), encoding
    if kind == "text":
        return _plain(text), encoding
    return parse_delimited(text, path, data.delimiter or DELIMITERS[kind], data), encoding


def _plain(text: bytes) -> Parsed:
    """One row a line, in one column ``text``; lines of white space alone are no rows."""
    lines, pieces = _filled_lines(text)
    # In slices: a string array holds at most 2 GiB.
    texts = [
        pc.ascii_rtrim(pieces.slice(start, _SLICE_LINES), "\r\n").cast(pa.string())
        for start in range(0, len(pieces), _SLICE_LINES)
    ]
    return all_rows(pa.table({"text": pa.chunked_array(texts)}), lines)


def _json_lines(text: bytes, path: str) -> Parsed:
    """One row an object; a key that an object lacks is null there."""
    lines, pieces = _filled_lines(text)
    table = _json_by_arrow(text)
    if table is None or table.num_rows != len(lines):
        table = _json_by_line(lines, pieces, path)
    return all_rows(table, lines)


def _filled_lines(text: bytes) -> tuple[Ints, pa.LargeStringArray]:
    """The lines that are not white space alone: their numbers, int64 [N], and their texts."""
    pieces = slices(text, line_starts(text))
    filled = pc.invert(pc.utf8_is_space(pieces))
    lines = np.flatnonzero(filled.to_numpy(zero_copy_only=False)) + 1
    return lines, pieces if len(lines) == len(pieces) else pieces.filter(filled)


def _json_by_arrow(text: bytes) -> pa.Table | None:
    """The table, if every value's text is certain; else None."""
    try:
        table = pajson.read_json(
            pa.BufferReader(text),
            read_options=pajson.ReadOptions(use_threads=False, block_size=_BLOCK),
        )
    except pa.ArrowInvalid:  # broken, of mixed types, or longer than a block: go line by line
        return None
    if not table.num_columns or not _EXACT_TYPES.issuperset(table.schema.types):
        return None
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _json_by_line(lines: Ints, pieces: pa.LargeStringArray, path: str) -> pa.Table:
    """The same by Python's parser, some thousand lines at a time: slow, exact, names the line."""
    chunks = []
    keys: dict[str, None] = {}
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
    """The object on a line; values other than strings and null as JSON text."""
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


def _parquet(content: bytes, path: str) -> Parsed:
    """Every column as strings, except those without a text (lists, structures, binary)."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise errors.data.duplicate_columns(path, 1, twice)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise errors.files.corrupt(path, "Parquet", error) from error
    if not table.num_rows:
        raise errors.data.no_rows(path, 0)
    return all_rows(as_strings(table), np.arange(1, table.num_rows + 1, dtype=np.int64))


def as_strings(table: pa.Table) -> pa.Table:
    """The table with every column that has a text as strings.

    Args:
        table: columns of any type.
    """
    columns = {name: _as_string(table.column(name)) for name in table.column_names}
    return pa.table(columns)


def _as_string(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column's values as text, or the column itself if they have none."""
    if pa.types.is_nested(column.type):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def all_rows(table: pa.Table, lines: Ints) -> Parsed:
    """Rows of which none was dropped.

    Args:
        table: N rows.
        lines: of each, int64 [N].
    """
    table = mapped_table(table.to_batches(), table.schema)
    return Parsed(table, np.arange(len(lines), dtype=np.int64), lines, len(lines))

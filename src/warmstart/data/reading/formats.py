"""Parse the content of a file into rows: CSV, TSV, JSON lines, Parquet, plain text.

Only a few megabytes of a file are parsed at a time, and the result is appended to a table on disk
(see ``mapped``). Memory is needed for one row at a time, plus 8 bytes per row for its line number.

In every format, a scalar is converted to text (``1`` to ``"1"``, ``true`` to ``"true"``), so that
the same label is equal in files of different formats. Null values stay null, and NaN becomes null.

Source: pyarrow documentation, ``pyarrow.parquet``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warmstart import errors
from warmstart.config import FORMAT_SETTINGS, DataConfig
from warmstart.data.mapped import PIECE_ROWS, mapped_table
from warmstart.data.reading.content import BLOCK, Content, blocks, line_blocks
from warmstart.data.reading.delimited import parse_delimited
from warmstart.data.reading.encodings import to_utf8
from warmstart.data.reading.json_arrays import array_blocks, kind_of_json
from warmstart.data.reading.json_lines import parse_json_lines
from warmstart.data.reading.lines import MAX_COLUMNS, Ints, Parsed, line_starts, slices
from warmstart.data.reading.spreadsheets import parse_spreadsheet
from warmstart.data.reading.squad_json import read_squad
from warmstart.data.table import SourceFile
from warmstart.data.tags.conll import OPTIONAL, ConllColumns, read_conll
from warmstart.data.tags.span_formats import read_spans

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".txt": "text",
    ".conll": "conll",
    ".conllu": "conll",
    ".bio": "conll",
    ".json": "json",
}
"""Suffix of a file's name (without .gz and .xz) -> format. The content of a ``.json`` file decides
whether it is read as ``json``, ``jsonl``, ``spans`` or ``squad``."""

DELIMITERS = {"csv": ",", "tsv": "\t"}

_HEAD = 64
"""Number of bytes that show the type of a file."""

_WEB_PAGE = (b"<!doctype html", b"<html")
"""First characters of a web page, in any case."""

_OTHER_TOOL = "open it in its own program and save it as CSV (UTF-8)"

_DISGUISED = (
    (b"\x1f\x8b", "gzip", "rename the file so that it ends in .gz"),
    (b"\xfd7zXZ", "xz", "rename the file so that it ends in .xz"),
    (b"BZh", "bzip2", "unpack it: bunzip2 FILE"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it: unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name the unpacked file"),
    (
        b"PK\x03\x04",
        "a zip or a spreadsheet",
        "if it is a spreadsheet, rename it to end in .xlsx; if it is a zip archive, in .zip",
    ),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet or document (.xls, .doc)", _OTHER_TOOL),
    (b"{\\rtf", "a document (.rtf)", _OTHER_TOOL),
    (b"%PDF-", "PDF", _OTHER_TOOL),
    (b"\x89PNG", "an image", "name the file with the rows"),
    (b"\xff\xd8\xff", "an image", "name the file with the rows"),
    (b"SQLite format 3", "a SQLite database", 'sqlite3 -csv -header FILE "SELECT * FROM TABLE"'),
    (b"PAR1", "Parquet", "--set data.format=parquet"),
    (b"ARROW1", "Arrow (Feather)", "save it as Parquet or CSV with the tool that wrote it"),
    (b"\x93NUMPY", "a NumPy array", "save it as CSV with the tool that wrote it"),
    *((tag, "a web page", "download the file itself, not the page about it") for tag in _WEB_PAGE),
    (b"version https://git-lfs", "a pointer of Git LFS", "git lfs pull"),
)
"""First bytes of a file, what it is, and what to do."""

Column = TypeVar("Column", pa.Array, pa.ChunkedArray)
ParseLines = Callable[[bytes, Ints, pa.LargeStringArray, Sequence[str]], Iterable[pa.Table]]
"""(block of complete lines, line numbers [N], the lines as texts [N], column names so far) ->
tables of N rows together."""
NumberedLines = tuple[bytes, Ints, pa.LargeStringArray]
"""(block of complete lines, line numbers [N], the lines as texts [N])."""


def file_format(name: str, path: str, data: DataConfig, setting: str) -> str:
    """The format of a file: ``data.format``, or by the suffix of its name.

    Args:
        name: the file's name without ``.gz`` and ``.xz``.
        path: the file as shown in messages.
        data: names the format, or ``auto``.
        setting: the setting that named the file.

    Raises:
        DataError: the suffix is not known.
    """
    if data.format != "auto":
        return data.format
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in FORMATS:
        raise errors.files.unknown_suffix(path, setting, list(FORMATS))
    return FORMATS[suffix]


def refuse_unread_settings(data: DataConfig, files: Iterable[SourceFile]) -> None:
    """Raise an error if a setting for files is read for none of the files of a run.

    Args:
        data: the settings.
        files: all files of the run.

    Raises:
        ConfigError: a setting has a value, and no file has a format that reads it.
    """
    formats = {file.path: file.format for file in files}
    local = (*dict.fromkeys(FORMATS.values()), "spans", "squad")
    for name, readers in {"format": local, **FORMAT_SETTINGS}.items():
        default = DataConfig.model_fields[name].default
        if getattr(data, name) != default and not {*formats.values()} & {*readers}:
            shown = default or "null"
            raise errors.files.unread_by_files(f"data.{name}", shown, formats, readers)


def parse(
    content: Content, kind: str, path: str, data: DataConfig, *, every_line: bool = False
) -> tuple[Parsed, str | None]:
    """Rows of a file with the format that they have, and the file's original encoding.

    The encoding of Parquet and of a spreadsheet is ``None``.

    Args:
        content: the uncompressed content of the file.
        kind: result of ``file_format``.
        path: the file as shown in messages.
        data: settings for the format of the file.
        every_line: whether a blank line of a plain text is a row too, without a text.

    Raises:
        DataError: the content does not match the name or the settings, or it has no rows.
    """
    if not content:
        raise errors.files.empty_file(path)
    if kind == "parquet":
        return replace(_parquet(content, path), format=kind), None
    if kind == "xlsx":
        return replace(parse_spreadsheet(content, path), format=kind), None
    refuse_disguised(content, path)
    text, encoding = to_utf8(content, data.encoding, path)
    if all(block.isspace() for block in blocks(text)):
        raise errors.files.empty_file(path)
    if kind == "json" and data.format == "auto":
        kind = kind_of_json(_decoded(text))
    if kind in DELIMITERS:
        parsed = parse_delimited(text, path, data.delimiter or DELIMITERS[kind], data)
    elif kind == "jsonl":
        parsed = _by_lines(text, partial(parse_json_lines, path, data))
    elif kind == "json":
        parsed = _array(text, path, data)
    elif kind == "text":
        parsed = _by_lines(text, _plain, every_line=every_line)
    elif kind == "conll":
        parsed = _conll(text, path, data)
    elif kind == "squad":
        parsed = _questions(text, path)
    else:
        parsed = _annotated(text, path, data)
    return replace(parsed, format=kind), encoding


def refuse_disguised(content: Content, path: str) -> None:
    """Fail if the content of a text file starts like another kind of file.

    Args:
        content: the content of the file.
        path: the file as shown in messages.

    Raises:
        DataError: it does.
    """
    head = bytes(content[:_HEAD])
    for magic, what, remedy in _DISGUISED:
        if head.startswith(magic) or (
            magic in _WEB_PAGE and head.lstrip().lower().startswith(magic)
        ):
            raise errors.files.disguised(path, what, remedy)


def _decoded(text: Content) -> str:
    return bytes(text[:]).decode("utf-8")


def _array(text: Content, path: str, data: DataConfig) -> Parsed:
    """The records of a JSON array; their numbers count records."""

    def numbered() -> Iterator[NumberedLines]:
        before = 0
        for records in array_blocks(_decoded(text), path):
            numbers = np.arange(before + 1, before + len(records) + 1)
            before += len(records)
            yield "\n".join(records).encode(), numbers, pa.array(records, pa.large_string())

    parsed = _rows_of(numbered(), partial(parse_json_lines, path, data, unit="record"))
    return replace(parsed, row_unit="record")


def _conll(text: Content, path: str, data: DataConfig) -> Parsed:
    """Sentences of a CoNLL file: words, tags, and the document of each."""
    columns = ConllColumns(words=data.words or 1, tags=data.tags or OPTIONAL, names=data.columns)
    found = read_conll(line_blocks(text), path, columns)
    return replace(all_rows(found.columns, found.lines), notes=found.notes)


def _questions(text: Content, path: str) -> Parsed:
    """Questions with their contexts and answers; their numbers count questions."""
    table = read_squad(_decoded(text), path)
    numbers = np.arange(1, table.num_rows + 1, dtype=np.int64)
    return replace(all_rows(table, numbers), row_unit="question")


def _annotated(text: Content, path: str, data: DataConfig) -> Parsed:
    """Texts with character spans, from the export of an annotation tool."""
    key = data.text if "text" in data.model_fields_set else None
    found = read_spans(_decoded(text), path, text_key=key)
    table = found.columns.rename_columns(
        [data.text if name == "text" else name for name in found.columns.column_names]
    )
    return replace(all_rows(table, found.lines), notes=found.notes, row_unit=found.row_unit)


def _by_lines(text: Content, parse_lines: ParseLines, *, every_line: bool = False) -> Parsed:
    """Rows of a file with one row per line; unless ``every_line``, blank lines are skipped."""

    def numbered() -> Iterator[NumberedLines]:
        before = 0
        for block in line_blocks(text):
            starts = line_starts(block)
            lines, pieces = np.arange(1, len(starts) + 1), slices(block, starts)
            if not every_line:
                lines, pieces = _nonblank_lines(pieces)
            lines = lines + before
            before += len(starts)
            if len(lines):
                yield block, lines, pieces

    return _rows_of(numbered(), parse_lines)


def _rows_of(blocks: Iterable[NumberedLines], parse_lines: ParseLines) -> Parsed:
    """The rows of all blocks; a column that a block lacks is null there."""
    numbers: list[Ints] = []
    names: dict[str, None] = {}

    def tables() -> Iterator[pa.Table]:
        for block, lines, pieces in blocks:
            for table in parse_lines(block, lines, pieces, list(names)):
                names.update(dict.fromkeys(table.column_names))
                yield _with_columns(table, names)
            numbers.append(lines)

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


def _plain(
    _: bytes, lines: Ints, pieces: pa.LargeStringArray, names: Sequence[str]
) -> list[pa.Table]:
    """The lines without their line breaks, in one column ``text``."""
    return [pa.table({"text": pc.ascii_rtrim(pieces, "\r\n").cast(pa.string())})]


def _parquet(content: Content, path: str) -> Parsed:
    """Every column as strings, except those without a text (lists, structures, binary)."""
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)))
        names = file.schema_arrow.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise errors.delimited.duplicate_columns(path, 1, twice)
        if len(names) > MAX_COLUMNS:
            raise errors.data.too_many_columns(f"{path}:1", MAX_COLUMNS)
        if not file.metadata.num_rows:
            raise errors.data.no_rows(path, 0)
        table = _strings_of(file, path)
    except (pa.ArrowException, OSError) as error:
        raise errors.files.corrupt(path, "Parquet", error) from error
    return all_rows(table, np.arange(1, table.num_rows + 1, dtype=np.int64))


def _strings_of(file: pq.ParquetFile, path: str) -> pa.Table:
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

    def converted() -> Iterator[pa.RecordBatch]:
        before = 0
        for batch in file.iter_batches(rows):
            _refuse_invalid_text(batch, path, before)
            columns = [
                _as_string(column) if field.type == pa.string() else column
                for column, field in zip(batch.columns, strings, strict=True)
            ]
            before += len(batch)
            yield pa.record_batch(columns, schema=strings)

    types = {field.name: pa.string() if has_text(field) else field.type for field in schema}
    strings = pa.schema(list(types.items()))
    return mapped_table(converted(), strings)


def _refuse_invalid_text(batch: pa.RecordBatch, path: str, before: int) -> None:
    """Fail if a text is not UTF-8, which pyarrow does not check; ``before``: rows before these."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid:
            for row, value in enumerate(column):
                try:
                    value.as_py()
                except UnicodeDecodeError:
                    where = f"{path}:{before + row + 1}"
                    raise errors.data.invalid_text(name, where) from None
            raise


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
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
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

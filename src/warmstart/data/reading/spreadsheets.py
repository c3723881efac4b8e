"""Read the first sheet of an ``.xlsx`` file, with the optional package ``openpyxl``.

The first row with a value has the names of the columns. Values become the same text as in JSON:
``3``, ``2.5``, ``true``; a date is ``2026-01-31``, with its time if that is not midnight. An empty
cell is a missing value, and a row without any value is skipped. Of a formula, the stored result is
read.

Source: openpyxl documentation, "Optimised Modes" and ``load_workbook`` (``data_only``).
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.data.mapped import PIECE_ROWS, mapped_table
from warmstart.data.reading.archives import FREE_BYTES, MAX_RATIO
from warmstart.data.reading.content import Content
from warmstart.data.reading.lines import MAX_COLUMNS, Parsed


def parse_spreadsheet(content: Content, path: str) -> Parsed:
    """The rows of the first sheet, numbered as the spreadsheet program numbers them.

    Args:
        content: the file.
        path: the file as shown in messages.

    Raises:
        DataError: ``openpyxl`` is not installed, the file is damaged or protected by a password, it
            has no rows or no usable names, or the result of a formula is not stored.
    """
    try:
        import openpyxl
    except ImportError:
        raise errors.spreadsheets.openpyxl_missing(path) from None
    _refuse_unusual(content, path)
    try:
        # Formulas and their results cannot be read at the same time.
        books = [
            openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=only)
            for only in (True, False)
        ]
        sheet = _Sheet(books[0].worksheets[0], books[1].worksheets[0], path)
        table = sheet.table()
    except errors.WarmstartError:
        raise
    except Exception as error:
        # Catch everything: on a damaged part, openpyxl fails in its own code, in the XML parser (a
        # SyntaxError) or in zlib.
        raise errors.files.corrupt(path, "spreadsheet", error) from error
    lines = np.array(sheet.lines, np.int64)
    rows = np.arange(len(lines), dtype=np.int64)
    notes = sheet.notes(books[0].sheetnames)
    return Parsed(table, rows, lines, len(lines), notes, row_unit="row")


class _Sheet:
    """One sheet: its rows, and what the notes say about them.

    Args:
        values: the sheet with the results of formulas.
        formulas: the same sheet with the formulas.
        path: the file as shown in messages.
    """

    def __init__(self, values: Any, formulas: Any, path: str) -> None:
        for sheet in (values, formulas):
            sheet.reset_dimensions()  # some programs write a wrong size
        self.title, self.path = values.title, path
        self.lines: list[int] = []
        self._first = self._formulas = self._faults = 0
        pairs = zip(values.iter_rows(), formulas.iter_rows(), strict=True)
        self._rows = ((list(row), list(other)) for row, other in pairs)

    def table(self) -> pa.Table:
        """The rows below the names, as texts."""
        names = self._names()
        schema = pa.schema([(name, pa.string()) for name in names])
        table = mapped_table(self._batches(schema), schema)
        if not table.num_rows:
            raise errors.data.no_rows(self.path, 0)
        return table

    def notes(self, sheets: Sequence[str]) -> tuple[str, ...]:
        """What was read and what was not, one sentence each.

        Args:
            sheets: the names of all sheets.
        """
        found = []
        if others := [repr(name) for name in sheets if name != self.title]:
            found.append(f"only the sheet {self.title!r} is read, and not {', '.join(others)}")
        if self._formulas:
            found.append(f"{self._formulas:,} cells have formulas: their stored results are read")
        if self._faults:
            found.append(f"{self._faults:,} cells with an error, such as #N/A, are missing values")
        return tuple(found)

    def _names(self) -> list[str]:
        for number, (row, _) in enumerate(self._rows, 1):
            texts = [_text(cell.value) for cell in row]
            while texts and not (texts[-1] or "").strip():
                texts.pop()
            if not texts:
                continue
            self._first = number
            if len(texts) > MAX_COLUMNS:
                raise errors.data.too_many_columns(self._where(number), MAX_COLUMNS)
            names = [text or "" for text in texts]
            if "" in names:
                raise errors.spreadsheets.no_name(self._where(number), names.index("") + 1)
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise errors.spreadsheets.duplicate_names(self._where(number), twice)
            return names
        raise errors.data.no_rows(self.path, 0)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        batch: list[list[str | None]] = []
        for number, (row, formulas) in enumerate(self._rows, self._first + 1):
            texts = [self._value(*cells, number) for cells in zip(row, formulas, strict=True)]
            if any(text is not None for text in texts[len(schema) :]):
                raise errors.spreadsheets.cell_without_name(self._where(number), len(schema))
            if all(text is None for text in texts):
                continue
            missing = [None] * (len(schema) - len(texts))
            batch.append([*texts[: len(schema)], *missing])
            self.lines.append(number)
            if len(batch) == PIECE_ROWS:
                yield _batch(batch, schema)
                batch = []
        yield _batch(batch, schema)

    def _value(self, cell: Any, formula: Any, number: int) -> str | None:
        """The text of a cell; None if it is empty or an error."""
        if formula.data_type == "f":
            if cell.value is None:
                raise errors.spreadsheets.no_result(self._where(number), formula.coordinate)
            self._formulas += 1
        if cell.data_type == "e":
            self._faults += 1
            return None
        return _text(cell.value)

    def _where(self, number: int) -> str:
        return f"{self.path} (row {number})"


def _batch(rows: list[list[str | None]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=schema)


def _text(value: object) -> str | None:
    """The value as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return str(value)


def _refuse_unusual(content: Content, path: str) -> None:
    """Fail if the file is an encrypted or older format, or unpacks to far more than its size."""
    if bytes(content[:4]) == b"\xd0\xcf\x11\xe0":
        raise errors.spreadsheets.protected_or_old(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise errors.files.corrupt(path, "spreadsheet", error) from error
    limit = max(FREE_BYTES, MAX_RATIO * len(content))
    if size > limit:
        raise errors.spreadsheets.too_large(path, packed=len(content), unpacked=size)

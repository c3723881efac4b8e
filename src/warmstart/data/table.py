"""``Table``: the user's rows as Arrow columns, with the file and line of every row.

``Table`` is the output of reading and the input of splitting, checking and tokenising. Its columns
are Arrow columns, in memory or on disk (see ``mapped``): five million rows are a few buffers and
not five million Python objects.

A *row id* is the index of a row among all rows of one setting's files (``data.train``, …), from 0
in file order, before rows are dropped or split. It never changes afterwards. A split is therefore a
list of row ids, and a prediction can be traced back to its line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.data.mapped import filtered
from warmstart.data.spellings import plain
from warmstart.data.tags.documents import labelled_form
from warmstart.data.tags.spans import place_of


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that was read, as recorded in ``data.json``."""

    path: str
    """The path as the user wrote it."""
    sha256: str
    """sha256 of the bytes that were read (of the member, if in an archive)."""
    encoding: str | None
    """Codec that decoded the text; ``None`` for Parquet and Hub data sets."""
    rows: int
    """Number of rows in the file, including dropped rows."""
    dropped: int = 0
    """Rows left out under ``data.ragged: drop``."""
    notes: tuple[str, ...] = ()
    """How the file was read, for the findings, one sentence each."""
    row_unit: str = "line"
    """What the numbers of its rows count: lines, records of a JSON array, or documents."""
    format: str = ""
    """The format it was read as: a value of ``data.format``, or ``hub``."""
    documents: tuple[str, ...] = ()
    """The file of each row of a folder of texts, relative to ``path``; else empty."""

    def to_json(self) -> dict[str, Any]:
        """What ``data.json`` says of the file: all but the names of the documents."""
        return {name: value for name, value in asdict(self).items() if name != "documents"}

    def path_of(self, line: int) -> str:
        """The path of the file with this row.

        Args:
            line: line of the row, or the number of its document.
        """
        return str(Path(self.path, self.documents[line - 1])) if self.documents else self.path


@dataclass(frozen=True, slots=True)
class Table:
    """N rows and their origin.

    Args:
        columns: N rows; every column of a text format is a string column.
        rows: row ids, int64 [N].
        files: the files of the rows.
        file_index: index into ``files``, int32 [N].
        lines: line of the row's first character in its file, from 1, int64 [N]; for Parquet and
            Hub data sets, the number of the row, from 1.
        setting: the setting that named the files, for messages, such as ``data.train``.
    """

    columns: pa.Table
    rows: np.ndarray[Any, np.dtype[np.int64]]
    files: tuple[SourceFile, ...]
    file_index: np.ndarray[Any, np.dtype[np.int32]]
    lines: np.ndarray[Any, np.dtype[np.int64]]
    setting: str = "data"

    def __len__(self) -> int:
        """Number of rows, N."""
        return int(self.columns.num_rows)

    def column(self, name: str, setting: str) -> pa.ChunkedArray:
        """The column ``name``.

        Args:
            name: the name of a column.
            setting: the setting that named the column (``data.text``), for messages.

        Raises:
            DataError: there is no such column (the message lists the existing columns), or a second
                column looks the same.
        """
        names = self.columns.column_names
        path = ", ".join(file.path for file in self.files)
        same = next((one for one in names if one != name and plain(one) == plain(name)), None)
        if name not in names:
            is_content = setting in ("data.text", "data.label")
            if same is None and is_content and (form := labelled_form(self.columns)):
                raise errors.tags.forgotten_task(path, name, form)
            raise errors.data.missing_column(name, names, same=same, path=path, setting=setting)
        if same is not None:
            raise errors.data.columns_look_alike(path, name, same)
        return self.columns.column(name)

    def where(self, index: int) -> str:
        """``file:line`` of the row with this index in the table (not its row id)."""
        file, line = self.files[int(self.file_index[index])], int(self.lines[index])
        if file.documents:
            return file.path_of(line)
        return place_of(file.path, line, file.row_unit)

    def paths(self) -> pa.Array:
        """The file of each row, N; of a folder of texts, the file of its document."""
        if not any(file.documents for file in self.files):
            return pa.array([file.path for file in self.files]).take(pa.array(self.file_index))
        pairs = zip(self.file_index.tolist(), self.lines.tolist(), strict=True)
        return pa.array([self.files[file].path_of(line) for file, line in pairs])

    def filter(self, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> "Table":
        """The rows where ``kept`` [N] is true, in the same order and with their ids and lines."""
        return replace(
            self,
            columns=filtered(self.columns, kept),
            rows=self.rows[kept],
            file_index=self.file_index[kept],
            lines=self.lines[kept],
        )

    def part(self, start: int, rows: int) -> "Table":
        """At most ``rows`` rows from the one at ``start``, without a copy of the columns."""
        stop = start + rows
        return replace(
            self,
            columns=self.columns.slice(start, rows),
            rows=self.rows[start:stop],
            file_index=self.file_index[start:stop],
            lines=self.lines[start:stop],
        )

    def chunks(self, columns: Mapping[str, str], size: int) -> Iterator[list[Any]]:
        """The values of the rows in Python lists of at most ``size`` rows.

        Args:
            columns: setting -> column; with several columns, the value of a row is a tuple.
            size: maximum number of rows per list.

        Raises:
            DataError: there is no such column.
        """
        arrays = [self.column(name, setting) for setting, name in columns.items()]
        for start in range(0, len(self), size):
            values = [array.slice(start, size).to_pylist() for array in arrays]
            yield values[0] if len(values) == 1 else list(zip(*values, strict=True))

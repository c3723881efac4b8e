"""Rows as the person gave them: Arrow columns, and for every row the file and line it came from.

A ``Table`` is what reading gives and what splitting, checking and tokenising take. Its columns are
Arrow's, in memory or on disk (``mapped``), so five million rows are a few buffers and not five
million Python objects.

A *row id* counts the rows of one setting's files (``data.train``, …) from 0, in file order, before
anything is dropped or split; it never changes afterwards, so a split is a list of row ids and a
prediction can be traced to its line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.data.mapped import filtered


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that was read, as recorded in ``data.json``."""

    path: str
    """As the person wrote it."""
    sha256: str
    """Of the bytes that were read (of the member, inside an archive)."""
    encoding: str | None
    """Codec the text was decoded with; ``None`` for Parquet and hub data sets."""
    rows: int
    """Rows read, dropped ones included."""
    dropped: int = 0
    """Rows left out under ``data.ragged: drop``."""
    notes: tuple[str, ...] = ()
    """How the file was read, for the findings, one sentence each."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, rows, and where each row came from. N rows.

    Args:
        columns: N rows; every column of a text format is a string column.
        rows: row ids, int64 [N].
        files: the files the rows came from.
        file_index: which of ``files``, int32 [N].
        lines: line of the row's first character in its file, from 1, int64 [N]; in Parquet and hub
            data sets, the row's number from 1.
        setting: the setting that named the files, for messages: ``data.train``.
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
        """The column called ``name``.

        Args:
            name: the column asked for.
            setting: the setting that named it (``data.text``), for the message.

        Raises:
            DataError: there is no such column; the message lists those there are.
        """
        if name not in self.columns.column_names:
            path = ", ".join(file.path for file in self.files)
            raise errors.data.missing_column(
                name, self.columns.column_names, path=path, setting=setting
            )
        return self.columns.column(name)

    def where(self, index: int) -> str:
        """``file:line`` of the row at position ``index`` (not row id) of this table."""
        return f"{self.files[int(self.file_index[index])].path}:{int(self.lines[index])}"

    def filter(self, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> "Table":
        """The rows where ``kept``, bool [N], in their order, with their ids and lines."""
        return replace(
            self,
            columns=filtered(self.columns, kept),
            rows=self.rows[kept],
            file_index=self.file_index[kept],
            lines=self.lines[kept],
        )

    def chunks(self, columns: Mapping[str, str], size: int) -> Iterator[list[Any]]:
        """The rows' values as Python lists of at most ``size``, one list alive at a time.

        Args:
            columns: the column by its setting; of several, a row's value is a tuple.
            size: rows at once.

        Raises:
            DataError: there is no such column.
        """
        found = [self.column(name, setting) for setting, name in columns.items()]
        for start in range(0, len(self), size):
            values = [column.slice(start, size).to_pylist() for column in found]
            yield values[0] if len(values) == 1 else list(zip(*values, strict=True))

"""Line offsets of a file, and ``Parsed``, the result type of all parsers.

A row is not always a line: a quoted field can span several lines, and blank lines are not rows.
Both numbers are numpy arrays (8 bytes per line) that are computed without a Python loop.

A line ends with LF, CR LF or CR, as in pyarrow's CSV reader and most editors. Offsets are in bytes
from 0; lines are counted from 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart.data.reading.content import BLOCK, Content, find_byte

MAX_COLUMNS = 5000
"""Maximum number of columns of a file: each needs memory for every row."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of one file; N is the number of rows that were not dropped.

    Args:
        columns: N rows.
        positions: index of each row in the file, from 0, including dropped rows, int64 [N].
        lines: line of each row's first character, int64 [N].
        total: number of rows in the file, including dropped ones.
        notes: how the file was read, for the findings, one sentence each.
        row_unit: what ``lines`` counts.
        format: the format that was read, a value of ``data.format``.
    """

    columns: pa.Table
    positions: Ints
    lines: Ints
    total: int
    notes: tuple[str, ...] = ()
    row_unit: str = "line"
    format: str = ""


def line_starts(text: Content) -> Ints:
    r"""Offset of each line's first byte; a line break at the end of the text starts no new line.

    Args:
        text: text in UTF-8.

    >>> line_starts(b"a\n\nbc\r\nd").tolist()
    [0, 2, 3, 7]
    """
    array = np.frombuffer(text, np.uint8)
    ends = _offsets(array, ord("\n"))
    if find_byte(text, b"\r") >= 0:
        returns = _offsets(array, ord("\r"))
        alone = returns[array[np.minimum(returns + 1, len(array) - 1)] != ord("\n")]
        if len(alone):
            ends = np.sort(np.concatenate([ends, alone]))
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    return starts[starts < len(text)]


def slices(text: Content, starts: Ints) -> pa.LargeStringArray:
    """Split the text at these offsets without copying it; each piece keeps its line break.

    Args:
        text: text in UTF-8.
        starts: offset of each piece, ascending, int64 [N].
    """
    offsets = np.append(starts, len(text)).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.large_string(), len(starts), buffers)


def _offsets(array: np.ndarray[Any, np.dtype[np.uint8]], byte: int) -> Ints:
    """Offsets of all occurrences of ``byte``, int64."""
    parts = [
        np.flatnonzero(array[start : start + BLOCK] == byte) + start
        for start in range(0, len(array), BLOCK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)

"""Spans as flat arrays: the common form for tag schemes, alignment and entity metrics.

A span is a part of one row (a sentence or a text) with a type. Borders count words or characters
from 0, and the end is exclusive: ``starts=2, ends=4`` covers the elements 2 and 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

FARTHEST = 2**40
"""Offsets beyond this are replaced by it: no text is as long, so the span stays outside."""


@dataclass(frozen=True, slots=True)
class Spans:
    """S spans of N rows, in the order of their rows.

    Args:
        rows: row of each span, int64 [S].
        starts: first element of each span, int64 [S].
        ends: the element after the last one, int64 [S].
        types: position of each span's type in ``names``, int64 [S].
        names: the types, K texts.
    """

    rows: Ints
    starts: Ints
    ends: Ints
    types: Ints
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of spans, S."""
        return len(self.rows)

    def select(self, kept: Bools | Ints) -> "Spans":
        """The spans at these positions.

        Args:
            kept: bool [S], or positions, int64.
        """
        return Spans(
            self.rows[kept], self.starts[kept], self.ends[kept], self.types[kept], self.names
        )

    def to_lists(self, rows: int) -> list[list[tuple[int, int, str]]]:
        """``(start, end, type)`` of every span, as one list for each row.

        Args:
            rows: number of rows, N.
        """
        lists: list[list[tuple[int, int, str]]] = [[] for _ in range(rows)]
        columns = (self.rows.tolist(), self.starts.tolist(), self.ends.tolist())
        for row, start, end, kind in zip(*columns, self.types.tolist(), strict=True):
            lists[row].append((start, end, self.names[kind]))
        return lists


def place_of(path: str, number: int, unit: str = "line") -> str:
    """The place of a row for messages: ``file:line``, or another unit with its name.

    Args:
        path: the file.
        number: number of the row in this unit, from 1.
        unit: what is counted.

    >>> place_of("a.conll", 3), place_of("tasks.json", 3, "record")
    ('a.conll:3', 'tasks.json (record 3)')
    """
    return f"{path}:{number}" if unit == "line" else f"{path} ({unit} {number})"


def offset_of(value: object) -> int | None:
    """The offset that a file gives as a whole number, also as ``4.0``; None for other values.

    Args:
        value: a value of a JSON file.

    >>> [offset_of(value) for value in (4, 4.0, 4.5, "4", True, None)]
    [4, 4, None, None, None, None]
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(-FARTHEST, min(value, FARTHEST))


def offset_of_text(text: object) -> int | None:
    """The offset that a file gives as text (brat, some exports of Label Studio), else None.

    Args:
        text: a text of digits; any other value gives the result of ``offset_of``.

    >>> offset_of_text("4"), offset_of_text("/div[1]")
    (4, None)
    """
    if not isinstance(text, str):
        return offset_of(text)
    # Python converts at most a few thousand digits.
    return offset_of(int(text[:300])) if text.isascii() and text.isdigit() else None


def spans_from_lists(lists: Sequence[Sequence[tuple[int, int, str]]]) -> Spans:
    """Spans from ``(start, end, type)`` tuples, one list for each row; types sorted by name.

    Args:
        lists: N lists.

    >>> spans_from_lists([[(0, 2, "PER")], [], [(1, 2, "LOC")]]).rows.tolist()
    [0, 2]
    """
    names = tuple(sorted({kind for row in lists for _, _, kind in row}))
    number = {name: index for index, name in enumerate(names)}
    flat = [
        (row, start, end, number[kind])
        for row, spans in enumerate(lists)
        for start, end, kind in spans
    ]
    columns = np.array(flat, np.int64).reshape(-1, 4).T
    return Spans(columns[0], columns[1], columns[2], columns[3], names)

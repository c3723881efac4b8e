"""Which tokens of a row that is too long are removed, by the rules of the library.

Source: the source of ``tokenizers``, ``utils/truncation.rs`` (``LongestFirst``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from warmstart import errors
from warmstart.data.examples.tokens import Ints

Truncation = Literal["longest_first", "second_only"]
"""Which text of a pair is truncated if both together are too long."""

Sides = list[int | None]
"""Which text of a row each token belongs to: 0, 1, or None for special tokens."""


def removed_tokens(
    sides: Sides,
    beyond: Ints,
    max_tokens: int,
    truncation: Truncation,
    where: Callable[[], str],
) -> Ints:
    """Number of tokens to remove from each text of a row, int64 [2].

    Args:
        sides: the text of each token of the row.
        beyond: tokens at the end of each text that are not in ``sides``, int64 [2]; with them, the
            row has more than ``max_tokens`` tokens.
        max_tokens: longest row in tokens.
        truncation: whether the longer text is cut first or only the second one.
        where: returns the file and line of the row.

    Raises:
        DataError: special tokens alone fill ``max_tokens``; or the first text leaves no room for
            the second, and only the second may be truncated.

    >>> sides = [None, 0, 0, 0, 0, None, 1, None]
    >>> removed_tokens(sides, np.array([0, 0]), 6, "longest_first", str).tolist()
    [2, 0]
    """
    special = sides.count(None)
    first, second = (sides.count(side) + int(beyond[side]) for side in (0, 1))
    room = max_tokens - special
    if room <= 0:
        raise errors.labels.no_room_for_text(where(), special, max_tokens)
    if truncation == "second_only":
        if first >= room:
            raise errors.labels.no_room_for_second(where(), first, max_tokens)
        return np.array([0, first + second - room])
    shorter = min(first, second)
    # The shorter text stays whole if it takes at most half of the room; otherwise both get half.
    kept = shorter if 2 * shorter <= room else room // 2
    if first > second:
        return np.array([first - (room - kept), second - kept])
    return np.array([first - kept, second - (room - kept)])


def removed_slices(sides: Sides, removed: Ints) -> list[slice]:
    """The slices of a row to remove, the last one first.

    Args:
        sides: the text of each token of the row.
        removed: number of tokens to remove from the end of each text, int64 [2].

    >>> removed_slices([None, 0, 0, 0, None, 1, 1, None], np.array([1, 2]))
    [slice(5, 7, None), slice(3, 4, None)]
    """
    found = []
    for side, count in enumerate(removed.tolist()):
        if count:
            end = sides.index(side) + sides.count(side)
            found.append(slice(end - count, end))
    return sorted(found, key=lambda span: span.start, reverse=True)


def without_slices(
    rows: Iterable[list[int]], spans: Mapping[int, Sequence[slice]]
) -> Iterator[list[int]]:
    """The rows, one at a time, without the slices that are given for some of them.

    Args:
        rows: token ids or type ids; a row with slices is changed.
        spans: index of a row -> slices to remove, the last one first.
    """
    for index, row in enumerate(rows):
        for span in spans.get(index, ()):  # the last first, so that the other indices stay valid
            del row[span]
        yield row

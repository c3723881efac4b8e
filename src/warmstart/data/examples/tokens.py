"""Tokenised rows in flat arrays: the token ids of all rows end to end, and where each row starts.

One token takes 4 bytes, or 5 with type ids, which distinguish the two texts of a pair. Rows are not
padded here: each batch has its own width. Targets are not stored here.

A row that is longer than the model's limit may be cut into *windows*: the model reads each of them,
and the row's logits are the mean over them. The windows of a row follow each other in its tokens.

Letters: N rows, T tokens of all rows together, B rows of one batch, V windows.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


class Cut(NamedTuple):
    """What truncation removed from one text of the pairs."""

    rows: int
    """Number of rows in which this text was cut."""
    tokens: int
    """Number of tokens removed, over all rows."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokenised rows of one table: N rows, T tokens, stored flat.

    Args:
        input_ids: token ids of all rows end to end, special tokens included, int32 [T].
        offsets: row i is ``input_ids[offsets[i]:offsets[i + 1]]``, int64 [N + 1].
        rows: row ids of the table, int64 [N].
        full_lengths: number of tokens each row has without truncation, int64 [N].
        token_type_ids: 0 for tokens of a pair's first text, 1 for those of its second, int8 [T];
            None for single texts and for models without type ids.
        cut: what truncation removed from the first and from the second text of the pairs; None for
            single texts.
        window_offsets: window i is ``input_ids[window_offsets[i]:window_offsets[i + 1]]``; a row
            is one or more whole windows, int64 [V + 1]; None if no row is cut.
    """

    input_ids: np.ndarray[Any, np.dtype[np.int32]]
    offsets: Ints
    rows: Ints
    full_lengths: Ints
    token_type_ids: np.ndarray[Any, np.dtype[np.int8]] | None = None
    cut: tuple[Cut, Cut] | None = None
    window_offsets: Ints | None = None

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def ids_of(self, position: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Token ids of the row at ``position``, int32 [length]."""
        return self.input_ids[self.offsets[position] : self.offsets[position + 1]]

    @property
    def lengths(self) -> Ints:
        """Number of tokens of each row after truncation, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def truncated(self) -> Bools:
        """Whether truncation removed tokens from a row, bool [N]."""
        cut: Bools = self.full_lengths > self.lengths
        return cut

    def tokens_of(self, positions: Ints) -> int:
        """Total number of tokens of some rows.

        Args:
            positions: positions of the rows, int64 [B].
        """
        return int((self.offsets[positions + 1] - self.offsets[positions]).sum())

    def places_of(self, positions: Ints) -> tuple[Ints, Ints]:
        """The positions of the tokens of some rows in the flat arrays.

        Args:
            positions: positions of the rows, int64 [B].

        Returns:
            Indices into ``input_ids``, int64 [tokens of these rows], row after row; and the offset
            at which each row starts among these indices, int64 [B + 1].

        >>> offsets, rows, full_lengths = np.array([0, 1, 3]), np.array([0, 1]), np.array([1, 2])
        >>> tokens = Tokens(np.int32([7, 8, 9]), offsets, rows, full_lengths)
        >>> [found.tolist() for found in tokens.places_of(np.array([1, 0]))]
        [[1, 2, 0], [0, 2, 3]]
        """
        return joined_ranges(self.offsets[positions], self.offsets[positions + 1])

    @property
    def window_counts(self) -> Ints:
        """Number of windows of each row, int64 [N]; 1 for a row that is not cut."""
        return np.diff(window_bounds(self.offsets, self.window_offsets))

    def windows_of(self, positions: Ints) -> tuple[Ints, Ints | None]:
        """The windows of some rows; a row that is not cut is one window.

        Args:
            positions: positions of the rows, int64 [B].

        Returns:
            The position of each window among all windows, int64 [windows of these rows], row after
            row; and ``window_offsets`` for the tokens of these rows put end to end, int64 [windows
            of these rows + 1].

        >>> offsets, rows, full_lengths = np.array([0, 1, 4]), np.array([0, 1]), np.array([1, 3])
        >>> ids, windows = np.int32([7, 8, 9, 9]), np.array([0, 1, 3, 4])
        >>> tokens = Tokens(ids, offsets, rows, full_lengths, window_offsets=windows)
        >>> [found.tolist() for found in tokens.windows_of(np.array([1, 0]))]
        [[1, 2, 0], [0, 2, 3, 4]]
        """
        starts = self.window_offsets
        if starts is None:
            return positions, None
        bounds = (np.searchsorted(starts, self.offsets[positions + end]) for end in (0, 1))
        windows, _ = joined_ranges(*bounds)
        lengths = starts[windows + 1] - starts[windows]
        return windows, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def as_windows(self) -> "Tokens":
        """The same tokens with a row for each window; the same object without windows."""
        if self.window_offsets is None:
            return self
        rows = np.repeat(self.rows, self.window_counts)
        lengths = np.diff(self.window_offsets)
        return Tokens(self.input_ids, self.window_offsets, rows, lengths, self.token_type_ids)

    def taken(self, positions: Ints) -> "Tokens":
        """A copy with only the rows at these positions, in this order; ``cut`` is not kept.

        Args:
            positions: positions of the rows, int64 [B].
        """
        places, offsets = self.places_of(positions)
        types = self.token_type_ids
        return Tokens(
            input_ids=self.input_ids[places],
            offsets=offsets,
            rows=self.rows[positions],
            full_lengths=self.full_lengths[positions],
            token_type_ids=None if types is None else types[places],
            window_offsets=self.windows_of(positions)[1],
        )


def window_bounds(offsets: Ints, window_offsets: Ints | None) -> Ints:
    """Row i is the windows ``bounds[i]`` to ``bounds[i + 1] - 1``, int64 [N + 1].

    Args:
        offsets: the offsets of the rows, int64 [N + 1].
        window_offsets: the offsets of the windows, int64 [V + 1]; None if each row is one window.
    """
    if window_offsets is None:
        return np.arange(len(offsets))
    return np.searchsorted(window_offsets, offsets)


def joined_ranges(starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """The numbers of several ranges, end to end.

    Args:
        starts: first number of each range, int64 [B].
        stops: the number after the last one of each range, int64 [B].

    Returns:
        The numbers; and the place of the first number of each range among them, int64 [B + 1].

    >>> [found.tolist() for found in joined_ranges(np.array([7, 2]), np.array([9, 3]))]
    [[7, 8, 2], [0, 2, 3]]
    """
    lengths = stops - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    # A number = start of its range + its place in the range, and the latter is its place among
    # all selected numbers minus the offset of its range.
    return np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1]), offsets


NO_PIECE = -1
"""First piece of a word for which the tokenizer outputs no piece at all."""


@dataclass(frozen=True, slots=True)
class WordTokens:
    """Tokenised rows of words that were split beforehand: N rows, W words, T tokens.

    Rows are never truncated here: long ones are cut into windows later, and no word is lost.

    Args:
        tokens: the rows, special tokens included.
        word_offsets: the words of row i are ``word_offsets[i]`` to ``word_offsets[i + 1]`` in the
            arrays with one entry per word, int64 [N + 1].
        first_pieces: index into ``tokens.input_ids`` of each word's first piece, int64 [W], or
            ``NO_PIECE`` for a word without any piece (a zero-width space, a control character).
        bodies: start and stop in ``tokens.input_ids`` of each row's pieces, without the special
              tokens around them, int64 [N, 2]; equal if a row has no pieces.
    """

    tokens: Tokens
    word_offsets: Ints
    first_pieces: Ints
    bodies: Ints

    @property
    def without_piece(self) -> Ints:
        """The words without any piece: position of the row, position in the row, int64 [K, 2]."""
        words = np.flatnonzero(self.first_pieces == NO_PIECE)
        # The last row that starts at or before the word; empty rows with this start are before it.
        rows = np.searchsorted(self.word_offsets, words, side="right") - 1
        return np.stack([rows, words - self.word_offsets[rows]], axis=1)

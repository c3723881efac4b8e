"""Tokenised rows in flat arrays: the token ids of all rows end to end, and where each row starts.

One token takes 4 bytes, or 5 with type ids, which distinguish the two texts of a pair. Rows are not
padded here: each batch has its own width. Targets are not stored here.

Letters: N rows, T tokens of all rows together, B rows of one batch.
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
    """

    input_ids: np.ndarray[Any, np.dtype[np.int32]]
    offsets: Ints
    rows: Ints
    full_lengths: Ints
    token_type_ids: np.ndarray[Any, np.dtype[np.int8]] | None = None
    cut: tuple[Cut, Cut] | None = None

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
        lengths = self.offsets[positions + 1] - self.offsets[positions]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # Index of a token = start of its row in the flat array + its position in the row, and
        # the latter is its position among all selected tokens minus the offset of its row.
        starts = np.repeat(self.offsets[positions] - offsets[:-1], lengths)
        return starts + np.arange(offsets[-1]), offsets

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
        )


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

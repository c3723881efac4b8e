"""Tokenised rows in flat arrays: all rows' token ids end to end, and the offset of each row.

Five million rows as Python objects do not fit in memory where 4 bytes per token do. Nothing is
padded here; what the rows teach is kept apart (``targets``).

Letters: N rows, T tokens, D documents.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ids = np.ndarray[Any, np.dtype[np.int32]]


class Cut(NamedTuple):
    """How much truncation removed from one text of the pairs."""

    rows: int
    """Rows in which this text was cut."""
    tokens: int
    """Tokens removed from these rows, in total."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokenised rows of one split.

    Args:
        input_ids: token ids of all rows end to end, special tokens included, int32 [T].
        offsets: row i is ``input_ids[offsets[i]:offsets[i + 1]]``, int64 [N + 1].
        rows: row ids in the table, ascending; a document cut into several rows repeats its id,
            int64 [N].
        full_lengths: tokens each row would have without truncation, int64 [N].
        token_type_ids: which text of its pair each token belongs to, int8 [T]; None for single
            texts, and for models that do not use them.
        cut: for pairs, what truncation removed from the first text and from the second.

    >>> tokens = Tokens(
    ...     input_ids=np.array([101, 7, 102, 101, 8, 9, 102], dtype=np.int32),
    ...     offsets=np.array([0, 3, 7]),
    ...     rows=np.array([0, 1]),
    ...     full_lengths=np.array([3, 6]),
    ... )
    >>> tokens.lengths.tolist(), tokens.truncated.tolist()
    ([3, 4], [False, True])
    """

    input_ids: Ids
    offsets: Ints
    rows: Ints
    full_lengths: Ints
    token_type_ids: np.ndarray[Any, np.dtype[np.int8]] | None = None
    cut: tuple[Cut, Cut] | None = None

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def ids_of(self, position: int) -> Ids:
        """Token ids of the row at ``position``, int32 [length]."""
        return self.input_ids[self.offsets[position] : self.offsets[position + 1]]

    @property
    def lengths(self) -> Ints:
        """Tokens of each row as the model reads it, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def truncated(self) -> Bools:
        """Whether the model reads only the beginning of a row, bool [N]."""
        cut: Bools = self.full_lengths > self.lengths
        return cut

    def tokens_of(self, positions: Ints) -> int:
        """Total number of tokens in the rows at these positions."""
        return int((self.offsets[positions + 1] - self.offsets[positions]).sum())

    def places_of(self, positions: Ints) -> tuple[Ints, Ints]:
        """Indices of some rows' tokens in the flat arrays, and the offsets of these rows.

        Args:
            positions: positions of the rows, int64 [B].

        Returns:
            Indices into ``input_ids``, int64 [T of these rows], and the offset at which each row
            then starts, int64 [B + 1].
        """
        lengths = self.offsets[positions + 1] - self.offsets[positions]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # Index of every token in the flat array: the start of its row plus its place in the row.
        starts = np.repeat(self.offsets[positions] - offsets[:-1], lengths)
        return starts + np.arange(offsets[-1]), offsets

    def taken(self, positions: Ints) -> "Tokens":
        """A copy that holds only the rows at these positions, in this order; ``cut`` is dropped."""
        places, offsets = self.places_of(positions)
        types = self.token_type_ids
        return Tokens(
            input_ids=self.input_ids[places],
            offsets=offsets,
            rows=self.rows[positions],
            full_lengths=self.full_lengths[positions],
            token_type_ids=None if types is None else types[places],
        )

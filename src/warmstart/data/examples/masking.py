"""Which tokens are hidden, and behind what: masked language modelling's targets.

Of each row a share of the tokens is chosen, at least one; of these 80 % become the mask token, 10 %
any other token, 10 % stay, and the model is to say what stood there. Each epoch hides others
(*dynamic* masking).

What is hidden is a function of (seed, epoch, row id, number of the chunk, place) and of nothing
else: every number is the output of SplitMix64 at a counter of its own, so nothing has to be
remembered for a resume, a step that is made again hides the same, and any process can work out any
row. It is arithmetic on whole arrays: a batch of 2,000 tokens takes a fraction of a millisecond.

Letters: B rows of a batch, T tokens, V vocabulary, U units: tokens, or whole words.

Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix A.1, and ``whole word
masking`` in https://github.com/google-research/bert; Liu et al. 2019 (RoBERTa), arXiv:1907.11692,
section 4.1 (dynamic masking); Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators", figure 10 (SplitMix64's finaliser).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Bits = np.ndarray[Any, np.dtype[np.uint64]]

MASKED_SHARE, KEPT_SHARE = 0.8, 0.1
"""Of the chosen tokens; the rest are replaced by any other."""


class Draw(NamedTuple):
    """What a batch is drawn for."""

    seed: int
    """Of the run, below 2**63."""
    epoch: int
    """Counted from 0."""


FIXED = Draw(seed=0, epoch=-1)
"""For evaluation: a row is hidden alike for every model and at any time."""


@dataclass(frozen=True, slots=True)
class Masking:
    """How tokens are chosen and hidden.

    Args:
        share: of each row's tokens (or words) so many are chosen.
        mask_id: of the mask token.
        askable: ids that may be chosen, and that may stand for another: no special token, bool [V].
    """

    share: float
    mask_id: int
    askable: Bools

    def choose(self, rows: "MaskedRows", draw: Draw) -> Ints:
        """Indices of the chosen tokens among those of the batch, rising.

        Args:
            rows: of the batch.
            draw: for what.
        """
        row, place = rows.row, rows.place
        asked = np.flatnonzero(self.askable[rows.ids] & (place >= rows.first[row]))
        unit = asked if rows.begins_word is None else np.cumsum(rows.begins_word)[asked]
        _, start, unit_of = np.unique(unit, return_index=True, return_inverse=True)
        unit_row = row[asked[start]]
        units = np.bincount(unit_row, minlength=len(rows.first))
        wanted = np.maximum(np.rint(self.share * units), 1)
        order = np.lexsort((rows.bits(asked[start], draw, number=0), unit_row))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - (np.cumsum(units) - units)[unit_row]
        chosen: Ints = asked[(rank < wanted[unit_row])[unit_of]]
        return chosen

    def hide(self, rows: "MaskedRows", chosen: Ints, draw: Draw) -> Ints:
        """The batch's token ids as the model is to see them, int64 [T].

        Args:
            rows: of the batch.
            chosen: from ``choose``.
            draw: for what.
        """
        share = rows.bits(chosen, draw, number=1) / 2.0**64
        others = np.flatnonzero(self.askable)
        other = others[rows.bits(chosen, draw, number=2) % np.uint64(len(others))]
        ids = rows.ids.copy()
        ids[chosen] = np.select(
            [share < MASKED_SHARE, share < MASKED_SHARE + KEPT_SHARE],
            [np.int64(self.mask_id), ids[chosen]],
            other,
        )
        return ids


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """Rows of a batch whose tokens are to be hidden.

    Args:
        ids: token ids, rows end to end, int64 [T].
        offsets: where rows begin and the last one ends, int64 [B + 1].
        first: of each row, the place of the first token that may be chosen, int64 [B].
        rows: row ids, int64 [B].
        chunks: which chunk of its document each row is, from 0, int64 [B].
        begins_word: whether a token begins a word, where words are hidden whole, bool [T].
    """

    ids: Ints
    offsets: Ints
    first: Ints
    rows: Ints
    chunks: Ints
    begins_word: Bools | None

    @property
    def row(self) -> Ints:
        """Which row of the batch each token is of, int64 [T]."""
        return np.repeat(np.arange(len(self.first)), np.diff(self.offsets))

    @property
    def place(self) -> Ints:
        """Of each token in its row, from 0, int64 [T]."""
        return np.arange(self.offsets[-1]) - self.offsets[self.row]

    def bits(self, tokens: Ints, draw: Draw, number: int) -> Bits:
        """64 random bits for each of some tokens.

        Args:
            tokens: their indices, int64 [N].
            draw: for what.
            number: which of a token's numbers, 0 to 3.
        """
        state = np.zeros(len(self.rows), dtype=np.uint64)
        for value in (draw.seed, draw.epoch + 1, self.rows, self.chunks):
            state = _mixed(state + np.asarray(value).astype(np.uint64) * _GOLDEN)
        counter = 4 * self.place[tokens] + number + 1
        return _mixed(state[self.row[tokens]] + counter.astype(np.uint64) * _GOLDEN)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(state: Bits) -> Bits:
    """SplitMix64's finaliser: every bit of the result depends on every bit of the state."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))

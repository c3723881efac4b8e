"""Masking for masked language modelling: select tokens of each row and replace them.

In each row a share of the tokens is selected, at least one. 80 % of them are replaced by the mask
token, 10 % by a random token, and 10 % are unchanged; the model must predict the original tokens.
Each epoch selects different tokens (*dynamic* masking).

The selection depends only on (seed, epoch, row id, chunk number, position): every random number is
the output of SplitMix64 for its own counter. So a resume needs no saved state, a repeated step has
the same masks, and every rank can compute the masks of any row. All operations work on whole
arrays: a batch of 2,000 tokens takes a fraction of a millisecond.

Letters: B rows of a batch, T tokens, V vocabulary, A candidate tokens, U units (tokens or words).

Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix A.1, and ``whole word
masking`` in https://github.com/google-research/bert; Liu et al. 2019 (RoBERTa), arXiv:1907.11692,
section 4.1 (dynamic masking); Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators", figure 10 (SplitMix64's finaliser).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Bits = np.ndarray[Any, np.dtype[np.uint64]]

MASKED_SHARE, KEPT_SHARE = 0.8, 0.1
"""Shares of the selected tokens; the rest are replaced by a random token."""


class Draw(NamedTuple):
    """Seed and epoch, which determine the random numbers of a batch."""

    seed: int
    """Seed of the run, below 2**63."""
    epoch: int
    """Counted from 0."""


FIXED = Draw(seed=0, epoch=-1)
"""For evaluation: a row always has the same masks."""


@dataclass(frozen=True, slots=True)
class Masking:
    """How tokens are selected and replaced.

    Args:
        share: share of each row's tokens (or words) to select.
        mask_id: id of the mask token.
        askable: ids that may be selected and used as random replacements: all but special tokens,
            bool [V].
    """

    share: float
    mask_id: int
    askable: Bools

    @classmethod
    def of(cls, share: float, tokenizer: Any) -> Self:
        """Masking with the mask token of a tokenizer; its special tokens are never selected.

        Args:
            share: share of each row's tokens (or words) to select.
            tokenizer: a Transformers tokenizer with a mask token.
        """
        askable = np.ones(len(tokenizer), dtype=np.bool_)
        askable[sorted(tokenizer.all_special_ids)] = False
        return cls(share, tokenizer.mask_token_id, askable)

    def choose(self, rows: "MaskedRows", draw: Draw) -> Ints:
        """Select tokens: their indices in the batch, sorted, int64.

        Args:
            rows: the rows of the batch.
            draw: seed and epoch.
        """
        row, place = rows.row, rows.place
        candidates = np.flatnonzero(self.askable[rows.ids] & (place >= rows.first[row]))  # [A]
        # A unit is one token, or all tokens of a word: number the words of the batch.
        unit = candidates if rows.begins_word is None else np.cumsum(rows.begins_word)[candidates]
        # `start` [U]: first candidate of each unit; `unit_of` [A]: the unit of each candidate.
        _, start, unit_of = np.unique(unit, return_index=True, return_inverse=True)
        unit_row = row[candidates[start]]  # [U]
        units = np.bincount(unit_row, minlength=len(rows.first))  # [B]
        wanted = np.maximum(np.rint(self.share * units), 1)  # [B]
        # Shuffle the units within each row: sort by row, then by a random number. `rank` [U] is the
        # place of a unit in the shuffled order of its row; the first `wanted` units are selected.
        order = np.lexsort((rows.bits(candidates[start], draw, number=0), unit_row))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - (np.cumsum(units) - units)[unit_row]
        chosen: Ints = candidates[(rank < wanted[unit_row])[unit_of]]
        return chosen

    def hide(self, rows: "MaskedRows", chosen: Ints, draw: Draw) -> Ints:
        """The batch's token ids as input for the model, with selected tokens replaced, int64 [T].

        Args:
            rows: the rows of the batch.
            chosen: indices of the selected tokens, from ``choose``.
            draw: seed and epoch.
        """
        uniform = rows.bits(chosen, draw, number=1) / 2.0**64  # in [0, 1)
        allowed = np.flatnonzero(self.askable)
        random_ids = allowed[rows.bits(chosen, draw, number=2) % np.uint64(len(allowed))]
        ids = rows.ids.copy()
        ids[chosen] = np.select(
            [uniform < MASKED_SHARE, uniform < MASKED_SHARE + KEPT_SHARE],
            [np.int64(self.mask_id), ids[chosen]],
            random_ids,
        )
        return ids


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """The rows of a batch before masking.

    Args:
        ids: token ids of all rows, concatenated, int64 [T].
        offsets: start of each row, and end of the last one, int64 [B + 1].
        first: for each row, the position of the first token that may be selected, int64 [B].
        rows: row ids, int64 [B].
        chunks: number of the row's chunk within its document, from 0, int64 [B].
        begins_word: whether each token begins a word, bool [T]; None to mask single tokens.
    """

    ids: Ints
    offsets: Ints
    first: Ints
    rows: Ints
    chunks: Ints
    begins_word: Bools | None

    @property
    def row(self) -> Ints:
        """For each token, its row in the batch, int64 [T]."""
        return np.repeat(np.arange(len(self.first)), np.diff(self.offsets))

    @property
    def place(self) -> Ints:
        """For each token, its position in its row, from 0, int64 [T]."""
        return np.arange(self.offsets[-1]) - self.offsets[self.row]

    def bits(self, tokens: Ints, draw: Draw, number: int) -> Bits:
        """64 random bits for each of the given tokens, uint64 [N].

        Args:
            tokens: indices of the tokens, int64 [N].
            draw: seed and epoch.
            number: 0 to 3: which of a token's four random numbers.
        """
        state = row_states(draw, self.rows, self.chunks)  # [B]
        return random_bits(state[self.row[tokens]], 4 * self.place[tokens] + number)


def row_states(draw: Draw, rows: Ints, chunks: Ints) -> Bits:
    """A state for the random numbers of each row, a function of the arguments alone, uint64 [B].

    Args:
        draw: seed and epoch.
        rows: row ids, int64 [B].
        chunks: a second number of each row, int64 [B].
    """
    state = np.zeros(len(rows), dtype=np.uint64)
    for value in (draw.seed, draw.epoch + 1, rows, chunks):
        state = _mixed(state + np.asarray(value).astype(np.uint64) * _GOLDEN)
    return state


def random_bits(states: Bits, counters: Ints) -> Bits:
    """64 random bits for each state and counter, uint64 [N].

    Args:
        states: from ``row_states``, uint64 [N].
        counters: which of the random numbers of a state, 0 or more, int64 [N].
    """
    return _mixed(states + (counters + 1).astype(np.uint64) * _GOLDEN)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(state: Bits) -> Bits:
    """The finaliser of SplitMix64: every bit of the result depends on every bit of the state."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))

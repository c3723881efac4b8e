"""Targets at tokens: the next token, hidden tokens, and the tags of words.

See ``targets`` for what a kind of targets is.

Letters: N rows, B rows of a batch, T tokens, W words of a split, A words of a batch, D documents.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from warmstart.data.examples.masking import Draw, MaskedRows, Masking
from warmstart.data.examples.targets import NO_LABEL
from warmstart.data.examples.tokens import Bools, Ints, Tokens

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenBatchTargets:
    """Targets at the tokens of a batch.

    Args:
        ids: the token to predict at each token, or ``NO_LABEL``, int64 [T].
        text_bytes: UTF-8 bytes of the text that each row's targets spell, int64 [B].
        count: targets that are not ``NO_LABEL``.
    """

    ids: "Tensor"
    text_bytes: Ints
    count: int
    groups: Ints | None = None

    @property
    def asked(self) -> "Tensor | None":
        """None: a language-model head finds its tokens from ``ids``."""
        return None

    def to(self, device: "torch.device") -> Self:
        """The same with ``ids`` on ``device``."""
        return replace(self, ids=self.ids.to(device, non_blocking=True))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive rows."""
        ids = self.ids[offsets[rows.start] : offsets[rows.stop]]
        count = int((ids != NO_LABEL).sum())
        return replace(self, ids=ids, text_bytes=self.text_bytes[rows], count=count)


@dataclass(frozen=True, slots=True)
class NextTokens:
    """The token after each token, from ``predict_from`` on.

    Args:
        predict_from: place in each row of the first token to predict, 1 or more: after the prompt,
            and in a chunk after the tokens repeated from the chunk before, int64 [N].
        text_bytes: UTF-8 bytes of the text that each row's predicted tokens spell, int64 [N].
    """

    predict_from: Ints
    text_bytes: Ints
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Tokens that are predicted."""
        return tokens.tokens_of(positions) - int(self.predict_from[positions].sum())

    def collate(
        self, tokens: Tokens, positions: Ints, draw: Draw
    ) -> tuple[Ints, TokenBatchTargets]:
        """The token ids as they are, and the next token at each of them."""
        import torch

        places, offsets = tokens.places_of(positions)
        ids = tokens.input_ids[places].astype(np.int64)
        targets = next_tokens(ids, offsets, self.predict_from[positions])
        count = int(np.count_nonzero(targets != NO_LABEL))
        text_bytes = self.text_bytes[positions]
        return ids, TokenBatchTargets(torch.from_numpy(targets), text_bytes, count)

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Tokens of each document without truncation, its chunks added up, [D]."""
        return lengths_of_documents(tokens, self.predict_from)


def next_tokens(ids: Ints, offsets: Ints, predict_from: Ints) -> Ints:
    """The target at each token: the token after it in its row, else ``NO_LABEL``.

    Args:
        ids: the rows' tokens end to end, int64 [T].
        offsets: start of each row and end of the last, int64 [B + 1].
        predict_from: place in each row of the first token to predict, 1 or more, [B].

    >>> next_tokens(np.array([7, 8, 9, 5, 6]), np.array([0, 3, 5]), np.array([2, 1]))
    array([-100,    9, -100,    6, -100])
    """
    row = np.repeat(np.arange(len(predict_from)), np.diff(offsets))
    place = np.arange(len(ids)) - offsets[row]
    targets = np.append(ids[1:], NO_LABEL)
    targets[place + 1 < predict_from[row]] = NO_LABEL
    targets[offsets[1:] - 1] = NO_LABEL
    return targets


def lengths_of_documents(tokens: Tokens, repeated: Ints) -> Ints:
    """Tokens of each document without truncation, the rows of one document added up, [D].

    Args:
        tokens: rows of one document follow each other.
        repeated: tokens of each row that the row before already has, int64 [N].
    """
    follows = np.append(False, tokens.rows[1:] == tokens.rows[:-1])
    new = tokens.full_lengths - np.where(follows, repeated, 0)
    return np.asarray(np.add.reduceat(new, np.flatnonzero(~follows)))


@dataclass(frozen=True, slots=True)
class HiddenTokens:
    """Tokens hidden behind masks, others in every epoch (masked language modelling).

    Args:
        predict_from: place in each row of the first token that may be hidden, int64 [N].
        text_bytes: UTF-8 bytes of the text that the tokens from there on spell, int64 [N].
        masking: how tokens are chosen and replaced.
        begins_word: whether each token begins a word, bool [T]; None where single tokens are
            hidden and not whole words.
    """

    predict_from: Ints
    text_bytes: Ints
    masking: Masking
    begins_word: Bools | None = None
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Tokens that are hidden for this seed and epoch."""
        return len(self.masking.choose(self.rows_to_mask(tokens, positions), draw))

    def collate(
        self, tokens: Tokens, positions: Ints, draw: Draw
    ) -> tuple[Ints, TokenBatchTargets]:
        """The token ids with some hidden, and the original ids at these places."""
        import torch

        rows = self.rows_to_mask(tokens, positions)
        chosen = self.masking.choose(rows, draw)
        targets = np.full_like(rows.ids, NO_LABEL)
        targets[chosen] = rows.ids[chosen]
        batch = TokenBatchTargets(
            torch.from_numpy(targets), self.text_bytes[positions], count=len(chosen)
        )
        return self.masking.hide(rows, chosen, draw), batch

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Tokens of each document without truncation, its chunks added up, [D]."""
        # Each chunk begins and ends with a special token of its own: one more is repeated.
        return lengths_of_documents(tokens, self.predict_from + 1)

    def rows_to_mask(self, tokens: Tokens, positions: Ints) -> MaskedRows:
        """Some rows as ``Masking`` takes them.

        Args:
            tokens: all rows.
            positions: positions of the rows, int64 [B].
        """
        places, offsets = tokens.places_of(positions)
        rows = tokens.rows[positions]
        return MaskedRows(
            ids=tokens.input_ids[places].astype(np.int64),
            offsets=offsets,
            first=self.predict_from[positions],
            rows=rows,
            # Number of the chunk within its document: rows of one document follow each other.
            chunks=positions - np.searchsorted(tokens.rows, rows),
            begins_word=None if self.begins_word is None else self.begins_word[places],
        )


@dataclass(frozen=True, slots=True)
class WordBatchTargets:
    """Classes of words, at the first token of each.

    Args:
        asked: index of that token in the batch, int64 [A].
        values: index of the class, or ``NO_LABEL``, int64 [A].
        word_counts: words read in each row, int64 [B]; they add up to A.
        words: number of each word in the split's list of words, int64 [A].
        count: values that are not ``NO_LABEL``.
        source: what the words are, as the task's predictions need it.
    """

    asked: "Tensor"
    values: "Tensor"
    word_counts: Ints
    words: Ints
    count: int
    source: Any = None
    groups: Ints | None = None

    def to(self, device: "torch.device") -> Self:
        """The same with its tensors on ``device``."""
        asked = self.asked.to(device, non_blocking=True)
        return replace(self, asked=asked, values=self.values.to(device, non_blocking=True))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive rows."""
        ends = np.concatenate([[0], np.cumsum(self.word_counts)])
        words = slice(ends[rows.start], ends[rows.stop])
        values = self.values[words]
        return replace(
            self,
            asked=self.asked[words] - int(offsets[rows.start]),
            values=values,
            word_counts=self.word_counts[rows],
            words=self.words[words],
            count=int((values != NO_LABEL).sum()),
        )


@dataclass(frozen=True, slots=True)
class WordTags:
    """A class for each word, read at its first token. A long text has several rows (windows).

    Args:
        word_offsets: words of row i are ``word_offsets[i]`` to ``word_offsets[i + 1]`` of the
            arrays below, int64 [N + 1].
        places: place in its row of each word's first token, int64 [W].
        words: number of the word in the split's list of words, int64 [W].
        values: index of its class, or ``NO_LABEL`` where it is not learned from or not known,
            int64 [W].
        repeated: tokens of each row that the row before already has, int64 [N].
        source: what the words are, as the task's predictions need it; passed on to batches.
    """

    word_offsets: Ints
    places: Ints
    words: Ints
    values: Ints
    repeated: Ints
    source: Any = None
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Words that have a class."""
        return int(np.count_nonzero(self.values[self.words_of(positions)[0]] != NO_LABEL))

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, WordBatchTargets]:
        """The token ids as they are; place and class of each word."""
        import torch

        places, offsets = tokens.places_of(positions)
        words, counts = self.words_of(positions)
        values = self.values[words]
        batch = WordBatchTargets(
            # Place in the row + start of the row = index in the batch.
            asked=torch.from_numpy(self.places[words] + np.repeat(offsets[:-1], counts)),
            values=torch.from_numpy(values),
            word_counts=counts,
            words=self.words[words],
            count=int(np.count_nonzero(values != NO_LABEL)),
            source=self.source,
        )
        return tokens.input_ids[places].astype(np.int64), batch

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Tokens of each text, its windows added up, [D]."""
        return lengths_of_documents(tokens, self.repeated)

    def taken(self, positions: Ints) -> "WordTags":
        """A copy with only the words of the rows at these positions, in this order.

        Args:
            positions: positions of the rows, int64 [B].
        """
        words, counts = self.words_of(positions)
        return WordTags(
            word_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            places=self.places[words],
            words=self.words[words],
            values=self.values[words],
            repeated=self.repeated[positions],
            source=self.source,
        )

    def words_of(self, positions: Ints) -> tuple[Ints, Ints]:
        """Indices of the words of some rows, int64 [A], and words in each row, int64 [B].

        Args:
            positions: positions of the rows, int64 [B].
        """
        counts = self.word_offsets[positions + 1] - self.word_offsets[positions]
        ends = np.cumsum(counts)
        starts = np.repeat(self.word_offsets[positions] - (ends - counts), counts)
        return starts + np.arange(ends[-1] if len(ends) else 0), counts

"""Targets at tokens: the next token, hidden tokens, and the tags of words.

``targets`` explains what a kind of targets is.

Letters: N rows, B rows of a batch, T tokens, W words of a split, A words of a batch, D documents.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

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
        text_bytes: UTF-8 bytes of the text of each row's targets, int64 [B].
        count: number of targets that are not ``NO_LABEL``.
    """

    ids: "Tensor"
    text_bytes: Ints
    count: int
    groups: Ints | None = None

    @property
    def asked(self) -> "Tensor | None":
        """None: the head of a language model selects its tokens by ``ids``."""
        return None

    def to(self, device: "torch.device") -> Self:
        """The same targets with ``ids`` on ``device``."""
        return replace(self, ids=self.ids.to(device, non_blocking=True))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive rows."""
        ids = self.ids[offsets[rows.start] : offsets[rows.stop]]
        count = int((ids != NO_LABEL).sum())
        return replace(self, ids=ids, text_bytes=self.text_bytes[rows], count=count)


@dataclass(frozen=True, slots=True)
class NextTokens:
    """The token after each token, starting at ``predict_from``.

    Args:
        predict_from: position in each row of the first token to predict, 1 or more: after the
            prompt, and in a chunk after the tokens repeated from the previous chunk, int64 [N].
        text_bytes: UTF-8 bytes of the text of each row's predicted tokens, int64 [N].
    """

    predict_from: Ints
    text_bytes: Ints
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of tokens that are predicted."""
        return tokens.tokens_of(positions) - int(self.predict_from[positions].sum())

    def collate(
        self, tokens: Tokens, positions: Ints, draw: Draw
    ) -> tuple[Ints, TokenBatchTargets]:
        """The token ids unchanged, and for each of them the next token as target."""
        import torch

        places, offsets = tokens.places_of(positions)
        ids = tokens.input_ids[places].astype(np.int64)
        targets = next_tokens(ids, offsets, self.predict_from[positions])
        count = int(np.count_nonzero(targets != NO_LABEL))
        text_bytes = self.text_bytes[positions]
        return ids, TokenBatchTargets(torch.from_numpy(targets), text_bytes, count)

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each document without truncation, all its chunks together, [D]."""
        return lengths_of_documents(tokens, self.predict_from)


def next_tokens(ids: Ints, offsets: Ints, predict_from: Ints) -> Ints:
    """The target at each token: the token after it in its row, else ``NO_LABEL``.

    Args:
        ids: the rows' tokens end to end, int64 [T].
        offsets: start of each row, and end of the last one, int64 [B + 1].
        predict_from: position in each row of the first token to predict, 1 or more, [B].

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
    """Number of tokens of each document without truncation, all its rows together, [D].

    Args:
        tokens: rows of one document follow each other.
        repeated: number of tokens of each row that the previous row has already, int64 [N].
    """
    follows = np.append(False, tokens.rows[1:] == tokens.rows[:-1])
    new = tokens.full_lengths - np.where(follows, repeated, 0)
    return np.asarray(np.add.reduceat(new, np.flatnonzero(~follows)))


@dataclass(frozen=True, slots=True)
class HiddenTokens:
    """Tokens hidden behind masks, different ones in every epoch (masked language modelling).

    Args:
        predict_from: position in each row of the first token that may be hidden, int64 [N].
        text_bytes: UTF-8 bytes of the text from this token to the end of the row, int64 [N].
        masking: how tokens are selected and replaced.
        begins_word: whether each token begins a word, bool [T]; None if single tokens are hidden
            and not whole words.
    """

    predict_from: Ints
    text_bytes: Ints
    masking: Masking
    begins_word: Bools | None = None
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of tokens that are hidden for this seed and epoch."""
        return len(self.masking.choose(self.rows_to_mask(tokens, positions), draw))

    def collate(
        self, tokens: Tokens, positions: Ints, draw: Draw
    ) -> tuple[Ints, TokenBatchTargets]:
        """The token ids after masking, and the original ids of the hidden tokens as targets."""
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
        """Number of tokens of each document without truncation, all its chunks together, [D]."""
        # Each chunk has its own begin and end token: one token more than the overlap is repeated.
        return lengths_of_documents(tokens, self.predict_from + 1)

    def rows_to_mask(self, tokens: Tokens, positions: Ints) -> MaskedRows:
        """Some rows in the form that ``Masking`` needs.

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


@runtime_checkable
class ReadsTokens(Protocol):
    """Targets whose head reads some tokens of each row: A tokens of all rows, in their order."""

    def read_tokens(self, tokens: Tokens, positions: Ints) -> tuple[Ints, Ints, Ints]:
        """The tokens that the head reads in some rows.

        Args:
            tokens: all rows.
            positions: positions of the rows, int64 [B].

        Returns:
            The index of each among the A tokens; its position in its row; and the number of tokens
            in each row, int64 [B].
        """
        ...

    def taken(self, positions: Ints) -> Self:
        """A copy with only the rows at these positions, in this order.

        Args:
            positions: positions of the rows, int64 [B].
        """
        ...


@dataclass(frozen=True, slots=True)
class WordBatchTargets:
    """Classes of words, at the first token of each.

    Args:
        asked: index of that token in the batch, int64 [A].
        values: index of the class, or ``NO_LABEL``, int64 [A].
        word_counts: number of words that the head reads in each row, int64 [B]; their sum is A.
        words: number of each word in the split's list of words, int64 [A].
        count: number of values that are not ``NO_LABEL``.
        source: the words themselves, in the form that the task's predictions need.
    """

    asked: "Tensor"
    values: "Tensor"
    word_counts: Ints
    words: Ints
    count: int
    source: Any = None
    groups: Ints | None = None

    def to(self, device: "torch.device") -> Self:
        """The same targets with their tensors on ``device``."""
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
    """A class for each word, predicted at its first token. A long text has several rows (windows).

    Args:
        word_offsets: words of row i are ``word_offsets[i]`` to ``word_offsets[i + 1] - 1`` of the
            arrays below, int64 [N + 1].
        places: position in its row of each word's first token, int64 [W].
        words: number of the word in the split's list of words, int64 [W].
        values: index of its class, int64 [W]; ``NO_LABEL`` if it is unknown or must not enter the
            loss.
        repeated: number of tokens of each row that the previous row has already, int64 [N].
        source: the words themselves, in the form that the task's predictions need.
    """

    word_offsets: Ints
    places: Ints
    words: Ints
    values: Ints
    repeated: Ints
    source: Any = None
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of words with a class."""
        return int(np.count_nonzero(self.values[self.words_of(positions)[0]] != NO_LABEL))

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, WordBatchTargets]:
        """The token ids unchanged, and the position and class of each word."""
        import torch

        places, offsets = tokens.places_of(positions)
        words, counts = self.words_of(positions)
        values = self.values[words]
        batch = WordBatchTargets(
            # Position in the row + start of the row = index in the batch.
            asked=torch.from_numpy(self.places[words] + np.repeat(offsets[:-1], counts)),
            values=torch.from_numpy(values),
            word_counts=counts,
            words=self.words[words],
            count=int(np.count_nonzero(values != NO_LABEL)),
            source=self.source,
        )
        return tokens.input_ids[places].astype(np.int64), batch

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each text, all its windows together, [D]."""
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

    def read_tokens(self, tokens: Tokens, positions: Ints) -> tuple[Ints, Ints, Ints]:
        """The first token of each word; see ``ReadsTokens``."""
        words, counts = self.words_of(positions)
        return words, self.places[words], counts

    def words_of(self, positions: Ints) -> tuple[Ints, Ints]:
        """Indices of the words of some rows, int64 [A], and number of words in each row, int64 [B].

        Args:
            positions: positions of the rows, int64 [B].
        """
        counts = self.word_offsets[positions + 1] - self.word_offsets[positions]
        ends = np.cumsum(counts)
        starts = np.repeat(self.word_offsets[positions] - (ends - counts), counts)
        return starts + np.arange(ends[-1] if len(ends) else 0), counts

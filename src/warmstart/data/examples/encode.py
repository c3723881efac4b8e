"""Tokenised rows in flat arrays: every row's token ids end to end, and where each row starts.

Texts are tokenised once, before training, in chunks, by the tokenizer's own threads (``tokenise``).
Nothing is padded here: the width of a batch is the batch's own affair.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from warmstart.config import DataConfig
from warmstart.data.examples.masking import FIXED, Draw, MaskedRows, Masking
from warmstart.data.examples.tokenise import CHUNK_ROWS, RowTokeniser, Tokenizer, Truncation
from warmstart.data.examples.tokens import Bools, Cut, Floats, Ints
from warmstart.data.table import Table

__all__ = [
    "CHUNK_ROWS",
    "NO_LABEL",
    "NO_LIST",
    "Bools",
    "Computed",
    "Cut",
    "Example",
    "Examples",
    "Floats",
    "Ints",
    "Tokenizer",
    "Truncation",
    "count_labels",
    "encode",
    "encode_table",
]

NO_LABEL = -100
"""Label of a row that has none; ``torch.nn.functional.cross_entropy`` leaves it out by default. Of
labels that are numbers it is NaN."""

NO_LIST = -1
"""In place of the list that a row is compared in, where there is nothing to compare."""


class Example(NamedTuple):
    """One tokenised row."""

    input_ids: np.ndarray[Any, np.dtype[np.int32]]
    """Token ids, special tokens included, int32 [length]."""
    label: Any
    """Index of the class, or ``NO_LABEL``; where numbers are learned that, or NaN; of several
    labels a list of 0 and 1."""
    row: int
    """Row id in its table."""


class Computed(NamedTuple):
    """What a model's frozen part makes of rows, computed once (``models.tuning.features``)."""

    values: Any
    """float32: hidden states of all tokens end to end [T, H], or of each row what the head reads
    [N, H]; an array, perhaps memory-mapped, or in a batch a tensor."""
    layers: int
    """After how many layers of the encoder."""
    by_row: bool
    """Whether there is one vector for each row."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The tokenised rows of one split: N rows, T tokens, stored flat.

    Args:
        input_ids: all rows' token ids end to end, int32 [T].
        offsets: row i is ``input_ids[offsets[i]:offsets[i + 1]]``, int64 [N + 1].
        labels: class index of each row, or ``NO_LABEL``, int64 [N]; where numbers are learned (of
            a ranking, how relevant the row is) that, or NaN, float32 [N]; of rows with any of C
            labels which they have, 0, 1 or NaN, float32 [N, C].
        rows: row ids, int64 [N].
        full_lengths: tokens each row would have without truncation, int64 [N].
        token_type_ids: which text of its pair each token is of, int8 [T]; None for single texts and
            for models that are not told, which is to say 0 everywhere.
        computed: what the frozen part of the model makes of the rows, where it is known.
        predict_from: of each row, the place of the first token that is to be predicted from those
            before it, int64 [N]; None where tokens are not what is learned.
        text_bytes: of each row, the UTF-8 bytes of the text that its predicted tokens spell, int64
            [N]; beside ``predict_from``.
        masking: how tokens from ``predict_from`` on are hidden, where they are predicted from those
            on both sides.
        begins_word: whether each token begins a word, bool [T]; where words are hidden whole.
        lists: where rows are learned by comparing them with one another, the list that each is in,
            from 0, int64 [N], or ``NO_LIST``; a list is in one batch as a whole.
        cut: of pairs, what truncation took of the first text and of the second.
    """

    input_ids: np.ndarray[Any, np.dtype[np.int32]]
    offsets: Ints
    labels: Any
    rows: Ints
    full_lengths: Ints
    token_type_ids: np.ndarray[Any, np.dtype[np.int8]] | None = None
    computed: Computed | None = None
    predict_from: Ints | None = None
    text_bytes: Ints | None = None
    masking: Masking | None = None
    begins_word: Bools | None = None
    lists: Ints | None = None
    cut: tuple[Cut, Cut] | None = None

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        """The row at position ``index``."""
        start, stop = self.offsets[index], self.offsets[index + 1]
        return Example(
            self.input_ids[start:stop], self.labels[index].tolist(), int(self.rows[index])
        )

    @property
    def lengths(self) -> Ints:
        """Tokens of each row as the model sees it, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def document_lengths(self) -> Ints:
        """Tokens each document would have without truncation, its chunks taken together [D]."""
        if self.predict_from is None:
            return self.full_lengths
        follows = np.append(False, self.rows[1:] == self.rows[:-1])
        # Rows whose tokens are hidden each have an end of their own.
        again = self.predict_from + (self.masking is not None)
        new = self.full_lengths - np.where(follows, again, 0)
        return np.asarray(np.add.reduceat(new, np.flatnonzero(~follows)))

    def count_of(self, positions: Ints, draw: Draw = FIXED) -> int:
        """Labels that enter the loss of the rows at these positions; of documents, tokens.

        Args:
            positions: of the rows, int64 [B].
            draw: what tokens are hidden for.
        """
        if self.predict_from is None:
            lists = None if self.lists is None else self.lists[positions]
            return count_labels(self.labels[positions], lists)
        if self.masking is not None:
            return len(self.masking.choose(self.to_mask(positions), draw))
        return self.tokens_of(positions) - int(self.predict_from[positions].sum())

    @property
    def truncated(self) -> Bools:
        """Whether the model sees only the beginning of a row, bool [N]."""
        cut: Bools = self.full_lengths > self.lengths
        return cut

    def tokens_of(self, positions: Ints) -> int:
        """Tokens of the rows at these positions, all together."""
        return int((self.offsets[positions + 1] - self.offsets[positions]).sum())

    def places_of(self, positions: Ints) -> tuple[Ints, Ints]:
        """Where in the flat arrays the tokens of some rows are, and where each row then begins.

        Args:
            positions: of the rows, int64 [B].

        Returns:
            Indices, int64 [T], and offsets among them, int64 [B + 1].
        """
        lengths = self.offsets[positions + 1] - self.offsets[positions]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # Index of every token in the flat array: its row's start plus its place in the row.
        starts = np.repeat(self.offsets[positions] - offsets[:-1], lengths)
        return starts + np.arange(offsets[-1]), offsets

    def to_mask(self, positions: Ints) -> MaskedRows:
        """Rows as ``masking`` takes them; those of one document are its chunks, in order."""
        assert self.predict_from is not None
        tokens, offsets = self.places_of(positions)
        rows = self.rows[positions]
        return MaskedRows(
            ids=self.input_ids[tokens].astype(np.int64),
            offsets=offsets,
            first=self.predict_from[positions],
            rows=rows,
            chunks=positions - np.searchsorted(self.rows, rows),
            begins_word=None if self.begins_word is None else self.begins_word[tokens],
        )


def count_labels(labels: Any, lists: Ints | None = None) -> int:
    """Labels that enter a loss: those that are there; where rows are compared, their lists.

    Args:
        labels: as ``Examples.labels``, [B] or [B, C].
        lists: as ``Examples.lists``, int64 [B]; None where rows are learned alone.

    >>> count_labels(np.array([1, 0, NO_LABEL]))
    2
    >>> count_labels(np.float32([1, 0, 0, 0]), lists=np.array([7, 7, NO_LIST, NO_LIST]))
    1
    >>> count_labels(np.float32([[1, 0], [0, 0]]))
    4
    """
    if lists is not None:
        return len(np.unique(lists[lists != NO_LIST]))
    there = ~np.isnan(labels) if labels.dtype.kind == "f" else labels != NO_LABEL
    return int(np.count_nonzero(there))


def encode_table(
    table: Table, data: DataConfig, tokenizer: Tokenizer, labels: Any, max_tokens: int
) -> Examples:
    """Tokenise a table's texts, or pairs of texts, as the settings say; see ``encode``.

    Args:
        table: N clean rows.
        data: names the columns, and which text of a pair is cut.
        tokenizer: the checkpoint's own.
        labels: of each row, as ``Examples.labels``, [N].
        max_tokens: longest row the model is to see, special tokens included.

    Raises:
        DataError: a column is missing, or a first text leaves no room for the second.
    """
    texts = table.chunks(data.text_columns, CHUNK_ROWS)
    return encode(
        tokenizer,
        texts,
        labels,
        table.rows,
        max_tokens,
        truncation=data.truncation,
        where=table.where,
    )


def encode(
    tokenizer: Tokenizer,
    chunks: Iterable[list[str]] | Iterable[list[tuple[str, str]]],
    labels: Any,
    rows: Ints,
    max_tokens: int,
    *,
    truncation: Truncation = "longest_first",
    where: Callable[[int], str] = str,
) -> Examples:
    """Tokenise texts, or pairs by the tokenizer's template; cut to ``max_tokens``, counting what.

    Args:
        tokenizer: the checkpoint's own, backed by the ``tokenizers`` library.
        chunks: the texts, or pairs of texts, in lists of about ``CHUNK_ROWS``.
        labels: of each row, as ``Examples.labels``, [N].
        rows: row ids, int64 [N].
        max_tokens: longest row the model is to see, special tokens included.
        truncation: of a pair, whether the longer text is cut first or the second alone.
        where: the place of the row at a position, for a message.

    Raises:
        DataError: a first text leaves no room for the second, which alone may be cut.
    """
    tokens = RowTokeniser.of(tokenizer).tokenise(
        chunks, rows, max_tokens, truncation=truncation, where=where
    )
    return Examples(
        input_ids=tokens.input_ids,
        offsets=tokens.offsets,
        labels=labels,
        rows=tokens.rows,
        full_lengths=tokens.full_lengths,
        token_type_ids=tokens.token_type_ids,
        cut=tokens.cut,
    )

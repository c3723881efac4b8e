"""Tokenised rows in flat arrays: every row's token ids end to end, and where each row starts.

Texts are tokenised once, before training, in chunks, by the tokenizer's own threads. What stays is
4 bytes a token (5 where pairs of texts are told apart by type ids), memory-mapped where that is
much (``mapped``), and not a Python list a row. Nothing is padded here: the width of a batch is the
batch's own affair.

Source: ``tokenizers`` documentation, ``Tokenizer.encode_batch_fast`` (no character offsets, which
nobody reads here).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.masking import FIXED, Draw, MaskedRows, Masking
from warmstart.data.mapped import FlatArray
from warmstart.data.table import Table

if TYPE_CHECKING:
    import tokenizers

CHUNK_ROWS = 512
"""Rows tokenised in one call: enough to fill the threads, little enough for a processor's cache
(4,096 short sentences take 6 to 20 % more time a row)."""

NO_LABEL = -100
"""Label of a row that has none; ``torch.nn.functional.cross_entropy`` leaves it out by default. Of
labels that are numbers it is NaN."""

NO_LIST = -1
"""In place of the list that a row is compared in, where there is nothing to compare."""

Truncation = Literal["longest_first", "second_only"]
"""Which text of a pair is cut where both are too long together."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


class Tokenizer(Protocol):
    """What is used of a Transformers tokenizer; read from ``tokenizer.json`` it needs no torch."""

    @property
    def backend_tokenizer(self) -> "tokenizers.Tokenizer":
        """The Rust library's own."""
        ...

    @property
    def model_input_names(self) -> list[str]:
        """What the model reads: ``input_ids``, ``attention_mask`` and perhaps more."""
        ...


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


class Cut(NamedTuple):
    """What truncation took of one text of the pairs."""

    rows: int
    """In how many rows it was cut."""
    tokens: int
    """Of all of them together."""


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
    backend = tokenizer.backend_tokenizer
    # A tokenizer.json may carry its own padding (all-MiniLM-L6-v2: to 128) and truncation.
    backend.no_padding()
    input_ids, token_type_ids = FlatArray(np.int32), FlatArray(np.int8)
    lengths, full_lengths = (np.zeros(len(rows), np.int64) for _ in range(2))
    typed = "token_type_ids" in tokenizer.model_input_names
    pairs, start = False, 0
    cut = np.zeros((2, 2), dtype=np.int64)
    for texts in chunks:
        pairs = isinstance(texts[0], tuple)
        backend.no_truncation()
        encodings = backend.encode_batch_fast(texts)
        here = slice(start, start := start + len(texts))
        full_lengths[here] = list(map(len, encodings))
        only_second = pairs and truncation == "second_only"
        strategy = "only_second" if only_second else "longest_first"
        backend.enable_truncation(max_tokens, strategy=strategy)
        long = np.flatnonzero(full_lengths[here] > max_tokens).tolist()
        if only_second:
            _refuse_without_room(encodings, long, max_tokens, where, here.start)
        cut += _cut(backend, texts, encodings, long)
        lengths[here] = list(map(len, encodings))
        tokens = int(lengths[here].sum())
        input_ids.append(_end_to_end((encoding.ids for encoding in encodings), np.int32, tokens))
        if pairs and typed:
            types = (encoding.type_ids for encoding in encodings)
            token_type_ids.append(_end_to_end(types, np.int8, tokens))
    return Examples(
        input_ids=input_ids.finished(),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=labels,
        rows=rows,
        full_lengths=full_lengths,
        token_type_ids=token_type_ids.finished() if pairs and typed else None,
        cut=(Cut(*cut[0].tolist()), Cut(*cut[1].tolist())) if pairs else None,
    )


def _cut(
    backend: "tokenizers.Tokenizer",
    texts: Sequence[str] | Sequence[tuple[str, str]],
    encodings: list[Any],
    long: list[int],
) -> Ints:
    """Tokenise anew, in place, what is too long, by the tokenizer's own rules of truncation.

    Args:
        backend: with truncation on.
        texts: of one chunk.
        encodings: theirs, in full.
        long: positions of those that are too long.

    Returns:
        Of pairs, rows cut and tokens lost of the first text and of the second, int64 [2, 2].
    """
    lost = np.zeros((2, 2), dtype=np.int64)
    short = backend.encode_batch_fast([texts[index] for index in long])
    for index, encoding in zip(long, short, strict=True):
        if isinstance(texts[index], tuple):
            taken = _sides(encodings[index]) - _sides(encoding)
            lost += np.stack([taken > 0, taken], axis=1)
        encodings[index] = encoding
    return lost


def _refuse_without_room(
    encodings: Sequence[Any],
    long: list[int],
    max_tokens: int,
    where: Callable[[int], str],
    start: int,
) -> None:
    for index in long:
        first, second = _sides(encodings[index])
        if len(encodings[index]) - second >= max_tokens:
            raise errors.labels.no_room_for_second(where(start + index), int(first), max_tokens)


def _sides(encoding: "tokenizers.Encoding") -> Ints:
    """Tokens of the first text and of the second, int64 [2]."""
    sides = encoding.sequence_ids
    return np.array([sides.count(0), sides.count(1)])


def _end_to_end(rows: Iterable[list[int]], dtype: type[np.integer[Any]], numbers: int) -> Any:
    """The numbers of all rows in one array, without an array or a list for each that stays."""
    return np.fromiter(chain.from_iterable(rows), dtype, numbers)

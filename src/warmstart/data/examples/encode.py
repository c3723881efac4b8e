"""Tokenised rows in flat arrays: every row's token ids end to end, and where each row starts.

Texts are tokenised once, before training, in chunks, by the tokenizer's own threads. What stays is
4 bytes a token (5 where pairs of texts are told apart by type ids), memory-mapped where that is
much (``mapped``), and not a Python list a row. Nothing is padded here: the width of a batch is the
batch's own affair.

Source: ``tokenizers`` documentation, ``Tokenizer.encode_batch_fast`` (no character offsets, which
nobody reads here).
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.tokens import Cut, Ints, Tokens
from warmstart.data.mapped import FlatArray
from warmstart.data.table import Table

if TYPE_CHECKING:
    import tokenizers

CHUNK_ROWS = 512
"""Rows tokenised in one call: enough to fill the threads, little enough for a processor's cache
(4,096 short sentences take 6 to 20 % more time a row)."""

Truncation = Literal["longest_first", "second_only"]
"""Which text of a pair is cut where both are too long together."""


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


def encode_table(table: Table, data: DataConfig, tokenizer: Tokenizer, max_tokens: int) -> Tokens:
    """Tokenise the texts of a table, or its pairs of texts; see ``encode``.

    Args:
        table: N clean rows.
        data: names the columns, and which text of a pair is cut.
        tokenizer: the checkpoint's tokenizer.
        max_tokens: longest row that the model reads, special tokens included.

    Raises:
        DataError: a column is missing, or a first text leaves no room for the second.
    """
    return encode(
        tokenizer,
        table.chunks(data.text_columns, CHUNK_ROWS),
        table.rows,
        max_tokens,
        truncation=data.truncation,
        where=table.where,
    )


def encode(
    tokenizer: Tokenizer,
    chunks: Iterable[list[str]] | Iterable[list[tuple[str, str]]],
    rows: Ints,
    max_tokens: int,
    *,
    truncation: Truncation = "longest_first",
    where: Callable[[int], str] = str,
) -> Tokens:
    """Tokenise texts, or pairs by the tokenizer's template; cut to ``max_tokens`` and count cuts.

    Args:
        tokenizer: the checkpoint's tokenizer, backed by the ``tokenizers`` library.
        chunks: the texts, or pairs of texts, in lists of about ``CHUNK_ROWS``.
        rows: row ids, int64 [N].
        max_tokens: longest row that the model reads, special tokens included.
        truncation: for pairs, whether the longer text is cut first or only the second.
        where: place of the row at a position, for error messages.

    Raises:
        DataError: a first text leaves no room for the second, and only the second may be cut.
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
    return Tokens(
        input_ids=input_ids.finished(),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
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

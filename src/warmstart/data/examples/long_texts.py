"""Tokenise long texts in pieces: the same tokens, without the memory that a whole text needs.

The ``tokenizers`` library needs about 100 bytes of memory per character of a text and uses one
thread for it: 1 GiB and 8 seconds for 10 MB. Most tokenizers first split a text at white space, and
a word's tokens do not depend on the words around it. With such a tokenizer, the tokens of a text
are the tokens of its pieces, if it is cut at a white space between letters or digits.
``border_of`` checks that a tokenizer has only steps for which this is known. All other tokenizers
get whole texts.

Lengths and positions are in characters.

Source: ``tokenizers`` documentation, *The tokenization pipeline* (normalizers, pre-tokenizers).
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from warmstart.data.examples.tokens import Ints

if TYPE_CHECKING:
    import tokenizers

PIECE = 1 << 14
"""Shortest piece of a long text, in characters, except for the last piece."""

BATCH = 1 << 22
"""Number of characters that are tokenised in one call, unless one piece is longer."""

_LONG = 4
"""A text is long if it has more than this number of pieces."""

_LOCAL_NORMALIZERS = frozenset({"BertNormalizer", "Lowercase", "NFC", "NFD", "StripAccents"})
"""Normalizers whose result for a letter and a space does not depend on the text around them."""

_LOCAL_MODELS = frozenset({"BPE", "Unigram", "WordLevel", "WordPiece"})

_SPACES = {
    "BertPreTokenizer": "[ \n]",
    "Whitespace": "[ \n]",
    "WhitespaceSplit": "[ \n]",
    "ByteLevel": " ",
}
"""Pre-tokenizer -> pattern of the white space before which a text may be cut."""

Text = TypeVar("Text", bound=str | tuple[str, str])


@dataclass(frozen=True, slots=True)
class BodyTokens:
    """The tokens of a text, without special tokens: T tokens.

    Args:
        ids: token ids [T].
        word_ids: index of the word of each token [T].
        offsets: start and stop of each token in the text [T].
    """

    ids: list[int]
    word_ids: list[int | None]
    offsets: list[tuple[int, int]]


def border_of(backend: "tokenizers.Tokenizer") -> re.Pattern[str] | None:
    """Where a text can be cut so that its pieces have the same tokens; None if this is not known.

    Args:
        backend: a tokenizer without truncation, as from ``plain_copy``.
    """
    before = _state(backend.pre_tokenizer)
    space = _SPACES.get(before["type"])
    if space is None or not _is_local(_state(backend.normalizer)):
        return None
    if before["type"] == "ByteLevel" and (before["add_prefix_space"] or not before["use_regex"]):
        return None
    model = backend.model
    if type(model).__name__ not in _LOCAL_MODELS or getattr(model, "dropout", None):
        return None
    for token in backend.get_added_tokens_decoder().values():
        if not token.special and (token.rstrip or re.search(r"\s", token.content)):
            return None
    return re.compile(rf"(?<=[^\W_]){space}(?=[^\W_])")


def pieces_of(text: str, border: re.Pattern[str] | None) -> list[str]:
    """The pieces of a text, which are tokenised separately; one piece if it is not long.

    Args:
        text: any text.
        border: result of ``border_of``.
    """
    pieces, start = [], 0
    if border is not None and len(text) > _LONG * PIECE:
        while found := border.search(text, start + PIECE):
            pieces.append(text[start : found.start()])
            start = found.start()
    return [*pieces, text[start:]]


def batches(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """The texts or pairs of texts in lists of about ``BATCH`` characters, or of one text.

    Args:
        texts: any number of texts.
    """
    sizes = [len(text) if isinstance(text, str) else sum(map(len, text)) for text in texts]
    start = size = 0
    for index, length in enumerate(sizes):
        if size + length > BATCH and index > start:
            yield texts[start:index]
            start, size = index, 0
        size += length
    yield texts[start:]


def shortened_text(
    backend: "tokenizers.Tokenizer", text: str, border: re.Pattern[str] | None, needed: int
) -> tuple[str, int]:
    """The start of a long text with its first tokens, and the number of tokens in the rest.

    Args:
        backend: a tokenizer without truncation.
        text: any text.
        border: result of ``border_of``.
        needed: number of tokens that the start must have at least, if the text has as many.
    """
    pieces = pieces_of(text, border)
    if len(pieces) == 1:
        return text, 0
    counts: list[int] = []
    for batch in batches(pieces):
        counts += map(len, backend.encode_batch_fast(batch, add_special_tokens=False))
    totals = np.cumsum(counts)
    used = min(int(np.searchsorted(totals, needed)) + 1, len(pieces))
    return "".join(pieces[:used]), int(totals[-1] - totals[used - 1])


def shortened_rows(
    backend: "tokenizers.Tokenizer",
    texts: Sequence[Text],
    border: re.Pattern[str] | None,
    needed: int,
) -> tuple[list[Text], Ints]:
    """``shortened_text`` for each text of each row.

    Args:
        backend: a tokenizer without truncation.
        texts: the texts or pairs of texts of the rows.
        border: result of ``border_of``.
        needed: number of tokens that are needed of each text.

    Returns:
        The rows; and the number of tokens in the rest of each text, int64 [rows, 2].
    """
    beyond = np.zeros((len(texts), 2), np.int64)
    rows: list[Any] = list(texts)
    for index, row in enumerate(texts):
        sides = (row,) if isinstance(row, str) else row
        if max(map(len, sides)) > _LONG * PIECE:
            starts, rest = zip(
                *(shortened_text(backend, side, border, needed) for side in sides), strict=True
            )
            rows[index] = starts[0] if isinstance(row, str) else starts
            beyond[index, : len(rest)] = rest
    return rows, beyond


def encoded_bodies(
    backend: "tokenizers.Tokenizer", texts: Iterable[str], border: re.Pattern[str] | None
) -> Iterator[BodyTokens]:
    """The tokens of each text, without special tokens.

    Args:
        backend: a tokenizer without truncation.
        texts: any number of texts.
        border: result of ``border_of``.
    """
    pieces = [pieces_of(text, border) for text in texts]
    flat = [piece for of_text in pieces for piece in of_text]
    encodings = (
        encoding
        for batch in batches(flat)
        for encoding in backend.encode_batch(batch, add_special_tokens=False)
    )
    for of_text in pieces:
        body = BodyTokens([], [], [])
        start = words = 0
        for piece in of_text:
            encoding = next(encodings)
            body.ids.extend(encoding.ids)
            body.word_ids.extend(
                None if word is None else words + word for word in encoding.word_ids
            )
            body.offsets.extend((start + first, start + last) for first, last in encoding.offsets)
            start += len(piece)
            words += 1 + max((word for word in encoding.word_ids if word is not None), default=-1)
        yield body


def _state(part: Any) -> dict[str, Any]:
    """The type and the options of a part of a tokenizer, as in ``tokenizer.json``."""
    return {"type": None} if part is None else json.loads(part.__getstate__())


def _is_local(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] == "Sequence":
        return all(map(_is_local, normalizer["normalizers"]))
    return normalizer["type"] is None or normalizer["type"] in _LOCAL_NORMALIZERS

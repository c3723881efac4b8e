"""Tokenise long texts in pieces: the same tokens, without the memory that a whole text needs.

The ``tokenizers`` library needs about 100 bytes of memory per character of a text and uses one
thread for it: 1 GiB and 8 seconds for 10 MB. Most tokenizers first split a text at white space and
punctuation, and a word's tokens do not depend on the words around it. With such a tokenizer, the
tokens of a text are the tokens of its pieces, if it is cut between two words: at white space
between letters or digits, next to a punctuation mark, or (BERT) between two Chinese characters.
``border_of`` checks that a tokenizer has only steps for which this is known. All other tokenizers
get whole texts.

Lengths and positions are in characters.

Source: ``tokenizers`` documentation, *The tokenization pipeline* (normalizers, pre-tokenizers).
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
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

_PUNCTUATION = '!"#$%&()*+,-./:;<=>?@[\\]^`{|}~、。！，：；？'
"""Marks that no pre-tokenizer joins with a letter or a digit. Not ``_``, and not the apostrophe:
GPT-2 reads ``'s`` as one word."""

_CHINESE = "[\u4e00-\u9fff]"

_WORD = r"[^\W_]"
_BEFORE_SPACE = rf"(?<={_WORD})(?=[ \n]+{_WORD})"
_BEFORE_MARK, _AFTER_MARK = rf"(?<={_WORD})(?=MARK)", r"(?<=MARK)(?=[0-9A-Za-z])"
_BORDERS = {
    "BertPreTokenizer": (_BEFORE_SPACE, _BEFORE_MARK, _AFTER_MARK, r"(?<=MARK)(?=MARK)"),
    "Whitespace": (_BEFORE_SPACE, _BEFORE_MARK, _AFTER_MARK),
    "WhitespaceSplit": (_BEFORE_SPACE,),
    "ByteLevel": (_BEFORE_SPACE, _BEFORE_MARK, _AFTER_MARK),
}
"""Pre-tokenizer -> patterns of the places between two words; ``MARK``: one of the punctuation."""

Text = TypeVar("Text", bound=str | tuple[str, str])


@dataclass(frozen=True, slots=True)
class BodyTokens:
    """The tokens of a text, without special tokens: T tokens.

    Args:
        ids: token ids, int32 [T].
        pieces: the tokens of each piece of the text; offsets count from the start of the piece.
        first_tokens: index of the first token of each piece.
        first_characters: position of each piece in the text.
    """

    ids: np.ndarray
    pieces: list["tokenizers.Encoding"]
    first_tokens: list[int]
    first_characters: list[int]

    def span(self, token: int) -> tuple[int, int]:
        """Start and stop of a token in the text.

        A list of all of them would need more memory than the tokens.

        Args:
            token: index from 0 to T - 1.
        """
        piece = bisect_right(self.first_tokens, token) - 1
        span = self.pieces[piece].token_to_chars(token - self.first_tokens[piece])
        assert span is not None, "only special tokens have no place in a text"
        before = self.first_characters[piece]
        return before + span[0], before + span[1]

    def begins_word(self) -> list[bool]:
        """Whether each token begins a word; a token that belongs to no word counts as one [T]."""
        return [
            word is None or word != last
            for piece in self.pieces
            for last, word in pairwise([None, *piece.word_ids])
        ]


def border_of(backend: "tokenizers.Tokenizer") -> re.Pattern[str] | None:
    """Where a text can be cut so that its pieces have the same tokens; None if this is not known.

    Args:
        backend: a tokenizer without truncation, as from ``plain_copy``.
    """
    before = _state(backend.pre_tokenizer)
    normalizer = _state(backend.normalizer)
    patterns = _BORDERS.get(before["type"])
    if patterns is None or not _is_local(normalizer):
        return None
    if before["type"] == "ByteLevel" and (before["add_prefix_space"] or not before["use_regex"]):
        return None
    model = backend.model
    if type(model).__name__ not in _LOCAL_MODELS or getattr(model, "dropout", None):
        return None
    added = [one for one in backend.get_added_tokens_decoder().values() if not one.special]
    if any(token.rstrip or re.search(r"\s", token.content) for token in added):
        return None
    in_added = "".join(token.content for token in added)
    marks = [mark for mark in _PUNCTUATION if mark not in in_added]
    border = "|".join(patterns if marks else [_BEFORE_SPACE])
    chinese = before["type"] == "BertPreTokenizer" and normalizer.get("handle_chinese_chars")
    if chinese and not re.search(_CHINESE, in_added):
        border += rf"|(?<={_CHINESE})(?={_CHINESE})"
    return re.compile(border.replace("MARK", f"[{re.escape(''.join(marks))}]"))


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
        of_pieces = [next(encodings) for _ in of_text]
        yield BodyTokens(
            np.concatenate([np.array(encoding.ids, np.int32) for encoding in of_pieces]),
            of_pieces,
            _starts(map(len, of_pieces)),
            _starts(map(len, of_text)),
        )


def _starts(lengths: Iterable[int]) -> list[int]:
    """Where each part starts if they are put end to end."""
    return list(accumulate(lengths, initial=0))[:-1]


def _state(part: Any) -> dict[str, Any]:
    """The type and the options of a part of a tokenizer, as in ``tokenizer.json``."""
    return {"type": None} if part is None else json.loads(part.__getstate__())


def _is_local(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] == "Sequence":
        return all(map(_is_local, normalizer["normalizers"]))
    return normalizer["type"] is None or normalizer["type"] in _LOCAL_NORMALIZERS

"""Turn documents into rows for language models: ``begin text end``, truncated or cut into chunks.

A document that is too long is truncated, or cut into *chunks*. A chunk begins with the last
``overlap`` tokens of the previous one, which are context only and are not predicted again. So every
token of a document is predicted exactly once.

A document may have two parts, a prompt and a completion; then only the completion is predicted. The
parts are tokenised separately, as they are during generation.

A decoder's chunk starts in the middle of the text, without special tokens. An encoder was
pretrained only on rows with a begin and an end token, so each of its chunks has both (*framed*).

Letters: N rows, D documents, T tokens.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from warmstart.data.examples.long_texts import BodyTokens, border_of, encoded_bodies
from warmstart.data.examples.tokenise import plain_copy
from warmstart.data.examples.tokens import Bools, Ints, Tokens
from warmstart.data.mapped import FlatArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Layout:
    """How documents are turned into rows.

    Args:
        begin: id of the token at the beginning of every document.
        end: id of the token at the end of every document.
        max_tokens: longest row, at least 3.
        overlap: number of tokens that a chunk repeats from the previous one, less than
            ``max_tokens``; None to truncate.
        framed: whether every row (not only every document) begins with ``begin`` and ends with
            ``end``; then there are no prompts.
        unasked: ids that are never predicted; a row with only such ids is dropped.
        words: whether to record which tokens of framed rows begin a word.
        control: control tokens that the texts may contain (``plain_copy``).
    """

    begin: int
    end: int
    max_tokens: int
    overlap: int | None
    framed: bool = False
    unasked: frozenset[int] = frozenset()
    words: bool = False
    control: Collection[str] = ()


class Documents(NamedTuple):
    """Tokenised documents: N rows."""

    tokens: Tokens
    predict_from: Ints
    """Place in each row of the first token to predict, int64 [N]."""
    text_bytes: Ints
    """UTF-8 bytes of the text of each row's predicted tokens, without control tokens, int64 [N]."""
    begins_word: Bools | None
    """Whether each token begins a word, bool [T]; None unless ``Layout.words`` is set."""


def encode_documents(
    tokenizer: "PreTrainedTokenizerBase",
    chunks: Iterable[list[str]] | Iterable[list[tuple[str, str]]],
    rows: Ints,
    layout: Layout,
) -> Documents:
    """Tokenise documents; each becomes one row, or several if it is cut into chunks.

    A document has no row if none of its tokens could be predicted, because its prompt fills the row
    or because it consists of special tokens only.

    Args:
        tokenizer: the checkpoint's tokenizer, backed by the ``tokenizers`` library.
        chunks: the texts, or (prompt, text), in lists of about ``CHUNK_ROWS``.
        rows: row ids of the documents, int64 [D].
        layout: how documents are turned into rows.
    """
    backend = plain_copy(tokenizer.backend_tokenizer, layout.control)
    border = border_of(backend)
    tokens, facts, begins = FlatArray(np.int32), FlatArray(np.int64), FlatArray(np.bool_)
    numbers = iter(rows.tolist())
    for texts in chunks:
        pairs = [text if isinstance(text, tuple) else ("", text) for text in texts]
        bodies = encoded_bodies(backend, [text for _, text in pairs], border)
        prompts = backend.encode_batch_fast([text for text, _ in pairs], add_special_tokens=False)
        ids: list[np.ndarray] = []
        row_facts: list[int] = []  # five numbers per row, unpacked in this order below
        starts: list[bool] = []
        for (_, text), body, prompt in zip(pairs, bodies, prompts, strict=True):
            number = next(numbers)
            for row in _rows(text, prompt.ids, body, layout):
                ids.append(row.ids)
                row_facts += number, len(row.ids), row.whole, row.predict_from, row.text_bytes
                starts += row.begins_word
        tokens.append(np.concatenate([np.empty(0, np.int32), *ids]))
        facts.append(np.array(row_facts, dtype=np.int64))
        begins.append(np.array(starts, dtype=np.bool_))
    numbers_of, lengths, full_lengths, predict_from, text_bytes = (
        facts.finished().reshape(-1, 5).T.copy()
    )
    return Documents(
        Tokens(
            input_ids=tokens.finished(),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            rows=numbers_of,
            full_lengths=full_lengths,
        ),
        predict_from=predict_from,
        text_bytes=text_bytes,
        begins_word=begins.finished() if layout.words else None,
    )


class _Row(NamedTuple):
    """One row of a document."""

    ids: np.ndarray
    """int32 [tokens of the row]."""
    whole: int
    """Number of tokens without truncation."""
    predict_from: int
    text_bytes: int
    begins_word: list[bool]


def _rows(text: str, prompt: list[int], body: BodyTokens, layout: Layout) -> Iterator[_Row]:
    """The rows of one document, from the ids of its prompt and its tokenised text."""
    begin, end = [layout.begin], [layout.end]
    # Special tokens around each row; if rows are not framed, they are around the document.
    before, after = (begin, end) if layout.framed else ([], [])
    document = body.ids if layout.framed else _joined([*begin, *prompt], body.ids, end)
    first, framing = (0, 2) if layout.framed else (len(prompt) + 1, 0)
    cuts = list(_cuts(len(document), first, layout.max_tokens - framing, layout.overlap))
    words = body.begins_word() if layout.words else []
    # Character positions where the predicted text of a row ends and that of the next row begins.
    lasts = [cut.stop - first for cut in cuts]
    ends = [body.span(last)[0] if last < len(body.ids) else len(text) for last in lasts]
    for cut, text_start, text_end in zip(cuts, [0, *ends], ends, strict=False):
        if layout.unasked.issuperset(document[cut.start + cut.predict_from : cut.stop].tolist()):
            continue
        ids = _joined(before, document[cut.start : cut.stop], after)
        whole = framing + len(document) if layout.overlap is None else len(ids)
        predicted = slice(cut.start + cut.predict_from - first, cut.stop - first)
        text_bytes = _bytes(text[text_start:text_end])
        if layout.control:
            spans = map(body.span, range(len(body.ids))[predicted])
            pieces = (text[start:stop] for start, stop in spans)
            text_bytes -= sum(_bytes(one) for one in pieces if one.strip() in layout.control)
        starts = [True, *words[cut.start : cut.stop], True] if layout.words else []
        yield _Row(ids, whole, len(before) + cut.predict_from, text_bytes, starts)


def _joined(before: list[int], ids: np.ndarray, after: list[int]) -> np.ndarray:
    """Token ids with others around them, int32."""
    return np.concatenate([np.array(before, np.int32), ids, np.array(after, np.int32)])


def _bytes(text: str) -> int:
    """Number of UTF-8 bytes."""
    return len(text.encode("utf-8", "surrogatepass"))


class _Cut(NamedTuple):
    """Tokens ``start`` to ``stop`` of a document, as one row.

    The first ``predict_from`` tokens of the row are context and not predicted.
    """

    start: int
    stop: int
    predict_from: int


def _cuts(length: int, first: int, size: int, overlap: int | None) -> Iterator[_Cut]:
    """Cut a document of ``length`` tokens into rows of at most ``size`` tokens.

    ``first`` is the first token of the document to predict; a row without one is skipped.
    """
    start, stop = 0, min(length, size)
    if first < stop:
        yield _Cut(start, stop, first)
    while stop < length and overlap is not None:
        start, previous_stop = stop - overlap, stop
        stop = min(length, start + size)
        if first < stop:
            yield _Cut(start, stop, max(previous_stop, first) - start)

"""Documents as a language model reads them: ``begin text end``, cut where they are too long.

A document that is too long is truncated, or cut into *chunks*: rows that each begin with the last
``overlap`` tokens of the row before, which are read and not predicted anew. Every token of a
document is therefore predicted exactly once, whichever way rows are cut.

A document may have two parts, a prompt and what is to be written after it; then only the second is
predicted. The parts are tokenised apart, as they will be when the model writes.

A decoder's chunks go on where the one before ended, in the middle of the text; an encoder has never
read a row that does not begin and end as a text does, so each of its rows is *framed*.

Letters: N rows, D documents, T tokens.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.encode import NO_LABEL, Examples, Ints
from warmstart.data.mapped import FlatArray

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Layout:
    """How documents become rows.

    Args:
        begin: id of the token that every document begins with.
        end: id of the token that every document ends with.
        max_tokens: longest row, 3 at least.
        overlap: tokens that a chunk repeats of the row before it, fewer than it has; None to
            truncate.
        framed: whether every row begins with ``begin`` and ends with ``end``, and not the document
            alone; then there are no prompts.
        unasked: ids that are never predicted; a row of nothing else is left out.
        words: whether to note which tokens of framed rows begin a word.
    """

    begin: int
    end: int
    max_tokens: int
    overlap: int | None
    framed: bool = False
    unasked: frozenset[int] = frozenset()
    words: bool = False


def overlap_of(data: DataConfig, max_tokens: int, framing: int) -> int | None:
    """Tokens that a chunk repeats of the row before it; None where documents are truncated.

    Args:
        data: with ``long_documents`` and ``overlap_tokens``.
        max_tokens: longest row.
        framing: tokens of a row that are not of the document: 2 for an encoder, 0 for a decoder.

    Raises:
        DataError: more than half of a row would be repeated. With an overlap of all but one token
            every token of a document would begin a row of its own.
    """
    if data.long_documents == "truncate":
        return None
    limit = min(max_tokens // 2, max_tokens - framing - 1)
    if data.overlap_tokens > limit:
        enough = max(2 * data.overlap_tokens, data.overlap_tokens + framing + 1)
        raise errors.data.overlap_too_long(data.overlap_tokens, max_tokens, limit, enough)
    return data.overlap_tokens


def encode_documents(
    tokenizer: "PreTrainedTokenizerBase",
    chunks: Iterable[list[str]] | Iterable[list[tuple[str, str]]],
    rows: Ints,
    layout: Layout,
) -> Examples:
    """Tokenise documents; each becomes a row, or several where it is cut into chunks.

    A document of which no token could be predicted, because its prompt fills the row or because it
    holds special tokens alone, has no row.

    Args:
        tokenizer: the checkpoint's own, backed by the ``tokenizers`` library.
        chunks: the texts, or (prompt, text), in lists of about ``CHUNK_ROWS``.
        rows: row ids of the documents, int64 [D].
        layout: how they become rows.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    tokens, facts, begins = FlatArray(np.int32), FlatArray(np.int64), FlatArray(np.bool_)
    numbers = iter(rows.tolist())
    for texts in chunks:
        pairs = [text if isinstance(text, tuple) else ("", text) for text in texts]
        bodies = backend.encode_batch([text for _, text in pairs], add_special_tokens=False)
        prompts = backend.encode_batch_fast([given for given, _ in pairs], add_special_tokens=False)
        ids: list[int] = []
        found: list[int] = []
        starts: list[bool] = []
        for (_, text), body, prompt in zip(pairs, bodies, prompts, strict=True):
            number = next(numbers)
            for row in _rows(text, prompt.ids, body, layout):
                ids += row.ids
                found += number, len(row.ids), row.whole, row.predict_from, row.text_bytes
                starts += row.begins_word
        tokens.append(np.array(ids, dtype=np.int32))
        facts.append(np.array(found, dtype=np.int64))
        begins.append(np.array(starts, dtype=np.bool_))
    numbers_of, lengths, full_lengths, predict_from, text_bytes = (
        facts.finished().reshape(-1, 5).T.copy()
    )
    return Examples(
        input_ids=tokens.finished(),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=np.full(len(lengths), NO_LABEL),
        rows=numbers_of,
        full_lengths=full_lengths,
        predict_from=predict_from,
        text_bytes=text_bytes,
        begins_word=begins.finished() if layout.words else None,
    )


class _Row(NamedTuple):
    """A row of a document."""

    ids: list[int]
    whole: int
    """Tokens it would have without truncation."""
    predict_from: int
    text_bytes: int
    begins_word: list[bool]


def _rows(text: str, prompt: list[int], body: "Encoding", layout: Layout) -> Iterator[_Row]:
    """The rows of a document: its prompt's ids, and its text as tokenised."""
    begin, end = [layout.begin], [layout.end]
    # What frames each row, or else the document.
    before, after = (begin, end) if layout.framed else ([], [])
    document = body.ids if layout.framed else [*begin, *prompt, *body.ids, *end]
    first, framing = (0, 2) if layout.framed else (len(prompt) + 1, 0)
    cuts = list(_cuts(len(document), first, layout.max_tokens - framing, layout.overlap))
    words = _word_begins(body.word_ids) if layout.words else []
    # Where in the text each row's last token ends, which is where the next one's begins.
    places = [*(start for start, _ in body.offsets), len(text), len(text)]
    ends = [places[cut.stop - first] for cut in cuts]
    for cut, begun, ended in zip(cuts, [0, *ends], ends, strict=False):
        if layout.unasked.issuperset(document[cut.start + cut.predict_from : cut.stop]):
            continue
        ids = [*before, *document[cut.start : cut.stop], *after]
        whole = framing + len(document) if layout.overlap is None else len(ids)
        spelt = len(text[begun:ended].encode("utf-8", "surrogatepass"))
        starts = [True, *words[cut.start : cut.stop], True] if layout.words else []
        yield _Row(ids, whole, len(before) + cut.predict_from, spelt, starts)


class _Cut(NamedTuple):
    """A row of a document: tokens ``start`` to ``stop``, predicted from ``predict_from`` on."""

    start: int
    stop: int
    predict_from: int


def _word_begins(words: Sequence[int | None]) -> list[bool]:
    """Whether each token is of another word than the one before; what is of none stands alone."""
    return [word is None or word != last for last, word in zip([None, *words], words, strict=False)]


def _cuts(length: int, first: int, most: int, overlap: int | None) -> Iterator[_Cut]:
    """Rows of ``most`` tokens of a document whose first token to predict is at ``first``."""
    start, stop = 0, min(length, most)
    if first < stop:
        yield _Cut(start, stop, first)
    while stop < length and overlap is not None:
        start, begun = stop - overlap, stop
        stop = min(length, start + most)
        if first < stop:
            yield _Cut(start, stop, max(begun, first) - start)

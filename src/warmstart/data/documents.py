"""Documents as a decoder reads them: ``begin text end``, cut where they are longer than it reads.

A document that is too long is truncated, or cut into *chunks*: rows that each begin with the last
``overlap`` tokens of the row before, which are read and not predicted anew. Every token of a
document is therefore predicted exactly once, whichever way rows are cut.

A document may have two parts, a prompt and what is to be written after it; then only the second is
predicted. The parts are tokenised apart, as they will be when the model writes.

Letters: N rows, D documents, T tokens.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from warmstart.data.encode import NO_LABEL, Examples, Ints
from warmstart.data.mapped import FlatArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Layout:
    """How documents become rows.

    Args:
        begin: id of the token that every document begins with.
        end: id of the token that every document ends with.
        max_tokens: longest row, 3 at least.
        overlap: tokens that a chunk repeats of the row before it, below ``max_tokens``; None to
            truncate.
    """

    begin: int
    end: int
    max_tokens: int
    overlap: int | None


def encode_documents(
    tokenizer: "PreTrainedTokenizerBase",
    chunks: Iterable[list[str]] | Iterable[list[tuple[str, str]]],
    rows: Ints,
    layout: Layout,
) -> Examples:
    """Tokenise documents; each becomes a row, or several where it is cut into chunks.

    A document of which no token could be predicted, because its prompt fills the row, has no row.

    Args:
        tokenizer: the checkpoint's own, backed by the ``tokenizers`` library.
        chunks: the texts, or (prompt, text), in lists of about ``CHUNK_ROWS``.
        rows: row ids of the documents, int64 [D].
        layout: how they become rows.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    tokens, facts = FlatArray(np.int32), FlatArray(np.int64)
    numbers = iter(rows.tolist())
    for texts in chunks:
        pairs = [text if isinstance(text, tuple) else ("", text) for text in texts]
        bodies = backend.encode_batch([text for _, text in pairs], add_special_tokens=False)
        prompts = backend.encode_batch_fast([given for given, _ in pairs], add_special_tokens=False)
        ids: list[int] = []
        found: list[int] = []
        for (_, text), body, prompt in zip(pairs, bodies, prompts, strict=True):
            document = [layout.begin, *prompt.ids, *body.ids, layout.end]
            number, first = next(numbers), len(prompt.ids) + 1
            cuts = list(_cuts(len(document), first, layout))
            # Where in the text each row's last token ends, which is where the next one's begins.
            places = [*(start for start, _ in body.offsets), len(text), len(text)]
            ends = [places[cut.stop - first] for cut in cuts]
            for cut, begun, ended in zip(cuts, [0, *ends], ends, strict=False):
                length = cut.stop - cut.start
                whole = len(document) if layout.overlap is None else length
                spelt = len(text[begun:ended].encode("utf-8", "surrogatepass"))
                ids += document[cut.start : cut.stop]
                found += number, length, whole, cut.predict_from, spelt
        tokens.append(np.array(ids, dtype=np.int32))
        facts.append(np.array(found, dtype=np.int64))
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
    )


class _Cut(NamedTuple):
    """A row of a document: tokens ``start`` to ``stop``, predicted from ``predict_from`` on."""

    start: int
    stop: int
    predict_from: int


def _cuts(length: int, first: int, layout: Layout) -> Iterator[_Cut]:
    """The rows of a document of ``length`` tokens whose first token to predict is at ``first``."""
    start, stop = 0, min(length, layout.max_tokens)
    if first < stop:
        yield _Cut(start, stop, first)
    while stop < length and layout.overlap is not None:
        start, begun = stop - layout.overlap, stop
        stop = min(length, start + layout.max_tokens)
        if first < stop:
            yield _Cut(start, stop, max(begun, first) - start)

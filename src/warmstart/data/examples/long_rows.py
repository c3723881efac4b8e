"""Tokenise rows of one text that are too long for the model: cut into windows that overlap.

The model reads every window as a row of its own, with the special tokens around it, and the logits
of the row are the mean over its windows. A row that fits has one window, with the same tokens as
from ``RowTokeniser``. Nothing is truncated.

Source: Sun et al. 2019, arXiv:1905.05583, section 5.3.1 (hierarchical methods, mean pooling); here
logits are averaged, not hidden states, so that the head works as on a single window.
"""

from collections.abc import Iterator

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.chunking import cuts
from warmstart.data.examples.long_texts import encoded_bodies
from warmstart.data.examples.overlap import overlap_of
from warmstart.data.examples.tokenise import RowTokeniser, Tokenizer, encode_table
from warmstart.data.examples.tokens import Ints, Tokens
from warmstart.data.mapped import FlatArray
from warmstart.data.table import Table

TEXTS_AT_ONCE = 64
"""Number of texts tokenised in one call; long texts need much memory while they are tokenised."""


def encode_rows(table: Table, data: DataConfig, tokenizer: Tokenizer, max_tokens: int) -> Tokens:
    """Tokenise the rows of a table; ``data.long_documents`` says what happens to long ones.

    Args:
        table: N clean rows.
        data: names the columns.
        tokenizer: the checkpoint's tokenizer, which is not changed.
        max_tokens: longest input of the model, special tokens included.

    Raises:
        ConfigError: windows would overlap too much.
        DataError: a column is missing, or special tokens alone fill ``max_tokens``.
    """
    if data.long_documents != "chunk":
        return encode_table(table, data, tokenizer, max_tokens)
    tokeniser = RowTokeniser.of(tokenizer)
    before, after = _framing(tokeniser)
    framing = len(before) + len(after)
    if framing >= max_tokens:
        raise errors.labels.no_room_for_text(table.where(0), framing, max_tokens)
    overlap = overlap_of(data.overlap_tokens, max_tokens, framing)
    ids, sizes, counts = FlatArray(np.int32), FlatArray(np.int64), FlatArray(np.int64)
    lengths = []
    for texts in table.chunks(data.text_columns, TEXTS_AT_ONCE):
        for body in encoded_bodies(tokeniser.backend, texts, tokeniser.border):
            lengths.append(framing + len(body.ids))
            windows = [
                [*before, *body.ids[start:stop], *after]
                for start, stop in _bounds(len(body.ids), max_tokens - framing, overlap)
            ]
            ids.append(np.array([one for window in windows for one in window], np.int32))
            sizes.append(np.array([len(window) for window in windows], np.int64))
            counts.append(np.array([len(windows)], np.int64))
    window_offsets = np.concatenate([[0], np.cumsum(sizes.finished())])
    return Tokens(
        input_ids=ids.finished(),
        offsets=window_offsets[np.concatenate([[0], np.cumsum(counts.finished())])],
        rows=table.rows,
        full_lengths=np.array(lengths, dtype=np.int64),
        window_offsets=window_offsets,
    )


def _bounds(length: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each window of a text; a text without tokens has one empty window."""
    for cut in cuts(length, -1, size, overlap):
        yield cut.start, cut.stop


def _framing(tokeniser: RowTokeniser) -> tuple[list[int], list[int]]:
    """The ids of the special tokens before and after a single text."""
    encoding = tokeniser.backend.encode("a")
    sides = encoding.sequence_ids  # None for special tokens
    body = [place for place, side in enumerate(sides) if side is not None]
    if not body:  # the tokenizer does not know the letter: [CLS] [SEP], for example
        half = len(encoding.ids) // 2
        return encoding.ids[:half], encoding.ids[half:]
    return encoding.ids[: body[0]], encoding.ids[body[-1] + 1 :]


def mean_of_windows(logits: np.ndarray, tokens: Tokens) -> np.ndarray:
    """The mean of the logits of each row's windows, [V, C] to [N, C], in the same precision."""
    if tokens.window_offsets is None:
        return logits
    bounds: Ints = tokens.window_bounds
    sums = np.add.reduceat(logits.astype(np.float64), bounds[:-1], axis=0)
    return (sums / np.diff(bounds)[:, None]).astype(logits.dtype)

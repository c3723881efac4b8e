"""Tokenise rows of one text that are too long for the model: cut into windows that overlap.

The model reads every window as a row of its own, with the special tokens around it, and the logits
of the row are the mean over its windows. A row that fits has one window, with the same tokens as
from ``RowTokeniser``. Nothing is truncated.

Source: Sun et al. 2019, arXiv:1905.05583, section 5.3.1 (hierarchical methods, mean pooling); here
logits are averaged, not hidden states, so that the head works as on a single window.
"""

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
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
        DataError: a column is missing, special tokens alone fill ``max_tokens``, or a row has no
            token at all.
    """
    if data.long_documents == "chunk":
        tokens = _in_windows(table, data, tokenizer, max_tokens)
    else:
        tokens = encode_table(table, data, tokenizer, max_tokens)
    empty = np.flatnonzero(tokens.lengths == 0)
    if len(empty):
        raise errors.labels.no_token_in_row(table.where(int(empty[0])))
    return tokens


def _in_windows(table: Table, data: DataConfig, tokenizer: Tokenizer, max_tokens: int) -> Tokens:
    """The tokens of single texts, of which the long ones are cut into windows."""
    tokeniser = RowTokeniser.of(tokenizer)
    before, after = _framing(tokeniser)
    framing = len(before) + len(after)
    room = max_tokens - framing
    if room < 1:
        raise errors.labels.no_room_for_text(table.where(0), framing, max_tokens)
    overlap = overlap_of(data.overlap_tokens, max_tokens, framing)
    ids = FlatArray(np.int32)
    window_lengths: list[int] = []
    lengths, full_lengths = (np.zeros(len(table), np.int64) for _ in range(2))
    bodies = (
        body.ids
        for texts in table.chunks(data.text_columns, TEXTS_AT_ONCE)
        for body in encoded_bodies(tokeniser.backend, texts, tokeniser.border)
    )
    for row, body in enumerate(bodies):
        starts = range(0, max(len(body) - overlap, 1), room - overlap)
        windows = [[*before, *body[start : start + room].tolist(), *after] for start in starts]
        ids.append(np.array([one for window in windows for one in window], np.int32))
        window_lengths += map(len, windows)
        lengths[row], full_lengths[row] = sum(map(len, windows)), framing + len(body)
    return Tokens(
        input_ids=ids.finished(),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        rows=table.rows,
        full_lengths=full_lengths,
        window_offsets=np.concatenate([[0], np.cumsum(window_lengths)])
        if len(window_lengths) > len(table)
        else None,
    )


def _framing(tokeniser: RowTokeniser) -> tuple[list[int], list[int]]:
    """The ids of the special tokens before and after a single text."""
    encoding = tokeniser.backend.encode("a")
    sides = encoding.sequence_ids  # None for special tokens
    body = [place for place, side in enumerate(sides) if side is not None]
    if not body:  # the tokenizer does not know the letter: [CLS] [SEP], for example
        half = len(encoding.ids) // 2
        return encoding.ids[:half], encoding.ids[half:]
    return encoding.ids[: body[0]], encoding.ids[body[-1] + 1 :]


def mean_of_windows(logits: np.ndarray, counts: Ints) -> np.ndarray:
    """The logits of rows from those of their windows, in the same precision.

    Args:
        logits: the windows of row after row, float32 [V, C].
        counts: number of windows of each row, int64 [N].

    >>> mean_of_windows(np.array([[1.0], [3.0], [5.0]]), np.array([2, 1])).tolist()
    [[2.0], [5.0]]
    """
    sums = np.add.reduceat(logits, np.cumsum(counts) - counts, axis=0, dtype=np.float64)
    return (sums / counts[:, None]).astype(logits.dtype)

"""Tokenise rows of words, cut long rows into windows, and assign each word's target to a token.

Only the first sub-word token of a word has a target: the head reads the first token of each word,
as in Devlin et al. 2019, section 5.3. A row that is longer than the model's limit becomes several
windows with overlap, and each word is predicted in exactly one of them (``windows``).

Letters: N rows, W words, V windows, T tokens.
"""

from dataclasses import dataclass

import numpy as np

from warmstart import errors
from warmstart.config import ControlTokens
from warmstart.data.examples.overlap import overlap_of
from warmstart.data.examples.token_targets import WordTags
from warmstart.data.examples.tokenise import (
    CHUNK_ROWS,
    RowTokeniser,
    Tokenizer,
    control_in_text,
)
from warmstart.data.examples.tokens import NO_PIECE, Ints, Tokens, WordTokens
from warmstart.data.table import Table
from warmstart.data.tags.windows import Windows, cut_windows
from warmstart.data.tags.word_table import WORDS, WordLayout
from warmstart.errors.counts import counted, form

UNKNOWN_TOKENS = ("[UNK]", "<unk>")
"""Used instead of a word without any token (a zero-width space); otherwise a full stop. As a word
of the user they have the same meaning."""


@dataclass(frozen=True, slots=True)
class EncodedWords:
    """Tokenised rows of words.

    Args:
        tokens: the V windows, in the order of the words.
        targets: positions and targets of the words.
        replaced: number of words without any token, replaced by the unknown token.
        cut: number of words of which only the first tokens are used, because a window is too short.
        long: number of rows that became several windows.
    """

    tokens: Tokens
    targets: WordTags
    replaced: int
    cut: int
    long: int

    def notes(self) -> tuple[str, ...]:
        """What tokenising changed, one sentence each."""
        notes = []
        if self.long:
            total = len(self.tokens) - (len(np.unique(self.tokens.rows)) - self.long)
            rows = f"{counted(self.long, 'row')} {form(self.long, 'is', 'are')}"
            notes.append(
                f"{rows} longer than the model's limit and became {total:,} windows with overlap; "
                "every word is predicted once"
            )
        if self.cut:
            notes.append(
                f"words with more tokens than fit into a window: {self.cut:,}; the model uses "
                "only their first tokens"
            )
        if self.replaced:
            notes.append(
                f"words for which the tokenizer has no token (invisible characters): "
                f"{self.replaced:,}; the model reads its unknown token instead"
            )
        return tuple(notes)


def encode_words(
    table: Table,
    layout: WordLayout,
    values: Ints,
    tokenizer: Tokenizer,
    max_tokens: int,
    overlap_tokens: int | None,
    read_as: ControlTokens = "text",
) -> EncodedWords:
    """Tokenise the words of a table.

    Args:
        table: a table from ``word_table``.
        layout: its words.
        values: the target of each word, or ``NO_LABEL``, int64 [W].
        tokenizer: the checkpoint's tokenizer.
        max_tokens: longest window, special tokens included.
        overlap_tokens: largest number of tokens that a window repeats; None for the default.
        read_as: value of ``data.control_tokens``.

    Raises:
        ConfigError: a window has no room for a word, or the overlap is more than half of it.
    """
    tokeniser = RowTokeniser.of(tokenizer, {*UNKNOWN_TOKENS, *control_in_text(tokenizer, read_as)})
    words = [row for chunk in table.chunks({"data.words": WORDS}, CHUNK_ROWS) for row in chunk]
    found = _tokenised(tokeniser, words, table.rows)
    replaced = len(found.without_piece)
    if replaced:
        known = tokeniser.backend.token_to_id
        stand_in = next((one for one in UNKNOWN_TOKENS if known(one) is not None), ".")
        for row, place in found.without_piece.tolist():
            words[row] = [*words[row][:place], stand_in, *words[row][place + 1 :]]
        found = _tokenised(tokeniser, words, table.rows)
        assert not (found.first_pieces == NO_PIECE).any(), "the stand-in has a token"
    pieces = _pieces(found)
    first, body = found.tokens.offsets[0], found.bodies[0]
    before, after = int(body[0] - first), int(found.tokens.offsets[1] - body[1])
    room = max_tokens - before - after
    if room < 1:
        raise errors.tags.no_room_for_words(room)
    overlap = overlap_of(overlap_tokens, max_tokens, framing=before + after)
    windows = cut_windows(pieces, layout.bounds, room, overlap)
    tokens, places = _windows_of_tokens(found, windows, pieces, (before, after))
    predicted = windows.last - windows.first
    chosen = np.arange(len(layout.words.starts))  # the ranges first to last cover every word once
    word_window = np.repeat(np.arange(len(windows)), predicted)
    repeated = np.where(
        np.append(False, windows.sentences[1:] == windows.sentences[:-1]),
        before + after + _between(windows.pieces, windows.starts, _previous_stops(windows)),
        0,
    )
    targets = WordTags(
        word_offsets=np.concatenate([[0], np.cumsum(predicted)]).astype(np.int64),
        places=places(word_window, chosen),
        words=chosen,
        values=values,
        repeated=repeated.astype(np.int64),
        source=layout,
    )
    return EncodedWords(tokens, targets, replaced, len(windows.cut), windows.long)


def _tokenised(tokeniser: RowTokeniser, words: list[list[str]], rows: Ints) -> WordTokens:
    chunks = (words[start : start + CHUNK_ROWS] for start in range(0, len(words), CHUNK_ROWS))
    return tokeniser.tokenise_words(chunks, rows)


def _pieces(found: WordTokens) -> Ints:
    """Number of tokens of each word, int64 [W]."""
    counts = np.diff(found.word_offsets)
    # A word ends where the next word of its row begins, the last one where the row's body ends.
    ends = np.append(found.first_pieces[1:], 0)
    last = found.word_offsets[1:][counts > 0] - 1
    ends[last] = found.bodies[counts > 0, 1]
    counted: Ints = ends - found.first_pieces
    return counted


def _between(pieces: Ints, starts: Ints, stops: Ints) -> Ints:
    """Number of tokens of the words from ``starts`` to ``stops``, int64 [V]."""
    total = np.concatenate([[0], np.cumsum(pieces)])
    between: Ints = total[np.maximum(stops, starts)] - total[starts]
    return between


def _previous_stops(windows: Windows) -> Ints:
    """The stop of the previous window for each window, int64 [V]."""
    return np.append(0, windows.stops[:-1])


def _windows_of_tokens(
    found: WordTokens, windows: Windows, pieces: Ints, special: tuple[int, int]
) -> tuple[Tokens, "_Places"]:
    """The token ids of every window, with the special tokens of its row around them.

    Args:
        found: the whole rows.
        windows: which words each window has.
        pieces: number of tokens of each word, int64 [W].
        special: number of special tokens before and after the words of a row.
    """
    before, after = special
    read = windows.stops - windows.starts  # words per window
    window = np.repeat(np.arange(len(windows)), read)
    word = np.arange(read.sum()) + np.repeat(windows.starts - (np.cumsum(read) - read), read)
    count = windows.pieces[word]  # tokens of each word that are used
    owner = np.repeat(np.arange(len(word)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    source = found.first_pieces[word][owner] + within
    in_window = np.bincount(window, weights=count, minlength=len(windows)).astype(np.int64)
    lengths = in_window + before + after
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.empty(offsets[-1], dtype=np.int32)
    # Token j of window v goes to position offset[v] + (special tokens before the words) + j.
    start = np.repeat(np.cumsum(in_window) - in_window, in_window)
    target = np.repeat(offsets[:-1] + before, in_window) + np.arange(len(source)) - start
    ids[target] = found.tokens.input_ids[source]
    for place in range(before):
        ids[offsets[:-1] + place] = found.tokens.input_ids[place]
    for place in range(1, after + 1):
        ids[offsets[1:] - place] = found.tokens.input_ids[found.tokens.offsets[1] - place]
    lost = np.bincount(window, weights=pieces[word] - count, minlength=len(windows)).astype(
        np.int64
    )
    tokens = Tokens(ids, offsets, found.tokens.rows[windows.sentences], lengths + lost)
    return tokens, _Places(windows, before)


@dataclass(frozen=True, slots=True)
class _Places:
    """The position of a word's first token in its window."""

    windows: Windows
    before: int

    def __call__(self, window: Ints, word: Ints) -> Ints:
        """Positions of words in windows, int64 [W]."""
        total = np.concatenate([[0], np.cumsum(self.windows.pieces)])
        places: Ints = self.before + total[word] - total[self.windows.starts[window]]
        return places

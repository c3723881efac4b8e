"""Tokenise questions with their contexts, in windows with overlap, and place the answers in them.

A window is ``[CLS] question [SEP] part of the context [SEP]``, in the form that the tokenizer gives
to a pair of texts. Every token of the context is in a window, and neighbouring windows of a
question share ``data.overlap_tokens`` tokens. A different context is tokenised only once, however
many questions it has, and a long one in pieces (``long_texts``), so that memory is needed for its
tokens and not for the library's objects.

A question that is longer than half of a window is cut, and counted.

Letters: N questions, K contexts, V windows, T tokens.

Source: Devlin et al. 2019, arXiv:1810.04805, section 4.2, and its code ``run_squad.py`` (windows).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.answers.answer_places import AnswerPlaces
from warmstart.data.answers.answer_targets import AnswerTargets, ContextWindows, QuestionTokens
from warmstart.data.answers.contexts import Contexts, contexts_of
from warmstart.data.examples.long_texts import BATCH, encoded_bodies
from warmstart.data.examples.overlap import overlap_of
from warmstart.data.examples.pair_frame import PairFrame, frame_of
from warmstart.data.examples.targets import NO_LABEL
from warmstart.data.examples.tokenise import CHUNK_ROWS, RowTokeniser, Tokenizer, control_in_text
from warmstart.data.examples.tokens import Ints, Tokens
from warmstart.data.mapped import FlatArray
from warmstart.data.table import Table
from warmstart.errors.counts import counted, form

DEFAULT_OVERLAP = 128
"""Tokens that neighbouring windows share by default; in short windows, a third of a window."""

_LEAST_ROOM = 8
"""Smallest number of tokens of a context in a window."""


@dataclass(frozen=True, slots=True)
class EncodedQuestions:
    """Tokenised questions.

    Args:
        tokens: the V windows, in the order of the questions.
        targets: their targets.
        cut: number of questions that are longer than half of a window.
        long: number of questions with several windows.
        lost: number of answers of which no window has all tokens.
    """

    tokens: Tokens
    targets: AnswerTargets
    cut: int
    long: int
    lost: int

    def notes(self) -> tuple[str, ...]:
        """What tokenising changed, one sentence each."""
        notes = []
        if self.long:
            rows = len(self.targets.source.rows)
            windows = len(self.tokens) - (rows - self.long)
            have = form(self.long, "has", "have")
            notes.append(
                f"{self.long:,} of {counted(rows, 'question')} {have} a context that does not fit "
                f"into one window: in all {windows:,} windows with overlap, and the answer is the "
                "best span of all of them"
            )
        if self.cut:
            notes.append(
                f"{counted(self.cut, 'question')} longer than half of model.max_tokens: the model "
                "reads only the beginning of each"
            )
        if self.lost:
            notes.append(
                f"{counted(self.lost, 'answer')} longer than the overlap of two windows, and in no "
                "window as a whole: not learned (data.overlap_tokens)"
            )
        return tuple(notes)


def encode_questions(
    table: Table,
    data: DataConfig,
    answers: AnswerPlaces | None,
    tokenizer: Tokenizer,
    max_tokens: int,
) -> EncodedQuestions:
    """Tokenise the questions and contexts of a table.

    Args:
        table: N rows.
        data: names the columns, and sets the overlap and how control tokens are read.
        answers: the answers of these rows; None if they are to be predicted.
        tokenizer: the checkpoint's tokenizer.
        max_tokens: longest window, special tokens included.

    Raises:
        ConfigError: a window has no room for a context, or the overlap is more than half of it.
    """
    control = control_in_text(tokenizer, data.control_tokens)
    tokeniser = RowTokeniser.of(tokenizer, control)
    frame = frame_of(tokeniser.backend)
    room = max_tokens - frame.size
    if room < 2 * _LEAST_ROOM:
        raise errors.answers.no_room_for_context(max_tokens, frame.size + 2 * _LEAST_ROOM)
    overlap = data.overlap_tokens
    if overlap is None:
        overlap = min(DEFAULT_OVERLAP, room // 3)
    overlap = overlap_of(overlap, max_tokens, frame.size)
    contexts = contexts_of(table, data)
    ids, source, bounds = _tokenised(tokeniser, contexts, table.rows)
    questions = _questions(tokeniser, table, data)
    full = np.array([len(one) for one in questions], dtype=np.int64)
    questions = [one[: room // 2] for one in questions]
    lengths = np.minimum(full, room // 2)
    windows = _windows(lengths, bounds, contexts.of_row, frame, room, overlap)
    tokens, repeated = _assembled(tokeniser, table.rows, questions, full, ids, windows, frame)
    values, lost = _targets(answers, windows, source, bounds)
    many = np.bincount(windows.questions, minlength=len(table)) > 1
    return EncodedQuestions(
        tokens,
        AnswerTargets(values, windows, source, repeated),
        cut=int((full > lengths).sum()),
        long=int(many.sum()),
        lost=lost,
    )


def _tokenised(
    tokeniser: RowTokeniser, contexts: Contexts, rows: Ints
) -> tuple[Any, QuestionTokens, Ints]:
    """The token ids of all contexts, their places, and the first token of each context [K + 1]."""
    ids, starts, ends = FlatArray(np.int32), FlatArray(np.int32), FlatArray(np.int32)
    counts = []
    for texts in _groups(contexts):
        bodies = encoded_bodies(tokeniser.backend, texts, tokeniser.border)
        for text, body in zip(texts, bodies, strict=True):
            places = [
                np.array(piece.offsets, dtype=np.int64).reshape(-1, 2) + before
                for piece, before in zip(body.pieces, body.first_characters, strict=True)
            ]
            found = _without_space(text, np.concatenate(places))
            ids.append(body.ids)
            starts.append(found[:, 0].astype(np.int32))
            ends.append(found[:, 1].astype(np.int32))
            counts.append(len(body.ids))
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return (
        ids.finished(),
        QuestionTokens(rows, contexts, starts.finished(), ends.finished()),
        bounds,
    )


def _groups(contexts: Contexts) -> Iterator[list[str]]:
    """The different contexts in lists of at most ``BATCH`` characters, or of one context."""
    group: list[str] = []
    size = 0
    for value in contexts.texts:
        text = value.as_py()
        if group and (size + len(text) > BATCH or len(group) == CHUNK_ROWS):
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    yield group


def _without_space(text: str, places: Ints) -> Ints:
    """The places of tokens without the white space that some tokenizers count to them, [T, 2]."""
    space = np.fromiter(map(str.isspace, text), np.bool_, len(text))
    if not space.any():
        return places
    letters = np.flatnonzero(~space)
    at = np.append(letters, len(text))
    starts = at[np.searchsorted(letters, places[:, 0])]
    # The last character before the end that is no white space; before the first one, the start.
    last = np.searchsorted(letters, places[:, 1]) - 1
    ends = np.where(last < 0, 0, letters[np.maximum(last, 0)] + 1) if len(letters) else starts
    return np.stack([starts, np.maximum(ends, starts)], axis=1)


def _questions(tokeniser: RowTokeniser, table: Table, data: DataConfig) -> list[Any]:
    """The token ids of each question, without special tokens."""
    found: list[Any] = []
    for texts in table.chunks({"data.text": data.text}, CHUNK_ROWS):
        encodings = tokeniser.backend.encode_batch_fast(texts, add_special_tokens=False)
        found += [np.array(one.ids, dtype=np.int32) for one in encodings]
    return found


def _windows(
    lengths: Ints, bounds: Ints, of_row: Ints, frame: PairFrame, room: int, overlap: int
) -> ContextWindows:
    """The windows of all questions; a context without tokens has one empty window."""
    space = room - lengths  # tokens of the context in a window, [N]
    step = space - np.minimum(overlap, space // 2)
    total = np.diff(bounds)[of_row]
    count = 1 + np.maximum(0, -(-(total - space) // step))  # windows of each question
    questions = np.repeat(np.arange(len(lengths)), count)
    number = np.arange(len(questions)) - np.repeat(np.cumsum(count) - count, count)
    begin = number * step[questions]
    return ContextWindows(
        questions=questions,
        first=bounds[of_row][questions] + begin,
        begins=len(frame.ids[0]) + lengths[questions] + len(frame.ids[1]),
        counts=np.minimum(space[questions], total[questions] - begin),
    )


def _assembled(
    tokeniser: RowTokeniser,
    rows: Ints,
    questions: Sequence[Any],
    full: Ints,
    context_ids: Any,
    windows: ContextWindows,
    frame: PairFrame,
) -> tuple[Tokens, Ints]:
    """The token ids of every window, and how many of them the window before has already."""
    before, between, after = (np.array(part, np.int32) for part in frame.ids)
    ids = FlatArray(np.int32)
    zipped = zip(
        windows.questions.tolist(), windows.first.tolist(), windows.counts.tolist(), strict=True
    )
    for question, first, count in zipped:
        body = context_ids[first : first + count]
        ids.append(np.concatenate([before, questions[question], between, body, after]))
    lengths = windows.begins + windows.counts + len(after)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    kept = np.array([len(one) for one in questions], dtype=np.int64)
    again = np.append(False, windows.questions[1:] == windows.questions[:-1])
    shared = np.append(0, windows.first[:-1] + windows.counts[:-1] - windows.first[1:])
    tokens = Tokens(
        ids.finished(),
        offsets,
        rows[windows.questions],
        full_lengths=lengths + (full - kept)[windows.questions],
        token_type_ids=_types(windows, frame) if tokeniser.typed else None,
    )
    framing = windows.begins + len(after) + (full - kept)[windows.questions]
    return tokens, np.where(again, framing + shared, 0)


def _types(windows: ContextWindows, frame: PairFrame) -> Any:
    """The type id of every token: that of a question, of a context, or of a special token."""
    before, between, after = map(len, frame.ids)
    questions = windows.begins - before - between
    ones = np.ones_like(questions)
    lengths = np.stack(
        [before * ones, questions, between * ones, windows.counts, after * ones], axis=1
    )
    of_part = np.array([(types or [0])[0] for types in frame.types], np.int8)
    return np.repeat(np.tile(of_part, len(questions)), lengths.ravel())


def _targets(
    answers: AnswerPlaces | None, windows: ContextWindows, source: QuestionTokens, bounds: Ints
) -> tuple[Ints, int]:
    """The targets of every window, int64 [V, 2], and the number of answers in no window.

    A question with several answers is trained on the first.
    """
    values = np.zeros((len(windows.questions), 2), dtype=np.int64)
    if answers is None:
        return np.full_like(values, NO_LABEL), 0
    of_row = source.contexts.of_row
    spans = np.full((len(of_row), 2), -1, dtype=np.int64)  # tokens of each question's answer
    for row, (first, stop) in enumerate(pairwise(answers.bounds.tolist())):
        if first < stop:
            begin, end = bounds[of_row[row]], bounds[of_row[row] + 1]
            start, last = answers.starts[first], answers.ends[first] - 1
            # The token with the first character, and the one with the last character.
            inside = slice(begin, end)
            spans[row, 0] = begin + np.searchsorted(source.ends[inside], start, side="right")
            spans[row, 1] = begin + np.searchsorted(source.starts[inside], last, side="right") - 1
    own = spans[windows.questions] - windows.first[:, None]
    whole = (own[:, 0] >= 0) & (own[:, 1] < windows.counts) & (own[:, 0] <= own[:, 1])
    whole &= spans[windows.questions, 0] >= 0
    values[whole] = own[whole] + windows.begins[whole, None]
    held = np.bincount(windows.questions[whole], minlength=len(of_row)) > 0
    return values, int(((spans[:, 0] >= 0) & ~held).sum())

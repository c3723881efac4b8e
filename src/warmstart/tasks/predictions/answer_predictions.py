"""Answers that are spans of a context: the best one and the next best of each question.

A span of tokens is extended to whole words: a tokenizer may cut a word into several tokens.

The probability of a span is that of its first token times that of its last token, in a window; the
probability of no answer is that of CLS as both, in the window where it is lowest.

Letters: N questions, K candidates of all questions, T tokens of a window, M longest answer.

Source: Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa

from warmstart.data.answers.answer_targets import ContextWindows, QuestionTokens
from warmstart.data.answers.contexts import Contexts
from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.data.tags.alignment import whole_words
from warmstart.tasks.predictions.numbers import log_softmax
from warmstart.tasks.predictions.stored_rows import stored_numbers, stored_rows

CANDIDATES = 20
"""Number of spans that are kept for each question."""

CANDIDATE = pa.struct(
    [
        ("text", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("confidence", pa.float64()),
    ]
)
"""One of the best answers in ``predictions.parquet``; offsets in characters of the context."""


FoundT = TypeVar("FoundT", bound="AnswerPredictions")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span of a context that may be the answer."""

    text: str
    """Empty for no answer."""
    start: int | None
    """First character in the context; None for no answer."""
    end: int | None
    """The index after its last character."""
    confidence: float
    """Its probability."""

    def to_json(self) -> dict[str, Any]:
        """``{"text", "start", "end", "confidence"}``."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "confidence": self.confidence,
        }

    def shown(self) -> str:
        """Text, place and confidence."""
        if self.start is None:
            return f"no answer  {self.confidence:.3f}"
        return f"{self.text}  [{self.start}:{self.end}]  {self.confidence:.3f}"


@dataclass(frozen=True, slots=True)
class AnswerPrediction:
    """The predicted answer of one question."""

    row: int
    """Row id in its table."""
    answer: Candidate
    truncated: bool
    """Whether the model got only the beginning of the question."""
    best: tuple[Candidate, ...] | None = None
    """The best answers, the first one included, if they were asked for."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "text", "start", "end", "confidence", "truncated"}``; maybe ``answers``."""
        found = {"row": self.row, **self.answer.to_json(), "truncated": self.truncated}
        return found | ({} if self.best is None else {"answers": [b.to_json() for b in self.best]})

    def shown(self) -> str:
        """The answer; or the best ones, one on each line."""
        return "\n".join(one.shown() for one in self.best or (self.answer,))


@dataclass(frozen=True, slots=True)
class AnswerPredictions:
    """The predicted answers of N questions.

    Args:
        source: the contexts.
        questions: position of each candidate's question in ``source``; the candidates of a question
            follow each other, the best first, int64 [K].
        starts: first character of each candidate, int64 [K].
        ends: the index after its last character, int64 [K].
        scores: logarithm of its probability, float64 [K].
        asked: positions of the questions in ``source``, ascending, int64 [N].
        no_answer: logarithm of the probability that there is no answer, float64 [N].
        truncated: whether the model got only the beginning of each question, bool [N].
        threshold: a question gets no answer if no answer is more probable than its best span by
            more than this difference of logarithms; None if every question gets an answer.
        top: number of answers to show; None for the best one alone.
    """

    source: QuestionTokens
    questions: Ints
    starts: Ints
    ends: Ints
    scores: Floats
    asked: Ints
    no_answer: Floats
    truncated: Bools
    threshold: float | None = None
    top: int | None = None

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches; the windows of a question may be in several.

        Args:
            parts: predictions of at least one batch.
            positions: not used, because questions have their own numbers.
        """
        return _merged(
            replace(
                parts[0],
                questions=np.concatenate([one.questions for one in parts]),
                starts=np.concatenate([one.starts for one in parts]),
                ends=np.concatenate([one.ends for one in parts]),
                scores=np.concatenate([one.scores for one in parts]),
                asked=np.concatenate([one.asked for one in parts]),
                no_answer=np.concatenate([one.no_answer for one in parts]),
                truncated=np.concatenate([one.truncated for one in parts]),
            )
        )

    @classmethod
    def stored(cls, rows: pa.Table) -> Self:
        """The best answers in rows of ``predictions.parquet``.

        Args:
            rows: N rows.
        """
        ids, truncated = stored_rows(rows)
        answered = rows["start"].is_valid().to_numpy()
        found = rows.filter(pa.array(answered))
        contexts = Contexts.of(rows["text_pair"])
        nothing = np.zeros(0, np.int32)
        starts, ends = (stored_numbers(found, name).astype(np.int64) for name in ("start", "end"))
        with np.errstate(divide="ignore"):
            scores = np.log(stored_numbers(found, "confidence"))
        return cls(
            QuestionTokens(ids, contexts, nothing, nothing),
            np.flatnonzero(answered),
            starts,
            ends,
            scores,
            np.arange(len(ids)),
            np.full(len(ids), -np.inf),
            truncated,
        )

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        return self.source.rows[self.asked]

    @property
    def probabilities(self) -> Floats:
        """Probability of each candidate, float64 [K]."""
        return np.exp(self.scores)

    @property
    def differences(self) -> Floats:
        """How much more probable no answer is than the best span, as a difference of logarithms.

        float64 [N]; infinite without a span.
        """
        best = np.full(len(self.asked), -np.inf)
        first, found = self._first
        best[found] = self.scores[first[found]]
        with np.errstate(invalid="ignore"):
            return np.where(found, self.no_answer - best, np.inf)

    @property
    def answered(self) -> Bools:
        """Whether each question gets an answer, bool [N]."""
        found: Bools = self._first[1]
        if self.threshold is None:
            return found
        return found & (self.differences <= self.threshold)

    @property
    def _first(self) -> tuple[Ints, Bools]:
        """Index of each question's best candidate, int64 [N]; whether there is one, bool [N]."""
        first = np.searchsorted(self.questions, self.asked)
        stop = np.searchsorted(self.questions, self.asked, side="right")
        return first, stop > first

    def texts(self) -> list[str]:
        """The answer of each question, N texts; empty for no answer."""
        return [prediction.answer.text for prediction in self]

    def changed(self, other: Self) -> int:
        """Number of questions for which ``other`` predicts a different answer."""
        pairs = zip(self, other, strict=True)
        return sum(
            (one.answer.start, one.answer.end) != (two.answer.start, two.answer.end)
            for one, two in pairs
        )

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """``prediction`` (a text), ``start``, ``end``, ``confidence``; with ``top`` ``answers``."""
        found = list(self)
        answers = [prediction.answer for prediction in found]
        columns = {
            "prediction": pa.array([one.text for one in answers], pa.string()),
            "start": pa.array([one.start for one in answers], pa.int64()),
            "end": pa.array([one.end for one in answers], pa.int64()),
            "confidence": pa.array([one.confidence for one in answers], pa.float64()),
            "truncated": pa.array(self.truncated),
        }
        if self.top is not None:
            best = [[one.to_json() for one in prediction.best or ()] for prediction in found]
            columns["answers"] = pa.array(best, pa.list_(CANDIDATE))
        return columns

    def __len__(self) -> int:
        """Number of questions, N."""
        return len(self.asked)

    def __getitem__(self, index: int) -> AnswerPrediction:
        """The prediction at position ``index``."""
        return self._prediction(index, self.source.contexts[int(self.asked[index])])

    def __iter__(self) -> Iterator[AnswerPrediction]:
        """Every prediction, one object at a time."""
        last, text = -1, ""
        for index, question in enumerate(self.asked.tolist()):
            context = int(self.source.contexts.of_row[question])
            if context != last:
                last, text = context, self.source.contexts[question]
            yield self._prediction(index, text)

    def _prediction(self, index: int, context: str) -> AnswerPrediction:
        """The prediction of one question, with the text of its context."""
        question = int(self.asked[index])
        first = int(np.searchsorted(self.questions, question))
        stop = int(np.searchsorted(self.questions, question, side="right"))
        nothing = float(np.exp(self.no_answer[index]))
        none = Candidate("", None, None, nothing)
        spans: dict[tuple[int, int], float] = {}  # the best candidate of equal ones comes first
        for start, end, score in zip(
            self.starts[first:stop].tolist(),
            self.ends[first:stop].tolist(),
            self.scores[first:stop].tolist(),
            strict=True,
        ):
            spans.setdefault(whole_words(context, start, end), score)
        found = [
            Candidate(context[start:end], start, end, float(np.exp(score)))
            for (start, end), score in spans.items()
        ]
        if self.threshold is not None and found:
            # No answer takes its place among the candidates, after the answers that it loses to.
            difference = self.no_answer[index] - np.array(list(spans.values()))
            found.insert(int((difference <= self.threshold).sum()), none)
        found = found or [none]
        best = None if self.top is None else tuple(found[: self.top])
        return AnswerPrediction(
            int(self.source.rows[question]), found[0], bool(self.truncated[index]), best
        )


def best_spans(
    logits: Floats, offsets: Ints, windows: ContextWindows, most_tokens: int
) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """The best spans of each window, none of them outside its context.

    Args:
        logits: of the start and of the end at every token of the windows, float64 [A, 2].
        offsets: where each window begins, and the number of tokens, int64 [B + 1].
        windows: the B windows.
        most_tokens: largest number of tokens of a span, M.

    Returns:
        For each candidate its window, its first and its last token among the context tokens of the
        window, int64 [K], and the logarithm of its probability, float64 [K]; and for each window
        that of no answer, float64 [B].
    """
    found: list[tuple[Ints, Ints, Ints, Floats]] = []
    nothing = np.empty(len(windows.questions))
    bounds = zip(
        pairwise(offsets.tolist()), windows.begins.tolist(), windows.counts.tolist(), strict=True
    )
    for window, ((start, stop), begin, count) in enumerate(bounds):
        shares = log_softmax(logits[start:stop].T)  # [2, T]: over all tokens of the window
        nothing[window] = shares[:, 0].sum()
        firsts, lasts = shares[:, begin : begin + count]
        width = max(1, min(most_tokens, count))
        # Row i: spans that begin at token i; column j: that end j tokens later, [count, width].
        padded = np.concatenate([lasts, np.full(width, -np.inf)])
        ends = np.lib.stride_tricks.sliding_window_view(padded, width)[:count]
        scores = (firsts[:, None] + ends).ravel()
        most = min(CANDIDATES, int(np.isfinite(scores).sum()))
        best = np.argpartition(-scores, most - 1)[:most] if most else np.zeros(0, np.int64)
        first = best // width
        last = first + best % width
        found.append((np.full(most, window), first, last, scores[best]))
    window_of, first, last, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return window_of, first, last, scores, nothing


def answer_predictions(
    logits: Floats,
    offsets: Ints,
    windows: ContextWindows,
    source: QuestionTokens,
    truncated: Bools,
    most_tokens: int,
) -> AnswerPredictions:
    """The predictions for the windows of a batch, without a threshold.

    Args:
        logits: as for ``best_spans``.
        offsets: as for ``best_spans``.
        windows: the B windows.
        source: contexts and their tokens.
        truncated: whether each window has only the beginning of its question, bool [B].
        most_tokens: as for ``best_spans``.
    """
    window, first, last, scores, nothing = best_spans(logits, offsets, windows, most_tokens)
    begin = windows.first[window]
    return _merged(
        AnswerPredictions(
            source,
            windows.questions[window],
            source.starts[begin + first].astype(np.int64),
            source.ends[begin + last].astype(np.int64),
            scores,
            windows.questions,
            nothing,
            truncated,
        )
    )


def _merged(found: FoundT) -> FoundT:
    """One entry for each question, and its best candidates, each once."""
    asked, place = np.unique(found.asked, return_inverse=True)
    no_answer = np.full(len(asked), np.inf)
    np.minimum.at(no_answer, place, found.no_answer)
    truncated = np.zeros(len(asked), dtype=np.bool_)
    np.logical_or.at(truncated, place, found.truncated)
    real = found.starts < found.ends  # a token may be only white space
    keys = (found.questions, found.starts, found.ends)
    # The best candidate of equal spans comes first.
    order = np.lexsort((-found.scores, found.ends, found.starts, found.questions))
    order = order[real[order]]
    same = np.logical_and.reduce([np.diff(key[order], prepend=-1) == 0 for key in keys])
    order = order[~same]
    order = order[np.lexsort((-found.scores[order], found.questions[order]))]
    questions = found.questions[order]
    rank = np.arange(len(order)) - np.searchsorted(questions, questions)
    order = order[rank < CANDIDATES]
    return replace(
        found,
        questions=found.questions[order],
        starts=found.starts[order],
        ends=found.ends[order],
        scores=found.scores[order],
        asked=asked,
        no_answer=no_answer,
        truncated=truncated,
    )

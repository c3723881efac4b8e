"""The best spans of windows, compared with a search over all spans."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from warmstart.data.answers.answer_targets import ContextWindows, QuestionTokens
from warmstart.data.answers.contexts import Contexts
from warmstart.tasks.predictions.answer_predictions import (
    CANDIDATES,
    AnswerPredictions,
    answer_predictions,
)
from warmstart.tasks.predictions.numbers import softmax

CONTEXT = "a b c d e f g h i j k l"
"""Twelve tokens of one character."""

WINDOWS = ContextWindows(
    # Two windows of the first question, which share four tokens, and one of the second.
    questions=np.array([0, 0, 1]),
    first=np.array([0, 4, 0]),
    begins=np.array([3, 3, 2]),
    counts=np.array([8, 8, 12]),
)
OFFSETS = np.cumsum([0, 12, 12, 15])
PLACES = 2 * np.arange(12, dtype=np.int32)
SOURCE = QuestionTokens(
    np.array([7, 9]), Contexts(pa.array([CONTEXT]), np.array([0, 0])), PLACES, PLACES + 1
)


def found_in(logits: np.ndarray, most_tokens: int = 3) -> AnswerPredictions:
    none = np.zeros(3, dtype=np.bool_)
    return answer_predictions(logits, OFFSETS, WINDOWS, SOURCE, none, most_tokens)


def by_search(logits: np.ndarray, question: int, most_tokens: int) -> dict[tuple[int, int], float]:
    """The probability of every allowed span of a question, by its characters."""
    shares: dict[tuple[int, int], float] = {}
    for window in np.flatnonzero(WINDOWS.questions == question).tolist():
        own = softmax(logits[OFFSETS[window] : OFFSETS[window + 1]].T)
        begin, count = int(WINDOWS.begins[window]), int(WINDOWS.counts[window])
        for first, last in itertools.combinations_with_replacement(range(count), 2):
            if last - first < most_tokens:
                share = own[0, begin + first] * own[1, begin + last]
                token = int(WINDOWS.first[window])
                key = (2 * (token + first), 2 * (token + last) + 1)
                shares[key] = max(share, shares.get(key, 0.0))
    return shares


@pytest.mark.parametrize("most_tokens", [1, 3, 50])
def test_the_best_spans_are_those_of_a_full_search(most_tokens: int) -> None:
    logits = np.random.default_rng(0).normal(scale=3, size=(39, 2))
    found = found_in(logits, most_tokens)
    assert found.rows.tolist() == [7, 9]
    for index, prediction in enumerate(replace(found, top=CANDIDATES)):
        shares = by_search(logits, index, most_tokens)
        expected = sorted(shares.items(), key=lambda item: -item[1])[:CANDIDATES]
        assert prediction.best is not None
        assert [(one.start, one.end) for one in prediction.best] == [key for key, _ in expected]
        for one, (_, share) in zip(prediction.best, expected, strict=True):
            assert one.confidence == pytest.approx(share)
        assert prediction.answer == prediction.best[0]
        assert prediction.answer.text == CONTEXT[slice(*expected[0][0])]


def test_a_span_is_never_outside_the_context() -> None:
    """The highest logits are those of the question and of special tokens."""
    logits = np.zeros((39, 2))
    for window in range(3):
        begin = OFFSETS[window]
        logits[begin : begin + WINDOWS.begins[window]] = 9
        logits[begin + WINDOWS.begins[window] + WINDOWS.counts[window] : OFFSETS[window + 1]] = 9
    for prediction in replace(found_in(logits), top=CANDIDATES):
        for one in prediction.best or ():
            assert 0 <= one.start < one.end <= len(CONTEXT)


def test_no_answer_is_least_probable_over_the_windows() -> None:
    logits = np.random.default_rng(1).normal(size=(39, 2))
    expected = [
        min(
            softmax(logits[OFFSETS[w] : OFFSETS[w + 1]].T)[:, 0].prod()
            for w in np.flatnonzero(WINDOWS.questions == question)
        )
        for question in (0, 1)
    ]
    assert np.exp(found_in(logits).no_answer) == pytest.approx(expected)


def test_batches_join_to_the_same_predictions() -> None:
    """The windows of one question may be in two batches."""
    logits = np.random.default_rng(2).normal(size=(39, 2))
    whole = found_in(logits)
    parts = []
    for order in ([2, 0], [1]):
        rows = np.concatenate([np.arange(OFFSETS[w], OFFSETS[w + 1]) for w in order])
        offsets = np.concatenate([[0], np.cumsum(np.diff(OFFSETS)[order])])
        windows = WINDOWS.taken(np.array(order))
        none = np.zeros(len(order), dtype=np.bool_)
        parts.append(answer_predictions(logits[rows], offsets, windows, SOURCE, none, 3))
    joined = AnswerPredictions.joined(parts, np.array([2, 0, 1]))
    assert list(joined) == list(whole)
    assert joined.scores.tolist() == pytest.approx(whole.scores.tolist())


def test_a_threshold_decides_whether_there_is_an_answer() -> None:
    logits = np.zeros((39, 2))
    logits[OFFSETS[2]] = 4.0  # CLS of the second question
    always = found_in(logits)
    assert always.answered.tolist() == [True, True]
    found = replace(always, threshold=0.0, top=2)
    assert found.answered.tolist() == [True, False]
    first, second = found
    assert first.answer.text == "a"
    none = second.answer
    assert (none.text, none.start, none.end) == ("", None, None)
    assert none.confidence == pytest.approx(np.exp(found.no_answer[1]))
    assert second.best is not None
    assert second.best[0] == none
    assert second.best[1].text
    assert second.shown().startswith("no answer  0.")
    assert found.changed(always) == always.changed(found) == 1
    assert replace(found, threshold=100.0).changed(always) == 0


def test_columns_and_stored_predictions() -> None:
    logits = np.zeros((39, 2))
    logits[OFFSETS[2]] = 4.0
    found = replace(found_in(logits), threshold=0.0, top=2)
    columns = found.columns(found.rows)
    assert columns["prediction"].to_pylist() == ["a", ""]
    assert columns["start"].to_pylist() == [0, None]
    assert [len(best) for best in columns["answers"].to_pylist()] == [2, 2]
    texts = pa.array([CONTEXT, CONTEXT])
    rows = pa.table({"row": found.rows, "text_pair": texts, **columns})
    again = AnswerPredictions.stored(rows)
    assert again.texts() == found.texts() == ["a", ""]
    assert again.changed(found) == 0


def test_tokens_of_white_space_alone_are_no_answer() -> None:
    source = replace(SOURCE, ends=PLACES)  # every token is empty
    none = np.zeros(3, dtype=np.bool_)
    found = answer_predictions(np.zeros((39, 2)), OFFSETS, WINDOWS, source, none, 1)
    assert found.answered.tolist() == [False, False]
    assert found.texts() == ["", ""]
    assert np.isinf(found.differences).all()


def test_a_window_without_context() -> None:
    windows = ContextWindows(*(np.array([value]) for value in (0, 0, 2, 0)))
    none = np.zeros(1, dtype=np.bool_)
    found = answer_predictions(np.zeros((3, 2)), np.array([0, 3]), windows, SOURCE, none, 5)
    assert found.texts() == [""]

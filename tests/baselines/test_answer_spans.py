"""The baselines of question answering on texts where the right answer is known."""

import pyarrow as pa
import pytest

from warmstart.baselines import answer_spans
from warmstart.baselines.answer_spans import (
    WordWeights,
    best_sentences,
    nearby_words,
    sentence_scores,
)

CONTEXT = (
    "Ada Lovelace was born in London in 1815. Dr. Charles Babbage, a professor, met Ada at a ball. "
    "They designed the engine. It was never built!"
)
WEIGHTS = WordWeights.of([CONTEXT, "The engine was in London."])


def sentence(question: str, context: str = CONTEXT) -> str:
    fitted = sentence_scores([CONTEXT])
    (found,) = best_sentences(pa.chunked_array([[question]]), [context], fitted)
    assert 0 <= found.score < 1
    return context[found.start : found.end]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where was Ada Lovelace born?", "Ada Lovelace was born in London in 1815."),
        ("Which engine was designed?", "They designed the engine."),
        ("What was built?", "It was never built!"),
    ],
)
def test_the_best_sentence(question: str, answer: str) -> None:
    assert sentence(question) == answer


def test_many_questions_are_scored_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = pa.chunked_array([["Which engine was designed?", "What was built?"] * 3])
    fitted = sentence_scores([CONTEXT])
    whole = list(best_sentences(questions, [CONTEXT] * 6, fitted))
    monkeypatch.setattr(answer_spans, "_PAIRS", 1)
    assert list(best_sentences(questions, [CONTEXT] * 6, fitted)) == whole


def test_chinese_sentences() -> None:
    context = "北京是中国的首都。上海在东部。"
    fitted = sentence_scores([context])
    (found,) = best_sentences(pa.chunked_array([["上海在哪里？"]]), [context], fitted)
    assert context[found.start : found.end] == "上海在东部。"
    assert context[slice(*nearby_words("上海在哪里？", context, WordWeights.of([context]))[:2])]


def test_the_words_next_to_those_of_the_question() -> None:
    found = nearby_words("Who met a professor?", CONTEXT, WEIGHTS)
    assert CONTEXT[found.start : found.end] == "Babbage"
    assert 0 < found.score <= 1
    other = nearby_words("zebras?", CONTEXT, WEIGHTS)
    assert other.score == 0
    assert CONTEXT[other.start : other.end]


def test_a_context_without_words() -> None:
    found = nearby_words("Who?", "…!", WEIGHTS)
    assert (found.start, found.end) == (0, 2)
    assert sentence("Who?", "…") == "…"


def test_rare_words_weigh_more() -> None:
    assert WEIGHTS["lovelace"] > WEIGHTS["engine"] > 0
    assert WEIGHTS["unknown"] >= WEIGHTS["lovelace"]


def test_a_repeated_word_counts_once() -> None:
    context = "cat cat ran home. A red cat slept."
    found = nearby_words("red cat", context, WordWeights.of([context]))
    assert context[found.start : found.end] == "red cat"
    assert found.score == 1

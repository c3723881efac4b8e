"""Baselines of question answering: the words near those of the question, and the best sentence.

``nearby_words``: a window as long as the question slides over the context; where it contains the
words of the question with the largest total weight, the answer is the longest sequence of its other
words. Rare words have more weight. ``best_sentence``: the answer is the sentence with the highest
BM25 score. Both use the training contexts for the weights, and no answers.

N: questions.

Source: Richardson et al. 2013, "MCTest", algorithm 1 (sliding window); Rajpurkar et al. 2016,
arXiv:1606.05250, section 5.1; Robertson & Zaragoza 2009, section 3 (BM25).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from warmstart.baselines.bm25 import bm25
from warmstart.baselines.linear import Fitted, Floats

_WORD = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W\u3040-\u30ff\u4e00-\u9fff]+")
_BORDER = re.compile(r"(?<=[.!?])(?=\s)|(?<=[。！？])|\n")
"""Between two sentences."""

MOST_CHARACTERS = 100_000
"""The first characters of a context that a baseline reads."""

_PAIRS = 20_000
"""Pairs of question and sentence that are scored in one call."""


class Span(NamedTuple):
    """A predicted answer."""

    start: int
    """First character in the context."""
    end: int
    """The index after its last character."""
    score: float
    """From 0 to 1: how well the place fits the question."""


@dataclass(frozen=True, slots=True)
class WordWeights:
    """The weight of each word of the training contexts.

    Args:
        weights: inverse document frequency of each word.
        unknown: weight of a word that is in none of them.
    """

    weights: dict[str, float]
    unknown: float

    @classmethod
    def of(cls, contexts: Iterable[str]) -> "WordWeights":
        """The weights for these contexts.

        Args:
            contexts: the training contexts, each once.
        """
        found: Counter[str] = Counter()
        total = 0
        for context in contexts:
            total += 1
            found.update({word for word, _, _ in _words(context)})
        weights = {word: math.log((1 + total) / count) for word, count in found.items()}
        return cls(weights, math.log(1 + total))

    def __getitem__(self, word: str) -> float:
        """The weight of a word."""
        return self.weights.get(word, self.unknown)


def nearby_words(question: str, context: str, weights: WordWeights) -> Span:
    """The words next to those of the question, where most of them are together.

    Args:
        question: a question.
        context: its context.
        weights: weight of each word.

    >>> weights = WordWeights.of(["Anna lives in Rome now", "Bob lives in Oslo"])
    >>> context = "Anna likes Oslo. Bob, a baker, is in Paris."
    >>> found = nearby_words("Where is Bob?", context, weights)
    >>> context[found.start : found.end]
    'likes Oslo'
    """
    words = _words(context[:MOST_CHARACTERS])
    sought = {word for word, _, _ in _words(question)}
    if not words:
        return Span(0, len(context), 0.0)
    width = max(1, len(_words(question)))
    inside: Counter[str] = Counter()
    score, best, place = 0.0, -1.0, 0
    for index, (word, _, _) in enumerate(words):
        if word in sought:
            score += weights[word] * (inside[word] == 0)
            inside[word] += 1
        if index >= width and (gone := words[index - width][0]) in sought:
            inside[gone] -= 1
            score -= weights[gone] * (inside[gone] == 0)
        if score > best + 1e-9:
            best, place = score, max(0, index - width + 1)
    first, last = _longest_other(words[place : place + width], sought)
    total = sum(weights[word] for word in sought) or 1.0
    start, end = words[place + first][1], words[place + last][2]
    return Span(start, end, min(1.0, max(best, 0.0) / total))


def best_sentences(
    questions: pa.ChunkedArray, contexts: Iterable[str], fitted: Fitted
) -> Iterator[Span]:
    """The sentence of each context with the highest BM25 score for its question, N spans.

    Args:
        questions: N questions.
        contexts: their contexts.
        fitted: from ``sentence_scores``.
    """
    waiting: list[tuple[str, str, list[tuple[int, int]]]] = []
    size = 0
    for question, context in zip(questions.to_pylist(), contexts, strict=True):
        waiting.append((question, context, _sentences(context)))
        size += len(waiting[-1][2])
        if size >= _PAIRS:
            yield from _chosen(waiting, fitted)
            waiting, size = [], 0
    yield from _chosen(waiting, fitted)


def sentence_scores(contexts: Iterable[str]) -> Fitted:
    """BM25 with the sentences of the training contexts.

    Args:
        contexts: the training contexts, each once.
    """
    texts = [text[start:end] for text in contexts for start, end in _sentences(text)]
    return bm25(pa.chunked_array([pa.array(texts, pa.string())]))


def _chosen(
    waiting: list[tuple[str, str, list[tuple[int, int]]]], fitted: Fitted
) -> Iterator[Span]:
    """The best sentence of each question."""
    questions = [question for question, _, found in waiting for _ in found]
    texts = [context[start:end] for _, context, found in waiting for start, end in found]
    scores: Floats = np.zeros((0, 1))
    if texts:
        scores = fitted.predict(pa.table({"question": questions, "sentence": texts}))
    begin = 0
    for _, _, found in waiting:
        own = scores[begin : begin + len(found), 0]
        begin += len(found)
        best = int(own.argmax())
        # Between 0 and 1, so that it can be compared with a threshold.
        yield Span(*found[best], float(own[best] / (1 + own[best])))


def _sentences(context: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, without white space around it; at least one."""
    text = context[:MOST_CHARACTERS]
    borders = [0, *(match.start() for match in _BORDER.finditer(text)), len(text)]
    found = []
    for start, end in pairwise(borders):
        sentence = text[start:end]
        start += len(sentence) - len(sentence.lstrip())
        if stripped := sentence.strip():
            found.append((start, start + len(stripped)))
    return found or [(0, len(text))]


def _words(text: str) -> list[tuple[str, int, int]]:
    """Each word in lower case with its start and end; a Chinese or Japanese character is a word."""
    return [(match[0].lower(), match.start(), match.end()) for match in _WORD.finditer(text)]


def _longest_other(words: list[tuple[str, int, int]], sought: set[str]) -> tuple[int, int]:
    """First and last of the longest sequence of words that are not sought; else all words."""
    best, length, start = (0, len(words) - 1), 0, 0
    for index, (word, _, _) in enumerate(words):
        if word in sought:
            start = index + 1
        elif index + 1 - start > length:
            best, length = (start, index), index + 1 - start
    return best

"""Scores of answers that are spans of a text: exact match and F1, for each question.

``exact_match`` and ``f1`` are those of SQuAD's script: answers are compared in lower case, without
punctuation, English articles and repeated white space; F1 is that of the words that both answers
have. ``character_f1`` is the F1 of CMRC 2018, for Chinese: each Chinese character is a unit, and
what counts is the longest sequence of units that both answers have. (CMRC's script cuts other words
with NLTK; here a word is a sequence of letters and digits.)

With several reference answers, a prediction gets the best score over them. A question without an
answer is answered correctly by an empty text. Intervals are over questions.

N: questions.

Source: Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1; Rajpurkar et al. 2018,
arXiv:1806.03822, and its script ``evaluate-v2.0.py``; Cui et al. 2019, arXiv:1810.07366, and its
script ``cmrc2018_evaluate.py``.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    UnitSums,
    assign_units,
    scores_of_sums,
    values_per_unit,
)
from warmstart.metrics.scores import Metric, Scores

METRICS = (
    Metric("f1", True, "F1"),
    Metric("exact_match", True, "Exact match"),
    Metric("character_f1", True, "Character F1"),
)

ANSWER_TYPES = ("with answer", "no answer")
"""The two types of questions, in the order of ``details``."""

Bools = np.ndarray[Any, np.dtype[np.bool_]]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)
_CMRC_MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CMRC_UNIT = re.compile(r"[\u4e00-\u9fa5]|[^\W\u4e00-\u9fa5]+|[^\w\s]")


def normalised(answer: str) -> str:
    """An answer as SQuAD's script compares it.

    Args:
        answer: any text.

    >>> normalised(" The  U.S. army")
    'us army'
    """
    visible = "".join(one for one in answer.lower() if one not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", visible).split())


def exact_match(prediction: str, reference: str) -> float:
    """1 if the two answers are the same, otherwise 0.

    Args:
        prediction: predicted answer; empty for no answer.
        reference: a reference answer; empty for no answer.
    """
    return float(normalised(prediction) == normalised(reference))


def f1(prediction: str, reference: str) -> float:
    """F1 of the words of two answers; if one of them has no word, 1 if they are equal.

    Args:
        prediction: as for ``exact_match``.
        reference: as for ``exact_match``.

    >>> f1("in the city of Paris", "Paris, France")
    0.3333333333333333
    """
    predicted, expected = normalised(prediction).split(), normalised(reference).split()
    if not predicted or not expected:
        return float(predicted == expected)
    common = (Counter(predicted) & Counter(expected)).total()
    return _f1(common, len(predicted), len(expected))


def character_f1(prediction: str, reference: str) -> float:
    """F1 of the longest common sequence of characters (Chinese) and words (other) of two answers.

    Args:
        prediction: as for ``exact_match``.
        reference: as for ``exact_match``.

    >>> character_f1("上海市。", "上海")
    0.8
    """
    predicted, expected = (_units(answer) for answer in (prediction, reference))
    if not predicted or not expected:
        return float(predicted == expected)
    return _f1(_longest_common(predicted, expected), len(predicted), len(expected))


def per_question(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, Floats]:
    """Every metric for each question, float64 [N].

    Args:
        predictions: the predicted answer of each question; empty for no answer.
        references: the reference answers of each question; none if it has no answer.
    """
    found: dict[str, list[float]] = {metric.name: [] for metric in METRICS}
    measures = {"exact_match": exact_match, "f1": f1, "character_f1": character_f1}
    for prediction, given in zip(predictions, references, strict=True):
        # As in SQuAD's script, an answer without any word does not count as a reference.
        usable = [answer for answer in given if normalised(answer)] or [""]
        for name, measure in measures.items():
            found[name].append(max(measure(prediction, answer) for answer in usable))
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}


def answer_sums(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> UnitSums:
    """The sums of each unit of questions, [U, M + 1]: the M metrics, and the number of questions.

    Args:
        predictions: as for ``per_question``.
        references: as for ``per_question``.
    """
    return _sums(per_question(predictions, references))


def answer_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """All metrics with their 95 % intervals over questions.

    ``details`` contains ``per_answer_type``: for questions with an answer and, if there are any,
    without one, every metric, the number of questions, and how many were given an answer.

    Args:
        predictions: as for ``per_question``.
        references: as for ``per_question``.

    >>> result = answer_scores(["Paris", ""], [["paris", "in Paris"], []])
    >>> result.metrics["exact_match"].value, len(result.details["per_answer_type"])
    (1.0, 2)
    """
    found = per_question(predictions, references)
    answered = np.array([bool(text) for text in predictions], dtype=np.bool_)
    has_answer = np.array([len(given) > 0 for given in references], dtype=np.bool_)
    types = [
        _of_type(name, found, answered, rows)
        for name, rows in zip(ANSWER_TYPES, (has_answer, ~has_answer), strict=True)
        if rows.any()
    ]
    return Scores(scores_of_sums(METRICS, _sums(found)), {"per_answer_type": types})


def answer_threshold(differences: Floats, answered: Floats, unanswered: Floats) -> float:
    """The number up to which a question should get its answer, for the highest total score.

    Args:
        differences: how much more probable no answer is than the answer, one for each of at least
            one question, finite, float64 [N].
        answered: score of each question if it gets its answer, float64 [N].
        unanswered: its score if it gets none, float64 [N].

    >>> answer_threshold(np.array([-1.0, 3.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    order = np.argsort(differences, kind="stable")
    sorted_ones = differences[order]
    # The first k questions get their answer, for k from 0 to N.
    gains = np.concatenate([[0.0], np.cumsum((answered - unanswered)[order])])
    bounds = np.concatenate([[sorted_ones[0] - 2], sorted_ones, [sorted_ones[-1] + 2]])
    middles = (bounds[:-1] + bounds[1:]) / 2
    # Questions with equal differences cannot be separated.
    gains[np.flatnonzero(bounds[:-1] == bounds[1:])] = -np.inf
    return float(middles[gains.argmax()])


def _of_type(name: str, found: dict[str, Floats], answered: Bools, rows: Bools) -> dict[str, Any]:
    """The scores of the questions of one type."""
    scores = scores_of_sums(METRICS, _sums({key: values[rows] for key, values in found.items()}))
    return {
        "type": name,
        "n": int(rows.sum()),
        "answered": int(answered[rows].sum()),
        **{key: score.to_json() for key, score in scores.items()},
    }


def _sums(found: dict[str, Floats]) -> UnitSums:
    values = [found[metric.name] for metric in METRICS]
    n = len(values[0])
    return UnitSums(values_per_unit([*values, np.ones(n)], assign_units(n)), _means, n)


def _means(sums: Floats) -> dict[str, Floats]:
    """The mean of each metric over questions, float64 [R] each."""
    names = [metric.name for metric in METRICS]
    with np.errstate(invalid="ignore"):
        return dict(zip(names, (sums[:, :-1] / sums[:, -1:]).T, strict=True))


def _f1(common: int, predicted: int, expected: int) -> float:
    return 2 * common / (predicted + expected)


def _units(answer: str) -> list[str]:
    """The units of CMRC's F1: Chinese characters, words and marks, without CMRC's marks."""
    return _CMRC_UNIT.findall("".join(one for one in answer.lower() if one not in _CMRC_MARKS))


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest sequence of units that is in both, without gaps."""
    before, longest = [0] * (len(other) + 1), 0
    for unit in one:
        now = [0] * (len(other) + 1)
        for place, second in enumerate(other, start=1):
            if unit == second:
                now[place] = before[place - 1] + 1
                longest = max(longest, now[place])
        before = now
    return longest

"""Scores of answers, worked out by hand from the definitions of SQuAD and CMRC."""

import numpy as np
import pytest

from warmstart.metrics.answer_metrics import (
    METRICS,
    answer_scores,
    answer_sums,
    answer_threshold,
    character_f1,
    exact_match,
    f1,
    normalised,
    per_question,
)
from warmstart.metrics.intervals import paired_difference


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Eiffel Tower!", "eiffel tower"),
        ("an  apple,\n a pear", "apple pear"),
        ("theatre and answer", "theatre and answer"),  # articles only as whole words
        ("U.S.", "us"),
        ("well-known", "wellknown"),
        ("1,000 €", "1000 €"),  # only ASCII punctuation is removed
        ("the", ""),
    ],
)
def test_normalisation_is_that_of_squad(answer: str, expected: str) -> None:
    assert normalised(answer) == expected


@pytest.mark.parametrize(
    ("prediction", "reference", "match", "score"),
    [
        ("the Denver Broncos", "Denver Broncos", 1, 1.0),
        ("Broncos", "Denver Broncos", 0, 2 * 1 * 0.5 / 1.5),
        ("Denver Denver", "Denver Broncos", 0, 0.5),  # a word counts as often as both have it
        ("Carolina", "Denver Broncos", 0, 0.0),
        ("", "Denver", 0, 0.0),
        ("Denver", "", 0, 0.0),
        ("", "", 1, 1.0),
        ("the", "", 1, 1.0),
    ],
)
def test_exact_match_and_f1(prediction: str, reference: str, match: int, score: float) -> None:
    assert exact_match(prediction, reference) == match
    assert f1(prediction, reference) == pytest.approx(score)


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("北京市", "北京", 2 * 2 / (3 + 2)),
        ("《北京》", "北京", 1.0),  # CMRC's marks are left out
        ("京北", "北京", 2 * 1 / 4),  # the longest common sequence without a gap is one character
        ("北大京", "北京", 2 * 1 / (3 + 2)),
        ("2008年8月", "2008年", 2 * 2 / (4 + 2)),  # a number is one unit
        ("IBM公司", "ibm公司", 1.0),
        ("2010-2011", "20102011", 1.0),
        ("上海", "北京", 0.0),
        ("", "北京", 0.0),
        ("", "", 1.0),
    ],
)
def test_character_f1_is_that_of_cmrc(prediction: str, reference: str, score: float) -> None:
    assert character_f1(prediction, reference) == pytest.approx(score)


def test_the_best_of_several_references_counts() -> None:
    found = per_question(["Denver Broncos", "blue"], [["Broncos", "the Denver Broncos"], ["red"]])
    assert found["exact_match"].tolist() == [1, 0]
    assert found["f1"].tolist() == [1, 0]


def test_a_reference_without_words_means_no_answer() -> None:
    """As in SQuAD's script, which leaves out such references."""
    found = per_question(["", "the", ""], [["The"], [], ["The", "Paris"]])
    assert found["f1"].tolist() == [1, 1, 0]


def test_scores_by_answer_type() -> None:
    predictions = ["Paris", "", "Rome", ""]
    references = [["Paris"], ["Berlin"], [], []]
    scores = answer_scores(predictions, references)
    assert [metric.name for metric in METRICS] == list(scores.metrics)
    assert scores.metrics["f1"].value == 0.5
    assert scores.metrics["f1"].n == 4
    has, none = scores.details["per_answer_type"]
    assert (has["type"], has["n"], has["answered"], has["f1"]["value"]) == (
        "with answer",
        2,
        1,
        0.5,
    )
    assert (none["type"], none["n"], none["answered"], none["f1"]["value"]) == (
        "no answer",
        2,
        1,
        0.5,
    )
    only = answer_scores(["Paris"], [["Paris"]]).details["per_answer_type"]
    assert [part["type"] for part in only] == ["with answer"]


def test_the_mean_is_over_questions_and_can_be_compared() -> None:
    references = [["a1"], ["b1"], ["c1"], ["d1"]]
    good, bad = (
        answer_sums(["a1", "b1", "c1", "x"], references),
        answer_sums(["a1"] * 4, references),
    )
    assert good.n == 4
    assert paired_difference(good, bad, "f1")[0] == pytest.approx(0.5)


def test_the_threshold_gives_the_highest_total() -> None:
    differences = np.array([-3.0, -1.0, 0.5, 2.0])
    answered, unanswered = np.array([1.0, 0.4, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert answer_threshold(differences, answered, unanswered) == pytest.approx(-0.25)
    assert answer_threshold(differences, unanswered, answered) > 2.0  # every question is answered


def test_equal_differences_stay_on_one_side() -> None:
    differences = np.array([0.0, 0.0, 0.0])
    found = answer_threshold(differences, np.array([1.0, 0, 0]), np.array([0.0, 1, 1]))
    assert found < 0  # without an answer two of three are right; no threshold gives three

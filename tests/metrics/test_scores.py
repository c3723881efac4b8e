"""Compare scores, and convert them to JSON and back."""

import json

import pytest

from warmstart.metrics.scores import Score, Scores


def score(value: float | None, *, higher_is_better: bool = True) -> Score:
    return Score(value, low=value, high=value, n=10, higher_is_better=higher_is_better)


@pytest.mark.parametrize(
    ("value", "other", "higher_is_better", "better"),
    [
        (0.6, 0.5, True, True),
        (0.5, 0.6, True, False),
        (0.5, 0.6, False, True),
        (0.5, 0.5, True, False),
        (-0.5, None, True, True),
        (None, -0.5, True, False),
        (None, None, True, False),
    ],
)
def test_better_than_follows_the_direction_and_prefers_what_is_defined(
    value: float | None, other: float | None, higher_is_better: bool, better: bool
) -> None:
    mine = score(value, higher_is_better=higher_is_better)
    assert mine.better_than(score(other, higher_is_better=higher_is_better)) is better


def test_any_defined_score_beats_having_none() -> None:
    assert score(-1.0).better_than(None)
    assert not score(None).better_than(None)


def test_scores_survive_json() -> None:
    scores = Scores({"accuracy": score(0.75), "roc_auc": score(None)}, {"labels": ["no", "yes"]})
    content = {"scores": scores.metrics_json(), "details": dict(scores.details)}
    assert Scores.from_json(json.loads(json.dumps(content))) == scores

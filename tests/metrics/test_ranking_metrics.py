"""Ranking metrics compared with their definitions, query by query."""

import math

import numpy as np
import pytest

from warmstart.metrics.intervals import paired_difference
from warmstart.metrics.ranking_metrics import METRICS, per_query, ranking_scores, ranking_sums


def by_hand(grades_in_order: list[float]) -> dict[str, float]:
    """The metrics of one query, from its grades in the order of the ranking."""

    def dcg(grades: list[float]) -> float:
        return sum((2**g - 1) / math.log2(rank + 2) for rank, g in enumerate(grades[:10]))

    relevant = [grade > 0 for grade in grades_in_order]
    places = [rank + 1 for rank, hit in enumerate(relevant) if hit]
    precisions = [sum(relevant[:place]) / place for place in places]
    found = {
        "ndcg_at_10": dcg(grades_in_order) / dcg(sorted(grades_in_order, reverse=True)),
        "mrr_at_10": 1 / places[0] if places[0] <= 10 else 0.0,
        "map": sum(precisions) / len(places),
    }
    for k in (1, 5, 10):
        found[f"recall_at_{k}"] = sum(relevant[:k]) / len(places)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_is_its_definition(seed: int) -> None:
    draw = np.random.default_rng(seed)
    queries = np.sort(draw.integers(0, 12, size=160))
    queries = np.unique(queries, return_inverse=True)[1]
    grades = draw.choice([0.0, 0.0, 0.0, 1.0, 3.0], size=160)
    scores = draw.random(160)
    found = per_query(scores, grades, queries)
    assert found.keys() == {metric.name for metric in METRICS}
    for query in range(queries.max() + 1):
        rows = np.flatnonzero(queries == query)
        ordered = grades[rows][np.argsort(-scores[rows])].tolist()
        for name, values in found.items():
            if max(ordered) == 0:
                assert math.isnan(values[query])
            else:
                assert values[query] == pytest.approx(by_hand(ordered)[name])


def test_enormous_grades_are_compared_within_their_query() -> None:
    """Each grade doubles the gain, so a grade of 2000 has twice the weight of 1999."""
    grades = np.array([2000.0, 1999.0, 0.0, 1.0, 0.0])
    scores, queries = np.array([0.1, 0.2, 0.3, 0.9, 0.1]), np.array([0, 0, 0, 1, 1])
    ideal = 1 + 0.5 / math.log2(3)
    expected = (0.5 / math.log2(3) + 1 / math.log2(4)) / ideal
    found = per_query(scores, grades, queries)["ndcg_at_10"]
    assert found.tolist() == pytest.approx([expected, 1.0])


def test_the_order_of_the_file_does_not_matter() -> None:
    draw = np.random.default_rng(0)
    queries, grades = draw.integers(0, 9, size=80), draw.integers(0, 2, size=80).astype(float)
    scores = draw.random(80)
    mixed = draw.permutation(80)
    one = per_query(scores, grades, queries)
    other = per_query(scores[mixed], grades[mixed], queries[mixed])
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values)


def test_the_same_score_for_all_is_worth_what_chance_is() -> None:
    """Relevant documents are first in the file; a constant score must not profit from this."""
    queries = np.repeat(np.arange(2000), 4)
    grades = np.tile([1.0, 0, 0, 0], 2000)
    found = ranking_scores(np.zeros(8000), grades, queries).metrics["recall_at_1"]
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.25 < found.high


def test_queries_without_a_relevant_document_are_counted_and_left_out() -> None:
    scores = ranking_scores(
        np.array([2.0, 1, 2, 1]), np.array([1.0, 0, 0, 0]), np.array([0, 0, 1, 1])
    )
    assert scores.details == {"queries": 2, "queries_without_relevant": 1, "documents": 4}
    assert scores.metrics["map"].value == 1.0
    assert {score.n for score in scores.metrics.values()} == {1}
    # One query is not a sample: there is a value, and no interval.
    assert scores.metrics["map"].low is None


def test_without_any_relevant_document_nothing_is_defined() -> None:
    scores = ranking_scores(np.array([2.0, 1]), np.zeros(2), np.zeros(2, dtype=int))
    assert {score.value for score in scores.metrics.values()} == {None}
    sums = ranking_sums(np.ones(2), np.zeros(2), np.zeros(2, int))
    assert paired_difference(sums, sums, "map") == (None, None, None)


def test_a_paired_difference_is_over_the_same_queries() -> None:
    queries, grades = np.repeat(np.arange(50), 2), np.tile([1.0, 0], 50)
    good, bad = np.tile([1.0, 0], 50), np.tile([0.0, 1], 50)
    half = np.where(queries % 2 == 0, good, bad)
    best, worst, middle = (ranking_sums(one, grades, queries) for one in (good, bad, half))
    assert paired_difference(best, worst, "recall_at_1") == (1.0, 1.0, 1.0)
    difference, low, high = paired_difference(best, middle, "recall_at_1")
    assert difference == 0.5
    assert low is not None
    assert high is not None
    assert 0.3 < low < 0.5 < high < 0.7

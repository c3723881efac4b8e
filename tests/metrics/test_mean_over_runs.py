"""The mean of several runs: its spread, and an interval for seeds and rows."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit as logistic
from scipy.stats import t as student_t

from warmstart.metrics.intervals import Floats, UnitSums, scores_of_sums
from warmstart.metrics.mean_over_runs import MeanScore, mean_scores
from warmstart.metrics.scores import Metric

SHARE = Metric("share", True, "Share")


def share(sums: Floats) -> dict[str, Floats]:
    with np.errstate(invalid="ignore"):
        return {"share": sums[:, 0] / sums[:, 1]}


def run(right: Any) -> UnitSums:
    """A run with these rows predicted correctly."""
    right = np.asarray(right, dtype=np.float64)
    return UnitSums(np.column_stack([right, np.ones(len(right))]), share, len(right))


def mean_of(*runs: UnitSums) -> MeanScore:
    return mean_scores(runs, [SHARE])["share"]


def test_mean_and_deviation_are_those_of_the_runs() -> None:
    found = mean_of(run([1, 1, 0, 0]), run([1, 1, 1, 0]), run([1, 1, 1, 1]))
    assert found.mean == pytest.approx(0.75)
    assert found.deviation == pytest.approx(0.25)
    assert (found.smallest, found.largest, found.runs, found.n) == (0.5, 1.0, 3, 4)


def test_equal_runs_have_the_interval_of_one() -> None:
    right = np.random.default_rng(0).random(200) < 0.8
    one = scores_of_sums([SHARE], run(right))["share"]
    found = mean_of(*[run(right)] * 7)
    assert (found.low, found.high) == pytest.approx((one.low, one.high))
    alone = mean_of(run(right))
    assert (alone.low, alone.high) == pytest.approx((one.low, one.high))
    assert alone.deviation is None


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_without_noise_of_rows_the_interval_is_that_of_the_seeds(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    scores = generator.normal(0.8, 0.05, size=seeds)
    found = mean_of(*(run(np.full(50, score)) for score in scores))  # every row has the same score
    assert found.low is not None
    assert found.high is not None
    expected = student_t.ppf(0.975, seeds - 1) * scores.std(ddof=1) / np.sqrt(seeds)
    assert found.high - scores.mean() == pytest.approx(expected)
    assert scores.mean() - found.low == pytest.approx(expected)


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_interval_covers_the_mean_over_all_seeds_and_rows(seeds: int) -> None:
    generator, covered, trials = np.random.default_rng(seeds), 0, 150
    true = float(
        logistic(1 + generator.normal(0, 1, 10**6) + generator.normal(0, 0.5, 10**6)).mean()
    )
    for _ in range(trials):
        rows, of_seed = generator.normal(0, 1, 300), generator.normal(0, 0.5, (seeds, 1))
        right = generator.random((seeds, 300)) < logistic(1 + rows + of_seed)
        found = mean_of(*map(run, right))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
    assert covered / trials > 0.9  # a bootstrap over seeds too would have 0.7 with two


def test_more_seeds_do_not_remove_the_noise_of_the_rows() -> None:
    generator = np.random.default_rng(1)
    difficult = generator.random(100) < 0.3  # the same rows are wrong in every run
    widths = []
    for seeds in (2, 30):
        runs = [run(~difficult ^ (generator.random(100) < 0.01)) for _ in range(seeds)]
        found = mean_of(*runs)
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] > 0.8 * widths[0]


def test_an_undefined_metric_has_no_mean() -> None:
    empty = UnitSums(np.zeros((3, 2)), share, 3)
    found = mean_of(empty, empty)
    assert (found.mean, found.low, found.high, found.runs) == (None, None, None, 0)
    half = mean_of(empty, run([1, 0, 1]))
    assert (half.mean, half.deviation, half.runs) == (pytest.approx(2 / 3), None, 1)


def test_one_row_has_no_interval() -> None:
    found = mean_of(run([1]), run([0]))
    assert (found.mean, found.low, found.high) == (0.5, None, None)

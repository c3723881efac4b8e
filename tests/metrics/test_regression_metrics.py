"""Predicted numbers, compared with scores of SciPy and scikit-learn, with intervals from sums."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

from warmstart.metrics.intervals import Floats, paired_difference, percentile_interval
from warmstart.metrics.regression_metrics import (
    METRICS,
    ranks,
    regression_scores,
    regression_sums,
)


def made_up(rows: int, seed: int = 0, *, scale: float = 1.0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    true = random.normal(3, 1, rows).round(1)  # with ties
    return (true + random.normal(0, 0.8, rows)).round(1) * scale, true * scale


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_metrics_are_those_of_other_libraries(scale: float) -> None:
    predicted, true = made_up(300, scale=scale)
    found = regression_scores(predicted, true).metrics
    assert list(found) == [metric.name for metric in METRICS]
    expected = {
        "pearson_correlation": stats.pearsonr(predicted, true).statistic,
        "spearman_correlation": stats.spearmanr(predicted, true).statistic,
        "mean_squared_error": mean_squared_error(true, predicted),
        "mean_absolute_error": mean_absolute_error(true, predicted),
    }
    for name, score in found.items():
        assert score.value == pytest.approx(expected[name], rel=1e-9)
        assert score.n == 300
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low < score.value < score.high


def test_ranks_are_scipys() -> None:
    _, true = made_up(100)
    assert (ranks(true) == stats.rankdata(true)).all()


def test_intervals_are_those_of_an_ordinary_bootstrap() -> None:
    """Spearman's approximately: its resamples use the ranks of the whole split."""
    predicted, true = made_up(200)
    found = regression_scores(predicted, true).metrics
    random = np.random.default_rng(5)
    drawn = [random.integers(200, size=200) for _ in range(1000)]
    for name, function, margin in (
        ("pearson_correlation", stats.pearsonr, 0.015),
        ("spearman_correlation", stats.spearmanr, 0.025),
    ):
        values = np.array([function(predicted[rows], true[rows]).statistic for rows in drawn])
        low, high = percentile_interval(values)
        assert found[name].low == pytest.approx(low, abs=margin)
        assert found[name].high == pytest.approx(high, abs=margin)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.0, 1e9])
def test_a_correlation_with_equal_numbers_is_undefined(value: float) -> None:
    _, true = made_up(50)
    for found in (
        regression_scores(np.full(50, value), true),
        regression_scores(true, np.full(50, value)),
    ):
        for name in ("pearson_correlation", "spearman_correlation"):
            score = found.metrics[name]
            assert (score.value, score.low, score.high) == (None, None, None)
        assert found.metrics["mean_squared_error"].value is not None


def test_a_paired_difference_is_narrower_than_either_interval() -> None:
    predicted, true = made_up(200)
    worse = predicted + np.random.default_rng(1).normal(0, 0.2, 200)
    sums = (regression_sums(x, true) for x in (predicted, worse))
    difference, low, high = paired_difference(*sums, "pearson_correlation")
    one, other = (regression_scores(x, true).metrics for x in (predicted, worse))
    first, second = one["pearson_correlation"], other["pearson_correlation"]
    assert first.value is not None
    assert second.value is not None
    assert first.low is not None
    assert first.high is not None
    assert difference == pytest.approx(first.value - second.value)
    assert low is not None
    assert high is not None
    assert low < difference < high
    assert high - low < first.high - first.low


@pytest.mark.parametrize("level", [0.1, 1 / 3, 7.7])
def test_resamples_in_which_all_predictions_are_equal_do_not_count(level: float) -> None:
    """A third of them do not contain the one different row; rounding errors are not variance."""
    predicted, true = np.full(60, level), np.random.default_rng(0).normal(0, 1, 60)
    predicted[7], true[7] = level + 3, 9
    score = regression_scores(predicted, true).metrics["pearson_correlation"]
    assert score.low is not None
    assert score.low > 0.3

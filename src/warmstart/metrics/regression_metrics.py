"""Scores of a regression: correlations and errors.

Pearson correlation, squared error and absolute error are functions of sums over rows, so the same
function computes the value on the split and on 1,000 bootstrap resamples. Spearman correlation is
the Pearson correlation of the ranks. The ranks are computed once, among all rows of the split, and
resamples use them: ranking each resample again would need 1,000 sorts and hardly change the
interval.

A correlation is undefined (``None``) if all predictions or all targets are equal.

N: rows. R: rows of sums. U: units (see ``intervals``).

Source: Spearman 1904, American Journal of Psychology 15(1). The definitions of all four metrics are
those of scikit-learn and SciPy.
"""

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
    Metric("pearson_correlation", True, "Pearson correlation"),
    Metric("spearman_correlation", True, "Spearman correlation"),
    Metric("mean_squared_error", False, "Mean squared error"),
    Metric("mean_absolute_error", False, "Mean absolute error"),
)

_ROUNDING = 1e-12
"""A variance below this share of the sum of squares is a rounding error and treated as zero."""


def regression_scores(predicted: Floats, true: Floats) -> Scores:
    """All metrics of a regression with their 95 % intervals over rows.

    Args:
        predicted: predictions, finite, float64 [N].
        true: targets, finite, float64 [N].

    Returns:
        The metrics, Pearson correlation first.

    >>> scores = regression_scores(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> round(scores.metrics["spearman_correlation"].value, 6)
    1.0
    >>> round(scores.metrics["mean_absolute_error"].value, 6)
    0.333333
    """
    return Scores(scores_of_sums(METRICS, regression_sums(predicted, true)), {})


def ranks(values: Floats) -> Floats:
    """Rank of each value, from 1; equal values get the mean of their ranks, float64 [N].

    Args:
        values: float64 [N].

    >>> ranks(np.array([30.0, 10.0, 30.0]))
    array([2.5, 1. , 2.5])
    """
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[index])


def regression_sums(predicted: Floats, true: Floats) -> UnitSums:
    """The sums of each unit from which all metrics follow, [U, 13].

    Columns: number of rows; five moments of the values; five moments of the ranks; squared error;
    absolute error.

    Args:
        predicted: predictions, finite, float64 [N].
        true: targets, finite, float64 [N].
    """
    error = predicted - true
    values = [np.ones_like(error), *_moments(predicted, true)]
    values += [*_moments(ranks(predicted), ranks(true)), error**2, np.abs(error)]
    return UnitSums(values_per_unit(values, assign_units(len(true))), _metrics, len(true))


def _moments(x: Floats, y: Floats) -> list[Floats]:
    """Contribution of each row to the sums for a correlation; the values are centred first."""
    # If all values are equal, they must become exactly zero; their mean may have a rounding error.
    x, y = (one - (one[0] if one.min() == one.max() else one.mean()) for one in (x, y))
    return [x, y, x * x, y * y, x * y]


def _metrics(sums: Floats) -> dict[str, Floats]:
    """All metrics from rows of sums, float64 [R] each; NaN if undefined."""
    n, values, of_ranks = sums[:, 0], sums[:, 1:6], sums[:, 6:11]
    return {
        "pearson_correlation": _correlation(n, values),
        "spearman_correlation": _correlation(n, of_ranks),
        "mean_squared_error": sums[:, 11] / n,
        "mean_absolute_error": sums[:, 12] / n,
    }


def _correlation(n: Floats, moments: Floats) -> Floats:
    x, y, xx, yy, xy = moments.T
    x_variance, y_variance = n * xx - x * x, n * yy - y * y
    varies = (x_variance > _ROUNDING * n * xx) & (y_variance > _ROUNDING * n * yy)
    scale = np.sqrt(np.where(varies, x_variance * y_variance, np.nan))
    return np.asarray(np.clip((n * xy - x * y) / scale, -1, 1))

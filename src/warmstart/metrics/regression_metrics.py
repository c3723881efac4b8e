"""Scores of predicted numbers: correlations, and how far off they are.

Pearson's correlation, the squared and the absolute error are functions of sums over rows, so the
value on the split and its 1,000 bootstrap resamples come from one function. Spearman's is Pearson's
of ranks; the ranks are those among all rows of the split, and resamples take their sums: to rank
each resample anew would sort it a thousand times, and changes the interval by little.

A correlation is not defined (``None``) where the predicted or the true numbers are all equal.

Letters: N rows, R rows of sums.

Source: Spearman 1904, American Journal of Psychology 15(1); scikit-learn and SciPy define all four
alike.
"""

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    deal_units,
    percentile_interval,
    resampled_sums,
    sums_per_unit,
)
from warmstart.metrics.scores import Metric, Score, Scores

METRICS = (
    Metric("pearson_correlation", True, "Pearson correlation"),
    Metric("spearman_correlation", True, "Spearman correlation"),
    Metric("mean_squared_error", False, "Mean squared error"),
    Metric("mean_absolute_error", False, "Mean absolute error"),
)

_ROUNDING = 1e-12
"""Share of a sum of squares below which a variance is what rounding left of zero."""


def regression_scores(predicted: Floats, true: Floats) -> Scores:
    """Every metric of predicted numbers with its 95 % interval over rows.

    Args:
        predicted: finite, float64 [N].
        true: finite, float64 [N].

    Returns:
        The metrics, Pearson's correlation first.

    >>> found = regression_scores(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> round(found.metrics["spearman_correlation"].value, 6)
    1.0
    >>> round(found.metrics["mean_absolute_error"].value, 6)
    0.333333
    """
    sums = _unit_sums(predicted, true)
    values, resampled = _metrics(sums.sum(axis=0, keepdims=True)), _metrics(resampled_sums(sums))
    found = {}
    for metric in METRICS:
        value, low, high = _defined(values[metric.name][0]), None, None
        if value is not None:
            low, high = percentile_interval(resampled[metric.name])
        found[metric.name] = Score(value, low, high, len(true), metric.higher_is_better)
    return Scores(found, {})


def paired_difference(
    first: Floats, second: Floats, true: Floats, metric: str
) -> tuple[float | None, float | None, float | None]:
    """How much higher ``first`` scores than ``second`` on the same rows, with its 95 % interval.

    Args:
        first: numbers of one model, float64 [N].
        second: of the other, float64 [N].
        true: float64 [N].
        metric: its name.

    Returns:
        Difference, low and high; ``None`` where undefined.
    """
    sums = np.hstack([_unit_sums(first, true), _unit_sums(second, true)])
    totals = np.vstack([sums.sum(axis=0, keepdims=True), resampled_sums(sums)])
    one, other = (_metrics(half)[metric] for half in np.hsplit(totals, 2))
    return _defined((one - other)[0]), *percentile_interval((one - other)[1:])


def ranks(values: Floats) -> Floats:
    """Rank of each value from 1, equal ones having the mean of theirs, float64 [N].

    Args:
        values: float64 [N].

    >>> ranks(np.array([30.0, 10.0, 30.0]))
    array([2.5, 1. , 2.5])
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def _unit_sums(predicted: Floats, true: Floats) -> Floats:
    """What ``_metrics`` needs, summed over each unit's rows, float64 [U, 13].

    The number of rows; of values and of ranks five moments each; squared and absolute error.
    """
    units = deal_units(len(true))
    columns = np.zeros(len(true), dtype=np.int64)
    off = predicted - true
    values = [np.ones_like(off), *_moments(predicted, true)]
    values += [*_moments(ranks(predicted), ranks(true)), off**2, np.abs(off)]
    return np.hstack([sums_per_unit(units, columns, 1, one) for one in values])


def _moments(x: Floats, y: Floats) -> list[Floats]:
    """Each row's part in the sums that a correlation is made of, from values around their mean."""
    # Equal values are exactly zero, whatever their mean was rounded to.
    x, y = (one - (one[0] if one.min() == one.max() else one.mean()) for one in (x, y))
    return [x, y, x * x, y * y, x * y]


def _metrics(sums: Floats) -> dict[str, Floats]:
    """Every metric from each row of sums, float64 [R] each; NaN where undefined."""
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


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

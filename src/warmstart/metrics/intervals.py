"""95 % bootstrap confidence intervals for statistics that are functions of sums over rows.

Most metrics can be computed from a few sums over rows (counts, losses, gaps). A bootstrap resample
is then a weight for each row, and 1,000 resamples are one matrix product. The seed is fixed: equal
predictions give equal intervals, and all metrics from the same sums use the same resamples.

Time and memory are bounded: more than ``MAX_UNITS`` rows are first assigned randomly to
``MAX_UNITS`` *units* of equal size, and units are resampled instead of rows. The expected variance
of a sum does not change (the relative error of the interval's width is about
1 / sqrt(2 * MAX_UNITS)). With at most ``MAX_UNITS`` rows, each row is one unit, which is the
ordinary bootstrap.

N: rows. U: units. F: sums. R: resamples.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile interval);
Wolter 2007, Introduction to Variance Estimation, ch. 2 (random groups).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from warmstart.metrics.scores import Metric, Score

RESAMPLES = 1_000
MAX_UNITS = 10_000

_SEED = 0
_BLOCK = 25
"""Number of resamples computed at a time; their weights need 8 * _BLOCK * MAX_UNITS bytes, 2 MB."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Difference = tuple[float | None, float | None, float | None]
"""A difference of two scores, and the lower and upper end of its interval; ``None`` if
undefined."""
Statistics = Callable[[Floats], Mapping[str, Floats]]
"""Computes metrics, float64 [R] each and NaN where undefined, from rows of sums, [R, F]."""


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Sums over the rows of each unit, and the metrics that follow from them.

    Two models that are scored on the same rows have the same units and the same columns.

    Args:
        values: the sums of each unit, float64 [U, F].
        statistics: computes the metrics from rows of sums.
        n: what the metrics are computed from: number of rows, queries or documents.
    """

    values: Floats
    statistics: Statistics
    n: int


def assign_units(rows: int) -> Ints:
    """The unit of each row, from 0 to ``min(rows, MAX_UNITS) - 1``, int64 [N].

    Args:
        rows: number of rows, N.

    >>> assign_units(4)
    array([0, 1, 2, 3])
    """
    units = np.arange(rows, dtype=np.int64)
    if rows > MAX_UNITS:
        units %= MAX_UNITS
        np.random.default_rng(_SEED).shuffle(units)
    return units


def sums_per_unit(units: Ints, columns: Ints, width: int, values: Floats | None = None) -> Floats:
    """Sum ``values`` over the rows of each unit, separately for each column, float64 [U, width].

    Args:
        units: unit of each row, int64 [N].
        columns: column to which each row's value is added, below ``width``, int64 [N].
        width: number of columns.
        values: the values to sum, float64 [N]; if ``None``, rows are counted.

    >>> sums_per_unit(np.array([0, 1, 1]), np.array([0, 1, 1]), width=2)
    array([[1., 0.],
           [0., 2.]])
    """
    height = int(units.max(initial=-1)) + 1
    sums = np.bincount(units * width + columns, weights=values, minlength=height * width)
    return sums.reshape(height, width).astype(np.float64, copy=False)


def values_per_unit(values: Iterable[ArrayLike], units: Ints) -> Floats:
    """Sum several values of each row over the rows of each unit, float64 [U, F].

    Args:
        values: F values for each row, [N] each; anything that converts to float64.
        units: unit of each row, int64 [N].

    >>> values_per_unit([[1, 2, 3], [True, False, True]], units=np.array([0, 0, 1]))
    array([[3., 1.],
           [3., 1.]])
    """
    column = np.zeros(len(units), dtype=np.int64)
    arrays = (np.asarray(one, dtype=np.float64) for one in values)
    return np.hstack([sums_per_unit(units, column, 1, one) for one in arrays])


def resampled_sums(sums: Floats) -> Floats:
    """The column sums of ``RESAMPLES`` resamples of the units, float64 [R, F].

    A resample consists of U units, sampled with replacement.

    Args:
        sums: the sums of each unit, float64 [U, F].
    """
    generator = np.random.default_rng(_SEED)
    units, width = sums.shape
    totals = np.empty((RESAMPLES, width))
    resample = np.repeat(np.arange(_BLOCK), units)
    for start in range(0, RESAMPLES, _BLOCK):
        sampled = generator.integers(units, size=_BLOCK * units)
        # [_BLOCK, U] counts @ [U, F] sums -> [_BLOCK, F]
        totals[start : start + _BLOCK] = sums_per_unit(resample, sampled, units) @ sums
    return totals


def percentile_interval(resampled: Floats) -> tuple[float | None, float | None]:
    """The 2.5th and 97.5th percentile of resampled values; ``None`` twice if none is defined.

    Args:
        resampled: the statistic in each resample, float64 [R]; resamples in which it is undefined
            (NaN) are ignored.

    >>> percentile_interval(np.arange(101.0))
    (2.5, 97.5)
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def defined(value: float | np.floating[Any]) -> float | None:
    """The value as a Python number, or ``None`` for NaN."""
    return None if np.isnan(value) else float(value)


def score(metric: Metric, value: Floats, resampled: Floats | None, n: int) -> Score:
    """One metric with its interval.

    Args:
        metric: name and direction.
        value: the metric on the whole split, float64 [1]; NaN if undefined.
        resampled: the metric in each resample, float64 [R]; ``None`` for no interval.
        n: what the metric is computed from: number of rows, queries or documents.
    """
    number, low, high = defined(value[0]), None, None
    if number is not None and resampled is not None:
        low, high = percentile_interval(resampled)
    return Score(number, low, high, n, metric.higher_is_better)


def scores_of_sums(metrics: Sequence[Metric], sums: UnitSums) -> dict[str, Score]:
    """Metrics with 95 % intervals, from the sums of each unit; a single unit has no interval.

    Args:
        metrics: what to report, in this order.
        sums: the sums of each unit.
    """
    values = sums.statistics(sums.values.sum(axis=0, keepdims=True))
    resampled = sums.statistics(resampled_sums(sums.values)) if len(sums.values) > 1 else {}
    return {
        metric.name: score(metric, values[metric.name], resampled.get(metric.name), sums.n)
        for metric in metrics
    }


def paired_difference(first: UnitSums, second: UnitSums, metric: str) -> Difference:
    """Score of ``first`` minus score of ``second`` on the same rows, with a 95 % interval.

    Every resample uses the same rows for both models. Rows that are difficult for both therefore do
    not make the interval wider.

    Args:
        first: the sums of each unit for one model.
        second: the sums of the same units for the other model.
        metric: name of the metric.

    Returns:
        Difference, lower and upper end of the interval; ``None`` if undefined.

    >>> right, wrong = np.ones((4, 1)), np.array([[1.0], [0], [1], [0]])
    >>> mean = lambda sums: {"share": sums[:, 0] / 4}
    >>> paired_difference(UnitSums(right, mean, 4), UnitSums(wrong, mean, 4), "share")
    (0.5, 0.0, 1.0)
    """
    if not len(first.values):
        return None, None, None
    sums = np.hstack([first.values, second.values])  # [U, 2 F]: both have the same resamples
    totals = np.vstack([sums.sum(axis=0, keepdims=True), resampled_sums(sums)])  # [1 + R, 2 F]
    halves = zip((first, second), np.hsplit(totals, 2), strict=True)
    one, other = (side.statistics(half)[metric] for side, half in halves)
    differences = one - other
    return defined(differences[0]), *percentile_interval(differences[1:])

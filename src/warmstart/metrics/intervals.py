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

from typing import Any

import numpy as np

RESAMPLES = 1_000
MAX_UNITS = 10_000

_SEED = 0
_BLOCK = 25
"""Number of resamples computed at a time; their weights need 8 * _BLOCK * MAX_UNITS bytes, 2 MB."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


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

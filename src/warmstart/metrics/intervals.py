"""95 % bootstrap intervals for statistics that are functions of sums over rows.

Every metric of a classifier can be computed from a few sums over its rows (counts, losses, gaps),
so a resample is a weight for each row, and 1,000 resamples are one matrix product. The seed is
always the same: the same predictions give the same interval, and metrics computed from one set of
sums share their resamples.

Time and memory do not grow with the rows beyond ``MAX_UNITS`` of them: more rows are first dealt at
random into that many *units* of equal size, and units are resampled in place of rows. The variance
of a sum is the same in expectation (relative error of the width about 1 / sqrt(2 * MAX_UNITS)); up
to ``MAX_UNITS`` rows every row is its own unit and the bootstrap is the ordinary one.

Letters: N rows, U units, F sums, R resamples.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile interval);
Wolter 2007, Introduction to Variance Estimation, ch. 2 (random groups).
"""

from typing import Any

import numpy as np

RESAMPLES = 1_000
MAX_UNITS = 10_000

_SEED = 0
_BLOCK = 25
"""Resamples drawn at a time: their weights take 8 * _BLOCK * MAX_UNITS bytes, 2 MB."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def deal_units(rows: int) -> Ints:
    """The unit each row belongs to, int64 [N], numbered from 0 to ``min(rows, MAX_UNITS) - 1``.

    Args:
        rows: how many rows there are, N.

    >>> deal_units(4)
    array([0, 1, 2, 3])
    """
    units = np.arange(rows, dtype=np.int64)
    if rows > MAX_UNITS:
        units %= MAX_UNITS
        np.random.default_rng(_SEED).shuffle(units)
    return units


def sums_per_unit(units: Ints, columns: Ints, width: int, values: Floats | None = None) -> Floats:
    """Sum ``values`` over the rows of each unit, apart for each column, float64 [U, width].

    Args:
        units: unit of each row, int64 [N].
        columns: column each row's value belongs to, int64 [N], below ``width``.
        width: number of columns.
        values: what to sum, float64 [N]; without it, rows are counted.

    >>> sums_per_unit(np.array([0, 1, 1]), np.array([0, 1, 1]), width=2)
    array([[1., 0.],
           [0., 2.]])
    """
    height = int(units.max(initial=-1)) + 1
    sums = np.bincount(units * width + columns, weights=values, minlength=height * width)
    return sums.reshape(height, width).astype(np.float64, copy=False)


def resampled_sums(sums: Floats) -> Floats:
    """The column sums of ``RESAMPLES`` resamples of the units, float64 [R, F].

    A resample draws U units with replacement.

    Args:
        sums: each unit's own sums, float64 [U, F].
    """
    generator = np.random.default_rng(_SEED)
    units, width = sums.shape
    totals = np.empty((RESAMPLES, width))
    resample = np.repeat(np.arange(_BLOCK), units)
    for start in range(0, RESAMPLES, _BLOCK):
        drawn = generator.integers(units, size=_BLOCK * units)
        totals[start : start + _BLOCK] = sums_per_unit(resample, drawn, units) @ sums
    return totals


def percentile_interval(resampled: Floats) -> tuple[float | None, float | None]:
    """The middle 95 % of a statistic's resampled values; ``None`` twice where none is defined.

    Args:
        resampled: the statistic in each resample, float64 [R]; NaN where it is undefined, which
            leaves that resample out.

    >>> percentile_interval(np.arange(101.0))
    (2.5, 97.5)
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)

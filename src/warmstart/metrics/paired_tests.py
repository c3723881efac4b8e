"""Is one model better than another? Tests and intervals for two models on the same rows.

A *side* is one model, or several runs of one setting with different seeds. Its score is the mean of
its runs' scores on the same rows. Units (rows, queries, documents; see ``intervals``) are resampled
for all runs together. More seeds therefore make the score of a setting more exact, but they are not
more rows: the rows are the sample of texts, and each counts once.

- **Interval** of the difference: paired bootstrap over units, percentiles.
- **p-value**: permutation test. If it did not matter which of the two sides made a prediction, the
  sums of a unit could be exchanged between them. The p-value is the share of random exchanges that
  give a difference at least as large as the observed one, either way. With several runs, a run of
  one side is exchanged with a run of the other; the difference is the mean over all such pairs.
- **McNemar's test**, exact: the rows that only one of two classifiers predicts correctly.
- **Holm's correction** for several comparisons.
- **Verdict**: needs the interval *and* the corrected p-value, and a margin below which a difference
  has no practical importance.

Only the rows vary here: "better" is about these trained models, on texts like the test rows. The
same settings with another seed give another model; to see how much seeds change, compare settings
with several runs each.

Letters: U units, F sums, R resamples or permutations, S runs of a side, N rows.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 and 15; Yeh 2000, COLING,
"More accurate tests for the statistical significance of result differences" (permutation for F1);
Phipson & Smyth 2010, SAGMB 9(1) (p = (1 + hits) / (1 + R)); McNemar 1947, Psychometrika 12(2); Holm
1979, Scandinavian Journal of Statistics 6(2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    UnitSums,
    defined,
    percentile_interval,
    resampled_sums,
)

PERMUTATIONS = 10_000
FEWEST_PERMUTATIONS = 1_000
"""Used if there are very many units and sums, so that a comparison takes seconds."""
LEVEL = 0.05
"""A corrected p-value up to this decides; the intervals are 95 % intervals."""

_PRODUCTS = 2e10
"""Largest number of products (permutations x units x sums) before there are fewer permutations."""
_BLOCK = 25
"""Permutations computed at a time; their weights need 8 * _BLOCK * U bytes."""
_SEED = 1
_ROUNDING = 1e-9
"""Relative error of a difference that is computed from other sums; smaller ones are equal."""

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Side = Sequence[UnitSums]
"""The runs of one setting, S, scored on the same rows."""


class Comparison(NamedTuple):
    """Score of one side minus score of the other; ``None`` where undefined."""

    difference: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison decides.

    Args:
        words: ``better``, ``worse`` (each perhaps ``…, but less than the margin``), ``equivalent``
            or ``not decided``, about the first side.
        units_needed: if it is not decided, an estimate of the number of rows, queries or documents
            that would decide it; ``None`` if it cannot be estimated.
    """

    words: str
    units_needed: int | None = None


class Mcnemar(NamedTuple):
    """Rows that only one of two classifiers predicts correctly, and the exact two-sided p."""

    only_first: int
    only_second: int
    p: float


def compare_sides(first: Side, second: Side, metric: str) -> Comparison:
    """Compare two models, or two settings with several runs each, on the same rows.

    Args:
        first: the runs of one side, one at least.
        second: the runs of the other side.
        metric: name of the metric.

    >>> mean = lambda sums: {"share": sums[:, 0] / 8}
    >>> right, wrong = (UnitSums(np.full((8, 1), x), mean, 8) for x in (1.0, 0.0))
    >>> found = compare_sides([right], [wrong], "share")
    >>> found.difference, found.low, found.high, found.p < 0.02
    (1.0, 1.0, 1.0, True)
    """
    runs = [*first, *second]
    values = np.hstack([run.values for run in runs])
    resampled = split_runs(resampled_sums(values), runs)
    exchanged = split_runs(exchanged_sums(values, permutations(values)), runs)
    return comparison_of(first, second, metric, resampled, exchanged)


def side_value(side: Side, metric: str) -> tuple[float | None, float | None, float | None]:
    """The mean of the runs' scores with its 95 % interval over units; ``None`` if undefined.

    Args:
        side: the runs of one setting.
        metric: name of the metric.
    """
    resampled = resampled_sums(np.hstack([run.values for run in side]))
    value = _mean(side, [run.values.sum(axis=0, keepdims=True) for run in side], metric)
    if np.isnan(value[0]) or len(side[0].values) < 2:
        return defined(value[0]), None, None
    return float(value[0]), *percentile_interval(_mean(side, split_runs(resampled, side), metric))


def comparison_of(
    first: Side,
    second: Side,
    metric: str,
    resampled: Sequence[Floats],
    exchanged: Sequence[Floats],
) -> Comparison:
    """The comparison from sums of resamples and of exchanges, which ``compare_sides`` makes.

    Args:
        first: the runs of one side.
        second: the runs of the other side.
        metric: name of the metric.
        resampled: for each run of both sides, its sums in each resample, float64 [R, F].
        exchanged: for each run of both sides, its sums over the units that are exchanged in each
            permutation, float64 [R, F].
    """
    count, runs = len(first), [*first, *second]
    totals = [run.values.sum(axis=0, keepdims=True) for run in runs]
    observed = _mean(first, totals[:count], metric) - _mean(second, totals[count:], metric)
    if np.isnan(observed[0]) or len(runs[0].values) < 2:
        return Comparison(defined(observed[0]), None, None, None)
    differences = _mean(first, resampled[:count], metric) - _mean(second, resampled[count:], metric)
    under_null = np.mean(
        [
            one.statistics(totals[i] - exchanged[i] + exchanged[j])[metric]
            - other.statistics(totals[j] - exchanged[j] + exchanged[i])[metric]
            for i, one in enumerate(first)
            for j, other in enumerate(second, count)
        ],
        axis=0,
    )
    # An undefined difference counts as large, so that it cannot make p smaller.
    smaller = np.abs(under_null) < np.abs(observed) * (1 - _ROUNDING)
    p = (1 + int((~smaller).sum())) / (1 + len(under_null))
    low, high = percentile_interval(differences)
    return Comparison(float(observed[0]), low, high, p)


def exchanged_sums(values: Floats, count: int) -> Floats:
    """The column sums over a random half of the units, ``count`` times, float64 [R, F].

    The seed is fixed: the same units are exchanged for every two models.

    Args:
        values: the sums of each unit, float64 [U, F].
        count: number of permutations, R.
    """
    generator = np.random.default_rng(_SEED)
    units, width = values.shape
    sums = np.empty((count, width))
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        sums[start:stop] = generator.integers(2, size=(stop - start, units)) @ values
    return sums


def permutations(values: Floats) -> int:
    """Number of permutations for these sums: ``PERMUTATIONS``, or fewer if they would take long.

    Args:
        values: the sums of each unit, float64 [U, F].

    >>> permutations(np.zeros((2_000, 50))), permutations(np.zeros((10_000, 1_000)))
    (10000, 2000)
    """
    affordable = int(_PRODUCTS / max(values.size, 1))
    return min(max(affordable, FEWEST_PERMUTATIONS), PERMUTATIONS)


def split_runs(sums: Floats, runs: Sequence[UnitSums]) -> list[Floats]:
    """The columns of each run, [R, F] each, from those of all runs side by side.

    Args:
        sums: float64 [R, sum of F].
        runs: the runs, in the order of their columns.
    """
    borders = np.cumsum([run.values.shape[1] for run in runs])[:-1]
    return np.split(sums, borders, axis=1)


def mcnemar(first: Bools, second: Bools) -> Mcnemar:
    """Exact McNemar test of two classifiers.

    Args:
        first: whether the first classifier predicts each row correctly, bool [N].
        second: the same for the second classifier.

    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [False]))
    Mcnemar(only_first=6, only_second=0, p=0.03125)
    """
    from scipy.stats import binomtest

    one, other = (int((a & ~b).sum()) for a, b in ((first, second), (second, first)))
    p = float(binomtest(one, one + other).pvalue) if one + other else 1.0
    return Mcnemar(one, other, p)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for the number of comparisons, by Holm's method; ``None`` stays.

    Args:
        values: p-values.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(p * (len(known) - rank), 1.0))
        corrected[place] = largest
    return corrected


def decide(
    found: Comparison, p: float | None, margin: float, units: int, *, higher_is_better: bool
) -> Verdict:
    """What a comparison decides about the first side.

    The estimate for *not decided* uses that an interval becomes narrower with the square root of
    the number of units: either zero or the margin must be outside of it.

    Args:
        found: the comparison.
        p: its p-value after Holm's correction.
        margin: the smallest difference of practical importance, in the unit of the metric.
        units: number of rows, queries or documents.
        higher_is_better: direction of the metric.

    >>> decide(Comparison(0.05, 0.02, 0.08, 0.001), 0.001, 0.01, 500, higher_is_better=True)
    Verdict(words='better', units_needed=None)
    >>> decide(Comparison(0.01, -0.01, 0.03, 0.3), 0.3, 0.01, 500, higher_is_better=True)
    Verdict(words='not decided', units_needed=2000)
    """
    difference, low, high = found.difference, found.low, found.high
    if difference is None or low is None or high is None or p is None:
        return Verdict("not decided")
    if not higher_is_better:
        difference, low, high = -difference, -high, -low
    is_outside = low > 0 or high < 0
    if is_outside and p <= LEVEL:
        words = "better" if low > 0 else "worse"
        is_small = max(abs(low), abs(high)) < margin
        return Verdict(words + ", but less than the margin" * is_small)
    if -margin <= low and high <= margin:
        return Verdict("equivalent")
    target = max(abs(difference), margin - abs(difference))  # largest half width that decides
    if is_outside or not target:  # the correction for several comparisons is what is missing
        return Verdict("not decided")
    needed = units * ((high - low) / 2 / target) ** 2
    return Verdict("not decided", rounded_up(needed))


def rounded_up(number: float) -> int:
    """An estimate with two significant digits, rounded up.

    >>> rounded_up(1234.5), rounded_up(87.2)
    (1300, 88)
    """
    step = 10 ** max(math.floor(math.log10(number)) - 1, 0) if number >= 1 else 1
    return math.ceil(round(number / step, 6)) * step


def _mean(side: Side, sums: Sequence[Floats], metric: str) -> Floats:
    """The mean of the runs' scores for each row of sums, float64 [R]; NaN if one is undefined."""
    scores = [run.statistics(own)[metric] for run, own in zip(side, sums, strict=True)]
    return np.asarray(np.mean(scores, axis=0))

"""The mean score of several runs on the same rows, with its spread and its 95 % interval.

Two things vary: the seed of a run and the rows on which it is scored. The interval covers both, by
a hierarchical bootstrap: each resample takes runs at random, and rows at random, the same rows for
all runs; its value is the mean score of these runs on these rows. With S runs, S - 1 are taken:
with S, the variance of the mean would be too small by the factor (S - 1) / S, which matters for few
runs.

S: runs. R: resamples.

Sources: Saravanan, Berman & Sober 2020, "Application of the hierarchical bootstrap to multi-level
data in neuroscience"; Rao & Wu 1988, "Resampling inference with complex survey data" (S - 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from warmstart.metrics.intervals import (
    RESAMPLES,
    UnitSums,
    percentile_interval,
    resampled_sums,
)
from warmstart.metrics.scores import Metric

_SEED = 1


@dataclass(frozen=True, slots=True)
class MeanScore:
    """A metric over several runs; ``None`` where it is undefined.

    Args:
        mean: mean over the runs in which the metric is defined.
        deviation: standard deviation over these runs, with S - 1 in the denominator.
        low: lower end of the 95 % interval of the mean.
        high: its upper end.
        smallest: the smallest value of a run.
        largest: the largest value of a run.
        runs: number of runs in which the metric is defined.
        n: number of rows (or queries, documents) that each run is scored on.
        higher_is_better: direction of the metric.
    """

    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    smallest: float | None
    largest: float | None
    runs: int
    n: int
    higher_is_better: bool

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def mean_scores(runs: Sequence[UnitSums], metrics: Sequence[Metric]) -> dict[str, MeanScore]:
    """Every metric over several runs that were scored on the same rows.

    Args:
        runs: the sums of each run, at least one, all with the same units.
        metrics: what to report, in this order.
    """
    values = [_statistics(run, run.values.sum(axis=0, keepdims=True)) for run in runs]
    resampled = [
        _statistics(run, resampled_sums(run.values)) if len(run.values) > 1 else None
        for run in runs
    ]
    found = {}
    for metric in metrics:
        scores = np.array([value[metric.name][0] for value in values])  # [S]
        tables = [table[metric.name] for table in resampled if table is not None]
        known = scores[~np.isnan(scores)]
        low, high = _interval(np.stack(tables)) if len(tables) == len(runs) else (None, None)
        found[metric.name] = MeanScore(
            mean=float(known.mean()) if known.size else None,
            deviation=float(known.std(ddof=1)) if known.size > 1 else None,
            low=low if known.size else None,
            high=high if known.size else None,
            smallest=float(known.min()) if known.size else None,
            largest=float(known.max()) if known.size else None,
            runs=int(known.size),
            n=runs[0].n,
            higher_is_better=metric.higher_is_better,
        )
    return found


def _statistics(run: UnitSums, sums: Any) -> Mapping[str, Any]:
    return run.statistics(sums)


def _interval(table: Any) -> tuple[float | None, float | None]:
    """The interval of the mean over runs, from each run's score in each resample of rows, [S, R].

    ``resampled_sums`` has a fixed seed, so column r has the same rows for every run.
    """
    runs = len(table)
    taken = np.random.default_rng(_SEED).integers(runs, size=(max(runs - 1, 1), RESAMPLES))
    if runs == 1:
        taken[:] = 0
    means = np.take_along_axis(table, taken, axis=0).mean(axis=0)  # [R]
    return percentile_interval(means)

"""Does the interval of ``warmstart repeat`` contain the true mean? Simulated runs.

Each run predicts every row correctly with a probability that depends on the row (difficult rows are
difficult for every run) and on the seed. The true mean is that over all rows and all seeds; 95 % of
the intervals should contain it. ``bootstrap`` is a hierarchical bootstrap, which resamples runs and
rows, for comparison.

S: runs, N: rows, R: resamples.
"""

from argparse import ArgumentParser, Namespace

import numpy as np
from scipy.special import expit as logistic

from benchmarks.outcome import Outcome, Row, Verdict
from warmstart.metrics.intervals import Floats, UnitSums, percentile_interval, resampled_sums
from warmstart.metrics.mean_over_runs import mean_scores
from warmstart.metrics.scores import Metric

DESCRIPTION = "coverage of the interval of `warmstart repeat`, by simulation"
SHARE = Metric("share", True, "Share of correct rows")
EASE, OF_ROWS = 1.2, 1.5
"""Mean and standard deviation, over rows, of the log-odds of a correct prediction."""
RUNS, ROWS, OF_SEEDS = (2, 3, 5, 10), (100, 1_000), (0.0, 0.3, 1.0)
"""The last: standard deviation of the log-odds over seeds."""
LEAST = 0.92
"""Accepted coverage; an interval that is too wide is no fault here."""


def add_options(parser: ArgumentParser) -> None:
    """Add the number of simulations."""
    parser.add_argument("--simulations", type=int, default=1_000, metavar="N")
    parser.add_argument("--quick", action="store_true", help="50 simulations, only to try it out")


def run(options: Namespace) -> Outcome:
    """Simulate every combination of runs, rows and effect of the seed."""
    simulations = 50 if options.quick else options.simulations
    rows: list[Row] = []
    for effect in OF_SEEDS:
        true = _true_mean(effect)
        for count in ROWS:
            for runs in RUNS:
                generator = np.random.default_rng([runs, count, round(10 * effect)])
                covered = np.zeros(2)
                for _ in range(simulations):
                    right = _simulated(generator, runs, count, effect)
                    covered += [low <= true <= high for low, high in _intervals(right)]
                rows.append(
                    {
                        "seeds": runs,
                        "rows": count,
                        "effect_of_seed": effect,
                        "coverage": float(covered[0]) / simulations,
                        "coverage_bootstrap": float(covered[1]) / simulations,
                    }
                )
    worst = float(min(row["coverage"] for row in rows))
    claim = f"every interval contains the true mean in at least {LEAST:.0%} of cases"
    return Outcome(rows, [Verdict(claim, worst, LEAST, worst >= LEAST)])


def _true_mean(effect: float) -> float:
    generator = np.random.default_rng(0)
    of_rows, of_seeds = generator.normal(0, 1, (2, 1_000_000))
    return float(logistic(EASE + OF_ROWS * of_rows + effect * of_seeds).mean())


def _simulated(generator: np.random.Generator, runs: int, rows: int, effect: float) -> Floats:
    """Which rows each run predicts correctly, 0 or 1, float64 [S, N]."""
    of_rows = generator.normal(0, OF_ROWS, rows)
    of_seeds = generator.normal(0, effect, (runs, 1))
    chance = logistic(EASE + of_rows + of_seeds)
    return (generator.random((runs, rows)) < chance).astype(np.float64)


def _share(sums: Floats) -> dict[str, Floats]:
    return {"share": sums[:, 0] / sums[:, 1]}


def _intervals(right: Floats) -> list[tuple[float, float]]:
    """The interval of ``repeat``, and that of a hierarchical bootstrap."""
    runs = [UnitSums(np.column_stack([one, np.ones(len(one))]), _share, len(one)) for one in right]
    found = mean_scores(runs, [SHARE])["share"]
    assert found.low is not None
    assert found.high is not None
    table = np.array([_share(resampled_sums(run.values))["share"] for run in runs])  # [S, R]
    generator = np.random.default_rng(1)
    taken = generator.integers(len(runs), size=(max(len(runs) - 1, 1), table.shape[1]))
    low, high = percentile_interval(np.take_along_axis(table, taken, axis=0).mean(axis=0))
    assert low is not None
    assert high is not None
    return [(found.low, found.high), (low, high)]

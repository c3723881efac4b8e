"""Are the intervals and p-values of ``warmstart compare`` correct? Simulated comparisons.

*A/A*: two models that are equally good, so every "better" or "worse" is a false alarm; 5 % are
expected. *A/B*: one model is better by a known difference (its value on 300,000 simulated rows);
95 % of the intervals should contain it. The models agree as real ones do: a row that is difficult
for one is more often wrong for the other. Sums, intervals and tests are those of the package, with
``PERMUTATIONS`` permutations in place of its 10,000.

*Seeds*: two settings that are equally good on average, each better on some rows, so that more seeds
of both make each row's difference clearer, but not the difference of the settings. ``pooled`` is
the wrong way to use seeds: every prediction of every seed counts as a row of its own.

Letters: U units, F sums, R resamples or permutations, S seeds.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.outcome import Outcome, Row, Verdict
from warmstart.data.tags.spans import Spans
from warmstart.metrics.classification_metrics import classification_sums
from warmstart.metrics.entity_metrics import entity_sums
from warmstart.metrics.intervals import Floats, UnitSums, resampled_sums
from warmstart.metrics.paired_tests import (
    Comparison,
    Side,
    comparison_of,
    decide,
    exchanged_sums,
    split_runs,
)
from warmstart.metrics.ranking_metrics import ranking_sums

DESCRIPTION = "false alarms and coverage of `warmstart compare`, by simulation"
PERMUTATIONS = 1_000
POPULATION = 300_000
"""Rows or queries from which the true difference of A and B is computed."""
TOGETHER = 20
"""Simulations whose sums are resampled in one call: all have the same resamples, which is what the
fixed seed of the package means."""
ALARMS, COVERAGE = (0.04, 0.06), (0.94, 0.96)
"""Accepted shares of false alarms and of intervals that contain the true difference."""
SEEDS = (1, 3, 10)

Generator = np.random.Generator
Make = Callable[[Generator, int, float], tuple[UnitSums, UnitSums]]
"""Simulates two models: (generator, rows, advantage of the first model)."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of data.

    Args:
        name: name in the table.
        make: simulates the sums of two models.
        units: number of rows or queries of a test split.
        metrics: the metrics to compare.
        advantage: how much better A is in A/B, in the unit of ``make``.
    """

    name: str
    make: Make
    units: int
    metrics: tuple[str, ...]
    advantage: float


def add_options(parser: ArgumentParser) -> None:
    """Add the options for the number of simulations and a short trial."""
    parser.add_argument("--simulations", type=int, default=10_000, metavar="N")
    parser.add_argument("--quick", action="store_true", help="100 simulations, only to try it out")


def run(options: Namespace) -> Outcome:
    """Simulate every workload, and the effect of seeds."""
    count = 100 if options.quick else options.simulations
    rows = []
    for workload in WORKLOADS:
        for kind in ("A/A", "A/B"):
            print(f"comparing: {workload.name}, {kind} …", file=sys.stderr, flush=True)
            rows += simulated(workload, kind, count)
    print("comparing: seeds …", file=sys.stderr, flush=True)
    rows += with_seeds(max(count // 5, 1))
    notes = [
        f"{PERMUTATIONS:,} permutations and 1,000 resamples for each comparison",
        "a share of 5 % in N simulations has a standard error of 0.218 / sqrt(N)",
    ]
    return Outcome(rows, verdicts(rows), notes)


def simulated(workload: Workload, kind: str, count: int) -> list[Row]:
    """Compare two models ``count`` times.

    Args:
        workload: the kind of data.
        kind: ``A/A`` or ``A/B``.
        count: number of simulations.
    """
    start, advantage = time.perf_counter(), workload.advantage if kind == "A/B" else 0.0
    generator = np.random.default_rng(0)
    true = dict.fromkeys(workload.metrics, 0.0)
    if advantage:
        pair = workload.make(np.random.default_rng(1), POPULATION, advantage)
        true = {name: _value(pair[0], name) - _value(pair[1], name) for name in true}
    made = (workload.make(generator, workload.units, advantage) for _ in range(count))
    sides = (([one], [other]) for one, other in made)
    found = list(compared(sides, workload.metrics))
    seconds = time.perf_counter() - start
    return [
        {
            "workload": f"{workload.name}-{workload.units}",
            "metric": name,
            "kind": kind,
            "true_difference": true[name],
            **shares([one[name] for one in found], true[name], workload.units),
            "simulations": count,
            "seconds": seconds,
        }
        for name in workload.metrics
    ]


def compared(
    sides: Iterator[tuple[Side, Side]], metrics: Sequence[str]
) -> Iterator[dict[str, Comparison]]:
    """Compare many pairs of sides, as ``compare_sides`` does; each has the same units.

    Args:
        sides: pairs of sides.
        metrics: names of the metrics.
    """
    while batch := list(islice(sides, TOGETHER)):
        runs = [run for first, second in batch for run in (*first, *second)]
        values = np.hstack([run.values for run in runs])
        resampled = iter(split_runs(resampled_sums(values), runs))
        exchanged = iter(split_runs(exchanged_sums(values, PERMUTATIONS), runs))
        for first, second in batch:
            size = len(first) + len(second)
            parts = [[next(sums) for _ in range(size)] for sums in (resampled, exchanged)]
            yield {name: comparison_of(first, second, name, *parts) for name in metrics}


def shares(found: Sequence[Comparison], true: float, units: int) -> Row:
    """How often 0 is outside of the interval, p is at most 5 %, both; and the coverage.

    Args:
        found: the comparisons.
        true: the true difference.
        units: number of rows or queries.
    """
    outside = [one.low is not None and one.high is not None and not one.low <= 0 <= one.high
               for one in found]  # fmt: skip
    verdicts = [decide(one, one.p, 0.01, units, higher_is_better=True).words for one in found]
    inside = [one.low is not None and one.high is not None and one.low <= true <= one.high
              for one in found]  # fmt: skip
    return {
        "interval": float(np.mean(outside)),
        "test": float(np.mean([one.p is not None and one.p <= 0.05 for one in found])),
        "verdict": float(np.mean([word.startswith(("better", "worse")) for word in verdicts])),
        "coverage": float(np.mean(inside)),
    }


def with_seeds(count: int, rows: int = 300) -> list[Row]:
    """False alarms with several seeds of each setting, right and wrong.

    Args:
        count: number of simulations.
        rows: number of test rows.
    """
    found = []
    for seeds in SEEDS:
        generator, start = np.random.default_rng(2), time.perf_counter()
        made = [_two_settings(generator, rows, seeds) for _ in range(count)]
        pooled = [tuple([_pooled(side)] for side in sides) for sides in made]
        for way, sides in (("mean", made), ("pooled", pooled)):
            results = [one["accuracy"] for one in compared(iter(sides), ("accuracy",))]  # type: ignore[arg-type]
            found.append(
                {
                    "workload": f"seeds-{rows}",
                    "metric": "accuracy",
                    "kind": f"{seeds} of each, {way}",
                    "true_difference": 0.0,
                    **shares(results, 0.0, rows),
                    "simulations": count,
                    "seconds": time.perf_counter() - start,
                }
            )
    return found


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Whether false alarms and coverage are as promised.

    Args:
        rows: the results.
    """
    found = []
    for row in rows:
        place = f"{row['workload']}, {row['metric']}, {row['kind']}"
        if row["kind"] == "A/A":
            for way in ("interval", "test"):
                low, high = ALARMS
                claim = f"{place}: false alarms of the {way} in {low:.0%} to {high:.0%}"
                found.append(Verdict(claim, row[way], 0.05, low <= row[way] <= high))
        elif row["kind"] == "A/B":
            low, high = COVERAGE
            claim = f"{place}: coverage in {low:.0%} to {high:.0%}"
            found.append(Verdict(claim, row["coverage"], 0.95, low <= row["coverage"] <= high))
        elif row["kind"].endswith("mean"):
            claim = f"{place}: verdicts that are false alarms, at most {ALARMS[1]:.0%}"
            found.append(Verdict(claim, row["verdict"], ALARMS[1], row["verdict"] <= ALARMS[1]))
    return found


def _value(run: UnitSums, metric: str) -> float:
    return float(run.statistics(run.values.sum(axis=0, keepdims=True))[metric][0])


def _classes(generator: Generator, rows: int, advantage: float, shares: Floats) -> Any:
    """Two classifiers that are right on 80 % of the rows, with a common difficulty of each row."""
    classes = len(shares)
    targets = generator.choice(classes, size=rows, p=shares)
    difficulty = generator.normal(size=rows)
    sides = []
    for better in (advantage, 0.0):
        score = 0.8 * difficulty + 0.6 * generator.normal(size=rows)
        wrong = (targets + generator.integers(1, classes, size=rows)) % classes
        predicted = np.where(score < 0.84 + better, targets, wrong)
        sums = classification_sums(np.eye(classes)[predicted], targets, predicted)
        sides.append(_counts_only(sums, 3 * classes))
    return sides


def _counts_only(sums: UnitSums, width: int) -> UnitSums:
    """The same sums with their first columns only, to save time; the others count as zeros."""

    def statistics(totals: Floats) -> Any:
        rest = np.zeros((len(totals), sums.values.shape[1] - width))
        return sums.statistics(np.hstack([totals, rest]))

    return UnitSums(np.ascontiguousarray(sums.values[:, :width]), statistics, sums.n)


def _two_classes(generator: Generator, rows: int, advantage: float) -> Any:
    return _classes(generator, rows, advantage, np.array([0.3, 0.7]))


def _six_classes(generator: Generator, rows: int, advantage: float) -> Any:
    return _classes(generator, rows, advantage, np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04]))


def _rankings(generator: Generator, queries: int, advantage: float) -> Any:
    """Two rankings of ten documents, of which two are relevant, with common noise."""
    grades = np.tile([1.0, 1.0] + [0.0] * 8, queries)
    numbers = np.repeat(np.arange(queries), 10)
    common = generator.normal(size=len(grades))
    return [
        ranking_sums(
            (1.2 + better) * grades + common + 0.7 * generator.normal(size=len(grades)),
            grades,
            numbers,
        )
        for better in (advantage, 0.0)
    ]


_NONE = np.empty(0, dtype=np.int64)
_OF_THREE_TYPES = entity_sums(*[Spans(_NONE, _NONE, _NONE, _NONE, ("A", "B", "C"))] * 2, 1)
"""No spans: only its statistics are used."""


def _entities(generator: Generator, rows: int, advantage: float) -> Any:
    """Two taggers of sentences with about 1.2 entities of three types; counts, not spans."""
    targets = generator.poisson([0.7, 0.4, 0.1], size=(rows, 3))
    difficulty = generator.normal(size=(rows, 1))
    words = np.tile([12.0, 11.0], (rows, 1))
    sides = []
    for better in (advantage, 0.0):
        share = 1 / (1 + np.exp(0.8 * difficulty - 1.2 - better))
        correct = generator.binomial(targets, np.broadcast_to(share, targets.shape))
        invented = generator.poisson(0.25 * (1 - share) + 0.03, size=(rows, 3))
        values = np.hstack([targets, correct + invented, correct, words])
        sides.append(UnitSums(values.astype(np.float64), _OF_THREE_TYPES.statistics, rows))
    return sides


def _right(right: Floats) -> UnitSums:
    """Accuracy as the share of right rows, from [U] zeros and ones."""
    values = np.stack([right, np.ones_like(right)], axis=1)
    return UnitSums(values, lambda sums: {"accuracy": sums[:, 0] / sums[:, 1]}, len(right))


def _two_settings(generator: Generator, rows: int, seeds: int) -> tuple[Side, Side]:
    """Runs of two settings that are equally good on average, each better on some rows."""
    difficulty, preference = generator.normal(size=(2, rows))
    return tuple(
        [
            _right((difficulty + sign * preference + generator.normal(size=rows) < 0.8) * 1.0)
            for _ in range(seeds)
        ]
        for sign in (1, -1)
    )  # type: ignore[return-value]


def _pooled(side: Side) -> UnitSums:
    """The rows of all seeds as if they were different rows."""
    return UnitSums(np.vstack([run.values for run in side]), side[0].statistics, side[0].n)


WORKLOADS = (
    Workload("two-classes", _two_classes, 500, ("accuracy", "matthews_correlation"), 0.15),
    Workload("six-classes", _six_classes, 500, ("accuracy", "macro_f1"), 0.15),
    Workload("six-classes", _six_classes, 100, ("accuracy", "macro_f1"), 0.3),
    Workload("rankings", _rankings, 300, ("ndcg_at_10",), 0.2),
    Workload("entities", _entities, 500, ("entity_f1", "entity_macro_f1"), 0.25),
)

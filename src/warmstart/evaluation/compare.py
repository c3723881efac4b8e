"""Compare finished runs on the same rows: differences, intervals, tests, and a verdict in words.

Runs whose settings are equal except for their seeds are one *setting*. Its score is the mean of its
runs' scores, and rows are resampled for all of them together: ``metrics.paired_tests`` explains why
more seeds do not create significance. Every setting is also compared with its strongest baseline.

Holm's correction counts the comparisons between settings and those with baselines separately: they
answer different questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.data.examples.tokens import Bools
from warmstart.data.reading.paths import given_path
from warmstart.errors.counts import counted
from warmstart.evaluation.other_predictions import OtherPredictions, other_sums
from warmstart.evaluation.stored_runs import StoredRun, runs_in, stored_runs
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.language_metrics import BITS_PER_BYTE
from warmstart.metrics.paired_tests import (
    Comparison,
    Mcnemar,
    Verdict,
    compare_sides,
    decide,
    holm,
    mcnemar,
    side_value,
)
from warmstart.metrics.scores import Metric
from warmstart.tasks.capabilities import metrics_of
from warmstart.tasks.row_answers import ReadsAnswers
from warmstart.tasks.task import AnyTask

FEW_UNITS = 50
"""With fewer rows, queries or documents, percentile intervals cover less than 94 % in simulations
(``benchmarks/comparing.py``)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One side of a comparison: the runs of a setting, a baseline, or a file of predictions.

    Args:
        name: the run, or the folder of the runs, as it was given.
        runs: the runs, if there are any.
        value: mean of the metric over the runs; None if it is undefined.
        low: lower end of its 95 % interval.
        high: upper end of the interval.
        n: number of rows, queries or documents.
    """

    name: str
    runs: tuple[str, ...]
    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """``{"name", "runs", "value", "low", "high", "n"}``."""
        return {
            "name": self.name,
            "runs": list(self.runs),
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides and their difference, a minus b.

    Args:
        a: name of one side.
        b: name of the other side.
        found: difference, interval and p-value.
        p_adjusted: the p-value after Holm's correction.
        verdict: what that decides about ``a``.
        unit: what the estimate of the verdict counts: ``rows``, ``queries``, ``documents``.
        mcnemar: for two classifiers with one run each.
    """

    a: str
    b: str
    found: Comparison
    p_adjusted: float | None
    verdict: Verdict
    unit: str
    mcnemar: Mcnemar | None

    def in_words(self) -> str:
        """The verdict in words."""
        words, needed = self.verdict.words, self.verdict.units_needed
        if words == "equivalent":
            return f"{self.a} and {self.b}: equivalent, no difference beyond the margin"
        if words != "not decided":
            head, comma, rest = words.partition(",")
            return f"{self.a} is {head} than {self.b}{comma}{rest}"
        about = "" if needed is None else f": about {needed:,} {self.unit} would be needed"
        return f"{self.a} and {self.b}: not decided{about}"

    def to_json(self) -> dict[str, Any]:
        """``{"a", "b", "difference", "low", "high", "p", "p_adjusted", "verdict", …}``."""
        return {
            "a": self.a,
            "b": self.b,
            **self.found._asdict(),
            "p_adjusted": self.p_adjusted,
            "verdict": self.verdict.words,
            "units_needed": self.verdict.units_needed,
            "mcnemar": None if self.mcnemar is None else self.mcnemar._asdict(),
        }


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """The result of ``warmstart compare``.

    Args:
        metric: the metric that was compared.
        higher_is_better: its direction.
        split: name of the split.
        margin: smallest difference of practical importance.
        unit: what n counts: ``rows``, ``queries``, ``documents``.
        runs: every side with its score.
        pairs: every comparison: settings with each other, then each with its baseline.
        notes: sentences that a reader should know.
    """

    metric: str
    higher_is_better: bool
    split: str
    margin: float
    unit: str
    runs: tuple[Compared, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As printed by ``compare --json``: ``{"metric", "split", "margin", "runs", "pairs"}``."""
        return {
            "metric": self.metric,
            "split": self.split,
            "margin": self.margin,
            "runs": [one.to_json() for one in self.runs],
            "pairs": [pair.to_json() for pair in self.pairs],
        }


@dataclass(frozen=True, slots=True)
class _Side:
    """A side with the sums of its runs."""

    name: str
    runs: tuple[StoredRun, ...]
    sums: tuple[UnitSums, ...]
    right: Bools | None
    """Whether each row is right, if there is a single run."""

    def scored(self, metric: str) -> Compared:
        paths = tuple(str(run.path) for run in self.runs)
        return Compared(self.name, paths, *side_value(self.sums, metric), self.sums[0].n)


def compare(
    *runs: str | Path,
    metric: str | None = None,
    margin: float = 0.01,
    split: str = "test",
    common_rows: bool = False,
    predictions: OtherPredictions | None = None,
) -> ComparedRuns:
    """Compare finished runs on the same rows: differences with intervals, tests and verdicts.

    Args:
        runs: run directories, or folders of runs; runs that differ only in seeds are one setting.
        metric: name of a metric; by default the task's main metric.
        margin: the smallest difference that matters, in the unit of the metric.
        split: ``test`` or ``validation``.
        common_rows: use the rows that all runs have, if they do not have the same ones.
        predictions: a file with predictions of another program,
            ``warmstart.OtherPredictions("answers.csv", "label")``.

    Raises:
        WarmstartError: the runs cannot be compared, for example because their rows differ.
    """
    if not (0 <= margin < np.inf):
        raise errors.comparison.margin_below_zero(margin)
    folders = [(path, runs_in(path)) for path in (given_path(run, "runs") for run in runs)]
    given = [run for _, found in folders for run in found]
    stored = stored_runs(given, split, common_rows=common_rows)
    task = stored[0].task
    chosen = _metric(task, metric, predictions)
    _refuse_other_tokens(stored, task, chosen)
    sides, notes = _settings(stored, folders)
    if common_rows and any(run.kept is not None for run in stored):
        notes.append(f"compared on the {counted(len(stored[0].keys), 'row')} that all runs have")
    if (n := sides[0].sums[0].n) < FEW_UNITS:
        notes.append(f"only {n} {task.scored_unit}: the intervals are too narrow, rely on p")
    baselines, about_baselines = _strongest_baselines(sides, chosen)
    if predictions is not None:
        sums, right = other_sums(predictions, stored[0])
        sides.append(_Side(predictions.file, (), (sums,), right))
    between = list(combinations(sides, 2))
    if not between and not baselines:
        raise errors.comparison.nothing_to_compare([str(run.path) for run in stored])
    unit = task.scored_unit
    pairs = [
        pair for family in (between, baselines) for pair in _pairs(family, chosen, margin, unit)
    ]
    shown = [*sides, *(baseline for _, baseline in baselines)]
    return ComparedRuns(
        chosen.name,
        chosen.higher_is_better,
        split,
        margin,
        unit,
        tuple(side.scored(chosen.name) for side in shown),
        tuple(pairs),
        (*notes, *about_baselines),
    )


def _metric(task: AnyTask, name: str | None, predictions: OtherPredictions | None) -> Metric:
    """The metric to compare, by its name.

    Raises:
        UsageError: there is no such metric, or it does not follow from stored predictions.
    """
    usable = {metric.name: metric for metric in task.metrics}
    if predictions is not None:
        if not isinstance(task, ReadsAnswers):
            raise errors.comparison.no_answers(task.name)
        answered = {key: one for key, one in usable.items() if key not in task.needs_more}
        if name in task.needs_more:
            raise errors.comparison.needs_probabilities(name, predictions.file, [*answered])
        usable = answered
    if name is None:
        return next(iter(usable.values()))
    if name not in usable:
        if name in {metric.name for metric in metrics_of(task)}:
            raise errors.comparison.metric_of_whole_model(name, [*usable])
        raise errors.comparison.metric_unknown(name, [*usable])
    return usable[name]


def _refuse_other_tokens(runs: Sequence[StoredRun], task: AnyTask, metric: Metric) -> None:
    """Raise if a metric per token is compared for different tokens."""
    per_byte = BITS_PER_BYTE in task.metrics
    first = runs[0]
    for run in runs[1:]:
        counts = [one.rows["tokens"] for one in (first, run) if "tokens" in one.rows.column_names]
        if counts and metric is not BITS_PER_BYTE and not counts[0].equals(counts[1]):
            names = str(first.path), str(run.path)
            raise errors.comparison.other_tokens(names, metric.name, per_byte=per_byte)


def _settings(
    runs: Sequence[StoredRun], folders: Sequence[tuple[Path, Sequence[Path]]]
) -> tuple[list[_Side], list[str]]:
    """The runs of each setting as one side, and sentences about those with several runs."""
    groups: list[list[StoredRun]] = []
    for run in runs:
        for group in groups:
            if group[0].setting == run.setting:
                group.append(run)
                break
        else:
            groups.append([run])
    sides, notes = [], []
    for group in groups:
        paths = [run.path for run in group]
        folder = next((one for one, inside in folders if list(inside) == paths), None)
        name = str(folder or paths[0])
        if len(group) > 1:
            name += f" ({len(group)} seeds)"
            members = ", ".join(map(str, paths))
            notes.append(f"{name} is the mean of runs that differ only in seeds: {members}")
        sums, rights = zip(*(run.sums() for run in group), strict=True)
        sides.append(_Side(name, tuple(group), sums, rights[0] if len(group) == 1 else None))
    return sides, notes


def _strongest_baselines(
    sides: Sequence[_Side], metric: Metric
) -> tuple[list[tuple[_Side, _Side]], list[str]]:
    """Each setting with its strongest baseline, and sentences about settings without any."""
    found, notes = [], []
    for side in sides:
        stored = [run.baselines for run in side.runs]
        names = [name for name in stored[0] if all(name in one for one in stored)]
        rivals = []
        for name in names:
            sums, rights = zip(*(run.sums(name) for run in side.runs), strict=True)
            right = rights[0] if len(side.runs) == 1 else None
            rivals.append(_Side(f"baseline {name} of {side.name}", (), sums, right))
        sign = 1 if metric.higher_is_better else -1
        scored = [(rival.scored(metric.name).value, rival) for rival in rivals]
        defined = [(sign * value, rival) for value, rival in scored if value is not None]
        if defined:
            found.append((side, max(defined, key=lambda one: one[0])[1]))
        else:
            notes.append(
                f"{side.name} is not compared with a baseline: none has stored predictions"
            )
    return found, notes


def _pairs(
    sides: Sequence[tuple[_Side, _Side]], metric: Metric, margin: float, unit: str
) -> list[Pair]:
    """Comparisons that answer one question, with Holm's correction for their number."""
    found = [compare_sides(one.sums, other.sums, metric.name) for one, other in sides]
    adjusted = holm([one.p for one in found])
    better = metric.higher_is_better
    pairs = []
    for (one, other), comparison, p in zip(sides, found, adjusted, strict=True):
        verdict = decide(comparison, p, margin, one.sums[0].n, higher_is_better=better)
        counts = None
        if one.right is not None and other.right is not None:
            counts = mcnemar(one.right, other.right)
        pairs.append(Pair(one.name, other.name, comparison, p, verdict, unit, counts))
    return pairs

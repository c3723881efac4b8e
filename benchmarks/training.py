"""Speed, memory and share of the machine's limit, compared with other tools: the README's table.

For each workload the engines alternate in ABBA order within one session, each in its own process,
so that a change in the machine's speed affects all engines equally. Before, between and after the
turns the machine itself is measured (``limit.probe``). ``workloads`` and ``window`` explain what is
timed and why the comparison is fair; ``limit`` explains the limit.

A row contains medians over the turns; ``_low`` and ``_high`` are the lowest and highest values.

- ``startup_seconds``: from requesting a process to its first step (or first prediction): imports,
  reading, tokenising, loading.
- ``time_to_trained_seconds``: from requesting a process to the trained model. Measured if whole
  runs are timed; otherwise computed as start-up + epochs × rows ÷ samples per second, which does
  not include evaluation and saving.
- ``warmstart_speedup``: warmstart's samples per second ÷ this engine's; the median of the ratios
  within each turn.
- ``share_of_limit``: the least possible time ÷ the measured time.
- ``validation_mcc``: from the measured run if it was a whole run, otherwise from the newest result
  of the suite ``quality``; ``validation_from`` gives the source.

If a turn fails, the error is printed, and later turns of this engine are skipped; its row then has
the key ``failed``.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory

from benchmarks import limit, materials
from benchmarks.engines import NAMES, Engine, engines_of, measure
from benchmarks.limit import Rates, Work
from benchmarks.machine import own_process
from benchmarks.materials import Material
from benchmarks.outcome import RESULTS, Outcome, Row, Verdict, newest_rows
from benchmarks.workloads import WORKLOADS, Steps, Workload

DESCRIPTION = "samples and tokens per second, memory, share of the limit, for every engine"
DATA = Path("../shared/data")
QUICK_WORKLOAD, QUICK_STEPS, QUICK_FIXED_STEPS = "cola-minilm", Steps(2, 8), Steps(1, 2)
OURS, TRAINER = "warmstart", "transformers-trainer"
LOSS_NOISE = 0.05
"""Largest accepted difference of the mean loss in nats per token, because dropout is random."""
RATES = ("samples_per_second", "tokens_per_second")


def add_options(parser: ArgumentParser) -> None:
    """Add the options for workloads, engines, steps and repeats."""
    names, engines = ", ".join(WORKLOADS), ", ".join(NAMES)
    parser.add_argument(
        "--workload", nargs="+", choices=WORKLOADS, metavar="NAME", help=f"{names}; default all"
    )
    parser.add_argument(
        "--engine", nargs="+", choices=NAMES, metavar="NAME", help=f"{engines}; default all"
    )
    parser.add_argument("--repeats", type=int, default=5, help="measurements per engine; default 5")
    parser.add_argument("--steps", type=int, help="timed steps, instead of each workload's own")
    parser.add_argument(
        "--warmup-steps", type=int, default=1, help="with --steps: untimed steps; default 1"
    )
    parser.add_argument(
        "--limit", type=int, metavar="ROWS", help="use only the first rows of each corpus"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"one turn of a few steps of {QUICK_WORKLOAD}"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"data sets; default {DATA}"
    )


def run(options: Namespace) -> Outcome:
    """Measure every selected engine on every selected workload."""
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    notes = []
    for workload in selected(options):
        measured, note = measure_workload(workload, options)
        rows += measured
        verdicts += judge(workload, measured)
        notes.append(note)
    if options.quick:
        notes.append("--quick: one turn of a few steps shows an effect, but not its exact size")
    part = "+".join(options.workload) if options.workload else ""
    return Outcome(rows, verdicts, notes, part)


def selected(options: Namespace) -> list[Workload]:
    """The selected workloads, with fewer steps if an option requests it."""
    names = options.workload or ([QUICK_WORKLOAD] if options.quick else list(WORKLOADS))
    chosen = [WORKLOADS[name] for name in names]
    if options.steps:
        steps = Steps(options.warmup_steps, options.steps)
        return [replace(one, steps=steps, fixed_steps=steps) for one in chosen]
    if options.quick:
        return [replace(w, steps=QUICK_STEPS, fixed_steps=QUICK_FIXED_STEPS) for w in chosen]
    return chosen


def measure_workload(workload: Workload, options: Namespace) -> tuple[list[Row], str]:
    """Run one session: a row for each engine, and a note on the machine's rates.

    Args:
        workload: the workload.
        options: options of the command line.
    """
    wanted = options.engine or NAMES
    engines = {name: one for name, one in engines_of(workload).items() if name in wanted}
    present = [name for name, engine in engines.items() if engine.installed]
    turns = list(abba(present, 1 if options.quick else options.repeats))
    runs: list[Row] = []
    failed: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        material = own_process(materials.make, workload, options.data, Path(folder), options.limit)
        probes = [own_process(limit.probe)]
        for number, (turn, name) in enumerate(turns, start=1):
            if name not in failed:
                where = f"{workload.name}, {number} of {len(turns)}"
                print(f"training: {where}: {name} …", file=sys.stderr, flush=True)
                try:
                    runs.append(own_process(measure, name, material, turn + 1, time.time()))
                except Exception as error:  # an error of a peer must not end the session
                    failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
                    print(f"training: {name} failed: {failed[name]}", file=sys.stderr)
            if number % len(present) == 0:
                probes.append(own_process(limit.probe))
    rates = limit.typical(probes)
    rows = []
    for name, engine in engines.items():
        own = [one for one in runs if one["engine"] == name]
        if own:
            row = summary(name, engine, material, own, rates)
            row["warmstart_speedup"] = ratio([one for one in runs if one["engine"] == OURS], own)
        else:
            why = failed.get(name, f"not installed: pip install {engine.needs}")
            row = {"workload": workload.name, "engine": name, "failed": why, "runs": []}
        rows.append(row)
    return rows, machine_note(workload, probes)


def abba(engines: Sequence[str], turns: int) -> Iterator[tuple[int, str]]:
    """Pairs (turn, engine); the order of engines is reversed in every second turn.

    >>> list(abba("AB", turns=2))
    [(0, 'A'), (0, 'B'), (1, 'B'), (1, 'A')]
    """
    for turn in range(turns):
        for engine in engines if turn % 2 == 0 else reversed(engines):
            yield turn, engine


def summary(
    name: str, engine: Engine, material: Material, runs: Sequence[Row], rates: Rates
) -> Row:
    """The row of one engine.

    Args:
        name: name of the engine.
        engine: the engine.
        material: the prepared workload.
        runs: its measurements.
        rates: the machine's rates in this session.
    """
    workload = material.workload
    row: Row = {"workload": workload.name, "engine": name}
    for rate in RATES:
        values = [one[rate] for one in runs]
        row[rate] = median(values)
        row[f"{rate}_low"], row[f"{rate}_high"] = min(values), max(values)
    row["startup_seconds"] = median(one["startup_seconds"] for one in runs)
    if workload.kind != "predict":
        row |= _trained(name, workload, len(material.train), runs)
    row["peak_mib"] = median(one["peak_mib"] for one in runs)
    row["share_of_limit"] = median(_share(one, rates) for one in runs)
    row["cores_used"] = median(one["cores_used"] for one in runs)
    row["runs"] = list(runs)
    return row


def _trained(name: str, workload: Workload, rows: int, runs: Sequence[Row]) -> Row:
    """Time until the model is trained, and its validation score."""
    if workload.kind == "run":
        scores = [one["validation_mcc"] for one in runs if one.get("validation_mcc") is not None]
        seconds = [one["startup_seconds"] + one["seconds"] for one in runs]
        score = {"validation_mcc": median(scores) if scores else None, "validation_from": "run"}
        return {"time_to_trained_seconds": median(seconds), "time_to_trained": "measured", **score}
    samples = workload.epochs * rows
    seconds = [one["startup_seconds"] + samples / one["samples_per_second"] for one in runs]
    quality, file = newest_rows(RESULTS, "quality").get((workload.name, name), ({}, None))
    return {
        "time_to_trained_seconds": median(seconds),
        "time_to_trained": "computed",
        "validation_mcc": quality.get("validation_mcc"),
        "validation_from": file,
    }


def _share(run: Row, rates: Rates) -> float:
    seconds: float = run["seconds"]
    return Work(run["least_flops"], run["least_bytes"]).seconds(rates) / seconds


def ratio(ours: Sequence[Row], peer: Sequence[Row]) -> float | None:
    """The median over the turns of our samples per second ÷ the peer's in the same turn."""
    by_seed = {one["seed"]: one["samples_per_second"] for one in ours}
    ratios = [
        by_seed[one["seed"]] / one["samples_per_second"] for one in peer if one["seed"] in by_seed
    ]
    return median(ratios) if ratios else None


def judge(workload: Workload, rows: Sequence[Row]) -> list[Verdict]:
    """Compare the rows of a workload with its targets; ratios without a target are only reported.

    Args:
        workload: the workload with its targets.
        rows: one row per engine.
    """
    by_name: dict[str, Row] = {row["engine"]: row for row in rows}
    verdicts = []
    for name, row in by_name.items():
        measured = row.get("warmstart_speedup")
        if not name.startswith(OURS):
            target = workload.targets.get(name)
            claim = f"{workload.name}: samples/s of warmstart / {name}"
            verdicts.append(_verdict(claim, measured, target, at_least=True))
    ours, trainer = by_name.get(OURS, {}), by_name.get(TRAINER, {})
    if workload.share_target is not None:
        claim = f"{workload.name}: warmstart's share of the limit"
        verdicts.append(_verdict(claim, ours.get("share_of_limit"), workload.share_target, True))
    if "peak_mib" in ours and "peak_mib" in trainer:
        claim = f"{workload.name}: peak memory of warmstart / {TRAINER}"
        measured = ours["peak_mib"] / trainer["peak_mib"]
        verdicts.append(_verdict(claim, measured, workload.memory_target, at_least=False))
    verdicts += _same_predictions(workload, by_name)
    verdicts += _same_loss(workload, by_name)
    return verdicts


def _same_predictions(workload: Workload, rows: dict[str, Row]) -> list[Verdict]:
    """Whether the engines predict the same probabilities."""
    probabilities = {
        name: row["runs"][0]["mean_probability"]
        for name, row in rows.items()
        if row["runs"] and "mean_probability" in row["runs"][0]
    }
    return [
        _verdict(
            f"{workload.name}: mean probability, warmstart minus {name}",
            abs(probabilities[OURS] - probability),
            1e-4,
            at_least=False,
        )
        for name, probability in probabilities.items()
        if name != OURS and OURS in probabilities
    ]


def _same_loss(workload: Workload, rows: dict[str, Row]) -> list[Verdict]:
    """Whether a decoder had the same training loss as with the ``Trainer``, on equal batches."""
    ours, theirs = (
        [
            one["training_loss"]
            for one in rows.get(name, {}).get("runs", ())
            if "training_loss" in one
        ]
        for name in (OURS, TRAINER)
    )
    if not ours or not theirs:
        return []
    claim = f"{workload.name}: loss of the timed steps in nats, warmstart minus {TRAINER}"
    return [_verdict(claim, abs(fmean(ours) - fmean(theirs)), LOSS_NOISE, at_least=False)]


def _verdict(claim: str, measured: float | None, target: float | None, at_least: bool) -> Verdict:
    if target is not None:
        claim = f"{claim} {'>=' if at_least else '<='} {target:g}"
    holds = None
    if measured is not None and target is not None:
        holds = measured >= target if at_least else measured <= target
    return Verdict(claim, measured, target, holds)


def machine_note(workload: Workload, probes: Sequence[Rates]) -> str:
    """A note with the lowest and highest rates from which the limit was computed."""

    def span(values: list[float], unit: str) -> str:
        return f"{min(values) / 1e9:.1f} to {max(values) / 1e9:.1f} {unit}"

    products = span([probe.flops_per_second for probe in probes], "GFLOP/s in matrix products")
    memory = span([probe.bytes_per_second for probe in probes], "GB/s in a triad")
    return f"{workload.name}: the machine reached {products} and {memory}"

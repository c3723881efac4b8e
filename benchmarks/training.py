"""Speed, memory and share of the machine's limit, beside every peer: the table of the README.

For each workload the engines take turns in ABBA order within one session, each in a process of its
own, so that a machine that slows down or warms up treats all alike; before, between and after the
turns the machine itself is measured (``limit.probe``). What is timed, and why it is fair, is said
in ``workloads`` and ``window``; what the limit is, in ``limit``.

A row has medians over the turns; ``_low`` and ``_high`` are the least and the most.

- ``startup_seconds``: from asking for a process to its first step (its first answer, where it
  predicts): imports, reading, tokenising, loading.
- ``time_to_trained_seconds``: from asking for a process to the trained model. Measured where whole
  runs are timed; elsewhere computed as start-up + epochs × rows ÷ samples a second, which leaves
  out evaluating and saving.
- ``warmstart_speedup``: warmstart's samples a second ÷ this engine's, the median of the ratios
  within each turn.
- ``share_of_limit``: the least time ÷ the time taken.
- ``validation_mcc``: of the measured run where it was a whole one, else from the newest result of
  the suite ``quality``; ``validation_from`` says which.

A turn that fails is told and left out, with its engine's later turns; the row then says ``failed``.
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

DESCRIPTION = "samples and tokens a second, memory and share of the limit, beside every peer"
DATA = Path("../shared/data")
QUICK_WORKLOAD, QUICK_STEPS, QUICK_FIXED_STEPS = "cola-minilm", Steps(2, 8), Steps(1, 2)
OURS, TRAINER = "warmstart", "transformers-trainer"
LOSS_NOISE = 0.05
"""Nats a token: what dropout may make of the mean loss of a few thousand tokens."""
RATES = ("samples_per_second", "tokens_per_second")


def add_options(parser: ArgumentParser) -> None:
    """Which workloads and engines, how long and how often."""
    names = ", ".join(WORKLOADS)
    parser.add_argument(
        "--workload", nargs="+", choices=WORKLOADS, metavar="NAME", help=f"of {names}; all"
    )
    parser.add_argument(
        "--engine", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}; all"
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns of each engine; 5")
    parser.add_argument("--steps", type=int, help="timed, instead of each workload's own")
    parser.add_argument("--warmup-steps", type=int, default=1, help="with --steps: untimed; 1")
    parser.add_argument("--limit", type=int, metavar="ROWS", help="only the first of each corpus")
    parser.add_argument(
        "--quick", action="store_true", help=f"one turn of a few steps; {QUICK_WORKLOAD} alone"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"of the data sets; {DATA}"
    )


def run(options: Namespace) -> Outcome:
    """Every engine of every workload that was asked for."""
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    notes = []
    for workload in selected(options):
        measured, note = measure_workload(workload, options)
        rows += measured
        verdicts += judge(workload, measured)
        notes.append(note)
    if options.quick:
        notes.append("--quick: one turn of a few steps shows an effect, not its size")
    part = "+".join(options.workload) if options.workload else ""
    return Outcome(rows, verdicts, notes, part)


def selected(options: Namespace) -> list[Workload]:
    """The workloads that the command line asks for, their steps shortened where it says so."""
    names = options.workload or ([QUICK_WORKLOAD] if options.quick else list(WORKLOADS))
    chosen = [WORKLOADS[name] for name in names]
    if options.steps:
        steps = Steps(options.warmup_steps, options.steps)
        return [replace(one, steps=steps, fixed_steps=steps) for one in chosen]
    if options.quick:
        return [replace(w, steps=QUICK_STEPS, fixed_steps=QUICK_FIXED_STEPS) for w in chosen]
    return chosen


def measure_workload(workload: Workload, options: Namespace) -> tuple[list[Row], str]:
    """One session: a row for each engine, and a note on the machine's rates.

    Args:
        workload: what to do.
        options: of the command line.
    """
    wanted = options.engine or NAMES
    engines = {name: one for name, one in engines_of(workload).items() if name in wanted}
    present = [name for name, engine in engines.items() if engine.installed]
    turns = list(abba(present, 1 if options.quick else options.repeats))
    runs: list[Row] = []
    failed: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        made = own_process(materials.make, workload, options.data, Path(folder), options.limit)
        probes = [own_process(limit.probe)]
        for number, (turn, name) in enumerate(turns, start=1):
            if name not in failed:
                where = f"{workload.name}, {number} of {len(turns)}"
                print(f"training: {where}: {name} …", file=sys.stderr, flush=True)
                try:
                    runs.append(own_process(measure, name, made, turn + 1, time.time()))
                except Exception as error:  # whatever a peer throws must not end the session
                    failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
                    print(f"training: {name} failed: {failed[name]}", file=sys.stderr)
            if number % len(present) == 0:
                probes.append(own_process(limit.probe))
    rates = limit.typical(probes)
    rows = []
    for name, engine in engines.items():
        own = [one for one in runs if one["engine"] == name]
        if own:
            row = summary(name, engine, made, own, rates)
            row["warmstart_speedup"] = ratio([one for one in runs if one["engine"] == OURS], own)
        else:
            why = failed.get(name, f"not installed: pip install {engine.needs}")
            row = {"workload": workload.name, "engine": name, "failed": why, "runs": []}
        rows.append(row)
    return rows, machine_note(workload, probes)


def abba(engines: Sequence[str], turns: int) -> Iterator[tuple[int, str]]:
    """(turn, engine): forwards, backwards, forwards, …

    >>> list(abba("AB", turns=2))
    [(0, 'A'), (0, 'B'), (1, 'B'), (1, 'A')]
    """
    for turn in range(turns):
        for engine in engines if turn % 2 == 0 else reversed(engines):
            yield turn, engine


def summary(
    name: str, engine: Engine, material: Material, runs: Sequence[Row], rates: Rates
) -> Row:
    """One engine's row.

    Args:
        name: of the engine.
        engine: itself.
        material: the workload.
        runs: its measurements.
        rates: of the machine in this session.
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
    """How long until the model is trained, and how good it is then."""
    if workload.kind == "run":
        scores = [one["validation_mcc"] for one in runs if one.get("validation_mcc") is not None]
        seconds = [one["startup_seconds"] + one["seconds"] for one in runs]
        found = {"validation_mcc": median(scores) if scores else None, "validation_from": "run"}
        return {"time_to_trained_seconds": median(seconds), "time_to_trained": "measured", **found}
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
    """The median over the turns of our samples a second ÷ the peer's in the same turn."""
    by_seed = {one["seed"]: one["samples_per_second"] for one in ours}
    found = [
        by_seed[one["seed"]] / one["samples_per_second"] for one in peer if one["seed"] in by_seed
    ]
    return median(found) if found else None


def judge(workload: Workload, rows: Sequence[Row]) -> list[Verdict]:
    """What the rows of a workload say about its targets; a ratio without target is only told.

    Args:
        workload: has the targets.
        rows: one for each engine.
    """
    by_name: dict[str, Row] = {row["engine"]: row for row in rows}
    found = []
    for name, row in by_name.items():
        measured = row.get("warmstart_speedup")
        if not name.startswith(OURS):
            target = workload.targets.get(name)
            claim = f"{workload.name}: samples/s of warmstart / {name}"
            found.append(_verdict(claim, measured, target, at_least=True))
    ours, trainer = by_name.get(OURS, {}), by_name.get(TRAINER, {})
    if workload.share_target is not None:
        claim = f"{workload.name}: warmstart's share of the limit"
        found.append(_verdict(claim, ours.get("share_of_limit"), workload.share_target, True))
    if "peak_mib" in ours and "peak_mib" in trainer:
        claim = f"{workload.name}: peak memory of warmstart / {TRAINER}"
        measured = ours["peak_mib"] / trainer["peak_mib"]
        found.append(_verdict(claim, measured, workload.memory_target, at_least=False))
    found += _same_answers(workload, by_name)
    found += _same_loss(workload, by_name)
    return found


def _same_answers(workload: Workload, rows: dict[str, Row]) -> list[Verdict]:
    """Whether a prediction that was compared was the same one."""
    chances = {
        name: row["runs"][0]["mean_probability"]
        for name, row in rows.items()
        if row["runs"] and "mean_probability" in row["runs"][0]
    }
    return [
        _verdict(
            f"{workload.name}: mean probability, warmstart less {name}",
            abs(chances[OURS] - chance),
            1e-4,
            at_least=False,
        )
        for name, chance in chances.items()
        if name != OURS and OURS in chances
    ]


def _same_loss(workload: Workload, rows: dict[str, Row]) -> list[Verdict]:
    """Whether a language model learned as the ``Trainer``'s did, from the same batches."""
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
    claim = f"{workload.name}: loss of the timed steps in nats, warmstart less {TRAINER}"
    return [_verdict(claim, abs(fmean(ours) - fmean(theirs)), LOSS_NOISE, at_least=False)]


def _verdict(claim: str, measured: float | None, target: float | None, at_least: bool) -> Verdict:
    if target is not None:
        claim = f"{claim} {'>=' if at_least else '<='} {target:g}"
    holds = None
    if measured is not None and target is not None:
        holds = measured >= target if at_least else measured <= target
    return Verdict(claim, measured, target, holds)


def machine_note(workload: Workload, probes: Sequence[Rates]) -> str:
    """What the limit was computed from, lowest to highest."""

    def span(values: list[float], unit: str) -> str:
        return f"{min(values) / 1e9:.1f} to {max(values) / 1e9:.1f} {unit}"

    products = span([probe.flops_per_second for probe in probes], "GFLOP/s in matrix products")
    memory = span([probe.bytes_per_second for probe in probes], "GB/s in a triad")
    return f"{workload.name}: the machine did {products} and {memory}"

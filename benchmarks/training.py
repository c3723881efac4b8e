"""Samples and real tokens a second of the training loop, beside Transformers' ``Trainer``.

Runs are interleaved in ABBA order within one session, each in a process of its own, so that a
machine that slows down or warms up treats all alike. A run starts like a whole run of the recipe
(same rows, schedule, seed) and is stopped by its own means after ``warmup_steps + steps``; time
counts from the end of the last warm-up step to the end of the last step. Evaluating and saving fall
outside: the window ends before the first epoch does.

``steps`` is a multiple of 50 because the ``Trainer``'s grouped order falls from long rows to short
ones every 50 batches: a window of whole falls sees every length as often as it is.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import cola
from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict

DESCRIPTION = "samples and tokens a second of training on CoLA, beside Transformers' Trainer"
ENGINES = (
    "warmstart",
    "transformers-trainer",
    "warmstart-grouped",
    "transformers-trainer-grouped",
)
"""``-grouped``: batches of rows of like length (``train.group_by_length``)."""
RATES = ("samples_per_second", "tokens_per_second")


def add_options(parser: ArgumentParser) -> None:
    """How long and how often."""
    cola.add_options(parser)
    parser.add_argument("--quick", action="store_true", help="one round of 50 steps")
    parser.add_argument("--rounds", type=int, default=3, help="each measures every engine twice")
    parser.add_argument("--steps", type=int, default=200, help="timed, a multiple of 50")
    parser.add_argument("--warmup-steps", type=int, default=10, help="made before, not timed")


def run(options: Namespace) -> Outcome:
    """Every engine ``2 * rounds`` times, interleaved."""
    rounds, steps = (1, 50) if options.quick else (options.rounds, options.steps)
    runs: list[Row] = []
    order = list(abba(ENGINES, rounds))
    with cola.resized(options.data, options.limit) as data:
        for number, (turn, engine) in enumerate(order, start=1):
            print(f"training: {number}/{len(order)} {engine} …", file=sys.stderr, flush=True)
            window = Window(options.warmup_steps, steps)
            found = own_process(measure, engine, data, options.model, turn + 1, window)
            runs.append({"engine": engine, **found})
    rows = {one: summary(one, runs, cola.workload(options.model)) for one in ENGINES}
    return Outcome(list(rows.values()), verdicts(rows))


def abba(engines: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """(turn, engine): forwards, backwards, forwards, … two turns a round.

    >>> list(abba("AB", rounds=1))
    [(0, 'A'), (0, 'B'), (1, 'B'), (1, 'A')]
    """
    for turn in range(2 * rounds):
        for engine in engines if turn % 2 == 0 else reversed(engines):
            yield turn, engine


@dataclass(slots=True)
class Window:
    """The steps that are timed; ``tick`` is called at the end of each step.

    Args:
        warmup_steps: made before, at least 1.
        steps: timed.
    """

    warmup_steps: int
    steps: int
    _ticks: list[float] = field(default_factory=list)
    _cpu_ticks: list[float] = field(default_factory=list)
    _peak_mib: float = 0.0

    def tick(self) -> bool:
        """Note the end of a step; whether the window is over."""
        self._ticks.append(time.perf_counter())
        self._cpu_ticks.append(time.process_time())
        if len(self._ticks) < self.warmup_steps + self.steps:
            return False
        self._peak_mib = peak_mib()
        return True

    def rates(self, rows: Sequence[int], tokens: Sequence[int]) -> Row:
        """Rates over the window.

        Args:
            rows: of each step's batch, from the first step on.
            tokens: likewise, padding not counted.
        """
        first, last = self.warmup_steps, self.warmup_steps + self.steps
        seconds = self._ticks[last - 1] - self._ticks[first - 1]
        cpu_seconds = self._cpu_ticks[last - 1] - self._cpu_ticks[first - 1]
        return {
            "steps": self.steps,
            "seconds": seconds,
            "samples_per_second": sum(rows[first:last]) / seconds,
            "tokens_per_second": sum(tokens[first:last]) / seconds,
            "peak_mib": self._peak_mib,
            # Clearly less than ``threads``: somebody else was computing, the times are not ours.
            "cores_used": cpu_seconds / seconds,
        }


def measure(engine: str, data: Path, model: str, seed: int, window: Window) -> Row:
    """Train through the window; in its own process.

    Args:
        engine: one of ``ENGINES``.
        data: folder with CoLA's files.
        model: ``model.name``.
        seed: of head, order and dropout.
        window: which steps are timed; all of them within the first epoch.
    """
    import torch

    from warmstart.training.plan import Plan
    from warmstart.training.prepare import prepare

    grouped = engine.endswith("-grouped")
    settings = f"train.seed={seed}", f"train.group_by_length={str(grouped).lower()}"
    prepared = prepare(cola.settings(data, model, *settings))
    epoch = Plan(prepared.examples["train"].lengths, prepared.config.train).steps_per_epoch
    if window.warmup_steps + window.steps >= epoch:
        raise SystemExit(f"the window must end before the first epoch's {epoch} steps do")
    time_steps = _warmstart if engine.startswith("warmstart") else _transformers_trainer
    with TemporaryDirectory() as folder:
        rates = time_steps(prepared, Path(folder), window)
    return {"seed": seed, "threads": torch.get_num_threads(), **rates}


def _warmstart(prepared: Any, folder: Path, window: Window) -> Row:
    """The loop, asked after each step whether to stop, as Ctrl-C would make it."""
    from warmstart.errors import Interrupted
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.events import events_of, read_events
    from warmstart.training.job import job_for
    from warmstart.training.loop import fit

    job = job_for(prepared, RunDirectory.create(folder / "run"))
    with suppress(Interrupted):
        fit(job, resume=False, stop_requested=window.tick)
    steps = events_of(read_events(job.log.path), "step")
    return window.rates([step["rows"] for step in steps], [step["tokens"] for step in steps])


def _transformers_trainer(prepared: Any, folder: Path, window: Window) -> Row:
    """The ``Trainer``, told after each step whether to stop, by its own callback."""
    from transformers import TrainerCallback

    from benchmarks import peers

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = window.tick()

    grouped = prepared.config.train.group_by_length
    trainer = peers.trainer(prepared, folder, grouped=grouped, evaluating=False)
    trainer.add_callback(Stop())
    trainer.train()
    # Batches are collated one ahead, but in the order of the steps.
    collator = trainer.data_collator
    assert isinstance(collator, peers.PaddingCollator)
    return window.rates(collator.rows, collator.tokens)


def summary(engine: str, runs: Sequence[Row], workload: str) -> Row:
    """One engine's row: medians, lowest and highest.

    Args:
        engine: whose.
        runs: of every engine.
        workload: its name.
    """
    own = [one for one in runs if one["engine"] == engine]
    row: Row = {"workload": workload, "engine": engine}
    for rate in RATES:
        values = [one[rate] for one in own]
        row[rate] = median(values)
        row[f"{rate}_low"], row[f"{rate}_high"] = min(values), max(values)
    row["peak_mib"] = median(one["peak_mib"] for one in own)
    row["cores_used"] = median(one["cores_used"] for one in own)
    row["runs"] = own
    return row


def verdicts(rows: Mapping[str, Row]) -> list[Verdict]:
    """Whether each of our ways is as fast as the ``Trainer``'s same way, by the medians."""
    found = []
    for ours, peer in (ENGINES[:2], ENGINES[2:]):
        ratio = rows[ours]["tokens_per_second"] / rows[peer]["tokens_per_second"]
        claim = f"{ours} is no slower than {peer} (ratio of real tokens/s)"
        found.append(Verdict(claim, ratio, 1.0, ratio >= 1.0))
    return found

"""The progress of an experiment: one line for each running trial, one for the whole.

Trials write their events to their own files, in whichever process they run; the display reads
these. Without a terminal, one line is printed when a trial ends.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from warmstart.errors.counts import counted
from warmstart.experiments.experiment_folder import Outcome
from warmstart.experiments.trials import Trial
from warmstart.experiments.workers import cause
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Event
from warmstart.runs.words import duration

TAIL_BYTES = 20_000
"""Bytes at the end of a file of events that are read for the display."""


@dataclass(slots=True)
class _Display:
    """What the display shows; its text is made anew for each refresh.

    Args:
        trials: all trials.
        done: names of those that were finished before.
    """

    trials: Sequence[Trial]
    done: set[str]
    began: float = field(default_factory=time.monotonic)
    ended: dict[str, Outcome] = field(default_factory=dict)

    def whole(self) -> str:
        """How many trials have ended, and how long the others will take."""
        count, ended = len(self.trials), len(self.done) + len(self.ended)
        failed = sum(outcome.status == "failed" for outcome in self.ended.values())
        text = f"{ended} of {counted(count, 'trial')}" + f", {failed} failed" * bool(failed)
        if self.ended and ended < count:
            mean = (time.monotonic() - self.began) / len(self.ended)
            text += f"; about {duration(mean * (count - ended))} left"
        return text

    def __rich__(self) -> RenderableType:
        """The lines of the running trials, and that of the whole."""
        lines = [Text(line) for trial in self.trials if (line := self._line(trial))]
        return Group(*lines, Text(self.whole()))

    def _line(self, trial: Trial) -> str | None:
        if trial.name in self.done or trial.name in self.ended or not trial.path.is_dir():
            return None
        return f"  {trial.name:<12} {_state(trial.path)}"


def _state(path: Path) -> str:
    """What a running trial does, from the beginning and the end of its events."""
    log = RunDirectory(path).entry("events.jsonl")
    try:
        with log.open("rb") as file:
            beginning = file.read(TAIL_BYTES)
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            end = file.read()
    except OSError:
        return "reading and checking the data"
    start, step = _last(beginning, "start"), _last(end, "step")
    if start is None or step is None:
        return "preparing"
    loss = "" if step["loss"] is None else f"  loss {step['loss']:.3f}"
    return f"step {step['step'] + 1:,}/{start['steps']:,}{loss}"


def _last(content: bytes, kind: str) -> Event | None:
    """The last event of a kind in a part of a file; its first and last line may be incomplete."""
    for line in reversed(content.split(b"\n")):
        if f'"event": "{kind}"'.encode() in line:
            with suppress(ValueError):
                event: Event = json.loads(line)
                return event
    return None


@contextmanager
def watching(
    trials: Sequence[Trial], done: set[str], *, progress: bool
) -> Iterator[Callable[[Outcome], None]]:
    """Show the progress of trials within the block.

    Args:
        trials: all trials of the experiment.
        done: names of those that were finished before.
        progress: show nothing if False.

    Yields:
        A function to call with each outcome.
    """
    display = _Display(trials, done)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    live = Live(display, console=console, transient=True, refresh_per_second=2)

    def ended(outcome: Outcome) -> None:
        if outcome.status != "interrupted":
            display.ended[outcome.trial] = outcome
        if not progress:
            return
        line = f"{outcome.trial}  {outcome.status}  {duration(outcome.seconds)}"
        if outcome.status == "failed":
            line += f"  {cause(outcome)}"
        console.print(line if live.is_started else f"{line}  ({display.whole()})", soft_wrap=True)

    with live if progress and console.is_terminal else nullcontext():
        yield ended

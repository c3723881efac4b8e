"""The progress of an experiment: one line for each running trial, one for the whole.

Trials write their events to their own files, in whichever process they run; the display reads
these. Without a terminal, one line is printed when a trial ends.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from warmstart.errors.counts import counted
from warmstart.experiments.experiment_folder import Outcome
from warmstart.experiments.workers import cause
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Event
from warmstart.runs.safe_files import entries_of
from warmstart.runs.words import duration

TAIL_BYTES = 20_000
"""Bytes at the end of a file of events that are read for the display."""


@dataclass(slots=True)
class _Display:
    """What the display shows; its text is made anew for each refresh.

    Args:
        folder: the folder with the run directories of the trials.
        count: number of trials to run.
    """

    folder: Path
    count: int
    began: float = field(default_factory=time.time)
    ended: dict[str, Outcome] = field(default_factory=dict)

    def whole(self) -> str:
        """How many trials have ended, and how long the others will take."""
        statuses = [outcome.status for outcome in self.ended.values()]
        ended, count = len(statuses) - statuses.count("interrupted"), self.count
        failed = statuses.count("failed")
        text = f"{ended} of {counted(count, 'trial')}" + f", {failed} failed" * bool(failed)
        if 0 < ended < count:
            mean = (time.time() - self.began) / ended
            text += f"; about {duration(mean * (count - ended))} left"
        return text

    def __rich__(self) -> RenderableType:
        """The lines of the running trials, and that of the whole."""
        running = [path for path in sorted(entries_of(self.folder)) if self._runs(path)]
        lines = [Text(f"  {path.name:<12} {_state(path)}") for path in running]
        return Group(*lines, Text(self.whole()))

    def _runs(self, path: Path) -> bool:
        """Whether a trial has begun or continued since the display began, and has not ended."""
        if path.name in self.ended or not path.is_dir():
            return False
        log = RunDirectory(path).entry("events.jsonl")
        try:
            return log.stat().st_mtime >= self.began
        except OSError:
            return path.stat().st_mtime >= self.began


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
def watching(folder: Path, count: int, *, progress: bool) -> Iterator[Callable[[Outcome], None]]:
    """Show the progress of trials within the block.

    Args:
        folder: the folder with the run directories of the trials.
        count: number of trials to run.
        progress: show nothing if False.

    Yields:
        A function to call with each outcome.
    """
    display = _Display(folder, count)
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

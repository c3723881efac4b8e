"""Live progress on stderr, fed by events: a bar in a terminal, plain lines elsewhere.

Shows epoch, step, loss, rate, rows and *real* tokens per second (padding does not count) and the
time left. A listener of ``EventLog`` and nothing more: it can be left out or replaced without the
loop knowing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from warmstart.runs.events import Event

SMOOTHING = 0.9
"""Weight of the past in the shown loss; corrected for its start, as in Adam."""

LINE_SECONDS = 10.0
"""Between two plain lines."""


@dataclass(slots=True)
class Speed:
    """Rows and tokens of the last steps, and the smoothed loss."""

    loss: float = 0.0
    weight: float = 0.0
    rows: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0

    def add(self, event: Event) -> None:
        """Take in one step event."""
        self.loss = SMOOTHING * self.loss + (1 - SMOOTHING) * (event["loss"] or 0.0)
        self.weight = SMOOTHING * self.weight + (1 - SMOOTHING)
        self.rows = SMOOTHING * self.rows + event["rows"]
        self.tokens = SMOOTHING * self.tokens + event["tokens"]
        self.seconds = SMOOTHING * self.seconds + event["seconds"]

    def text(self, event: Event) -> str:
        """The numbers in one line."""
        seconds = max(self.seconds, 1e-9)
        return (
            f"loss {self.loss / max(self.weight, 1e-9):.3f}  rate {event['learning_rate']:.1e}  "
            f"{self.rows / seconds:,.0f} samples/s  {self.tokens / seconds:,.0f} tokens/s"
        )


@dataclass(slots=True)
class PlainLines:
    """One line every ``LINE_SECONDS`` and one per evaluation, for logs and pipes."""

    write: Callable[[str], None]
    total: int = 0
    epochs: int = 0
    speed: Speed = field(default_factory=Speed)
    said: float = 0.0
    began: float = 0.0
    first: int | None = None

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event["event"]:
            case "start":
                self.total, self.epochs = event["steps"], event["epochs"]
            case "step":
                self.speed.add(event)
                self._step(event)
            case _:
                if line := describe(event):
                    self.write(line)

    def _step(self, event: Event) -> None:
        now, step = time.monotonic(), event["step"]
        if self.first is None:
            self.first, self.began = step, now
        if now - self.said < LINE_SECONDS:
            return
        self.said = now
        done = step - self.first
        left = (now - self.began) / done * (self.total - step - 1) if done else None
        eta = "" if left is None else f"  {_clock(left)} left"
        self.write(
            f"epoch {min(int(event['epoch']) + 1, self.epochs)}/{self.epochs}  "
            f"step {step + 1}/{self.total}  {self.speed.text(event)}{eta}"
        )


@dataclass(slots=True)
class Bar:
    """A live bar; evaluations and notices are printed above it."""

    console: Console
    speed: Speed = field(default_factory=Speed)
    bar: Progress | None = None
    line: Any = None

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event["event"]:
            case "start":
                self._open(event)
            case "step" if self.bar is not None:
                self.speed.add(event)
                epochs = self.bar.tasks[0].fields["epochs"]
                self.bar.update(
                    self.line,
                    completed=event["step"] + 1,
                    epoch=min(int(event["epoch"]) + 1, epochs),
                    numbers=self.speed.text(event),
                )
            case _:
                if event["event"] in ("finish", "interrupted"):
                    self.close()
                if line := describe(event):
                    self.console.print(line, highlight=False)

    def _open(self, event: Event) -> None:
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.line = self.bar.add_task(
            "train", total=event["steps"], epoch=1, epochs=event["epochs"], numbers=""
        )
        self.bar.start()

    def close(self) -> None:
        """Take the bar off the screen; also called when training ends in an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def describe(event: Event) -> str | None:
    """An event in one line, or None where a person need not see it."""
    match event["event"]:
        case "evaluation":
            name = event["metric"]
            score = event["scores"][name]
            value = "undefined" if score["value"] is None else f"{score['value']:.3f}"
            return (
                f"epoch {event['epoch']:.2f}  training loss {event['train_loss']:.3f}  "
                f"validation loss {event['loss']:.3f}  {name.replace('_', ' ')} {value}"
                + ("  (best so far)" if event["best"] else "")
            )
        case "notice":
            return f"note: {event['text']}"
        case "resume":
            return f"resumed after step {event['step'] + 1}"
        case _:
            return None


def progress_listener(console: Console) -> Bar | PlainLines:
    """The display that suits where stderr goes: a bar in a terminal or notebook, else lines."""
    if console.is_terminal or console.is_jupyter:
        return Bar(console)
    return PlainLines(lambda line: console.print(line, highlight=False, soft_wrap=True))


def _clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

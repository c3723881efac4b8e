"""Live progress on stderr: a bar in a terminal, plain lines elsewhere.

    epoch 2/4 ━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ step 301/1,072  0:01:03 left
    loss 0.612  rate 1.8e-05  395 samples/s  4,444 tokens/s

Tokens do not include padding. The display is a listener of ``EventLog``, so the loop does not
depend on it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from warmstart.runs.events import Event

SMOOTHING = 0.9
"""Decay rate of the running mean of the loss; the start is bias-corrected, as in Adam."""

SAMPLE_CHARACTERS = 300
"""Number of characters to show of a generated sample; the event contains all of it."""

LINE_SECONDS = 10.0
"""Seconds between two plain lines."""


@dataclass(slots=True)
class Speed:
    """Running means over the last steps: loss, rows and tokens per second."""

    loss: float = 0.0
    weight: float = 0.0
    rows: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0

    def add(self, event: Event) -> None:
        """Add a step event."""
        self.loss = SMOOTHING * self.loss + (1 - SMOOTHING) * _number(event["loss"])
        self.weight = SMOOTHING * self.weight + (1 - SMOOTHING)
        self.rows = SMOOTHING * self.rows + event["rows"]
        self.tokens = SMOOTHING * self.tokens + event["tokens"]
        self.seconds = SMOOTHING * self.seconds + event["seconds"]

    def text(self, event: Event) -> str:
        """The values in one line."""
        seconds = max(self.seconds, 1e-9)
        return (
            f"loss {self.loss / max(self.weight, 1e-9):.3f}  rate {event['learning_rate']:.1e}  "
            f"{self.rows / seconds:,.0f} samples/s  {self.tokens / seconds:,.0f} tokens/s"
        )


@dataclass(slots=True)
class PlainLines:
    """Plain lines for logs and pipes: one every ``LINE_SECONDS`` and one per evaluation."""

    write: Callable[[str], None]
    total: int = 0
    epochs: int = 0
    speed: Speed = field(default_factory=Speed)
    last_line: float = 0.0
    began: float = 0.0
    first: int | None = None

    def __call__(self, event: Event) -> None:
        """Handle one event."""
        match event["event"]:
            case "start" | "extended":
                self.total, self.epochs = event["steps"], event["epochs"]
                self.first = None
            case "step":
                self.speed.add(event)
                self._step(event)
            case _:
                if line := describe_event(event):
                    self.write(line)

    def _step(self, event: Event) -> None:
        now, step = time.monotonic(), event["step"]
        if self.first is None:
            self.first, self.began = step, now
        if now - self.last_line < LINE_SECONDS:
            return
        self.last_line = now
        done = step - self.first
        left = (now - self.began) / done * (self.total - step - 1) if done else None
        eta = "" if left is None else f"  {_clock(left)} left"
        self.write(
            f"epoch {_epoch(event)}/{self.epochs}  "
            f"step {step + 1:,}/{self.total:,}  {self.speed.text(event)}{eta}"
        )


@dataclass(slots=True)
class Bar:
    """A live bar with the current values below it; evaluations and notices are printed above it."""

    console: Console
    speed: Speed = field(default_factory=Speed)
    live: Live | None = None
    steps: Progress = field(default_factory=Progress)
    numbers: Text = field(default_factory=Text)

    def __call__(self, event: Event) -> None:
        """Handle one event."""
        match event["event"]:
            case "start":
                self._open(event)
            case "extended":
                self.steps.update(
                    self.steps.task_ids[0], total=event["steps"], epochs=event["epochs"]
                )
            case "step":
                self.speed.add(event)
                self.steps.update(
                    self.steps.task_ids[0], completed=event["step"] + 1, epoch=_epoch(event)
                )
                self.numbers.plain = self.speed.text(event)
            case "finish" | "interrupted":
                self.close()
        if line := describe_event(event):
            self.console.print(line, highlight=False, markup=False)

    def _open(self, event: Event) -> None:
        self.close()  # that of a first try
        self.steps = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TextColumn("step {task.completed:,}/{task.total:,} "),
            TimeRemainingColumn(),
            TextColumn("left"),
            expand=True,
        )
        self.steps.add_task("train", total=event["steps"], epoch=1, epochs=event["epochs"])
        shown = Group(self.steps, self.numbers)
        self.live = Live(shown, console=self.console, transient=True)
        self.live.start()

    def close(self) -> None:
        """Remove the bar from the screen; also called when training ends with an error."""
        if self.live is not None:
            self.live.stop()
            self.live = None


def describe_event(event: Event) -> str | None:
    """An event in one line; None for events that are not shown."""
    match event["event"]:
        case "evaluation":
            name = event["metric"]
            score = event["scores"][name]
            value = "undefined" if score["value"] is None else f"{score['value']:.3f}"
            losses = [_number(event[name]) for name in ("train_loss", "loss")]
            train = f"{losses[0]:.3f} train, " * (event["step"] >= 0)  # before the first step: none
            return (
                f"epoch {round(event['epoch'], 2):g}  loss {train}{losses[1]:.3f} validation  "
                f"{name.replace('_', ' ')} {value}" + ("  best" if event["best"] else "")
            )
        case "epoch" if event["train_loss"] is not None:
            return f"epoch {round(event['epoch'], 2):g}  loss {event['train_loss']:.3f} train"
        case "sample":
            shown = " ".join(f"{event['prompt']}{event['text']}".split())
            return f"sample  {shown[:SAMPLE_CHARACTERS]}" + "…" * (len(shown) > SAMPLE_CHARACTERS)
        case "notice":
            return f"note: {event['text']}"
        case "resume":
            return f"resumed after step {event['step'] + 1}"
        case _:
            return None


def progress_listener(console: Console) -> Bar | PlainLines:
    """The display for this console: a bar in a terminal or notebook, otherwise plain lines."""
    # In a notebook, rich needs ipywidgets for live displays; without them it shows only a warning.
    live = find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
    if live and not console.is_dumb_terminal:
        return Bar(console)
    return PlainLines(
        lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)
    )


def _epoch(event: Event) -> int:
    """The epoch of a step, counted from 1."""
    epochs_done: float = event["epoch"]
    return math.ceil(epochs_done)


def _number(value: float | None) -> float:
    """A logged number; null in the log means that it was not finite."""
    return math.nan if value is None else value


def _clock(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""The live display: it shows the numbers, fits a terminal, and no event can stop a training."""

import io
import math
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from warmstart.runs.events import Event
from warmstart.training.monitoring import progress
from warmstart.training.monitoring.progress import (
    Bar,
    PlainLines,
    describe_event,
    progress_listener,
)

CONTROL = re.compile(r"\x1b\[[?0-9]*[A-Za-z]|\r")
"""Escape sequences that move or hide the cursor."""

START: Event = {"event": "start", "steps": 1072, "steps_per_epoch": 268, "epochs": 4, "rows": 8551}


def step(number: int, **changed: Any) -> Event:
    """A step of a run on CoLA, at the speed of a laptop."""
    return {
        "event": "step",
        "step": number,
        "epoch": (number + 1) / 268,
        "loss": 0.6123,
        "learning_rate": 1.84e-5,
        "gradient_norm": 1.2,
        "rows": 32,
        "labels": 32,
        "tokens": 360,
        "seconds": 0.081,
        **changed,
    }


def evaluation(**changed: Any) -> Event:
    scores = {"matthews_correlation": {"value": 0.4567, "low": 0.4, "high": 0.5, "n": 856}}
    return {
        "event": "evaluation",
        "step": 267,
        "epoch": 1.0,
        "loss": 0.5123,
        "train_loss": 0.6012,
        "metric": "matthews_correlation",
        "best": True,
        "scores": scores,
        **changed,
    }


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@contextmanager
def opened(console: Console) -> Iterator[Bar]:
    bar = Bar(console)
    bar(START)
    try:
        yield bar
    finally:
        bar.close()


def drawn(bar: Bar) -> list[str]:
    """The lines of the bar at this moment."""
    assert bar.live is not None
    bar.live.refresh()
    last_frame = written(bar.console).split("\x1b[2K")[-1]
    return CONTROL.sub("", last_frame).splitlines()


def test_the_bar_shows_every_number_in_two_lines_of_eighty_columns() -> None:
    with opened(terminal()) as bar:
        for number in range(301):
            bar(step(number))
        first, second = drawn(bar)
    assert first.startswith("epoch 2/4 ━")
    assert "step 301/1,072" in first
    assert first.endswith(" left")
    assert ":" in first.split("1,072")[1]
    assert second == "loss 0.612  rate 1.8e-05  395 samples/s  4,444 tokens/s"
    assert len(first) == 80


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_cut_even_in_a_long_fast_run(width: int) -> None:
    bar = Bar(terminal(width))
    bar({**START, "steps": 1_234_567, "epochs": 100})
    bar(step(999_999, epoch=81.0, loss=12.345, rows=4096, tokens=300_000, seconds=0.01))
    lines = drawn(bar)
    bar.close()
    assert max(map(len, lines)) <= width
    assert "…" not in " ".join(lines)
    assert "epoch 81/100" in lines[0]
    assert "step 1,000,000/1,234,567" in lines[0]
    numbers = " ".join(lines[1:]).split()
    assert numbers == "loss 12.345 rate 1.8e-05 409,600 samples/s 30,000,000 tokens/s".split()


def test_the_last_step_of_an_epoch_still_belongs_to_it() -> None:
    with opened(terminal()) as bar:
        bar(step(267))
        assert "epoch 1/4" in drawn(bar)[0]
        bar(step(268))
        assert "epoch 2/4" in drawn(bar)[0]
        bar(step(1071))
        assert "epoch 4/4" in drawn(bar)[0]


def test_evaluations_and_notices_stand_above_the_bar() -> None:
    console = terminal()
    with opened(console) as bar:
        bar(step(267))
        bar(evaluation())
        bar({"event": "notice", "text": "memory [ran] out"})
        assert drawn(bar)[0].startswith("epoch 1/4")
    assert (
        "epoch 1  loss 0.601 train, 0.512 validation  matthews correlation 0.457  best\n"
    ) in written(console)
    assert "note: memory [ran] out\n" in written(console)


def test_an_evaluation_fits_eighty_columns() -> None:
    line = describe_event(evaluation(epoch=1.333333))
    assert line is not None
    assert line.startswith("epoch 1.33  ")
    assert len(line) <= 80


def test_numbers_that_are_none_are_said_and_break_nothing() -> None:
    """A loss that is not finite is null in the events; the display must not fail first."""
    undefined = {"matthews_correlation": {"value": None, "low": None, "high": None, "n": 9}}
    lines: list[str] = []
    with opened(terminal()) as bar:
        for listener in (bar, PlainLines(lines.append)):
            listener(START)
            listener(step(0))
            listener(step(1, loss=None, gradient_norm=None))
            listener(evaluation(loss=None, train_loss=None, scores=undefined, best=False))
        assert drawn(bar)[1].startswith("loss nan  rate")
    assert lines[-1] == "epoch 1  loss nan train, nan validation  matthews correlation undefined"


def test_the_shown_loss_is_smoothed_and_starts_right() -> None:
    speed = progress.Speed()
    speed.add(step(0, loss=2.0))
    assert speed.text(step(0)).startswith("loss 2.000 ")
    speed.add(step(1, loss=1.0))
    expected = (0.9 * 0.1 * 2.0 + 0.1 * 1.0) / (0.9 * 0.1 + 0.1)
    assert speed.text(step(1)).startswith(f"loss {expected:.3f} ")


def test_after_a_resume_the_time_left_ignores_earlier_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a thousand steps would seem to be made in the moment since the display started."""
    clock = iter(range(10**6))
    with opened(terminal()) as bar:
        monkeypatch.setattr(bar.steps, "get_time", lambda: float(next(clock)))
        bar({"event": "resume", "step": 999})
        for number in range(1000, 1020):
            bar(step(number))
        left = bar.steps.tasks[0].time_remaining
    assert left is not None
    assert 50 <= left <= 200  # 52 steps at one or two ticks of the clock each


@pytest.mark.parametrize("end", [{"event": "finish"}, {"event": "interrupted", "step": 5}])
def test_the_bar_leaves_with_the_run(end: Event) -> None:
    with opened(terminal()) as bar:
        bar(step(5))
        bar(end)
        assert bar.live is None
        assert written(bar.console).endswith("\x1b[?25h\r" + 2 * "\x1b[1A\x1b[2K")


def test_the_bar_gives_back_the_cursor_and_the_streams_after_an_error() -> None:
    console, before = terminal(), (sys.stdout, sys.stderr)
    with pytest.raises(ZeroDivisionError), opened(console) as bar:  # noqa: PT012
        bar(step(5))
        assert written(console).count("\x1b[?25l") == 1
        raise ZeroDivisionError
    assert written(console).count("\x1b[?25h") == 1
    assert (sys.stdout, sys.stderr) == before


def test_plain_lines_come_at_intervals_and_tell_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lines: list[str] = []
    listener = PlainLines(lines.append)
    listener(START)
    for number in range(100):
        listener(step(number))
        now[0] += 0.25
    assert len(lines) == 3  # at 0, 10 and 20 s
    numbers = "loss 0.612  rate 1.8e-05  395 samples/s  4,444 tokens/s"
    assert lines[0] == f"epoch 1/4  step 1/1,072  {numbers}"
    assert lines[1] == f"epoch 1/4  step 41/1,072  {numbers}  4:18 left"
    listener(evaluation())
    assert "validation" in lines[3]
    listener({"event": "resume", "step": 267})
    assert lines[4] == "resumed after step 268"
    listener({"event": "finish"})
    assert len(lines) == 5


def test_hours_are_shown_as_hours() -> None:
    assert progress._clock(3723.4) == "1:02:03"
    assert progress._clock(59.6) == "1:00"


def test_a_pipe_gets_whole_lines_without_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=20)
    listener = progress_listener(console)
    for event in (START, step(0), evaluation(), {"event": "notice", "text": "[red]9 %[/red]"}):
        listener(event)
    lines = written(console).splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("tokens/s")
    assert lines[2] == "note: [red]9 %[/red]"
    assert "\x1b" not in written(console)


def test_a_terminal_gets_a_bar_and_a_dumb_one_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_listener(terminal()), Bar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_listener(terminal()), PlainLines)


def notebook() -> Console:
    return Console(file=io.StringIO(), force_jupyter=True)


def test_a_notebook_gets_a_bar() -> None:
    assert isinstance(progress_listener(notebook()), Bar)


def test_a_notebook_without_widgets_gets_lines_and_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rich warns there and draws nothing, so a bar would be invisible."""
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(progress, "find_spec", lambda _name: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listener = progress_listener(notebook())
        for event in (START, step(0), evaluation()):
            listener(event)
    assert isinstance(listener, PlainLines)


def test_losses_that_are_no_numbers_are_not_zero() -> None:
    assert math.isnan(progress._number(None))
    assert progress._number(0.0) == 0.0

"""TensorBoard's files: written if enabled, readable, and repeated steps of a resumed run hidden."""

import errno
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from warmstart.config import TrainConfig
from warmstart.errors import ConfigError
from warmstart.runs.events import Event
from warmstart.training.monitoring import listeners
from warmstart.training.monitoring.listeners import listening
from warmstart.training.monitoring.progress import Bar

TENSORBOARD = TrainConfig(tensorboard=True)


def step(number: int, **changed: Any) -> Event:
    return {
        "event": "step",
        "step": number,
        "loss": 1.0 / (number + 1),
        "learning_rate": 1e-4,
        "gradient_norm": 2.0,
        "time": 1000.0 + number,
        **changed,
    }


def evaluation(number: int, loss: float | None) -> Event:
    scores = {"accuracy": {"value": 0.75}, "roc_auc": {"value": None}}
    return {"event": "evaluation", "step": number, "loss": loss, "scores": scores, "time": 2000.0}


def record(run: Path, *events: Event) -> None:
    """Train with TensorBoard, as if it were installed."""
    with listening(run, TENSORBOARD, progress=False) as told:
        assert not run.exists()
        run.mkdir(exist_ok=True)
        for event in events:
            for listener in told:
                listener(event)


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The values that TensorBoard reads: step and value, by name of the curve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of TensorBoard
        from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]
            event_accumulator,
        )

        files = event_accumulator.EventAccumulator(str(run / "tensorboard"))
        files.Reload()
    return {
        name: [(scalar.step, scalar.value) for scalar in files.Scalars(name)]
        for name in files.Tags()["scalars"]
    }


def test_the_curves_of_a_run(tmp_path: Path) -> None:
    record(
        tmp_path / "run",
        {"event": "start", "steps": 2},
        step(0),
        step(1, loss=None, gradient_norm=None),
        {"event": "notice", "text": "no curve"},
        evaluation(1, loss=0.5),
        evaluation(2, loss=None),
        {"event": "checkpoint", "step": 1},
    )
    assert curves(tmp_path / "run") == {
        "train/loss": [(0, 1.0)],
        "train/learning_rate": [(0, pytest.approx(1e-4)), (1, pytest.approx(1e-4))],
        "train/gradient_norm": [(0, 2.0)],
        "validation/loss": [(1, 0.5)],
        "validation/accuracy": [(1, 0.75), (2, 0.75)],
    }


def test_a_resumed_run_replaces_the_steps_it_makes_again(tmp_path: Path) -> None:
    start = {"event": "start", "steps": 4}
    record(tmp_path / "run", start, step(0), step(1), step(2, loss=9.0))
    run = tmp_path / "run"
    with listening(run, TENSORBOARD, progress=False) as (listener,):
        for event in (start, {"event": "resume", "step": 1}, step(2), step(3)):
            listener(event)
    losses = [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3)), (3, 0.25)]
    assert curves(run)["train/loss"] == losses


def test_a_second_try_replaces_the_first(tmp_path: Path) -> None:
    start = {"event": "start", "steps": 3}
    record(tmp_path / "run", start, step(0), step(1), step(2), start, step(0, loss=7.0))
    assert curves(tmp_path / "run")["train/loss"] == [(0, 7.0)]


def test_a_disk_that_is_full_at_the_end_does_not_end_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    close = SummaryWriter.close

    def full(writer: SummaryWriter) -> None:
        close(writer)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "close", full)
    record(tmp_path / "run", step(0))
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("the last entries of TensorBoard's files were left out: OSError")


def test_nothing_is_written_by_default(tmp_path: Path) -> None:
    with listening(tmp_path, TrainConfig(), progress=False) as told:
        assert told == []
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "find_spec", lambda name: None if name == "tensorboard" else 1)
    with pytest.raises(ConfigError) as caught, listening(tmp_path, TENSORBOARD, progress=False):
        pytest.fail("the run must not begin")
    assert "train.tensorboard is true" in caught.value.found
    assert "events.jsonl" in caught.value.expected
    assert "pip install tensorboard" in caught.value.do
    assert "--set train.tensorboard=false" in caught.value.do


def test_progress_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listening(tmp_path, TrainConfig(), progress=True) as (display,):
        display({"event": "notice", "text": "on stderr"})
    captured = capsys.readouterr()
    assert captured.err == "note: on stderr\n"
    assert captured.out == ""


def test_the_bar_is_closed_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(Bar, "close", lambda _self: closed.append("bar"))
    console = SimpleNamespace(is_jupyter=False, is_terminal=True, is_dumb_terminal=False)
    monkeypatch.setattr(listeners, "Console", lambda **_: console)
    with pytest.raises(ZeroDivisionError), listening(tmp_path, TrainConfig(), progress=True):
        raise ZeroDivisionError
    assert closed == ["bar"]


@pytest.mark.parametrize("error", [BrokenPipeError(), SystemExit(1)])
def test_a_display_that_nobody_reads_does_not_end_a_training(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``2>&1 | head``: the pipe breaks, and rich then exits."""
    shown: list[object] = []

    def display(event: object) -> None:
        shown.append(event)
        raise error

    monkeypatch.setattr(listeners, "progress_listener", lambda console: display)
    with listening(tmp_path / "run", TrainConfig(), progress=True) as (listen,):
        for step in range(3):
            listen({"event": "step", "step": step})
    assert len(shown) == 1

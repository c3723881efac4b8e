"""Recorded steps: each one once, in order; a loss that is not finite prevents saving."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from warmstart.runs.events import EventLog, read_events
from warmstart.training.checkpoint import Progress
from warmstart.training.monitoring import recorder
from warmstart.training.monitoring.recorder import NotFinite, StepRecorder


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl")


def end(
    steps: StepRecorder, number: int, loss: float, norm: float = 1.0, labels: int = 4
) -> Progress:
    """Record a step in the same way as the loop."""
    event = {"step": number, "labels": labels, "seconds": 0.25}
    progress = Progress(step=number + 1, loss_sum=10.0, loss_count=2, train_seconds=1.0)
    steps.add(torch.tensor(loss), torch.tensor(norm), event)
    return steps.flush(progress) if steps.due else progress


def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", math.inf)


def test_steps_are_written_together_and_added_up(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_by_itself(monkeypatch)
    steps = StepRecorder(log, check_gradients=True)
    for number, (loss, labels) in enumerate([(0.5, 4), (2.0, 1)]):
        progress = end(steps, number, loss, labels=labels)
    assert not log.path.exists()
    assert progress.loss_sum == 10.0
    progress = steps.flush(progress)
    assert (progress.loss_sum, progress.loss_count) == (10.0 + 4 * 0.5 + 2.0, 2 + 4 + 1)
    assert progress.train_seconds == 1.5
    written: list[dict[str, Any]] = read_events(log.path)
    assert [event["step"] for event in written] == [0, 1]
    assert [event["loss"] for event in written] == [0.5, 2.0]
    assert [event["gradient_norm"] for event in written] == [1.0, 1.0]
    assert {event["event"] for event in written} == {"step"}
    assert steps.flush(progress) == progress
    assert len(read_events(log.path)) == 2


def test_a_slow_run_writes_every_step_at_once(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", -1.0)
    steps = StepRecorder(log, check_gradients=True)
    for number in range(3):
        end(steps, number, 0.5)
        assert len(read_events(log.path)) == number + 1


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_recorded_then_raised(
    log: EventLog, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    never_by_itself(monkeypatch)
    steps = StepRecorder(log, check_gradients=False)
    end(steps, 0, 0.5)
    end(steps, 1, loss)
    progress = end(steps, 2, 0.5)
    with pytest.raises(NotFinite) as caught:
        steps.flush(progress)
    assert caught.value.step == 1
    assert [event["loss"] for event in read_events(log.path)] == [0.5, None, 0.5]


def test_an_infinite_gradient_is_an_error_but_where_a_loss_scaler_expects_it(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_by_itself(monkeypatch)
    scaled = StepRecorder(log, check_gradients=False)
    scaled.flush(end(scaled, 0, 0.5, norm=math.inf))
    strict = StepRecorder(log, check_gradients=True)
    progress = end(strict, 7, 0.5, norm=math.inf)
    with pytest.raises(NotFinite, match="step 7"):
        strict.flush(progress)
    assert [event["gradient_norm"] for event in read_events(log.path)] == [None, None]

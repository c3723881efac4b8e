"""A budget of minutes: training ends in time, and continues while it improves."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.quick import slow_except
from tests.resolved import resolved
from tests.runs_in_memory import job_of, never, prepared_run, settings
from tests.training.test_loop import assert_close, weights_of
from warmstart import config_file, errors
from warmstart.errors import Interrupted
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import prepare
from warmstart.preparation.schedule import LATER_PEAK, schedule_for
from warmstart.runs.events import events_of, read_events
from warmstart.runs.run_record import read_record
from warmstart.training import budget, keep
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run


class FakeTime:
    """A clock that moves by one second whenever it is read."""

    def __init__(self) -> None:
        self.seconds = count()

    def monotonic(self) -> float:
        return float(next(self.seconds))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes a second."""
    monkeypatch.setattr(budget, "time", FakeTime())


def job_with(folder: Path, name: str, **train: Any) -> Job:
    return job_of(prepared_run(folder, **train), folder / name)


def texts_of(job: Job) -> list[str]:
    return [event["text"] for event in events_of(read_events(job.log.path), "notice")]


@pytest.mark.usefixtures("slow")
def test_training_ends_with_an_evaluation_when_the_time_is_used_up(tmp_path: Path) -> None:
    job = job_with(tmp_path, "run", epochs=5, budget_minutes=0.1)
    progress = fit(job, resume=False, stop_requested=never)
    assert 0 < progress.step < Plan.of(job.train, job.config).steps_per_epoch
    assert progress.best_step == progress.step - 1
    assert job.run.model.is_dir()
    (text,) = texts_of(job)
    assert text == f"the budget of 0.1 minutes ended training after {progress.step} of 60 steps"


def test_a_tiny_budget_gives_one_step_and_one_evaluation(tmp_path: Path) -> None:
    run = train_run(
        prepare(config_file.load(settings(tmp_path, budget_minutes=1e-9))), tmp_path / "run"
    )
    assert run.steps == 1
    assert run.evaluations["validation"]["scores"]


def test_a_long_budget_changes_nothing(tmp_path: Path) -> None:
    found = []
    for name, minutes in (("one", None), ("two", 600.0)):
        job = job_with(tmp_path, name, budget_minutes=minutes)
        fit(job, resume=False, stop_requested=never)
        found.append(weights_of(job.model))
    assert_close(*found, tolerance=0.0)


EXTENDING: dict[str, Any] = {
    "epochs": 1,
    "budget_minutes": 600,
    "extend": True,
    "learning_rate": 3e-4,
}


def extending(folder: Path, name: str) -> Job:
    return job_with(folder, name, **EXTENDING)


def improving(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The first evaluations are better than those before, the others are not."""
    evaluate = keep.evaluate_and_keep_best

    def scripted(job: Job, progress: Progress, epoch: float) -> Progress:
        found = evaluate(job, progress, epoch)
        return replace(found, evaluations_without_gain=int(epoch > times))

    monkeypatch.setattr(keep, "evaluate_and_keep_best", scripted)


def test_training_continues_while_it_improves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    improving(monkeypatch, times=2)
    job = extending(tmp_path, "run")
    progress = fit(job, resume=False, stop_requested=never)
    steps = Plan.of(job.train, job.config).steps_per_epoch
    assert (progress.rounds, progress.step) == (3, 3 * steps)
    assert texts_of(job) == ["the validation score still improves: 1 epoch more"] * 2
    events = read_events(job.log.path)
    assert [e["steps"] for e in events_of(events, "extended")] == [2 * steps, 3 * steps]
    rates = [e["learning_rate"] for e in events_of(events, "step")]
    assert max(rates[steps:]) == pytest.approx(LATER_PEAK * max(rates[:steps]))


@pytest.mark.usefixtures("slow")
def test_a_round_that_does_not_fit_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    improving(monkeypatch, times=9)
    job = job_with(tmp_path, "run", epochs=1, budget_minutes=0.4, extend=True)
    progress = fit(job, resume=False, stop_requested=never)
    assert progress.rounds == 1
    (text,) = texts_of(job)
    assert "1 epoch more would take about" in text


@pytest.mark.parametrize("stop_after", slow_except([3, 14, 24, 30], 14))
def test_a_resumed_run_is_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """Before, at and after the end of a round of 12 steps."""
    improving(monkeypatch, times=2)
    whole = extending(tmp_path, "whole")
    fit(whole, resume=False, stop_requested=never)
    calls = count(1)
    broken = extending(tmp_path, "broken")
    with pytest.raises(Interrupted):
        fit(broken, resume=False, stop_requested=lambda: next(calls) >= stop_after)
    again = job_for(prepared_run(tmp_path, **EXTENDING), broken.run)
    fit(again, resume=True, stop_requested=never)
    assert_close(weights_of(whole.model), weights_of(again.model), tolerance=0.0)


def test_the_record_has_all_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    improving(monkeypatch, times=1)
    content = settings(tmp_path, budget_minutes=600, extend=True, epochs=1)
    run = train_run(prepare(config_file.load(content)), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record.start["steps"] == run.steps == 2 * record.start["steps_per_epoch"]
    assert record.start["epochs"] == 2


@pytest.mark.parametrize(("epochs", "extend"), [("auto", True), (3, False)])
def test_only_epochs_that_nobody_set_are_extended(
    tmp_path: Path, epochs: object, *, extend: bool
) -> None:
    prepared = prepare(config_file.load(settings(tmp_path, epochs=epochs, budget_minutes=5)))
    assert prepared.train.extend is extend
    assert ("train.extend" in prepared.chosen) is True
    assert not prepare(config_file.load(settings(tmp_path, epochs=epochs))).train.extend


def test_extending_needs_a_budget(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load(settings(tmp_path, extend=True))
    assert caught.value.do == "--set train.budget_minutes=MINUTES; or --set train.extend=auto"


@pytest.mark.parametrize("minutes", [0, -1, "five"])
def test_a_budget_is_a_positive_number(tmp_path: Path, minutes: object) -> None:
    with pytest.raises(errors.ConfigError, match="budget_minutes"):
        config_file.load(settings(tmp_path, budget_minutes=minutes))


def test_later_rounds_rise_to_a_lower_peak() -> None:
    share_at = schedule_for(resolved(epochs=1, warmup_steps=2), 10)
    shares = [share_at(step) for step in range(30)]
    assert max(shares[10:20]) == LATER_PEAK
    assert shares[10:20] == shares[20:30] == pytest.approx([LATER_PEAK * s for s in shares[:10]])

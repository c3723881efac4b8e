"""Ctrl-C after training: it stops immediately, shows how to resume, and a resume completes it."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.quick import slow_except
from tests.runs_in_memory import settings, write_reviews, writing_settings
from warmstart import cli
from warmstart.api import Run
from warmstart.errors import Interrupted, RunError
from warmstart.evaluation import final_scoring
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training import keep, kept_model_scores, train_run
from warmstart.training.checkpoint import checkpoints
from warmstart.training.stop import SIGNALS, stop_on_signals, stops_at_once

Patch = Callable[[pytest.MonkeyPatch], None]

TIMES = {"time", "seconds", "train_seconds"}
"""Fields of events that differ between runs."""


@pytest.fixture(autouse=True)
def _quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report takes longer than a small training."""

    def report(run: Run) -> Path:
        (run.path / "figures").mkdir(exist_ok=True)
        (run.path / "README.md").touch()
        return RunDirectory(run.path).write_text("report.html", "")

    monkeypatch.setattr(Run, "report", report)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run with everything that can follow training."""
    folder = tmp_path_factory.mktemp("stopped")
    found = settings(
        folder, epochs=2, batch_size=16, choose_threshold=True, calibrate="temperature",
        early_stopping=1, average={"of": "last", "count": 2},
    )  # fmt: skip
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=30, seed=9))
    return found


@pytest.fixture(scope="module")
def whole(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run without interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "report", lambda run: run.path)
        path = tmp_path_factory.mktemp("whole") / "run"
        return warmstart.train(config, output=path, progress=False)


def stop_in(patch: pytest.MonkeyPatch, owner: Any, name: str, number: int = signal.SIGINT) -> None:
    """Ctrl-C when this function is called; the function then does its work anyway."""
    original = getattr(owner, name)

    def stopped(*arguments: Any, **named: Any) -> Any:
        signal.raise_signal(number)
        return original(*arguments, **named)

    patch.setattr(owner, name, stopped)


def contents(run: Run) -> dict[str, Any]:
    """The files of a run, without times; evaluations, samples and the task's facts."""
    names = ["evaluation/validation/scores.json", "evaluation/test/scores.json", "task.json"]
    names = [name for name in names if (run.path / name).exists()]
    events = [
        {key: value for key, value in event.items() if key not in TIMES}
        for event in read_events(run.path / "events.jsonl")
        if event["event"] != "resume"
    ]
    return {
        **{name: json.loads((run.path / name).read_text()) for name in names},
        "events": events,
        "weights": (run.path / "model" / "model.safetensors").read_bytes(),
    }


STAGES = {
    "keep_average": train_run,
    "with_final_scores": final_scoring,
    "with_chosen_scores": kept_model_scores,
    "fit_baselines": kept_model_scores,
    "write_evaluation": final_scoring,
}
"""The module that calls each function."""


@pytest.mark.parametrize("stage", slow_except(list(STAGES), "with_final_scores"))
def test_scoring_stops_at_once_and_is_completed_by_a_resume(
    stage: str, config: dict[str, Any], whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    number = SIGNALS[list(STAGES).index(stage) % 2]
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:  # noqa: PT012
        stop_in(patch, STAGES[stage], stage, number)
        warmstart.train(config, output=path, progress=False)
    assert caught.value.found == (f"stopped after training; the trained model is saved in {path}")
    assert caught.value.do == f"warmstart train {path} --resume"
    assert not events_of(read_events(path / "events.jsonl"), "finish")
    resumed = warmstart.resume(path, progress=False)
    assert contents(resumed) == contents(whole)
    assert not (path / "average").exists()


def test_samples_stop_at_once_and_are_completed_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = writing_settings(tmp_path, epochs=1), tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Interrupted):  # noqa: PT012
        stop_in(patch, kept_model_scores, "write_final_samples")
        warmstart.train(config, output=path, progress=False)
    assert not (path / "samples.json").exists()
    warmstart.resume(path, progress=False)
    assert len(json.loads((path / "samples.json").read_text())["samples"]) == 16


@pytest.mark.parametrize("stage", slow_except(["report", "export"], "report"))
def test_report_and_export_stop_at_once_and_are_completed_by_a_resume(
    stage: str, config: dict[str, Any], whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    exported: list[Path] = []

    def export(run: Run, **_: Any) -> None:
        exported.append(run.path)
        (run.path / "export").mkdir()

    monkeypatch.setattr(Run, "export", export)
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:  # noqa: PT012
        stop_in(patch, Run, stage)
        warmstart.train(config, ["export.onnx=true"], output=path, progress=False)
    assert not exported
    assert caught.value.do == f"warmstart train {path} --resume"
    before = contents(Run(path))
    resumed = warmstart.resume(path, progress=False)
    assert exported == [path]
    assert (path / "report.html").is_file()
    assert contents(resumed) == before == contents(whole)
    with pytest.raises(RunError, match="is finished"):
        warmstart.resume(path)


def test_a_stop_in_the_last_step_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes after the last step, so the loop itself has nothing to stop."""
    config = settings(tmp_path, epochs=1)
    stop_in(monkeypatch, keep, "evaluate_and_keep_best")
    with pytest.raises(Interrupted, match="stopped after training"):
        warmstart.train(config, output=tmp_path / "run", progress=False)


def test_the_command_ends_with_130_and_the_advice_works(
    config: dict[str, Any], whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copy(whole.path / "config.yaml", "config.yaml")
    with monkeypatch.context() as patch:
        stop_in(patch, kept_model_scores, "fit_baselines")
        assert cli.main(["train", "config.yaml", "--output", "run"]) == 130
    said = capsys.readouterr()
    assert not said.out
    advice = said.err.rpartition("try:")[2].split()
    assert advice == ["warmstart", "train", "run", "--resume"]
    assert cli.main(advice[1:]) == 0
    assert contents(Run(tmp_path / "run")) == contents(whole)


def test_within_the_block_both_signals_end_the_work_and_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    for number in SIGNALS:
        with (
            pytest.raises(ZeroDivisionError),
            stop_on_signals() as asked,
            stops_at_once(asked, ZeroDivisionError),
        ):
            signal.raise_signal(number)
        assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_earlier_stop_request_ends_the_block_before_it_begins() -> None:
    with pytest.raises(ZeroDivisionError), stops_at_once(lambda: True, ZeroDivisionError):
        pytest.fail("the block was entered")


def test_a_checkpoint_that_was_not_removed_is_gone_when_the_run_is_finished(
    config: dict[str, Any], tmp_path: Path
) -> None:
    """As after a full disk: the newest checkpoint was written, and the one before not removed."""
    path = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_in(patch, train_run, "score_kept_model")
        with pytest.raises(Interrupted):
            warmstart.train(config, output=path, progress=False)
    (newest,) = checkpoints(RunDirectory(path))
    shutil.copytree(newest, newest.with_name("step-00000000"))
    warmstart.resume(path, progress=False)
    assert checkpoints(RunDirectory(path)) == [newest]

"""Trials in processes of their own: the same results, and a process that dies loses nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import warmstart
from tests.runs_in_memory import settings, write_reviews
from warmstart import config_file
from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome
from warmstart.experiments.workers import cause, outcomes, places
from warmstart.runs.events import events_of, read_events

pytestmark = pytest.mark.slow


def small(folder: Path, **train: Any) -> dict[str, Any]:
    found = settings(folder, **{"epochs": 3, "learning_rate": 1e-2, **train})
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=9))
    return found


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One thread here and in the workers: otherwise sums are rounded differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def values(found: warmstart.Experiment) -> dict[str, Any]:
    return {trial["trial"]: trial["scores"] for trial in found.results["trials"]}


def test_two_workers_give_the_results_of_one(tmp_path: Path, one_thread: None) -> None:
    config = small(tmp_path)
    one = warmstart.repeat(config, seeds=3, output=tmp_path / "one", progress=False)
    two = warmstart.repeat(config, seeds=3, workers=2, output=tmp_path / "two", progress=False)
    assert values(one) == values(two)
    assert one.scores == two.scores


def test_a_killed_worker_is_replaced_and_its_trial_resumed(
    tmp_path: Path, one_thread: None
) -> None:
    config = small(tmp_path, epochs=8)
    whole = warmstart.repeat(config, seeds=2, output=tmp_path / "whole", progress=False)
    killed: list[int] = []

    def kill_one() -> None:
        log = tmp_path / "out" / "trials" / "seed-42" / "events.jsonl"
        until = time.monotonic() + 120
        while time.monotonic() < until and not killed:
            if log.exists() and events_of(read_events(log), "checkpoint"):
                workers = multiprocessing.active_children()
                assert len(workers) == 2
                for worker in workers:
                    assert worker.pid is not None
                    os.kill(worker.pid, signal.SIGKILL)
                    killed.append(worker.pid)
            time.sleep(0.02)

    thread = threading.Thread(target=kill_one)
    thread.start()
    found = warmstart.repeat(config, seeds=2, workers=2, output=tmp_path / "out", progress=False)
    thread.join()
    assert len(killed) == 2
    assert values(found) == values(whole)
    log = read_events(found.path / "trials" / "seed-42" / "events.jsonl")
    assert events_of(log, "resume")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_saves_the_trials_and_names_the_command_that_resumes(
    tmp_path: Path, workers: int
) -> None:
    config = small(tmp_path, epochs=60)
    path = tmp_path / "small.yaml"
    path.write_text(config_file.dump(config_file.load(config)), encoding="utf-8")
    command = ["repeat", str(path), "--seeds", "2", "--workers", str(workers), "-o", "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "warmstart", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = tmp_path / "out" / "trials" / "seed-42" / "events.jsonl"
    until = time.monotonic() + 120
    while not (log.exists() and events_of(read_events(log), "step")):
        assert time.monotonic() < until
        assert process.poll() is None, process.stderr
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"warmstart repeat {tmp_path / 'out'} --resume" in error
    assert "stopped after 0 of 2 trials" in error
    assert events_of(read_events(log), "interrupted")
    assert (log.parent / "checkpoint").is_dir()
    ended = ExperimentFolder.open(tmp_path / "out").outcomes()
    assert {outcome.status for outcome in ended.values()} == {"interrupted"}


SCRIPT = """
import sys, warmstart
from pathlib import Path

Path("imported.txt").open("a").write("x")
warmstart.repeat("small.yaml", seeds=2, workers=int(sys.argv[1]), output="out", progress=False)
"""


def test_a_script_that_starts_workers_without_a_guard_is_told_how(tmp_path: Path) -> None:
    config = config_file.dump(config_file.load(small(tmp_path, epochs=1)))
    (tmp_path / "small.yaml").write_text(config, encoding="utf-8")
    script = tmp_path / "script.py"

    def ran(text: str, *words: str) -> "subprocess.CompletedProcess[str]":
        script.write_text(text, encoding="utf-8")
        return subprocess.run(
            [sys.executable, str(script), *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    refused = ran(SCRIPT, "2")
    assert refused.returncode == 1
    assert "a worker process could not begin" in refused.stderr.splitlines()[-3]
    assert 'if __name__ == "__main__":' in refused.stderr.splitlines()[-2]
    assert "already contains" not in refused.stderr
    assert len((tmp_path / "imported.txt").read_text()) <= 4  # no process is tried again and again
    guarded = SCRIPT.replace(
        "warmstart.repeat(", 'if __name__ == "__main__":\n    warmstart.repeat('
    )
    again = ran(guarded.replace('"out"', '"guarded"'), "2")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "guarded" / "results.json").is_file()


def test_a_worker_gets_its_share_of_the_threads() -> None:
    count = torch.get_num_threads()
    assert {place["OMP_NUM_THREADS"] for place in places(1)} == {str(count)}
    assert {place["OMP_NUM_THREADS"] for place in places(64)} == {"1"}


def test_a_trial_whose_process_always_dies_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmstart.experiments.trials import Trial

    # A worker that cannot even start to read its trial: its settings are no mapping.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    trials = [Trial(tmp_path / f"trial-{number}", Deadly()) for number in range(2)]  # type: ignore[arg-type]
    found = list(outcomes(trials, 2, lambda: False))
    assert [outcome.status for outcome in found] == ["failed", "failed"]
    assert "its process died 3 times" in found[0].error


class Deadly:
    """Ends the process that reads it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_the_cause_of_an_error_is_one_line() -> None:
    three = Outcome("a", "failed", 1.0, "a.csv is missing\n  expected: a file\n  try:  look")
    bug = Outcome("a", "failed", 1.0, "Traceback (most recent call last):\n  …\nValueError: no")
    assert (cause(three), cause(bug)) == ("a.csv is missing", "ValueError: no")

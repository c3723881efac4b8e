"""A disk that is full while a run trains: what was saved stays, and the printed command works."""

import errno
import os
import re
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Warmstart
from tests.crash_driver import digest, left_over
from tests.runs_in_memory import settings
from warmstart import errors
from warmstart.run import Run
from warmstart.runs import model_folder, safe_files
from warmstart.runs.events import Event, EventLog

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_at(patch: pytest.MonkeyPatch, place: str) -> None:
    """The disk is full when a path that contains ``place`` is flushed."""
    original = safe_files.flush_to_disk

    def flush(path: Path) -> None:
        if place in path.as_posix():
            raise FULL
        original(path)

    for module in (safe_files, model_folder):
        patch.setattr(module, "flush_to_disk", flush)


def full_log(patch: pytest.MonkeyPatch, kind: str) -> None:
    """The disk is full when an event of this kind is written: half of its line is on the disk."""
    original = EventLog.write

    def write(log: EventLog, *events: Event) -> None:
        if events[0]["event"] != kind:
            original(log, *events)
            return
        with log.path.open("a", encoding="utf-8") as file:
            file.write('{"event": "')
        raise errors.run.cannot_write(log.path, FULL) from FULL

    patch.setattr(EventLog, "write", write)


BEFORE_IT_BEGAN = ("config.yaml", "task.json")

PLACES = {
    **dict.fromkeys(BEFORE_IT_BEGAN, full_at),
    "start": full_log,
    "run/.head_start": full_at,
    "run/.model": full_at,
    "average/.step": full_at,
    "step": full_log,
    "checkpoint/.step": full_at,
    "checkpoint": full_log,
    "evaluation": full_log,
    "average/.mean": full_at,
    "average": full_log,
    "validation/.predictions.parquet": full_at,
    "validation/.scores.json": full_at,
    "model/.manifest.json": full_at,
    "finish": full_log,
}
"""The places at which the disk is full, one after the other, in the order of a run."""


@pytest.mark.slow
def test_a_run_ends_as_if_the_disk_had_never_been_full(
    warmstart: Warmstart, quick_report: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train = {"epochs": 2, "batch_size": 16, "checkpoint_every_steps": 4}
    average = {"average": {"of": "last", "count": 2}}
    config = settings(tmp_path, head_start="linear-probe", **train, **average)
    Path("config.yaml").write_text(yaml.safe_dump(config))
    assert warmstart(*"train config.yaml --output whole".split()).code == 0
    again = "warmstart train config.yaml --output run"
    for place, full in PLACES.items():
        with monkeypatch.context() as patch:
            full(patch, place)
            failed = warmstart(*again.split()[1:])
        assert failed.code == 1, (place, failed.err)
        assert "error: cannot write run" in failed.err
        advice = "free some space, and repeat the command; everything saved earlier is intact"
        if place not in BEFORE_IT_BEGAN:
            again = "warmstart train run --resume"
            advice = advice.replace("repeat the command", f"resume the run: {again}")
        said = " ".join(failed.err.split())
        assert said.endswith(advice), (place, said)
    assert warmstart(*again.split()[1:]).code == 0
    assert digest(Path("run")) == digest(Path("whole"))
    assert not left_over(Path("run"))


def test_the_printed_command_resumes_the_run(
    warmstart: Warmstart, quick_report: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full in the first step, and once more when the finished model is exported."""
    monkeypatch.chdir(tmp_path)
    config = settings(tmp_path, epochs=1) | {"export": {"onnx": True}}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    with monkeypatch.context() as patch:
        full_log(patch, "step")
        failed = warmstart(*"train config.yaml --output run".split())
    exports = [Path.mkdir, full_export]
    monkeypatch.setattr(Run, "export", lambda run, **_: exports.pop()(run.path / "export"))
    for ends in (1, 0):
        assert failed.code == 1
        command = re.search(r"resume the run: warmstart (.*);", failed.err)
        assert command, failed.err
        failed = warmstart(*command[1].split())
        assert failed.code == ends, failed.err


def full_export(folder: Path) -> None:
    raise errors.run.cannot_write(folder, FULL) from FULL

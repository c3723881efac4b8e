"""What killed processes left is removed, while other processes write and remove as well."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from warmstart.runs.directory import RunDirectory
from warmstart.runs.safe_files import remove, settle, write_folder


def test_a_run_can_be_opened_while_another_process_replaces_its_files(tmp_path: Path) -> None:
    """Folders disappear between being listed and being read."""
    run = RunDirectory.create(tmp_path / "run")
    for name in ("config.yaml", "task.json"):
        run.write_text(name, "{}")
    ended = threading.Event()

    def train() -> None:
        with run.locked():
            while not ended.is_set():
                write_folder(run.entry("average"), lambda folder: (folder / "a").touch())
                remove(run.entry("average"))

    training = threading.Thread(target=train)
    training.start()
    try:
        for _ in range(1500):
            assert RunDirectory.open(run.path).is_run
    finally:
        ended.set()
        training.join()


@pytest.mark.parametrize("process", [0x7FFFFFFF, os.getpid()], ids=["killed", "running"])
@pytest.mark.parametrize("state", ["partial", "old"])
def test_what_another_process_has_just_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: int, state: str
) -> None:
    gone = tmp_path / f".scores.json.{process:08x}0a0b.{state}"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", lambda _folder: iter([gone]))
        settle(tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_processes_may_remove_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one removes a file after this one has listed it."""
    (tmp_path / "average").mkdir()
    (tmp_path / "average" / "model").touch()
    unlink, calls = os.unlink, []

    def slower(name: Any, **options: Any) -> None:
        unlink(name, **options)
        calls.append(name)
        if len(calls) == 1:
            raise FileNotFoundError(name)

    monkeypatch.setattr(os, "unlink", slower)
    remove(tmp_path / "average")
    assert not list(tmp_path.iterdir())

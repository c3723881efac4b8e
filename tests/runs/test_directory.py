"""The run directory: files are complete, other files are kept, and only one process uses it."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from warmstart.errors import RunError
from warmstart.runs.directory import ENTRIES, RunDirectory
from warmstart.runs.safe_files import write_atomically, write_folder


def started(path: Path) -> RunDirectory:
    """A directory in which a run was started."""
    run = RunDirectory.create(path)
    run.write_text("config.yaml", "task: text-classification\n")
    run.write_json("task.json", {})
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


NOBODY = 0x0A1B2C3D
"""The id of no process."""


class Crash(Exception):
    """An error that is not one of the operating system."""


def half_then(error: Exception | KeyboardInterrupt) -> Callable[[Path], None]:
    """A writer that fails in the middle."""

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    return write


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, lambda temporary: temporary.write_text("old"))
    assert path.read_text() == "old"
    seen: list[str] = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append(path.read_text())

    write_atomically(path, write)
    assert seen == ["old"]
    assert path.read_text() == "new"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [Crash(), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: Exception | KeyboardInterrupt
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    expected = RunError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_atomically(path, half_then(error))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]
    if isinstance(caught.value, RunError):
        assert str(path) in caught.value.found
        assert "free some space" in caught.value.do


def test_a_file_in_the_way_of_a_folder_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no folder")
    with pytest.raises(RunError, match="cannot write .*README.md/x.csv") as caught:
        write_atomically(tmp_path / "README.md" / "x.csv", lambda temporary: temporary.touch())
    assert "--output DIR" in caught.value.do


def test_a_new_run_takes_a_new_or_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "deep" / "new", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        run = RunDirectory.create(path)
        assert path.is_dir()
        assert not run.is_run
    # The lock of a process that was refused or crashed before it wrote is nothing to protect.
    RunDirectory.create(tmp_path / "empty")


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    with pytest.raises(RunError, match="already contains a run that is not finished") as caught:
        RunDirectory.create(run.path)
    assert caught.value.do.startswith(f"resume it: warmstart train {run.path} --resume; or")
    assert f"--output {run.path}-2" in caught.value.do
    assert "--overwrite" in caught.value.do
    assert run.entry("task.json").read_text() == "{}\n"


def test_a_finished_run_is_not_resumed_but_kept_or_replaced(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    for name in ("README.md", "report.html", "model/manifest.json", "figures/loss.svg"):
        run.entry(name).parent.mkdir(exist_ok=True)
        run.entry(name).write_text("{}")
    (tmp_path / "run-2").mkdir()  # the advice names a folder that does not exist
    with pytest.raises(RunError, match="already contains a finished run") as caught:
        RunDirectory.create(run.path)
    assert caught.value.do == (
        f"choose another folder: --output {run.path}-3; or replace it: --overwrite"
    )


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RunError, match="notes is a file") as caught:
        RunDirectory.create(tmp_path / "notes", overwrite=True)
    assert f"--output {tmp_path / 'notes'}-run" in caught.value.do
    assert (tmp_path / "notes").read_text() == "mine"


def test_overwrite_removes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    for name in ENTRIES:
        path = run.path / name
        if path.suffix:
            path.touch()
        elif name == "figures":  # a link is removed and not followed
            path.symlink_to(elsewhere)
        else:
            (path / "inside").mkdir(parents=True)
            (path / "inside" / "file").touch()
    for left in (".model.0a1b2c3d.partial", ".export.0a1b2c3d.old"):  # by a killed process
        (run.path / left).mkdir()
    (run.path / ".events.jsonl.0a1b2c3d.partial").touch()
    (run.path / ".export.previous").mkdir()
    (run.path / "notes.txt").write_text("mine")
    (run.path / "mine").mkdir()
    new = RunDirectory.create(run.path, overwrite=True)
    assert set(names(run.path)) - {".lock"} == {"mine", "notes.txt", ".previous"}
    assert set(names(run.path / ".previous")) == set(ENTRIES)
    new.complete()
    assert set(names(run.path)) - {".lock"} == {"mine", "notes.txt"}
    assert (elsewhere / "precious").exists()


def killed_at(number: int, work: Callable[[], object], patch: pytest.MonkeyPatch) -> bool:
    """Do the work, but stop at the n-th renaming or removal; whether it was stopped."""
    left = iter(range(number))

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise Crash
            return original(*arguments, **named)

        return call

    with patch.context() as changed:
        changed.setattr(os, "getpid", lambda: NOBODY)  # the process ends
        for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "rmdir"), (os, "unlink")):
            changed.setattr(owner, name, counted(getattr(owner, name)))
        try:
            work()
        except Crash:
            return True
    return False


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_an_earlier_run_is_there_until_the_new_one_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """Killed at each (or each third) renaming, also while the earlier run is put back."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands, and here the machine stays on
    number, again = 0, 0
    while True:
        run = started(tmp_path / f"run-{number}-{again}")
        run.write_text("evaluation/test/scores.json", "{}")
        run.write_text("model/model.safetensors", "weights")
        (run.path / "notes.txt").write_text("mine")
        replaced = lambda path=run.path: RunDirectory.create(path, overwrite=True)  # noqa: E731
        stopped = killed_at(number, replaced, monkeypatch)
        stopped_again = killed_at(again, lambda path=run.path: RunDirectory.open(path), monkeypatch)
        assert (RunDirectory.open(run.path).model / "model.safetensors").read_text() == "weights"
        assert not {".previous", ".previous.partial"} & set(names(run.path))
        if stopped_again:
            again += every
        elif stopped:
            number, again = number + every, 0
        else:
            break
    assert number > 4


def test_the_earlier_run_is_kept_while_its_replacement_is_replaced(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    run.write_text("README.md", "first")
    for _ in range(2):
        RunDirectory.create(run.path, overwrite=True)
        run.write_text("config.yaml", "task: text-classification\n")
        run.write_json("task.json", {})
    assert (run.path / ".previous" / "README.md").read_text() == "first"
    assert not RunDirectory.open(run.path).entry("README.md").exists()


def test_a_run_that_was_stopped_before_it_began_is_not_in_the_way(tmp_path: Path) -> None:
    for number, overwrite in enumerate((False, True)):
        run = RunDirectory.create(tmp_path / f"{number}")
        run.write_text("config.yaml", "task: text-classification\n")
        (run.path / ".data.json.0a1b2c3d.partial").touch()
        with pytest.raises(RunError, match="was stopped before its first step") as caught:
            RunDirectory.open(run.path)
        assert "start it again with the same command" in caught.value.do
        RunDirectory.create(run.path, overwrite=overwrite)
        assert names(run.path) == [".lock"]


def test_a_run_that_lost_its_settings_is_not_taken_for_one_that_never_began(
    tmp_path: Path,
) -> None:
    run = started(tmp_path / "run")
    run.write_text("model/model.safetensors", "weights")
    with run.locked():
        run.entry("config.yaml").unlink()
    with pytest.raises(RunError, match="contains no run"):
        RunDirectory.open(run.path)
    for overwrite in (False, True):
        with pytest.raises(RunError):
            RunDirectory.create(run.path, overwrite=overwrite)
    assert (run.model / "model.safetensors").read_text() == "weights"


def test_an_export_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path / "run")
    number, stopped = 0, True
    write_folder(run.entry("export"), lambda folder: (folder / "old").touch())
    while stopped:
        export = partial(write_folder, run.entry("export"), lambda folder: (folder / "new").touch())
        stopped = killed_at(number, export, monkeypatch)
        found = RunDirectory.open(run.path)
        assert names(found.entry("export")) in (["old"], ["new"])
        found.settle()
        assert set(names(run.path)) == {".lock", "config.yaml", "export", "task.json"}
        number += 1
    assert number > 2


def test_no_run_writes_what_overwrite_would_leave_behind(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run")
    with pytest.raises(ValueError, match="thoughts.json is not among the ENTRIES"):
        run.write_json("thoughts.json", {})
    assert run.entry("evaluation/test/scores.json") == run.evaluation("test") / "scores.json"


def test_overwrite_never_empties_a_folder_that_is_no_run(tmp_path: Path) -> None:
    """A user's own project may also have a README.md and a model/."""
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "model").mkdir()
    with pytest.raises(RunError, match="README.md, model, but no run") as caught:
        RunDirectory.create(tmp_path, overwrite=True)
    assert f"--output {tmp_path}/run" in caught.value.do
    assert names(tmp_path) == ["README.md", "model"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere does not exist") as caught:
        RunDirectory.open(tmp_path / "nowhere")
    assert "warmstart demo" in caught.value.do
    with pytest.raises(RunError, match="contains no run"):
        RunDirectory.open(tmp_path)
    run = started(tmp_path / "run")
    assert RunDirectory.open(run.path) == run


HOLD = """
import sys
from functools import partial
from pathlib import Path
from typing import Any
from warmstart.runs.directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for attempt in (
            run.locked().__enter__,
            lambda: RunDirectory.create(run.path, overwrite=True),
        ):
            with pytest.raises(RunError, match="another process is using") as caught:
                attempt()
            assert f"--output {run.path}-2" in caught.value.do
        assert run.is_run, "a refused --overwrite must not have removed anything"
        holder.kill()
    with run.locked():
        pass


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    with pytest.raises(Crash), run.locked():
        raise Crash
    with run.locked():
        pass


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    content = {"标签": [1, 2.5, None], "nested": {"a": "é"}}
    path = run.write_json("evaluation/test/other.json", content)
    assert path == run.evaluation("test") / "other.json"
    assert run.read_json("evaluation/test/other.json") == content
    assert "标签" in path.read_text(encoding="utf-8")


def test_a_number_that_json_lacks_is_refused_and_not_written(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("scores.json", {"loss": float("nan")})
    assert names(tmp_path) == [".lock"]


@pytest.mark.parametrize("content", [None, b'{"cut": [1, 2', b"\xff\xfe\x00", b""])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    run = RunDirectory.create(tmp_path)
    if content is not None:
        (tmp_path / "data.json").write_bytes(content)
    with pytest.raises(RunError, match="cannot read .*data.json") as caught:
        run.read_json("data.json")
    assert "train again from the run's config.yaml" in caught.value.do


def test_what_a_killed_command_left_is_removed_when_the_run_is_opened(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run")
    for name in ("config.yaml", "task.json"):
        run.write_text(name, "{}")
    places = [run.entry("report.html"), run.entry("figures") / "a.png"]
    places.append(run.evaluation("file-1") / "scores.json")
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        for process in (0x7FFFFFFF, os.getpid()):  # the first one does not exist
            place.with_name(f".{place.name}.{process:08x}0a0b.partial").touch()
    RunDirectory.open(run.path)
    left = list(run.path.rglob(".*.partial"))
    assert sorted(path.parent for path in left) == sorted(place.parent for place in places)
    assert all(f".{os.getpid():08x}" in path.name for path in left)

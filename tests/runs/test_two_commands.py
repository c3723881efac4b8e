"""Two commands on one run at the same time: see the table in docs/design.md."""

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.runs_in_memory import prepared_run, write_reviews
from warmstart import api
from warmstart.errors import RunError
from warmstart.report import html
from warmstart.runs import safe_files
from warmstart.runs.directory import RunDirectory
from warmstart.runs.safe_files import read_replaceable, temporary_path, write_atomically
from warmstart.serving import file_evaluation
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    folder: Path = tmp_path_factory.mktemp("two")
    write_reviews(folder / "test.csv", rows=20, seed=3)
    return train_run(prepared_run(folder, epochs=1, batch_size=32), folder / "run").directory.path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(finished, tmp_path / "run")))


def files(run: RunDirectory) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_training_and_export_are_refused_while_one_of_them_works(run: RunDirectory) -> None:
    config = run.read_config()
    before = files(run)
    for command in (
        partial(api.train, config, output=run.path, overwrite=True, progress=False),
        partial(api.train, config, output=run.path, progress=False),
        api.load(run.path).export,
    ):
        with run.locked(), pytest.raises(RunError, match="another process is using") as caught:
            command()
        assert caught.value.do.startswith("wait until it has ended")
        assert f"--output {run.path}-2" in caught.value.do
        assert files(run) == before


def test_reading_commands_work_while_another_process_uses_the_run(
    run: RunDirectory, finished: Path
) -> None:
    with run.locked():
        opened = api.load(run.path)
        assert opened.predict(["so nice"])
        assert opened.evaluate(str(finished.parent / "test.csv"))
        assert api.info(run.path).labels == ("bad", "good")


def replace_run(run: RunDirectory) -> None:
    """What ``--overwrite`` does in another process, up to its first event."""
    RunDirectory.create(run.path, overwrite=True)
    for name in ("config.yaml", "task.json", "data.json", "environment.json"):
        shutil.copy(run.path / ".previous" / name, run.path / name)
    run.entry("events.jsonl").write_text('{"event": "start", "time": 1}\n')


def interposed(patch: pytest.MonkeyPatch, owner: Any, name: str, run: RunDirectory) -> None:
    """Replace the run just before this function is called."""
    original = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        patch.undo()
        replace_run(run)
        return original(*arguments, **named)

    patch.setattr(owner, name, changed)


EVALUATE = ("evaluate", file_evaluation, "folder_name")
PREDICT = ("predict", RunDirectory, "read_json")
REPORT = ("report", html, "gather")


@pytest.mark.parametrize(("command", "owner", "name"), [EVALUATE, PREDICT, REPORT])
def test_a_run_that_is_replaced_meanwhile_is_not_mixed_with_the_new_one(
    command: str, owner: Any, name: str, run: RunDirectory, finished: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    opened = api.load(run.path)
    use: dict[str, Callable[[], object]] = {
        "evaluate": lambda: opened.evaluate(str(finished.parent / "test.csv")),
        "predict": lambda: opened.predict(["nice"]),
        "report": opened.report,
    }
    interposed(monkeypatch, owner, name, run)
    with pytest.raises(RunError, match="was replaced by another one in the meantime") as caught:
        use[command]()
    assert caught.value.do.startswith("repeat the command")
    assert not run.entry("evaluation").exists(), "scores of the earlier run"


def test_a_model_that_was_opened_before_the_run_was_replaced_scores_nothing(
    run: RunDirectory, finished: Path
) -> None:
    opened = api.load(run.path)
    before = opened.predict(["so nice"])
    replace_run(run)
    assert opened.predict(["so nice"]) == before
    with pytest.raises(RunError, match="was replaced"):
        opened.evaluate(str(finished.parent / "test.csv"))
    assert not run.entry("evaluation").exists()


def test_a_folder_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    folder, seen = tmp_path / "export", []

    def version(text: str) -> None:
        safe_files.write_folder(folder, lambda new: (new / "file").write_text(text))

    def read() -> str:
        first = (folder / "file").read_text()
        if not seen:
            seen.append(first)
            version("new")
        return first + (folder / "file").read_text()

    version("old")
    assert read_replaceable(folder, read) == "newnew"
    # Between the two renames of a replacement, the folder is missing.
    folder.rename(safe_files.previous(folder))
    back = threading.Timer(0.05, lambda: safe_files.previous(folder).rename(folder))
    back.start()

    def strictly() -> str:
        if not folder.exists():
            raise RunError("missing", "there", "wait")
        return read()

    assert read_replaceable(folder, strictly) == "newnew"
    back.join()


def test_what_another_process_writes_now_is_kept_and_what_a_killed_one_left_is_removed(
    run: RunDirectory,
) -> None:
    target = run.evaluation("validation") / "scores.json"
    text = target.read_text()
    written = temporary_path(target, "partial")  # by this process, which still runs
    left = target.with_name(f".{target.name}.0a1b2c3d.partial")
    earlier = temporary_path(target, "partial")  # by an earlier process with the same id
    for place in (written, left, earlier):
        place.write_text("half")
    os.utime(earlier, (1, 1))
    write_atomically(target, lambda temporary: temporary.write_text(text))
    assert [place.exists() for place in (written, left, earlier)] == [True, False, False]
    left.touch()
    with run.locked():
        run.settle()
    assert [place.exists() for place in (written, left)] == [True, False]

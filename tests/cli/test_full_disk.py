"""A full disk: one message, nothing lost, nothing half-written; the same command works later.

The limit of the size of a file stands for the disk, so that the files of every library are cut,
also those written in Rust and C++.
"""

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart
from tests.crash_driver import left_over
from tests.limits import file_size


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the log of events and locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("events.jsonl", ".lock")
    }


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("evaluate run --data test.csv", 1_500),
        ("predict run --data test.csv --output p.csv", 1_500),
        ("predict run --data test.csv --output p.jsonl", 1_500),
        ("predict run --data test.csv --output p.parquet", 1_500),
        pytest.param("report run", 20_000, marks=pytest.mark.slow),
        pytest.param("report run", 1_500, marks=pytest.mark.slow),
        pytest.param("export run", 3_000, marks=pytest.mark.slow),
        pytest.param("export run", 60_000, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_loses_nothing(
    words: str,
    size: int,
    trained: Trained,
    warmstart: Warmstart,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(trained.path, "run"))
    shutil.copy(trained.folder / "test.csv", "test.csv")
    if words.startswith("export"):  # the old export stays, too
        assert warmstart(*words.split()).code == 0
    before = contents(tmp_path)
    with file_size(size):
        failed = warmstart(*words.split())
    assert failed.code == 1, failed.err
    assert "error: cannot write " in failed.err
    assert "free some space, and repeat the command" in failed.err
    after = contents(tmp_path)
    assert {name: after.get(name) for name in before} == before
    assert not left_over(run)
    assert not [path for path in tmp_path.iterdir() if path.name not in ("run", "test.csv")]
    again = warmstart(*words.split())
    assert again.code == 0, again.err


def test_a_full_temporary_folder_is_named(trained: Trained, warmstart: Warmstart) -> None:
    with file_size(50):
        failed = warmstart("predict", str(trained.path), "--text", "nice")
    assert failed.code == 1, failed.err
    assert "error: cannot write to the temporary folder: File too large" in failed.err
    assert "TMPDIR" in failed.err

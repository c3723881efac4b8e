"""Run the command line in this process: exit code, stdout and stderr."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.runs_in_memory import write_reviews
from tests.tiny import tiny_checkpoint
from warmstart import cli
from warmstart.api import Run
from warmstart.runs.directory import RunDirectory


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    code: int
    out: str
    err: str


Warmstart = Callable[..., Ran]

TERMINAL = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Terminal variables that rich reads and that a test sets itself."""


def ran(*words: str) -> Ran:
    """Run a command with the words after ``warmstart``, outside of any test's own capture."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(list(words))
    return Ran(code, out.getvalue(), err.getvalue())


def own_process(*words: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Run ``python -m warmstart`` with these words in a separate process.

    Args:
        words: words of the command.
        cwd: the working directory.
        environment: variables in addition to those of the tests.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "warmstart", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TERMINAL:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def warmstart(capsys: pytest.CaptureFixture[str]) -> Warmstart:
    """``warmstart("train", "cola")``."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        code = cli.main(list(words))
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty report for tests that do not read it: drawing it takes longer than a training."""

    def report(run: Run) -> Path:
        return RunDirectory(run.path).write_text("report.html", "")

    monkeypatch.setattr(Run, "report", report)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that can be trained in a moment."""
    return tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@dataclass(frozen=True)
class Trained:
    """A finished run of one epoch, the output of its training, and its working directory."""

    path: Path
    ran: Ran
    folder: Path


@pytest.fixture(scope="session")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained once, with flags and ``--json``; tests may only add evaluations to it."""
    folder = tmp_path_factory.mktemp("trained")
    write_reviews(folder / "reviews.csv", rows=80)
    write_reviews(folder / "test.csv", rows=20, seed=5)
    flags = "--train reviews.csv --text text --label label --validation 0.2 --test test.csv"
    settings = (
        "train.epochs=1", "train.batch_size=8", "train.device=cpu",
        "train.learning_rate=3e-5", "train.head_start=random",
    )  # fmt: skip
    sets = [word for setting in settings for word in ("--set", setting)]
    with chdir(folder):
        train = ran(
            "train", *flags.split(), "--model", str(tiny), "--output", "run", "--json", *sets
        )
    return Trained(folder / "run", train, folder)

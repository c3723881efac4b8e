"""Two signals in a row, and a process that is paused: no run is lost."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.cli.conftest import Trained, own_process

TRAIN = ("--output", "run", "--set", "train.epochs=3", "--set", "train.batch_size=8", "--json")
PAUSE = 0.5
"""Seconds between the two signals that pause a process and let it continue."""


def trained_in(folder: Path, words: Sequence[str], signals: Sequence[signal.Signals] = ()) -> int:
    """Train in a separate process that gets signals after its third step; the exit code."""
    process = own_process("train", *words, cwd=folder)
    events = folder / "run" / "events.jsonl"
    while signals and not (events.exists() and '"step": 2' in events.read_text("utf-8")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
        time.sleep(PAUSE if number == signal.SIGSTOP else 0)
    process.communicate(timeout=300)
    return process.returncode


@pytest.fixture(scope="module")
def words(tiny: Path, trained: Trained) -> tuple[str, ...]:
    return ("--model", str(tiny), "--train", str(trained.folder / "reviews.csv"), *TRAIN)


@pytest.fixture(scope="module")
def whole(words: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the run that no signal disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert trained_in(folder, words) == 0
    return folder / "run" / "model" / "model.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGTERM),
        (signal.SIGSTOP, signal.SIGCONT),
    ],
    ids=lambda signals: " ".join(one.name for one in signals),
)
def test_the_run_ends_with_the_same_weights(
    words: tuple[str, ...], whole: Path, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    code = trained_in(tmp_path, words, signals)
    if signal.SIGSTOP in signals:
        assert code == 0
    else:
        # 130 if both arrived before the process reacted; otherwise the second ended it at once.
        assert code in (130, -signals[-1])
        assert trained_in(tmp_path, ("run", "--resume")) == 0
    expected = load_file(whole)
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert all(weight.equal(found[name]) for name, weight in expected.items())

"""Environment variables of a launcher: used, or refused with a message that says what to unset."""

import sys
from pathlib import Path

import pytest

from tests.launched import ended, start
from warmstart import cli
from warmstart.config import TrainConfig
from warmstart.devices.device import build_accelerator
from warmstart.devices.processes import started
from warmstart.errors import RunError


@pytest.mark.parametrize(
    "given",
    [
        {"RANK": "0", "WORLD_SIZE": "x"},
        {"RANK": "0", "WORLD_SIZE": ""},
        {"RANK": "0", "WORLD_SIZE": "0"},
        {"RANK": "0", "WORLD_SIZE": "1.5"},
        {"RANK": "0", "WORLD_SIZE": "9" * 30},
        {"RANK": "0", "WORLD_SIZE": "²"},
        {"RANK": "", "WORLD_SIZE": "2"},
        {"RANK": "-1", "WORLD_SIZE": "2"},
        {"RANK": "2", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "x"},
        {"RANK": "0"},
        {"LOCAL_RANK": "-1"},
        {"LOCAL_RANK": "0"},
        {"LOCAL_RANK": ""},
        {"OMPI_COMM_WORLD_SIZE": "2"},
        {"PMI_SIZE": "x"},
    ],
)
def test_variables_that_describe_no_process_are_named(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    assert cli.main(["recipes"]) == 1
    error = capsys.readouterr().err
    assert "error: the environment has " in error
    assert all(f"{name}={text}" in error for name, text in given.items())
    assert f"unset {' '.join(given)};" in error
    for name in given:  # the advice
        monkeypatch.delenv(name)
    assert cli.main(["recipes"]) == 0


def test_one_process_of_a_launcher_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert started() == 1
    assert build_accelerator(TrainConfig(device="cpu")).device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "x"),
        ("ACCELERATE_DYNAMO_BACKEND", "x"),
        ("ACCELERATE_CPU_AFFINITY", "x"),
        ("FORK_LAUNCHED", "x"),
    ],
)
def test_variables_that_accelerate_cannot_use_are_named(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, text)
    with pytest.raises(RunError, match="Accelerate cannot start with the environment") as caught:
        build_accelerator(TrainConfig(device="cpu"))
    assert name in caught.value.found
    assert name in caught.value.do
    monkeypatch.delenv(name)  # the advice
    assert build_accelerator(TrainConfig(device="cpu")).device.type == "cpu"


GLOO_THREADS = """
from pathlib import Path
from warmstart.devices.processes import join, leave

def count():
    return sum("gloo" in path.read_text() for path in Path("/proc/self/task").glob("*/comm"))

processes = join()
import torch._dynamo  # as Transformers does, after the process has joined
processes.gather(None)
before = count()
leave()
print(before > 0, count())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of threads from /proc")
def test_no_thread_of_the_group_is_left_after_leaving_it(tmp_path: Path) -> None:
    """A thread that still holds a tensor when Python ends aborts the process."""
    for process in ended(start("-c", GLOO_THREADS, cwd=tmp_path)):
        assert process.out.split() == ["True", "0"], process.err

"""No function changes the global generators of PyTorch, numpy and Python: they are the user's."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rich.style  # noqa: F401  # its import takes a number from Python's global generator
import torch

import warmstart
from tests.quick import slow_except
from tests.runs_in_memory import filling_settings, settings, writing_settings
from warmstart.api import Run
from warmstart.errors import Interrupted
from warmstart.training.train_run import train_run

Settings = Callable[..., dict[str, Any]]


@contextmanager
def unmoved() -> Iterator[None]:
    """Fail if the block uses a global generator or seeds one."""
    before = torch.get_rng_state(), pickle.dumps(np.random.get_state()), random.getstate()
    yield
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == pickle.dumps(np.random.get_state())
    assert before[2] == random.getstate()


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1234)
    torch.rand(3)
    monkeypatch.setattr(Run, "report", lambda run: run.path)


def with_dropout(folder: Path, **train: Any) -> dict[str, Any]:
    return settings(folder, dropout=0.1, **train)


@pytest.mark.parametrize(
    "made",
    slow_except([with_dropout, writing_settings, filling_settings], with_dropout, writing_settings),
)
def test_train_and_what_follows_leave_the_generators_alone(made: Settings, tmp_path: Path) -> None:
    config = made(tmp_path, epochs=1)
    data = config["data"]["train"]
    with unmoved():
        run = warmstart.train(config, output=tmp_path / "run", progress=False)
    with unmoved():
        run.evaluate(data)
    with unmoved():
        if config.get("task") == "text-generation":
            run.generate(["the cat"], temperature=1.0)
            run.novelty(["the cat"])
        else:
            run.predict(["the [MASK] cat"])


def test_new_weights_and_adapters_leave_the_generators_alone(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=1, lora={"rank": 2, "dropout": 0.1})
    with unmoved():
        warmstart.train(config, output=tmp_path / "adapters", progress=False)
    del config["model"], config["train"]["lora"]
    config["pretrain"] = {"architecture": "bert", "layers": 1, "hidden": 32, "heads": 2,
                          "vocabulary": 100, "context": 24}  # fmt: skip
    with unmoved():
        warmstart.pretrain(config, output=tmp_path / "new", progress=False)


def test_a_run_that_is_stopped_leaves_the_generators_alone(tmp_path: Path) -> None:
    prepared = warmstart.check(with_dropout(tmp_path, epochs=1))

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "evaluation":
            raise Interrupted("stopped", "nothing", "nothing")

    with unmoved(), pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "run", listeners=[stop])

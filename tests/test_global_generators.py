"""No function changes the global generators of PyTorch, numpy and Python: they are the user's."""

import pickle
import random
from collections.abc import Callable
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


def states() -> tuple[bytes, bytes, bytes]:
    """The states of PyTorch's, numpy's and Python's global generators."""
    found = torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()
    return pickle.dumps(found[0]), pickle.dumps(found[1]), pickle.dumps(found[2])


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
    before = states()
    run = warmstart.train(config, output=tmp_path / "run", progress=False)
    assert states() == before
    run.evaluate(data)
    assert states() == before
    if config.get("task") == "text-generation":
        run.generate(["the cat"], temperature=1.0)
        run.novelty(["the cat"])
    else:
        run.predict(["the [MASK] cat"])
    assert states() == before


def test_new_weights_and_adapters_leave_the_generators_alone(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=1, lora={"rank": 2, "dropout": 0.1})
    before = states()
    warmstart.train(config, output=tmp_path / "adapters", progress=False)
    assert states() == before
    del config["model"], config["train"]["lora"]
    config["pretrain"] = {"architecture": "bert", "layers": 1, "hidden": 32, "heads": 2,
                          "vocabulary": 100, "context": 24}  # fmt: skip
    warmstart.pretrain(config, output=tmp_path / "new", progress=False)
    assert states() == before


def test_a_run_that_is_stopped_leaves_the_generators_alone(tmp_path: Path) -> None:
    prepared = warmstart.check(with_dropout(tmp_path, epochs=1))

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "evaluation":
            raise Interrupted("stopped", "nothing", "nothing")

    before = states()
    with pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "run", listeners=[stop])
    assert states() == before

"""A workload small enough for a test: made-up sentences, a checkpoint with random weights."""

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import materials, training, workloads
from benchmarks.corpora import Rows
from benchmarks.engines import TRAINING
from benchmarks.materials import Material
from benchmarks.workloads import Steps, Workload
from tests.runs_in_memory import BAD, GOOD, OTHER
from tests.tiny import tiny_checkpoint


@pytest.fixture(autouse=True)
def _peers_may_warn() -> Iterator[None]:
    """Warnings of a peer are not errors of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sentences(_: Path | None = None, *, pairs: bool = False) -> Rows:
    """200 rows of 3 to 16 words; one word decides the label."""
    pick = random.Random(0)
    labels = [int(pick.random() < 0.6) for _ in range(200)]
    texts = [
        " ".join([*pick.choices(OTHER, k=pick.randint(2, 15)), pick.choice((BAD, GOOD)[label])])
        for label in labels
    ]
    return Rows(texts, labels, list(reversed(texts)) if pairs else None)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """Every engine except SetFit, which is not a dependency, on a model with one layer."""
    return Workload(
        "tiny",
        sentences,
        str(tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint", layers=1)),
        engines=tuple(name for name in TRAINING if name != "setfit"),
        max_tokens=48,
        batch_size=8,
        epochs=2,
        steps=Steps(1, 4),
        fixed_steps=Steps(1, 2),
        targets={"transformers-trainer": 0.0, "tutorial-loop-64": 1e9},
        share_target=0.0,
    )


@pytest.fixture(scope="session")
def material(tiny: Workload, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The tiny workload, ready to be measured."""
    return materials.make(tiny, Path(), tmp_path_factory.mktemp("material"), None)


@pytest.fixture
def suite(tiny: Workload, monkeypatch: pytest.MonkeyPatch) -> dict[str, Workload]:
    """The suite has only the tiny workload, and measures in this process: no imports."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    known = {tiny.name: tiny}
    monkeypatch.setattr(training, "own_process", call)
    monkeypatch.setattr(training, "WORKLOADS", known)
    monkeypatch.setattr(training, "QUICK_WORKLOAD", tiny.name)
    monkeypatch.setattr(training.limit, "probe", lambda: training.Rates(1e11, 1e10))
    monkeypatch.setattr(workloads, "WORKLOADS", known)
    return known

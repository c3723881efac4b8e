"""One seed for everything that is random, or one for each use."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runs_in_memory import job_of, never, prepared_run, settings
from warmstart import config_file
from warmstart.config import SEEDS
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import prepare
from warmstart.runs.events import events_of, read_events
from warmstart.training.job import Job
from warmstart.training.loop import fit
from warmstart.training.second_try import with_next_seed


def job(folder: Path, name: str, **train: int) -> Job:
    return job_of(prepared_run(folder, epochs=1, **train), folder / name)


def order(found: Job) -> np.ndarray:
    windows = Plan.of(found.train, found.config).epoch_windows(0)
    return np.concatenate([batch for window in windows for batch in window])


def losses(found: Job) -> list[float]:
    fit(found, resume=False, stop_requested=never)
    return [event["loss"] for event in events_of(read_events(found.log.path), "step")]


@pytest.mark.parametrize("use", ["initialization", "order", "dropout"])
def test_each_use_has_its_own_seed(tmp_path: Path, use: str) -> None:
    base = job(tmp_path, "base", seed=1)
    other = job(tmp_path, "other", seed=1, **{f"{use}_seed": 2})
    heads = [found.model.get_parameter("classifier.weight") for found in (base, other)]
    assert torch.equal(*heads) == (use != "initialization")
    assert np.array_equal(order(base), order(other)) == (use != "order")
    assert losses(base) != losses(other)


def test_a_seed_for_each_use_is_the_same_as_one_for_all(tmp_path: Path) -> None:
    three = {f"{use}_seed": 5 for use in ("initialization", "order", "dropout")}
    one, apart = job(tmp_path, "one", seed=5), job(tmp_path, "apart", seed=1, **three)
    assert losses(one) == losses(apart)


def test_a_second_try_changes_every_seed(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, seed=5, order_seed=7)
    train = with_next_seed(prepared).train
    assert [getattr(train, name) for name in SEEDS] == [6, None, 8, None]


def test_a_run_whose_seed_was_set_is_not_repeated(tmp_path: Path) -> None:
    config = settings(tmp_path, dropout_seed=3)
    del config["train"]["retry"]
    assert not prepare(config_file.load(config)).train.retry
    del config["train"]["dropout_seed"]
    assert prepare(config_file.load(config)).train.retry

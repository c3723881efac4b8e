"""Finished and exported runs; tests change copies of them."""

from pathlib import Path

import pytest

from tests.runs_in_memory import settings, write_reviews, writing_settings
from tests.tiny.decoders import tiny_gpt2
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.preparation.prepare import prepare
from warmstart.training.train_run import train_run


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on reviews, with a test split in which some rows are truncated."""
    folder: Path = tmp_path_factory.mktemp("exported")
    config = settings(folder, epochs=1)
    config["model"]["max_tokens"] = 12
    config["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=3))
    train_run(prepare(config_file.load(config)), folder / "run")
    run = api.load(folder / "run")
    run.export(int8=True, max_drop=1)
    return run


@pytest.fixture(scope="session")
def writes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An exported text-generation run with a limit of 128 tokens."""
    folder: Path = tmp_path_factory.mktemp("writes")
    tiny_gpt2(folder / "decoder", max_positions=128)
    config = writing_settings(folder, epochs=1)
    train_run(prepare(config_file.load(config)), folder / "run")
    run = api.load(folder / "run")
    run.export()
    return run

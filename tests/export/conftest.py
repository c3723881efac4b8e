"""A finished run, exported with int8, of which tests change copies."""

from pathlib import Path

import pytest

from tests.runs_in_memory import settings, write_reviews
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.training.prepare import prepare
from warmstart.training.run import train_run


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on reviews, with a test split of which some rows are cut."""
    folder: Path = tmp_path_factory.mktemp("exported")
    config = settings(folder, epochs=1)
    config["model"]["max_tokens"] = 12
    config["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=3))
    train_run(prepare(config_file.load(config)), folder / "run")
    run = api.load(folder / "run")
    run.export(int8=True, max_drop=1)
    return run

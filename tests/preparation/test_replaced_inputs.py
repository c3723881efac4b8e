"""No run replaces its inputs: the checkpoint, and the files of every split."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.runs_in_memory import settings, write_reviews
from warmstart import config_file
from warmstart.errors import RunError
from warmstart.preparation.prepare import prepare
from warmstart.preparation.replaced_inputs import refuse_replaced_inputs
from warmstart.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A directory like that of a finished run; its model is the tiny checkpoint."""
    config = settings(tmp_path)
    directory = RunDirectory.create(tmp_path / "run")
    directory.write_text("config.yaml", config_file.dump(config_file.load(config)))
    directory.write_json("task.json", {})
    shutil.copytree(tmp_path / "checkpoint", directory.model)
    directory.entry("evaluation").mkdir()
    write_reviews(directory.entry("evaluation") / "rows.csv", rows=40)
    return directory


def refused(config: dict[str, Any], run: RunDirectory) -> RunError:
    prepared = prepare(config_file.load(config))
    with pytest.raises(RunError, match="--overwrite would empty") as caught:
        refuse_replaced_inputs(prepared, run)
    return caught.value


@pytest.mark.parametrize("name", ["run", "run/model", "link", "run/../run"])
def test_the_model_of_the_replaced_run_is_no_start(
    name: str, run: RunDirectory, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(run.path)
    config = {**settings(tmp_path), "model": {"name": str(tmp_path / name)}}
    error = refused(config, run)
    assert error.found.startswith(f"model.name: {tmp_path / name} is in {run.path}")
    assert error.do == f"choose another folder: --output {run.path}-2"
    with pytest.raises(RunError, match="--overwrite would empty"):
        warmstart.train(config, output=run.path, overwrite=True, progress=False)
    assert (run.model / "model.safetensors").exists()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("place", ["evaluation/rows.csv", "evaluation/rows.zip"])
def test_no_data_file_lies_in_the_replaced_run(
    split: str, place: str, run: RunDirectory, tmp_path: Path
) -> None:
    with zipfile.ZipFile(run.path / "evaluation" / "rows.zip", "w") as archive:
        archive.write(run.path / "evaluation" / "rows.csv", "rows.csv")
    config = settings(tmp_path)
    config["data"] |= {split: [str(run.path / place)]}
    assert refused(config, run).found.startswith(f"data.{split}: {run.path / place}")


def test_a_data_folder_inside_the_replaced_run_is_found(run: RunDirectory, tmp_path: Path) -> None:
    config = settings(tmp_path)
    config["data"] |= {"dir": str(run.path), "train": "evaluation/rows.csv"}
    assert refused(config, run).found.startswith("data.train: ")


def test_what_stays_may_be_read(run: RunDirectory, tmp_path: Path) -> None:
    """A user's own file in the folder is not removed; another run's model is elsewhere."""
    other = shutil.copytree(run.path, tmp_path / "other")
    write_reviews(run.path / "mine.csv", rows=40)
    config = {**settings(tmp_path), "model": {"name": str(other)}}
    config["data"] |= {"train": str(run.path / "mine.csv")}
    refuse_replaced_inputs(prepare(config_file.load(config)), run)
    # The model of the run itself is replaced.
    assert refused({**config, "model": {"name": str(run.path)}}, run).found

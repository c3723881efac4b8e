"""Open a finished run: the kept model predicts, and errors name what is wrong."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.runs_in_memory import prepared_run
from warmstart.errors import ModelError, RunError
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_run, load_task
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    folder: Path = tmp_path_factory.mktemp("load")
    return train_run(prepared_run(folder, epochs=1), folder / "run").directory.path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> RunDirectory:
    """A copy for damaging."""
    return RunDirectory(Path(shutil.copytree(finished, tmp_path / "run")))


def test_what_is_opened_is_what_was_kept(finished: Path) -> None:
    run = load_run(RunDirectory.open(finished))
    weights = load_file(finished / "model" / "model.safetensors")
    state = run.model.state_dict()
    assert weights.keys() <= state.keys()
    assert all(torch.equal(weights[name], state[name]) for name in weights)
    assert not run.model.training
    assert not any(parameter.requires_grad for parameter in run.model.parameters())
    assert run.task.facts == {"label_names": ["bad", "good"]}
    assert run.max_tokens == 128
    assert run.config.train.epochs == 1
    assert run.config.data.train == str(finished.parent / "reviews.csv")
    assert load_task(run.directory) == (run.config, run.task)


def test_it_is_opened_without_the_checkpoint_it_started_from(copy: RunDirectory) -> None:
    """A run directory can be moved to another machine alone."""
    text = (copy.path / "config.yaml").read_text()
    moved = text.replace(str(Path(load_task(copy)[0].model.name).parent), "/nowhere")
    (copy.path / "config.yaml").write_text(moved)
    assert load_run(copy).config.model.name == "/nowhere/checkpoint"


def test_a_run_that_kept_no_model_yet_is_told_to_go_on(copy: RunDirectory) -> None:
    shutil.rmtree(copy.model)
    with pytest.raises(RunError, match="has no finished model/") as caught:
        load_run(copy)
    assert f"warmstart train {copy.path} --resume" in caught.value.do


def test_weights_that_were_cut_are_named(copy: RunDirectory) -> None:
    weights = copy.model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=str(weights)):
        load_run(copy)


@pytest.mark.parametrize("name", ["task.json", "data.json"])
def test_a_damaged_file_is_named(copy: RunDirectory, name: str) -> None:
    (copy.path / name).write_text('{"task": ')
    with pytest.raises(RunError, match=f"cannot read .*{name}"):
        load_run(copy)

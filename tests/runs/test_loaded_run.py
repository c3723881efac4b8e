"""Open a finished run: the kept model predicts, and errors name what is wrong."""

import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.runs_in_memory import prepared_run
from warmstart import api, cli
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
    (copy.model / "manifest.json").unlink()
    with pytest.raises(ModelError, match=str(weights)):
        load_run(copy)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_changed_bit_in_a_finished_model_is_found_by_every_command(
    name: str, copy: RunDirectory
) -> None:
    flip_a_bit(copy.model / name)
    run, data = api.load(copy.path), str(load_task(copy)[0].data.train)
    again = {"model": {"name": str(copy.path)}, "data": {"train": data}}
    for use in (
        lambda: run.predict(["nice"]),
        lambda: run.evaluate(data),
        lambda: api.info(copy.path),
        lambda: api.check(again),
        lambda: api.check({**again, "model": {"name": str(copy.model)}}),
    ):
        with pytest.raises((RunError, ModelError), match="model"):
            use()


def test_a_model_that_was_changed_on_purpose_can_be_used(
    copy: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """The advice: remove the manifest and score the model again, or train again."""
    weights = copy.model / "model.safetensors"
    save_file({name: value * 0.5 for name, value in load_file(weights).items()}, weights)
    with pytest.raises(RunError, match="was changed after the run was finished") as caught:
        load_run(copy)
    commands = [part.partition("warmstart ")[2] for part in caught.value.do.split(";")]
    assert cli.main([*shlex.split(commands[0]), "--dry-run"]) == 0, capsys.readouterr().err
    (copy.model / "manifest.json").unlink()
    data = str(load_task(copy)[0].data.train)
    words = shlex.split(commands[1].replace("FILE", shlex.quote(data)))
    assert cli.main(words) == 0, capsys.readouterr().err


def test_a_model_that_another_process_trains_is_waited_for(copy: RunDirectory) -> None:
    shutil.rmtree(copy.model)
    with copy.locked(), pytest.raises(RunError, match="another process is using it") as caught:
        load_run(copy)
    assert caught.value.do.startswith("wait")


@pytest.mark.parametrize("name", ["task.json", "data.json"])
def test_a_damaged_file_is_named(copy: RunDirectory, name: str) -> None:
    (copy.path / name).write_text('{"task": ')
    with pytest.raises(RunError, match=f"cannot read .*{name}"):
        load_run(copy)

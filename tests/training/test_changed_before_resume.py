"""A resume with other settings, weights, tokenizer or threads is refused; the advice works."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import warmstart
from tests.quick import slow_except
from tests.runs_in_memory import filling_settings, prepared_run, settings
from warmstart import api, cli, config_file
from warmstart.errors import Interrupted, RunError
from warmstart.models.tuning import features
from warmstart.training.train_run import train_run


@pytest.fixture(autouse=True)
def _quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report takes longer than a small training."""
    monkeypatch.setattr(api, "_completed", lambda run, *_: run)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped after its first checkpoint; tests copy it."""
    folder = tmp_path_factory.mktemp("stopped")
    stop_early(folder)
    return folder


def stop_early(folder: Path, **train: Any) -> None:
    prepared = prepared_run(folder, batch_size=16, checkpoint_every_steps=2, **train)
    calls = iter(range(10**6))
    with pytest.raises(Interrupted):
        train_run(prepared, folder / "run", stop_requested=lambda: next(calls) == 2)


@pytest.fixture
def copy(stopped: Path, tmp_path: Path) -> Path:
    """A copy of everything, in which the run's settings name the copied files."""
    shutil.copytree(stopped, tmp_path / "copy")
    config = tmp_path / "copy" / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(stopped), str(tmp_path / "copy")))
    return tmp_path / "copy"


def in_config(**train: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "run" / "config.yaml"
        content = yaml.safe_load(path.read_text())
        content["train"] |= train
        path.write_text(yaml.safe_dump(content))

    return change


def other_weights(folder: Path) -> None:
    path = folder / "checkpoint" / "model.safetensors"
    tensors = {name: tensor * 1.01 for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def other_tokenizer(folder: Path) -> None:
    path = folder / "checkpoint" / "tokenizer.json"
    path.write_text(path.read_text() + "\n")


def other_labels(folder: Path) -> None:
    path = folder / "run" / "task.json"
    path.write_text(path.read_text().replace('"good"', '"better"'))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "rate": (in_config(learning_rate=0.002), "train.learning_rate (0.001, now 0.002)"),
    "seed": (in_config(seed=7), "train.seed (42, now 7)"),
    "epochs": (in_config(epochs=3), "train.epochs (2, now 3)"),
    "batch": (in_config(batch_size=8), "train.batch_size (16, now 8)"),
    "accumulation": (in_config(gradient_accumulation=2), "train.gradient_accumulation (1, now 2)"),
    "schedule": (in_config(schedule="cosine"), 'train.schedule ("linear", now "cosine")'),
    "loss": (in_config(loss="focal"), "train.loss (null, now "),
    "metric": (in_config(best_metric="accuracy"), 'train.best_metric (null, now "accuracy")'),
    "decay": (in_config(weight_decay=0.5), "train.weight_decay (0.01, now 0.5)"),
    "weights": (other_weights, "model.safetensors of the checkpoint that training started from"),
    "labels": (other_labels, "label_names in task.json"),
    "tokenizer": (other_tokenizer, "tokenizer.json of the checkpoint that training started from"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_changes_the_result_is_refused(name: str, copy: Path) -> None:
    change, shown = REFUSED[name]
    change(copy)
    before = {path: path.read_bytes() for path in (copy / "run").rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="changed since the run") as caught:
        warmstart.resume(copy / "run", progress=False)
    assert caught.value.found.endswith(shown) or shown in caught.value.found
    assert {path: path.read_bytes() for path in before} == before


def test_other_threads_are_refused_with_the_variable_to_set(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: count + 3)
    with pytest.raises(RunError) as caught:
        warmstart.resume(copy / "run", progress=False)
    said = f"the threads ({count}, now {count + 3}: set OMP_NUM_THREADS={count})"
    assert said in caught.value.found


def test_what_does_not_change_the_result_may_change(copy: Path, tmp_path: Path) -> None:
    in_config(keep_checkpoints=3, checkpoint_every_steps=3)(copy)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("checkpoint", "reviews.csv"):
        (copy / name).rename(moved / name)
    config = copy / "run" / "config.yaml"
    text = config.read_text()
    for name in ("checkpoint", "reviews.csv"):
        text = text.replace(str(copy / name), str(moved / name))
    config.write_text(text)
    assert warmstart.resume(copy / "run", progress=False).scores["validation"]


@pytest.mark.parametrize("advice", ["again", "continued"])
def test_the_advice_works(advice: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_config(seed=7)(copy)
    (copy / "run" / "model").exists() or shutil.copytree(copy / "checkpoint", copy / "run/model")
    with pytest.raises(RunError) as caught:
        warmstart.resume(copy / "run", progress=False)
    commands = [part for part in caught.value.do.split("; or ") if "warmstart train" in part]
    words = shlex.split(commands[advice == "continued"].partition("warmstart ")[2])
    assert any(word.startswith("model.name=") for word in words) == (advice == "continued")
    assert cli.main(words) == 0, capsys.readouterr().err
    assert json.loads((copy / "run-2" / "environment.json").read_text())["settings"]


@pytest.mark.parametrize("advice", slow_except(["again", "continued"], "continued"))
def test_the_advice_works_for_pretraining(
    advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = filling_settings(tmp_path, batch_size=16, checkpoint_every_steps=2, epochs=1)
    config.pop("model")
    sizes = {"architecture": "bert", "vocabulary": 90, "layers": 1, "hidden": 32, "heads": 2}
    prepared = api.prepared_for(config_file.load({**config, "pretrain": sizes}))
    calls = iter(range(10**6))
    with prepared as ready, pytest.raises(Interrupted):
        train_run(ready, tmp_path / "run", stop_requested=lambda: next(calls) == 2)
    (tmp_path / "run" / "model").exists() or shutil.copytree(
        tmp_path / "run" / "start", tmp_path / "run" / "model"
    )
    in_config(seed=7)(tmp_path)
    with pytest.raises(RunError, match="train.seed") as caught:
        warmstart.resume(tmp_path / "run", progress=False)
    commands = [part.partition("warmstart ")[2] for part in caught.value.do.split("; or ")]
    words = shlex.split(commands[1 + (advice == "continued")])
    assert words[0] == ("train" if advice == "continued" else "pretrain")
    assert cli.main(words) == 0, capsys.readouterr().err
    assert (tmp_path / "run-2" / "model" / "model.safetensors").exists()


def test_features_that_were_cached_at_the_start_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    folder = tmp_path / "work"
    folder.mkdir()
    settings(folder)
    stop_early(folder, freeze="backbone")
    noted = json.loads((folder / "run" / "environment.json").read_text())["features"]
    assert noted == "computed once"
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(features, "MAX_CACHE_BYTES", 0)
    with pytest.raises(RunError, match=r"the frozen part \(computed once, now computed in every"):
        warmstart.resume(folder / "run", progress=False)
    monkeypatch.undo()
    monkeypatch.setattr(api, "_completed", lambda run, *_: run)
    assert warmstart.resume(folder / "run", progress=False).scores["validation"]

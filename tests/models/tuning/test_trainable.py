"""The trained parts of a model, from names and shapes alone, and of a run."""

from pathlib import Path
from typing import Any

import pytest

from tests.quick import slow_except
from tests.runs_in_memory import job_of, never, prepared_run, settings, writing_settings
from warmstart import api, config_file
from warmstart.errors import ConfigError, ModelError
from warmstart.models.tuning.trainable import TrainedPart, parts_from_json
from warmstart.preparation.prepare import prepare
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run


def described(folder: Path, *sets: str, **train: Any) -> dict[str, TrainedPart]:
    path = folder / "run.yaml"
    path.write_text(config_file.dump(config_file.load(settings(folder, **train))))
    return {part.name: part for part in api.info(path, overrides=sets).trains}


@pytest.mark.parametrize(
    "train",
    slow_except(
        [
            {},
            {"freeze": "backbone"},
            {"freeze": "embeddings+layers:1"},
            {"lora": {"rank": 2}},
            {"layer_decay": 0.5, "head_learning_rate": 1e-2},
            {"unfreeze_layers_per_epoch": 1},
        ],
        {"freeze": "embeddings+layers:1"},
        {"lora": {"rank": 2}},
    ),
)
def test_a_config_has_the_settings_of_its_run(tmp_path: Path, train: dict[str, Any]) -> None:
    said = described(tmp_path, **train)
    job = job_of(prepared_run(tmp_path, **train), tmp_path / "run")
    assert tuple(said.values()) == job.trains
    before = {name: p.detach().clone() for name, p in job.model.named_parameters()}
    fit(job, resume=False, stop_requested=never)
    words = "bert.embeddings.word_embeddings.weight"
    moved = sum(
        p.numel()
        for name, p in job.model.named_parameters()
        if name != words and not before[name].equal(p)
    )
    table = 0
    if said["embeddings"].trained:
        table = prepared_run(tmp_path).checkpoint.config.vocab_size * 32
    assert moved + table == sum(part.trained for part in said.values())


def test_parts_are_named_from_bottom_to_top(tmp_path: Path) -> None:
    assert list(described(tmp_path)) == ["embeddings", "layers 0-1", "pooler", "head"]
    lora = described(tmp_path, "train.lora.rank=2")
    assert list(lora) == ["embeddings", "layers 0-1", "pooler", "adapters", "head"]
    assert lora["adapters"].trained == 2 * 2 * 2 * (32 + 32)
    assert [name for name, part in lora.items() if part.trained] == ["adapters", "head"]
    assert lora["layers 0-1"].from_epoch is None


def test_rates_and_epochs_by_layer(tmp_path: Path) -> None:
    found = described(tmp_path, layer_decay=0.5, head_learning_rate=1e-2)
    rates = {name: part.highest_rate for name, part in found.items()}
    expected = {"embeddings": 1.25e-4, "layer 0": 2.5e-4, "layer 1": 5e-4}
    assert rates == pytest.approx({**expected, "pooler": 1e-2, "head": 1e-2})
    found = described(tmp_path, unfreeze_layers_per_epoch=1, epochs=3)
    epochs = {name: part.from_epoch for name, part in found.items()}
    assert epochs == {"embeddings": None, "layer 0": 3, "layer 1": 2, "pooler": 1, "head": 1}


def test_a_decoders_output_layer_is_its_embedding(tmp_path: Path) -> None:
    config = config_file.load(writing_settings(tmp_path))
    job = job_of(prepare(config), tmp_path / "run")
    assert [part.name for part in job.trains] == ["embeddings", "layers 0-1", "last norm"]


def test_a_run_remembers_it(tmp_path: Path) -> None:
    train_run(prepared_run(tmp_path, lora={"rank": 2}, epochs=1), tmp_path / "run")
    description = api.info(tmp_path / "run")
    content = description.to_json()["trains"]
    assert parts_from_json(content) == description.trains
    assert [part["name"] for part in content if part["trained"]] == ["adapters", "head"]
    held = sum(part["parameters"] for part in content)
    trained = sum(part["trained"] for part in content)
    assert description.training_mib == pytest.approx((held + 3 * trained) * 4 / 2**20)


def test_a_checkpoint_by_itself_trains_nothing(tmp_path: Path) -> None:
    settings(tmp_path)
    assert api.info(tmp_path / "checkpoint").trains == ()


def test_a_config_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no linear module querry"):
        described(tmp_path, "train.lora.modules=[querry]")
    path = tmp_path / "new.yaml"
    path.write_text("data: {train: a.csv}\npretrain: {size: tiny}\n")
    with pytest.raises(ConfigError, match="the config has a `pretrain` section"):
        api.info(path)

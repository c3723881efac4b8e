"""Frozen parts: what is trained, what is computed once, and that results do not change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.quick import EACH_ARCHITECTURE, slow_except
from tests.runs_in_memory import job_of, never, prepared_run
from tests.tiny import tiny_checkpoint
from warmstart import config_file
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import collate, split_batch
from warmstart.errors import ConfigError, Interrupted, ModelError
from warmstart.models.checkpoints.load import find
from warmstart.models.checkpoints.missing_parts import lacks_pooler
from warmstart.models.packed.architectures import body_of
from warmstart.models.tuning import features
from warmstart.models.tuning.freezing import frozen_part
from warmstart.runs.events import read_events
from warmstart.training.job import Job, job_for, with_features_computed
from warmstart.training.loop import fit

PARTS = ["backbone", "embeddings+layers:0", "embeddings+layers:1"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))


def job_for_part(folder: Path, part: str, architecture: str = "bert", **train: Any) -> Job:
    if not (folder / "checkpoint").exists():
        tiny_checkpoint(folder / "checkpoint", architecture)
    run = folder / f"run-{len(list(folder.glob('run-*')))}"
    return job_of(prepared_run(folder, freeze=part, epochs=1, **train), run)


def trained(job: Job) -> dict[str, torch.Tensor]:
    fit(job, resume=False, stop_requested=never)
    return {name: tensor.clone() for name, tensor in job.model.state_dict().items()}


def losses(job: Job) -> list[float]:
    fit(job, resume=False, stop_requested=never)
    return [event["loss"] for event in read_events(job.log.path) if event["event"] == "step"]


@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
@pytest.mark.parametrize("part", PARTS)
def test_what_is_frozen_stays_and_the_rest_trains(
    tmp_path: Path, architecture: str, part: str
) -> None:
    job = job_for_part(tmp_path, part, architecture, learning_rate=1e-2)
    before = {name: tensor.clone() for name, tensor in job.model.state_dict().items()}
    trains = {name for name, p in job.model.named_parameters() if p.requires_grad}
    after = trained(job)
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved == trains
    body = body_of(job.model.config.model_type)
    assert body is not None
    layers = body.layers(job.model)
    depth = len(layers) if part == "backbone" else int(part[-1])
    for index, layer in enumerate(layers):
        assert {p.requires_grad for p in layer.parameters()} == {index >= depth}


@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
@pytest.mark.parametrize("part", PARTS)
def test_computed_once_or_anew_is_the_same(
    tmp_path: Path, architecture: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = losses(job_for_part(tmp_path, part, architecture, dropout=0.0))
    monkeypatch.setattr("warmstart.training.loop.with_features_computed", lambda job: job)
    anew = losses(job_for_part(tmp_path, part, architecture, dropout=0.0))
    np.testing.assert_allclose(once, anew, atol=1e-5)


def test_the_frozen_part_has_no_dropout_and_the_rest_has(tmp_path: Path) -> None:
    job = job_for_part(tmp_path, "embeddings+layers:1", dropout=0.3)
    by_part = {
        name: module.p for name, module in job.model.named_modules() if name.endswith("dropout")
    }
    for name, share in by_part.items():
        frozen = "embeddings" in name or "layer.0" in name
        assert share == (0.0 if frozen else 0.3), name


def test_another_run_finds_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    first = losses(job_for_part(tmp_path, "backbone"))
    files = sorted((tmp_path / "cache" / "features").glob("*.npy"))
    assert len(files) == 2  # training and validation rows

    def not_again(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(features, "compute_features", not_again)
    job = job_for_part(tmp_path, "backbone")
    computed = with_features_computed(job).train.computed
    assert computed is not None
    assert isinstance(computed.values, np.memmap)
    assert losses(job) == first


@pytest.mark.parametrize("changed", ["weights", "rows", "depth"])
def test_what_changes_a_number_changes_the_file(
    tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    with_features_computed(job_for_part(tmp_path, "embeddings+layers:1"))
    job = job_for_part(tmp_path, "embeddings+layers:0" if changed == "depth" else PARTS[2])
    if changed == "weights":
        with torch.no_grad():
            job.model.bert.embeddings.word_embeddings.weight[5, 0] += 1e-3
    if changed == "rows":
        ids = job.train.tokens.input_ids.copy()
        ids[3] += 1
        tokens = replace(job.train.tokens, input_ids=ids)
        job = replace(job, train=replace(job.train, tokens=tokens))
    before = len(list((tmp_path / "cache" / "features").glob("*.npy")))
    with_features_computed(job)
    after = len(list((tmp_path / "cache" / "features").glob("*.npy")))
    assert after - before == (1 if changed == "rows" else 2)


def test_the_folder_is_held_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(features, "MAX_CACHE_BYTES", 13_000)  # one of the two
    with_features_computed(job_for_part(tmp_path, "backbone"))
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 1


@pytest.mark.parametrize("because", ["a file is in the way", "no room", "too much"])
def test_without_a_cache_features_are_recomputed(
    tmp_path: Path, because: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    expected = losses(job_for_part(tmp_path, "backbone", dropout=0.0))
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "other"))
    if because == "a file is in the way":
        (tmp_path / "other").touch()
    if because == "no room":
        monkeypatch.setattr(features.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    if because == "too much":
        monkeypatch.setattr(features, "MAX_CACHE_BYTES", 100)
    job = job_for_part(tmp_path, "backbone", dropout=0.0)
    np.testing.assert_allclose(losses(job), expected, atol=1e-5)
    notices = [e["text"] for e in read_events(job.log.path) if e["event"] == "notice"]
    assert "could not be cached" in notices[1]
    assert not list((tmp_path / "other").glob("features/*.partial"))


def flipped(content: bytes) -> bytes:
    """The array with another sign of its last number."""
    return content[:-1] + bytes([content[-1] ^ 0x80])


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"not an array", flipped, lambda content: content[:-4]]
)
def test_a_damaged_file_is_made_anew(
    tmp_path: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    expected = losses(job_for_part(tmp_path, "backbone"))
    for path in (tmp_path / "cache" / "features").glob("*.npy"):
        path.write_bytes(damage(path.read_bytes()))
    assert losses(job_for_part(tmp_path, "backbone")) == expected


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(features, "compute_features", fail)
    with pytest.raises(KeyboardInterrupt):
        with_features_computed(job_for_part(tmp_path, "backbone"))
    left = [path.suffix for path in (tmp_path / "cache" / "features").iterdir()]
    assert left == [".lock"]


@pytest.mark.parametrize(
    "part", slow_except(["backbone", "embeddings+layers:1"], "embeddings+layers:1")
)
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, part: str) -> None:
    train = {"dropout": 0.2, "checkpoint_every_steps": 1}
    whole = trained(job_for_part(tmp_path, part, **train))
    job = job_for_part(tmp_path, part, **train)
    steps = iter(range(100))
    with pytest.raises(Interrupted):
        fit(job, resume=False, stop_requested=lambda: next(steps) == 4)
    again = job_for(prepared_run(tmp_path, freeze=part, epochs=1, **train), job.run)
    fit(again, resume=True, stop_requested=never)
    for name, tensor in again.model.state_dict().items():
        assert tensor.equal(whole[name]), name


@pytest.mark.parametrize("part", PARTS)
def test_a_batch_in_pieces_has_its_own_share(tmp_path: Path, part: str) -> None:
    job = with_features_computed(job_for_part(tmp_path, part, dropout=0.0))
    batch = collate(job.train, np.array([3, 1, 7, 2, 9]))
    whole = job.forward.run(job.model, batch)
    pieces = [job.forward.run(job.model, piece) for piece in split_batch(batch, 2)]
    assert torch.allclose(whole, torch.cat(pieces), atol=1e-6)


def test_it_is_said_that_the_part_ran_once(tmp_path: Path) -> None:
    job = job_for_part(tmp_path, "backbone")
    losses(job)
    notices = [e["text"] for e in read_events(job.log.path) if e["event"] == "notice"]
    assert notices[0] == "frozen: the backbone; this part runs once over all rows, without dropout"


def test_a_pooler_that_the_checkpoint_lacks_trains(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "checkpoint")
    assert not lacks_pooler(find(ModelConfig(name=str(folder))))
    tensors = load_file(folder / "model.safetensors")
    held = {name: tensor for name, tensor in tensors.items() if "pooler" not in name}
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    job = job_for_part(tmp_path, "backbone")
    trains = {
        name.split(".")[-3]
        for name, p in job.model.named_parameters()
        if p.requires_grad and name.startswith("bert")
    }
    assert trains == {"pooler"}


# Errors


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        job_for_part(tmp_path, "embeddings+layers:2")
    assert caught.value.found == "train.freeze is embeddings+layers:2, but the model has 2 layers"
    assert caught.value.expected == "embeddings+layers:0 to embeddings+layers:1"


def test_an_architecture_whose_layers_are_unknown(tmp_path: Path) -> None:
    config = find(ModelConfig(name=str(tiny_checkpoint(tmp_path)))).config
    config.model_type = "albert"
    with pytest.raises(ModelError, match="does not support the architecture albert"):
        frozen_part("backbone", config, "sequence-classification")


def test_a_part_that_is_none() -> None:
    with pytest.raises(ConfigError, match="train.freeze is head"):
        config_file.load({"data": {"train": "a.csv"}, "train": {"freeze": "head"}})


def test_a_model_that_does_not_run_packed_is_frozen_all_the_same(tmp_path: Path) -> None:
    job = job_for_part(tmp_path, "backbone")
    job = replace(job, forward=replace(job.forward, packed=None, path="padded: a reason"))
    assert with_features_computed(job).train.computed is None
    (notice,) = [e["text"] for e in read_events(job.log.path)]
    assert notice == (
        "frozen: the backbone; this part runs again in every epoch, because the model runs "
        "padded: a reason"
    )


def test_a_number_of_thousands_of_digits_is_too_many_layers(tmp_path: Path) -> None:
    config = find(ModelConfig(name=str(tiny_checkpoint(tmp_path)))).config
    for digits in ("9" * 5000, "9" * 10):
        with pytest.raises(ModelError, match=r"the model has 2 layers") as raised:
            frozen_part(f"embeddings+layers:{digits}", config, "sequence-classification")
        assert len(str(raised.value)) < 300
    assert frozen_part("embeddings+layers:" + "0" * 5000 + "1", config, "masked-lm").layers == 1

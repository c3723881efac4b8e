"""A classifier that reads the mean of all tokens is a plain Transformers model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import warmstart
from tests.runs_in_memory import number_settings, settings, tagging_settings
from tests.tiny import tiny_checkpoint
from warmstart import config_file, errors
from warmstart.config import ModelConfig
from warmstart.models.checkpoints.load import Checkpoint, find, sequence_classifier
from warmstart.models.checkpoints.mean_pooling import (
    HAS_A_SETTING,
    POOLED,
    SLOPE,
    declared_pooling,
    with_mean_pooling,
)
from warmstart.models.checkpoints.quiet import quiet
from warmstart.preparation.prepare import prepare

TEXTS = ["good", "the cat saw my house and her story was very old", "we read it again"]
DENSE = {"bert": "bert.pooler.dense", "roberta": "classifier.dense", "distilbert": "pre_classifier"}
MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def declare(folder: Path, pooling: object) -> Path:
    """Add the files with which sentence-transformers describes the pooling."""
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def averaging(folder: Path, architecture: str = "bert") -> Checkpoint:
    checkpoint = find(
        ModelConfig(name=str(tiny_checkpoint(folder, architecture))), "sequence-classification"
    )
    return replace(checkpoint, config=with_mean_pooling(checkpoint.config), averages=True)


@pytest.mark.parametrize("architecture", DENSE)
def test_the_head_gets_the_normalised_mean_of_the_checkpoint(
    tmp_path: Path, architecture: str
) -> None:
    checkpoint = averaging(tmp_path, architecture)
    model = sequence_classifier(checkpoint, ("a", "b"), seed=0).eval()
    seen: list[torch.Tensor] = []
    model.get_submodule(DENSE[architecture]).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output)
    )
    batch = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad(), quiet():
        hidden = AutoModel.from_pretrained(tmp_path).eval()(**batch).last_hidden_state
        model(**batch)
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    bias = model.get_submodule(DENSE[architecture]).bias
    expected = SLOPE * torch.nn.functional.layer_norm(mean, mean.shape[-1:]) + bias
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=0.01)


def test_the_added_layer_can_learn(tmp_path: Path) -> None:
    """Keys and queries are not both 0: then no gradient would reach either."""
    checkpoint = averaging(tmp_path)
    model = sequence_classifier(checkpoint, ("a", "b"), seed=0)
    batch = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    model(**batch, labels=torch.tensor([0, 1, 0])).loss.backward()
    layer = model.base_model.encoder.layer[-1]
    for module in (layer.attention.self.key, layer.attention.self.value, layer.output.dense):
        assert module.weight.grad.abs().max() > 0


@pytest.mark.parametrize("head_start", ["random", "linear-probe"])
def test_a_run_uses_what_the_checkpoint_declares(tmp_path: Path, head_start: str) -> None:
    content = settings(tmp_path, epochs=1, head_start=head_start)
    declare(tmp_path / "checkpoint", MEAN)
    run = warmstart.train(content, output=tmp_path / "run", progress=False)
    saved = config_file.load(tmp_path / "run" / "config.yaml")
    assert saved.model.pooling == "mean"
    with quiet():
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model")
    assert plain.config.num_hidden_layers == 3
    batch = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")(
        TEXTS, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = plain.eval()(**batch).logits.softmax(-1)
    found = [list(one["probabilities"].values()) for one in run.predict(TEXTS)]
    torch.testing.assert_close(torch.tensor(found), expected, rtol=0, atol=1e-5)


def test_modernbert_has_a_setting(tmp_path: Path) -> None:
    content = settings(tmp_path, epochs=1)
    tiny_checkpoint(tmp_path / "modern", "modernbert")
    content["model"] = {"name": str(declare(tmp_path / "modern", MEAN))}
    run = warmstart.train(content, output=tmp_path / "run", progress=False)
    saved = json.loads((run.path / "model" / "config.json").read_text())
    assert (saved["classifier_pooling"], saved["num_hidden_layers"]) == ("mean", 2)


def test_a_model_of_a_run_keeps_its_layers(tmp_path: Path) -> None:
    content = settings(tmp_path, epochs=1, seed=3)
    declare(tmp_path / "checkpoint", MEAN)
    warmstart.train(content, output=tmp_path / "run", progress=False)
    again = {**content, "model": {"name": str(tmp_path / "run")}}
    prepared = prepare(config_file.load(again))
    assert prepared.config.model.pooling == "first"
    assert prepared.checkpoint.config.num_hidden_layers == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (MEAN, "mean"),
        ({"pooling_mode": "mean"}, "mean"),  # sentence-transformers 6
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, None),
        ({"pooling_mode": "max"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_what_the_files_declare(tmp_path: Path, content: object, expected: str | None) -> None:
    assert declared_pooling(declare(tmp_path, content)) == expected


def test_damaged_files_declare_nothing(tmp_path: Path) -> None:
    assert declared_pooling(tmp_path) is None
    declare(tmp_path, MEAN)
    (tmp_path / "1_Pooling" / "config.json").write_bytes(b"{\xff")
    assert declared_pooling(tmp_path) is None


def test_adapters_stay_with_the_first_token(tmp_path: Path) -> None:
    content = settings(tmp_path, lora={"rank": 2})
    declare(tmp_path / "checkpoint", MEAN)
    prepared = prepare(config_file.load(content))
    assert prepared.config.model.pooling == "first"
    assert any("adapters" in message.text for message in prepared.findings.messages)


def obstacles(folder: Path) -> dict[str, dict[str, Any]]:
    """Settings of runs that cannot have the mean."""
    made = settings(folder, epochs=1)
    tiny_checkpoint(folder / "electra", "electra")
    warmstart.train(made, output=folder / "run", progress=False)
    return {
        "electra": {**made, "model": {"name": str(folder / "electra")}},
        "its head": {**made, "model": {"name": str(folder / "run")}},
        "adapters": {**made, "train": {**made["train"], "lora": {"rank": 2}}},
    }


def test_the_mean_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    for obstacle, content in obstacles(tmp_path).items():
        content["model"] = {**content["model"], "pooling": "mean"}
        with pytest.raises(errors.ModelError) as caught:
            prepare(config_file.load(content))
        assert obstacle.replace("its head", "already has a head") in caught.value.found
        advised = caught.value.do.removeprefix("--set ")
        assert prepare(config_file.load(content, [advised])).config.model.pooling == "first"


def test_other_tasks_do_not_read_the_setting(tmp_path: Path) -> None:
    content = tagging_settings(tmp_path)
    content["model"] = {**content["model"], "pooling": "mean"}
    with pytest.raises(errors.ConfigError, match="model.pooling"):
        config_file.load(content)


def test_a_regression_reads_the_mean(tmp_path: Path) -> None:
    content = number_settings(tmp_path, epochs=1, head_start="auto")
    declare(tmp_path / "checkpoint", MEAN)
    run = warmstart.train(content, output=tmp_path / "run", progress=False)
    assert warmstart.load(run.path).config.model.pooling == "mean"


def test_info_shows_the_added_layer(tmp_path: Path) -> None:
    content = settings(tmp_path, freeze="backbone", epochs=1)
    declare(tmp_path / "checkpoint", MEAN)
    path = tmp_path / "config.yaml"
    path.write_text(config_file.dump(config_file.load(content)))
    names = [group.name for group in warmstart.info(path).groups]
    assert names == ["embeddings", "layer 0", "layer 1", "layer 2", "output head"]


def test_every_family_has_a_way() -> None:
    assert {*DENSE, *HAS_A_SETTING, "xlm-roberta", "camembert"} == POOLED


@pytest.mark.parametrize(
    ("given", "saved", "pooling"),
    [("auto", "mean", "mean"), ("first", "mean", "cls"), ("auto", "cls", "cls")],
)
def test_the_setting_of_modernbert_is_used_or_changed(
    tmp_path: Path, given: str, saved: str, pooling: str
) -> None:
    content = settings(tmp_path, epochs=1)
    path = tiny_checkpoint(tmp_path / "modern", "modernbert") / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "classifier_pooling": saved}))
    content["model"] = {"name": str(path.parent), "pooling": given}
    prepared = prepare(config_file.load(content))
    assert prepared.checkpoint.config.classifier_pooling == pooling
    assert prepared.config.model.pooling == pooling.replace("cls", "first")

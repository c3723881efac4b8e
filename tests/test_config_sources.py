"""Configs from flags, absent groups, the list of settings, and files that never end."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.test_config_file import SMALLEST
from warmstart import config_file, errors
from warmstart.config import (
    AverageConfig,
    DataConfig,
    ExportConfig,
    GenerateConfig,
    LoraConfig,
    ModelConfig,
    PretrainConfig,
    SpecialTokens,
    TrainConfig,
)


def test_the_short_form_of_train() -> None:
    config = config_file.from_arguments(
        train=["a.csv"],
        validation="0.2",
        test=["b.csv", "c.csv"],
        text="1",
        label="grade",
        task="text-classification",
        model="bundled/minilm-l6",
        overrides=["train.epochs=1"],
    )
    assert config == config_file.load(
        {
            "data": {
                "train": "a.csv",
                "validation": 0.2,
                "test": ["b.csv", "c.csv"],
                "text": "1",
                "label": "grade",
            },
            "train": {"epochs": 1},
        }
    )
    assert config_file.from_arguments(train=["a.csv"]) == config_file.load(SMALLEST)
    assert config_file.from_arguments(train="a.csv") == config_file.load(SMALLEST)
    assert config_file.from_arguments(train=["a"], validation="b.csv").data.validation == "b.csv"


def test_faults_of_the_short_form_name_its_flags() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config_file.from_arguments(
            validation="2", task="text-gen", text="label", overrides=["train.epochs=-1"]
        )
    message = str(caught.value)
    for line in (
        "  --train: data.train is missing",
        "    try:      --train FILE",
        "  --validation: data.validation is 2",
        "    try:      --validation 0.1",
        "  --task: task is text-gen",
        "    try:      --task text-generation",
        "  --label: data.text and data.label are both label",
        "  --set train.epochs=-1: train.epochs is -1",
    ):
        assert line in message.splitlines()


def test_every_setting_is_listed_with_its_meaning() -> None:
    table = {setting.name: setting for setting in config_file.settings_table()}
    parts: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "data": DataConfig,
        "train": TrainConfig,
        "generate": GenerateConfig,
        "export": ExportConfig,
        "pretrain": PretrainConfig,
    }
    names = [f"{part}.{field}" for part, group in parts.items() for field in group.model_fields]
    groups: dict[str, type[BaseModel]] = {
        "model.special_tokens": SpecialTokens,
        "train.lora": LoraConfig,
        "train.average": AverageConfig,
    }
    for group, part in groups.items():
        place = names.index(group)
        names[place : place + 1] = [f"{group}.{field}" for field in part.model_fields]
    assert list(table) == ["task", *names]
    assert all(setting.doc and setting.type for setting in table.values())
    assert table["data.text"].doc.startswith("Column with the text; for ranking, with the query;")
    assert table["model.max_tokens"].type == '"auto" or a whole number ≥ 3'
    assert table["train.learning_rate"].type == 'a number > 0 and < 1 or "auto"'
    assert table["train.learning_rate"].default == "auto"


def test_every_default_is_within_its_own_limits() -> None:
    with_default = [s for s in config_file.settings_table() if s.name != "data.train"]
    assert len(with_default) > 30
    assert all(setting.accepts(setting.default) for setting in with_default)


@pytest.mark.parametrize("written", ["", "pretrain:\n", "pretrain: null\n"])
def test_a_group_that_may_be_absent_is_absent_where_it_is_null(
    tmp_path: Path, written: str
) -> None:
    (tmp_path / "a.yaml").write_text(f"data: {{train: a.csv}}\n{written}")
    config = config_file.load(tmp_path / "a.yaml")
    assert config.pretrain is None
    overridden = config_file.load(tmp_path / "a.yaml", ["pretrain.layers=3"])
    assert overridden.pretrain == PretrainConfig(layers=3)
    assert config_file.load(config, ["pretrain.layers=3"]) == overridden
    assert config_file.load(overridden, ["pretrain.heads=2"]).pretrain == PretrainConfig(
        layers=3, heads=2
    )


def test_faults_in_a_group_that_may_be_absent_name_its_settings() -> None:
    settings = {"data": {"train": "a.csv"}, "pretrain": {"sise": "mini", "context": 0}}
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load(settings)
    assert "pretrain.sise is not a setting" in caught.value.found
    assert "pretrain.context is 0" in caught.value.found
    with pytest.raises(errors.ConfigError, match="pretrain contains several settings") as caught:
        config_file.load({"data": {"train": "a.csv"}, "pretrain": "mini"})
    assert "pretrain.architecture" in caught.value.do


def test_a_config_that_is_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "config.yaml")
    for path, kind in ((str(pipe), "a pipe"), ("/dev/zero", "a device")):
        with pytest.raises(errors.ConfigError) as caught:
            config_file.load(path)
        assert caught.value.found == f"{path} is {kind}, not a file"
        assert caught.value.expected == "a YAML file, or the name of a recipe"

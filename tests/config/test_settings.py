"""The accepted and refused values of a config made in Python, and the texts about settings."""

import re

import pytest
from pydantic import ValidationError

from warmstart import config_file, errors
from warmstart.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from warmstart.tasks import TASKS


def test_the_smallest_config_names_only_a_file() -> None:
    config = RunConfig(data=DataConfig(train="a.csv"))
    assert config.data.validation == 0.1
    assert config.model.name == "bundled/minilm-l6"
    assert config.train.warmup_steps is config.train.warmup_share is None


def test_a_config_cannot_be_changed() -> None:
    config = RunConfig(data=DataConfig(train="a.csv"))
    with pytest.raises(ValidationError, match="frozen"):
        config.task = "text-classification"


def test_the_description_of_the_setting_names_every_task() -> None:
    (task,) = (setting for setting in config_file.settings_table() if setting.name == "task")
    assert re.findall("``(.+?)``", task.doc) == list(TASKS)


def test_whole_numbers_serve_as_numbers() -> None:
    train = TrainConfig(weight_decay=0, adam_beta1=0)
    assert (train.weight_decay, type(train.weight_decay)) == (0.0, float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", True),
        ("epochs", 3.0),
        ("epochs", "3"),
        ("epochs", -1),
        ("learning_rate", True),
        ("learning_rate", "2e-5"),
        ("learning_rate", 1),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("adam_epsilon", float("inf")),
        ("weight_decay", -0.1),
        ("max_gradient_norm", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("tensorboard", 1),
    ],
)
def test_nothing_is_coerced_and_limits_hold(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate({name: value})
    # A union has one error for each member.
    assert {error["loc"][0] for error in caught.value.errors()} == {name}


@pytest.mark.parametrize("tokens", [2, -1, "all", 3.5, True, None])
def test_max_tokens_leaves_room_for_a_token_between_the_special_ones(tokens: object) -> None:
    with pytest.raises(ValidationError):
        ModelConfig.model_validate({"max_tokens": tokens})
    assert ModelConfig(max_tokens=3).max_tokens == 3


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, True, "", []])
def test_validation_is_a_share_or_files(share: object) -> None:
    with pytest.raises(ValidationError):
        DataConfig.model_validate({"train": "a.csv", "validation": share})
    assert DataConfig(train="a.csv", validation=["b.csv", "c.csv"]).validation == ["b.csv", "c.csv"]


@pytest.mark.parametrize(
    ("settings", "place", "advice"),
    [
        ({"format": "jsonl", "delimiter": ";"}, "delimiter", "--set data.delimiter=null"),
        ({"format": "parquet", "columns": ["a"]}, "columns", "--set data.columns=null"),
        ({"format": "text", "delimiter": ";"}, "delimiter", "--set data.delimiter=null"),
        ({"columns": ["a", "b", "a"]}, "columns", "rename one a in data.columns"),
        ({"text": "label"}, "label", "--set data.label=COLUMN"),
        ({"text": "a", "label": "a"}, "label", "--set data.label=COLUMN"),
        ({"text": "a", "group": "a"}, "group", "--set data.group=COLUMN"),
        ({"label": "a", "group": "a"}, "group", "--set data.group=COLUMN"),
        ({"text": "a", "text_pair": "a"}, "text_pair", "--set data.text_pair=COLUMN"),
        ({"text_pair": "label"}, "label", "--set data.label=COLUMN"),
        ({"text_pair": "b", "group": "label"}, "group", "--set data.group=COLUMN"),
    ],
)
def test_settings_of_the_data_that_contradict_each_other(
    settings: dict[str, object], place: str, advice: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        DataConfig.model_validate({"train": "a", **settings})
    (error,) = caught.value.errors()
    assert error["loc"] == (place,)
    assert advice in error["msg"]


def test_a_text_column_named_like_the_default_label_needs_another_label() -> None:
    assert DataConfig(train="a.csv", text="label", label="grade").label == "grade"


def test_of_pairs_a_text_may_be_the_group() -> None:
    pairs = DataConfig(train="a.csv", text="question", text_pair="answer", group="question")
    assert pairs.text_columns == {"data.text": "question", "data.text_pair": "answer"}
    assert DataConfig(train="a.csv").text_columns == {"data.text": "text"}


@pytest.mark.parametrize(("steps", "share"), [(0, 0.0), (10, 0.1)])
def test_one_warmup(steps: int, share: float) -> None:
    with pytest.raises(ValidationError, match=r"--set train.warmup_steps=null"):
        TrainConfig(warmup_steps=steps, warmup_share=share)
    assert TrainConfig(warmup_steps=steps).warmup_share is None
    assert TrainConfig(warmup_share=share).warmup_steps is None


@pytest.mark.parametrize(
    ("error", "found", "advice"),
    [
        (
            errors.config.warmup_too_long(100, 80),
            "a warm-up of 100 steps in a run of 80",
            "--set train.warmup_steps=0, or raise train.epochs",
        ),
        (
            errors.config.unknown_metric("acuracy", ["matthews_correlation", "accuracy"]),
            "train.best_metric is acuracy",
            "--set train.best_metric=accuracy",
        ),
        (
            errors.config.unknown_metric("zzz", ["matthews_correlation", "accuracy"]),
            "train.best_metric is zzz",
            "--set train.best_metric=matthews_correlation",
        ),
        (
            errors.config.precision_unsupported("float16", "cpu", "no fast float16"),
            "train.precision is float16 on cpu: no fast float16",
            "--set train.precision=auto",
        ),
    ],
)
def test_texts_about_settings_that_later_parts_find_at_fault(
    error: errors.ConfigError, found: str, advice: str
) -> None:
    assert found in error.found
    assert error.do == advice
    assert str(error).endswith(advice)

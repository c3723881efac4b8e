"""Overrides as a mapping: every value arrives unchanged, and errors are those of ``--set``."""

from pathlib import Path
from typing import Any

import pytest

from warmstart import config_file
from warmstart.api import check
from warmstart.config.overrides import override_texts
from warmstart.errors import ConfigError

BASE = {"data": {"train": "a.csv"}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.epochs", 2),
        ("train.learning_rate", 2e-5),
        ("data.stratify", False),
        ("data.test", None),
        ("data.test", ["a, b.csv", "c: d.csv"]),
        ("data.label", "1"),
        ("data.label", "null"),
        ("data.label", "a: b #c"),
        ("data.label", 'it\'s "x"\n\u00e9'),
        ("data.delimiter", "|"),
        ("data.delimiter", "\t"),
        ("data.delimiter", " "),
        ("data.label_names", {"1": "no", "2": "true"}),
        ("data.label_names", ["a", "b"]),
        ("data.validation", 0.25),
        ("data.validation", "0.25"),
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
def test_every_value_arrives(name: str, value: Any, is_nested: bool) -> None:
    group, _, setting = name.partition(".")
    found = config_file.load(BASE, {group: {setting: value}} if is_nested else {name: value})
    assert getattr(getattr(found, group), setting) == value
    assert config_file.load(BASE, override_texts({name: value})) == found


def test_paths_ids_and_deeper_groups_arrive() -> None:
    found = config_file.load(
        BASE,
        {
            "data.test": (Path("b.csv"), "c.csv"),
            "data": {"label_names": {0: "no", True: "yes"}},
            "train": {"lora": {"rank": 4}},
        },
    )
    assert found.data.test == ["b.csv", "c.csv"]
    assert found.data.name_of_label == {"0": "no", "true": "yes"}
    assert found.train.lora is not None
    assert found.train.lora.rank == 4


def test_one_text_is_one_override() -> None:
    assert config_file.load(BASE, "train.epochs=2").train.epochs == 2


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"train": {"epoch": 1}}, "train.epoch"),
        ({"train.epochs": -1}, "--set train.epochs=-1"),
        ({"train": 5}, "--set train=5"),
        ({"traing": {"epochs": 1}}, "traing.epochs"),
    ],
)
def test_errors_name_the_setting(overrides: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(BASE, overrides)
    assert found in str(caught.value)


def test_an_unknown_name_is_refused_whatever_its_value() -> None:
    with pytest.raises(ConfigError, match="nonsense is not a setting"):
        config_file.load(BASE, {"nonsense": {}})
    assert config_file.load(BASE, {"train": {}}) == config_file.load(BASE)

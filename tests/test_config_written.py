"""Configs written to YAML: absolute paths, and YAML that loads to the same settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart import config_file
from warmstart.config import (
    AverageConfig,
    DataConfig,
    LoraConfig,
    ModelConfig,
    PretrainConfig,
    RunConfig,
    TrainConfig,
    config_yaml,
)
from warmstart.tasks import TASKS
from warmstart.tasks.task_settings import NEEDS, TASK_SETTINGS

SMALLEST = {"data": {"train": "a.csv"}}


def test_paths_become_absolute_where_there_is_something(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.zip", "~", "bundled"):
        (tmp_path / name).touch()
    (tmp_path / "model").mkdir()
    config = config_file.load(
        {
            "model": {"name": "model"},
            "data": {
                "train": ["a.csv", "c.zip!d.csv", "https://a.org/a.csv", "hub:a:train", "bundled"],
                "validation": "b.csv",
                "test": "nowhere.csv",
            },
        }
    )
    resolved = config_file.resolve_paths(config, tmp_path)
    assert resolved.model.name == str(tmp_path / "model")
    assert resolved.data.train == [
        str(tmp_path / "a.csv"),
        f"{tmp_path / 'c.zip'}!d.csv",
        "https://a.org/a.csv",
        "hub:a:train",
        str(tmp_path / "bundled"),
    ]
    assert resolved.data.validation == str(tmp_path / "b.csv")
    assert resolved.data.test == "nowhere.csv"
    assert config_file.resolve_paths(resolved, Path("/elsewhere")) == resolved


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "blob").touch()
    (tmp_path / "a.csv").symlink_to(tmp_path / "blob")
    resolved = config_file.resolve_paths(config_file.load(SMALLEST), tmp_path)
    assert resolved.data.train == str(tmp_path / "a.csv")


def test_names_within_a_folder_of_data_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    config = config_file.load({"data": {"train": "a.csv", "dir": "data"}})
    resolved = config_file.resolve_paths(config, Path())
    assert (resolved.data.dir, resolved.data.train) == (str(tmp_path / "data"), "a.csv")


@pytest.mark.parametrize("name", ["a/b", "bundled/minilm-l6", "x" * 5000, "~nobody-of-that-name/m"])
def test_models_that_are_no_folder_stay(name: str, tmp_path: Path) -> None:
    (tmp_path / "bundled" / "minilm-l6").mkdir(parents=True)
    config = config_file.load({**SMALLEST, "model": {"name": name}})
    assert config_file.resolve_paths(config, tmp_path).model.name == name


def test_the_home_folder_is_spelt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").touch()
    config = config_file.load({"data": {"train": "~/a.csv"}})
    resolved = config_file.resolve_paths(config, Path("/elsewhere"))
    assert resolved.data.train == str(tmp_path / "a.csv")


NAMES = st.text(min_size=1).filter(str.strip)
FILES = NAMES | st.lists(NAMES, min_size=1, max_size=3)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)
COUNTS = st.integers(1, 10**6)


def _without_seed_of_no_split(data: DataConfig) -> DataConfig:
    """``data.split_seed`` is refused next to validation files."""
    is_split = isinstance(data.validation, float)
    return data if is_split else data.model_copy(update={"split_seed": 42})


CONFIGS = st.builds(
    RunConfig,
    model=st.builds(
        ModelConfig,
        name=NAMES,
        revision=st.none() | st.text(),
        max_tokens=st.just("auto") | st.integers(3, 10**6),
        allow_pickle=st.booleans(),
    ),
    data=st.builds(
        DataConfig,
        train=FILES,
        validation=SHARES | FILES,
        test=st.none() | FILES,
        dir=st.none() | st.text(),
        delimiter=st.none() | st.characters(exclude_categories=["Cs"]),
        columns=st.none() | st.lists(NAMES, min_size=1, max_size=5, unique=True),
        text=NAMES.map("text {}".format),
        label=NAMES.map("label {}".format),
        group=st.none() | NAMES.map("group {}".format),
        split_seed=st.integers(0),
    ).map(_without_seed_of_no_split),
    train=st.builds(
        TrainConfig,
        epochs=COUNTS,
        learning_rate=SHARES,
        weight_decay=st.just(0) | SHARES,
        adam_epsilon=st.floats(0, exclude_min=True, allow_infinity=False),
        schedule=st.sampled_from(["linear", "cosine", "constant"]),
        warmup_share=st.none() | SHARES,
        max_gradient_norm=st.none() | st.floats(1e-300, 1e300),
        seed=st.integers(0, 2**63 - 1),
        best_metric=st.none() | st.text(),
        early_stopping=st.none() | COUNTS,
        lora=st.none()
        | st.builds(LoraConfig, rank=COUNTS, modules=st.none() | st.lists(NAMES, min_size=1)),
        average=st.none() | st.builds(AverageConfig, count=st.integers(2, 9)),
    ),
    pretrain=st.none()
    | st.builds(
        PretrainConfig,
        size=st.sampled_from(["tiny", "mini", "small"]),
        layers=st.none() | st.integers(1, 1000),
        vocabulary=st.integers(257, 10**6),
    ),
)


_OF_A_SPLIT = {"data.stratify", "data.split_seed"}
"""Settings that are left out next to validation files."""


@given(CONFIGS)
def test_a_config_written_out_loads_back_equal(config: RunConfig) -> None:
    text = config_file.dump(config)
    content = config_yaml.read_yaml(text, "config.yaml").content
    assert config_file.load(content) == config
    # Every setting that has an effect is there, in the order of config.py.
    written = list(_names(content))
    unread = TASK_SETTINGS - TASKS[config.task].reads | NEEDS.keys() - {
        "data.label",
        "data.label_names",
    }
    if config.data.validation != "none":
        unread -= {name for name, (_, value) in NEEDS.items() if value == "ROWS"}
    if isinstance(config.data.validation, float) or config.data.limit is not None:
        unread -= _OF_A_SPLIT
    known = [name for s in config_file.settings_table() if (name := s.name) not in unread]
    absent = {"pretrain": config.pretrain, "train.lora": config.train.lora}
    for group, part in {**absent, "train.average": config.train.average}.items():
        members = [place for place, name in enumerate(known) if name.startswith(f"{group}.")]
        if part is None:
            known[members[0] : members[-1] + 1] = [group]
    assert written == known


def _names(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"

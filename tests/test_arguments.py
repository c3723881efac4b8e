"""Arguments of the Python functions that have the wrong type: one message, as for any error."""

from typing import Any

import pytest

import warmstart
from warmstart.data.reading.python_tables import paths_of
from warmstart.errors import ConfigError, DataError
from warmstart.serving.writer import training_novelty


class Nothing:
    """A value that no argument accepts; its name in the ids of tests is always the same."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = Nothing()
WRONG = [None, 7, 1.5, b"runs", ["runs"], {"runs"}, NOTHING]


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("name", ["load", "resume", "info", "generate"])
def test_what_is_no_path_is_refused(name: str, value: Any) -> None:
    more = [["a prompt"]] if name == "generate" else []
    with pytest.raises(DataError, match=f"of type {type(value).__name__}"):
        getattr(warmstart, name)(value, *more)


@pytest.mark.parametrize("value", [None, 7, b"a.csv", NOTHING], ids=repr)
@pytest.mark.parametrize("listed", [False, True])
def test_what_is_no_source_is_refused(value: Any, listed: bool) -> None:
    with pytest.raises(DataError, match=f"data is of type {type(value).__name__}"):
        paths_of([value] if listed else value, "data")


def test_no_sources_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="data is an empty list"):
        paths_of([], "data")


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("name", ["train", "check", "pretrain"])
def test_what_is_no_config_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"the config is of type {type(value).__name__}"):
        getattr(warmstart, name)(value)


@pytest.mark.parametrize("value", [None, 7, b"train.epochs=2", [2], [None], NOTHING], ids=repr)
def test_what_are_no_overrides_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="the overrides are of type"):
        warmstart.check({"data": {"train": "a.csv"}}, value)


@pytest.mark.parametrize("value", [None, 7, "one text", [7], [["a"]], {"a": "b"}], ids=repr)
def test_novelty_takes_texts(value: Any) -> None:
    directory: Any = None  # the texts are checked before the run is read
    with pytest.raises(DataError, match="texts is"):
        training_novelty(directory, value)

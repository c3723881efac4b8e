"""Data sets by name, with a stand-in for the ``datasets`` library."""

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from tests.data.reading_helpers import refusal, table
from warmstart.data.reading import hub_datasets


class ClassLabel:
    """Like ``datasets.ClassLabel``."""

    names = ("bad", "good")


class NotFound(FileNotFoundError):
    """Like ``datasets.exceptions.DatasetNotFoundError``."""


class Split:
    """Like ``datasets.Dataset``."""

    features = {"text": object(), "label": ClassLabel(), "stars": object()}  # noqa: RUF012

    def __init__(self, columns: pa.Table) -> None:
        self.columns = columns

    def with_format(self, kind: str) -> "Split":
        assert kind == "arrow"
        return self

    def __getitem__(self, rows: slice) -> pa.Table:
        return self.columns[rows.start or 0 :]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The data sets on the stand-in's Hub; requests are recorded in ``asked``."""
    columns = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1], "stars": [5, 1, 3]})
    content = {("me/reviews",): columns, ("glue", "cola"): columns, ("me/none",): columns[:0]}
    asked: list[tuple[str, ...]] = []

    def load_dataset(*name: str, split: str) -> Split:
        asked.append((*name, split))
        if name not in content:
            raise NotFound(f"{name[0]} doesn't exist on the Hub")
        if split not in {"train", "train[:2]"}:
            raise ValueError(f"Unknown split {split!r}")
        return Split(content[name])

    exceptions = SimpleNamespace(DatasetNotFoundError=NotFound)
    module = SimpleNamespace(load_dataset=load_dataset, exceptions=exceptions)
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setattr(hub_datasets, "_unreachable", lambda: None)
    return asked


@pytest.mark.parametrize("cached", [False, True])
def test_a_hub_that_does_not_answer_is_asked_once(
    cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[str] = []

    def load_dataset(name: str, split: str) -> None:
        asked.append(name)
        raise ConnectionError("no network")

    with socket.socket() as closed:  # bound, but it accepts no connections
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
        if cached:
            (tmp_path / "some_one___my_reviews").mkdir()
        error = refusal("hub:Some_one/MyReviews:train")
    # A data set that may be in the cache is left to the library.
    assert asked == (["Some_one/MyReviews"] if cached else [])
    assert cached or f"{endpoint} does not answer" in error.found
    assert "HF_ENDPOINT" in error.do
    assert "name a local file" in error.do


def test_a_data_set_by_name(hub: list[tuple[str, ...]]) -> None:
    read = table("hub:me/reviews:train", dir="ignored")
    assert read.columns.to_pydict() == {
        "text": ["a", "b", "c"],
        "label": ["good", "bad", None],
        "stars": ["5", "1", "3"],
    }
    assert read.where(2) == "hub:me/reviews:train:3"
    assert read.files[0].encoding is None
    assert read.files[0].sha256 == table("hub:me/reviews:train").files[0].sha256
    assert len(read.files[0].sha256) == 64
    assert hub == [("me/reviews", "train")] * 2


def test_two_parts_may_be_name_and_configuration(hub: list[tuple[str, ...]]) -> None:
    assert len(table("hub:glue/cola:train[:2]")) == 3
    assert hub == [("glue/cola", "train[:2]"), ("glue", "cola", "train[:2]")]


def test_three_parts_are_owner_name_and_configuration(hub: list[tuple[str, ...]]) -> None:
    error = refusal("hub:nyu-mll/glue/cola:train")
    assert hub == [("nyu-mll/glue", "cola", "train")]
    assert "nyu-mll/glue doesn't exist" in error.found
    assert "HF_ENDPOINT" in error.do


def test_a_split_that_does_not_exist(hub: list[tuple[str, ...]]) -> None:
    assert "Unknown split 'dev'" in refusal("hub:me/reviews:dev").found


def test_an_empty_split(hub: list[tuple[str, ...]]) -> None:
    assert refusal("hub:me/none:train").found == "hub:me/none:train has no rows"


@pytest.mark.parametrize("source", ["hub:x", "hub::train", "hub:a/b/c/d:train", "hub:a:"])
def test_a_source_that_names_no_split(source: str) -> None:
    error = refusal(source)
    assert error.expected == "hub:NAME[/CONFIG]:SPLIT"
    assert "hub:nyu-mll/glue/cola:train" in error.do


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    error = refusal("hub:me/reviews:train")
    assert "needs the package 'datasets'" in error.found
    assert error.do.startswith("pip install")

"""Tables of Python as data: the same rows as a file, recorded, resumed, or refused."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.torch import load_file

import warmstart
from tests.runs_in_memory import settings, whole_run
from warmstart import config_file
from warmstart.data.reading.python_tables import KEPT_DAYS
from warmstart.data.reading.sources import read
from warmstart.errors import DataError, Interrupted
from warmstart.preparation.prepare import prepare
from warmstart.run import Run
from warmstart.training import loop

ROWS = [
    {"text": "a\nb", "label": "x", "n": 3},
    {"text": "é", "label": None, "n": None},
    {"text": "c", "label": "y", "n": 5},
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pandas_table(rows: list[dict[str, Any]]) -> Any:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(rows)
    return table.set_index(pandas.Index(range(5, 5 + len(rows)), name="text"))  # no column


def data_set(rows: list[dict[str, Any]]) -> Any:
    datasets = pytest.importorskip("datasets")
    names = sorted({row["label"] for row in rows if row["label"]})
    codes = [{**row, "label": names.index(row["label"]) if row["label"] else -1} for row in rows]
    found = datasets.Dataset.from_list(codes)
    return found.cast_column("label", datasets.ClassLabel(names=names))


class OtherLibrary:
    """A table of a library that only has Arrow's protocol, such as polars."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.Table.from_pylist(self.rows).__arrow_c_stream__(requested_schema)


KINDS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "a list": list,
    "a tuple": tuple,
    "pyarrow": pa.Table.from_pylist,
    "record batches": lambda rows: pa.Table.from_pylist(rows).to_reader(),
    "pandas": pandas_table,
    "datasets": data_set,
    "another library": OtherLibrary,
}


def columns_of(config: Any, *, overrides: Any = ()) -> dict[str, list[Any]]:
    data = config_file.load(config, overrides).data
    found: dict[str, list[Any]] = read(data.train, data, "data.train").columns.to_pydict()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_read_like_a_file(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)))
    expected = columns_of({"data": {"train": str(file)}})
    found = columns_of({"data": {"train": KINDS[kind](ROWS)}})
    # pandas has no integers with missing values: as in its files, they are floats.
    assert found == (expected | {"n": ["3", None, "5"]})
    assert columns_of({"data": {"train": "a.csv"}}, overrides={"data.train": ROWS}) == expected
    both = [KINDS[kind](ROWS), str(file)]
    assert columns_of({"data": {"train": both}})["text"] == expected["text"] * 2


def test_lists_of_numpy_values_keep_keys_that_occur_late() -> None:
    rows = [
        {"text": np.str_("a"), "label": np.int64(1)},
        {"text": "b", "label": np.nan, "words": np.array(["x", "y"])},
        {"text": "c", "label": np.float32(0.5), "words": [True, None]},
    ]
    assert columns_of({"data": {"train": rows}}) == {
        "text": ["a", "b", "c"],
        "label": ["1", None, "0.5"],
        "words": [None, '["x", "y"]', "[true, null]"],
    }


def test_the_same_table_is_written_once(cache: Path) -> None:
    for _ in range(2):
        for kind in ("a list", "a tuple", "pyarrow", "another library"):
            config_file.load({"data": {"train": KINDS[kind](ROWS)}})
    assert sorted(path.suffix for path in (cache / "tables").iterdir()) == [".jsonl", ".parquet"]


def test_a_table_that_nothing_has_read_for_a_long_time_is_removed(cache: Path) -> None:
    tables = cache / "tables"
    one, two, three = ([{"text": f"row {number}", "label": "x"}] for number in range(3))
    read_again = config_file.load({"data": {"train": one}})
    config_file.load({"data": {"train": two}})
    (tables / "tmpkilled").mkdir()  # of a process that was killed
    for path in tables.iterdir():
        os.utime(path, (0, time.time() - (KEPT_DAYS + 1) * 24 * 3600))
    read(read_again.data.train, read_again.data, "data.train")
    last = config_file.load({"data": {"train": three}})
    kept = {str(path) for path in tables.iterdir()}
    assert kept == {read_again.data.train, last.data.train}


@pytest.mark.parametrize(
    ("value", "found", "advice"),
    [
        ({"text": ["a"], "label": ["b"]}, "data.train is a dict with the keys 'text', 'label'",
         "pyarrow.table(COLUMNS)"),
        ({"train": pa.table({"text": ["a"]})}, "data.train is a dict with the keys 'train'",
         "data['train']"),
        (({"text": "a"} for _ in range(2)), "data.train is a generator", "list(ROWS)"),
        ([{"text": "a"}, None], "row 2 of the list cannot be used (it is a NoneType", "str(VALUE)"),
        ([{"text": "a"}, {"text": Path()}], "row 2 of the list cannot be used", "str(VALUE)"),
        (pa.table({"text": pa.array([], pa.string())}), "the Table has no rows", "len(TABLE)"),
        (pa.chunked_array([["a"]]), "ChunkedArray cannot be read as a table", "different names"),
    ],
)  # fmt: skip
def test_other_values_are_refused(value: Any, found: str, advice: str) -> None:
    with pytest.raises(DataError) as caught:
        config_file.load({"data": {"train": value}})
    assert found in caught.value.found
    assert advice in str(caught.value)


@pytest.mark.parametrize("other", [2, 10**30])
def test_a_column_that_arrow_lacks_is_refused_and_the_advice_works(other: int) -> None:
    pandas = pytest.importorskip("pandas")
    first = "a" if other == 2 else 1  # of two types, or too large
    frame = pandas.DataFrame({"text": [first, other], "label": ["x", "y"]})
    with pytest.raises(DataError, match="cannot be read as a table") as caught:
        config_file.load({"data": {"train": frame}})
    assert 'df["COLUMN"] = df["COLUMN"].astype("string")' in caught.value.do
    frame["text"] = frame["text"].astype("string")
    assert columns_of({"data": {"train": frame}})["text"] == [str(first), str(other)]


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("a file")
    with pytest.raises(DataError, match="cannot be written") as caught:
        config_file.load({"data": {"train": ROWS}})
    assert "WARMSTART_CACHE=FOLDER" in caught.value.do
    monkeypatch.setenv("WARMSTART_CACHE", str(cache.with_name("other")))
    config_file.load({"data": {"train": ROWS}})


def test_a_run_on_a_table_is_the_run_on_its_file(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=1)
    table = read(config["data"]["train"], config_file.load(config).data, "data.train").columns
    weights = []
    for name, train in {"file": config["data"]["train"], "table": table}.items():
        run = prepare(config_file.load({**config, "data": {**config["data"], "train": train}}))
        _, job = whole_run(run, tmp_path / name)
        weights.append(load_file(job.run.model / "model.safetensors"))
        (record,) = run.data_json()["files"]["train"]
        assert record["rows"] == 120
        assert len(record["sha256"]) == 64
    of_file, of_table = weights
    assert all(bool((of_table[name] == tensor).all()) for name, tensor in of_file.items())


@pytest.mark.slow
def test_a_run_on_a_table_is_resumed_or_says_what_is_missing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "report", lambda run: run.path)
    table = pa.table({"text": ["good", "a bad"] * 20, "label": ["x", "y"] * 20})
    config = settings(tmp_path, epochs=1)
    config["data"]["train"] = table
    with monkeypatch.context() as patch, pytest.raises(Interrupted):  # noqa: PT012
        stop_at(patch, 2)
        warmstart.train(config, output=tmp_path / "run", progress=False)
    (file,) = (cache / "tables").iterdir()
    file.unlink()
    with pytest.raises(DataError, match="written from a table") as caught:
        warmstart.resume(tmp_path / "run", progress=False)
    assert 'warmstart.check({"data": {"train": TABLE, …}})' in caught.value.do
    warmstart.check(config)
    run = warmstart.resume(tmp_path / "run", progress=False)
    assert run.evaluate([{"text": "good", "label": "x"}, {"text": "a bad", "label": "y"}])
    assert run.predict_file(pa.table({"text": ["good", "b", "c"]})).num_rows == 3


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C as that step ends."""
    original = loop.make_step

    def make_step(parts: Any, positions: Any, progress: Any) -> Any:
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)
        return original(parts, positions, progress)

    monkeypatch.setattr(loop, "make_step", make_step)

"""Prepare a run: the splits are disjoint and traceable, and errors are found before weights."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs_in_memory import GOOD, OTHER, settings, write_reviews
from warmstart import config_file
from warmstart.data.examples.targets import RowTargets, of_kind
from warmstart.data.table import Table
from warmstart.errors import ConfigError, DataError, ModelError
from warmstart.preparation.prepare import Prepared, prepare


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A tiny model's folder."""
    return str(settings(tmp_path)["model"]["name"])


def prepared(checkpoint: str, data: dict[str, Any], **train: Any) -> Prepared:
    config = {"model": {"name": checkpoint}, "data": data, "train": train}
    return prepare(config_file.load(config))


def texts(table: Table) -> list[str]:
    found: list[str] = table.columns["text"].to_pylist()
    return found


def write_lines(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_a_share_is_taken_from_the_training_file(tmp_path: Path, checkpoint: str) -> None:
    source = str(write_reviews(tmp_path / "reviews.csv", rows=100))
    found = prepared(checkpoint, {"train": source, "validation": 0.2})
    train, validation = found.tables["train"], found.tables["validation"]
    assert list(found.tables) == ["train", "validation"]
    assert sorted([*train.rows, *validation.rows]) == list(range(100))
    assert 20 <= len(validation) <= 21  # rounded up for each label
    for table in (train, validation):
        good = np.mean([label == "good" for label in table.columns["label"].to_pylist()])
        assert good == pytest.approx(0.6, abs=0.1)
    again = prepared(checkpoint, {"train": source, "validation": 0.2})
    assert again.data_json() == found.data_json()
    other = prepared(checkpoint, {"train": source, "validation": 0.2, "split_seed": 7})
    assert other.tables["validation"].rows.tolist() != validation.rows.tolist()


def test_files_for_each_split(tmp_path: Path, checkpoint: str) -> None:
    sources = {
        split: str(write_reviews(tmp_path / f"{split}.csv", rows=rows, seed=rows))
        for split, rows in {"train": 40, "validation": 20, "test": 30}.items()
    }
    found = prepared(checkpoint, sources)
    assert {name: len(table) for name, table in found.tables.items()} == {
        "train": 40,
        "validation": 20,
        "test": 30,
    }
    assert {table.setting for table in found.tables.values()} == {
        "data.train",
        "data.validation",
        "data.test",
    }
    content = found.data_json()
    assert {name: split["source"] for name, split in content["splits"].items()} == {
        "train": "train",
        "validation": "validation",
        "test": "test",
    }
    assert [split["rows"] for split in content["splits"].values()] == ["all", "all", "all"]
    assert content["files"]["test"][0]["path"] == sources["test"]


def test_groups_stay_together(tmp_path: Path, checkpoint: str) -> None:
    pick = random.Random(3)
    rows = [
        f"{pick.choice(OTHER)} {pick.choice(GOOD)} {number},{number % 2},person-{number % 17}"
        for number in range(120)
    ]
    source = write_lines(tmp_path / "grouped.csv", "text,label,author", *rows)
    data = {"train": source, "validation": 0.3, "group": "author"}
    found = prepared(checkpoint, data)
    people = {
        name: set(table.columns["author"].to_pylist()) for name, table in found.tables.items()
    }
    assert people["train"]
    assert people["validation"]
    assert not people["train"] & people["validation"]
    assert sum(map(len, found.tables.values())) == 120


def rows_of(content: dict[str, Any], split: str) -> list[int]:
    """The row ids of a split, from ``data.json`` alone: ``0-6,8,10-11``, or ``all``."""
    about = content["splits"][split]
    read = sum(file["rows"] for file in content["files"][about["source"]])
    if about["rows"] == "all":
        return list(range(read))
    runs = [list(map(int, run.split("-"))) for run in about["rows"].split(",")]
    return [row for run in runs for row in range(run[0], run[-1] + 1)]


def test_data_json_tells_every_row_its_split(tmp_path: Path, checkpoint: str) -> None:
    """Dropped rows are in no split; all others are in exactly one."""
    lines = write_reviews(tmp_path / "r.csv", rows=60).read_text().splitlines()
    lines[5] = "too,many,fields"  # row 4
    lines[10] = ",good"  # row 9, without a text
    lines[20] = "a text without its label,"  # row 19
    source = write_lines(tmp_path / "reviews.csv", *lines)
    test = str(write_reviews(tmp_path / "test.csv", rows=10, seed=8))
    data = {"train": source, "test": test, "validation": 0.25, "missing": "drop", "ragged": "drop"}
    found = prepared(checkpoint, data)
    content = json.loads(json.dumps(found.data_json(), allow_nan=False))
    train, validation = rows_of(content, "train"), rows_of(content, "validation")
    assert sorted(train + validation) == [row for row in range(60) if row not in (4, 9, 19)]
    assert rows_of(content, "test") == list(range(10))
    for split, rows in {"train": train, "validation": validation}.items():
        table = found.tables[split]
        assert rows == table.rows.tolist() == found.examples[split].rows.tolist()
        for position, row in enumerate(rows):
            assert table.where(position) == f"{source}:{row + 2}"
            assert texts(table)[position] == lines[row + 1].partition(",")[0]
    assert content["splits"]["validation"]["source"] == "train"
    assert content["files"]["train"] == content["files"]["validation"]
    assert content["files"]["train"][0]["rows"] == 60
    assert content["files"]["train"][0]["dropped"] == 1
    assert content["splits"]["train"]["left_out"] == {"empty_text": 1, "missing_label": 1}
    assert content["splits"]["validation"]["left_out"] == {}
    assert content["max_tokens"] == found.max_tokens == 128


def test_several_files_are_one_split(tmp_path: Path, checkpoint: str) -> None:
    sources = [str(write_reviews(tmp_path / f"{n}.csv", rows=n, seed=n)) for n in (30, 20)]
    found = prepared(checkpoint, {"train": sources, "validation": 0.2})
    content = found.data_json()
    assert sorted(rows_of(content, "train") + rows_of(content, "validation")) == list(range(50))
    train = found.tables["train"]
    later = int(np.flatnonzero(train.rows >= 30)[0])
    assert train.where(later) == f"{sources[1]}:{train.rows[later] - 30 + 2}"


def test_examples_are_the_tables_rows(tmp_path: Path, checkpoint: str) -> None:
    source = str(write_reviews(tmp_path / "reviews.csv", rows=40))
    found = prepared(checkpoint, {"train": source})
    for name, table in found.tables.items():
        examples, tokenizer = found.examples[name], found.checkpoint.tokenizer
        for position, text in enumerate(texts(table)):
            assert examples.tokens.ids_of(position).tolist() == tokenizer(text)["input_ids"]
        names = found.task.facts["label_names"]
        labels = [names[label] for label in of_kind(examples.targets, RowTargets).values]
        assert labels == table.columns["label"].to_pylist()
        assert found.splits[name].labels.tolist() == [names.index(label) for label in labels]


def test_best_metric_is_the_main_metric_or_the_requested_one(
    tmp_path: Path, checkpoint: str
) -> None:
    data = {"train": str(write_reviews(tmp_path / "reviews.csv", rows=40))}
    assert prepared(checkpoint, data).best_metric == "matthews_correlation"
    assert prepared(checkpoint, data, best_metric="accuracy").best_metric == "accuracy"
    with pytest.raises(ConfigError, match="train.best_metric is acuracy") as caught:
        prepared(checkpoint, data, best_metric="acuracy")
    assert caught.value.do == "--set train.best_metric=accuracy"
    assert "matthews_correlation" in caught.value.expected


def test_a_warm_up_longer_than_the_run_is_refused(tmp_path: Path, checkpoint: str) -> None:
    data = {"train": str(write_reviews(tmp_path / "reviews.csv", rows=40))}
    with pytest.raises(ConfigError, match="a warm-up of 9 steps in a run of 2") as caught:
        prepared(checkpoint, data, warmup_steps=9, epochs=1, batch_size=18)
    assert "--set train.warmup_steps=0" in caught.value.do


def test_a_label_first_met_in_a_held_out_split_is_refused(tmp_path: Path, checkpoint: str) -> None:
    train = str(write_reviews(tmp_path / "train.csv", rows=20))
    test = write_lines(tmp_path / "test.csv", "text,label", "a story,good", "a cat,ugly")
    with pytest.raises(DataError, match=r"test.csv:3.*ugly"):
        prepared(checkpoint, {"train": train, "test": test})


def test_one_file_for_two_splits_is_refused_unless_allowed(tmp_path: Path, checkpoint: str) -> None:
    source = str(write_reviews(tmp_path / "reviews.csv", rows=30))
    data = {"train": source, "validation": 0.2, "test": source}
    with pytest.raises(DataError) as caught:
        prepared(checkpoint, data)
    assert "--set data.allow_same_file=true" in caught.value.do
    assert len(prepared(checkpoint, {**data, "allow_same_file": True}).tables["test"]) == 30


def test_the_data_are_checked_before_the_model(tmp_path: Path) -> None:
    """A download is never started for a file that cannot be used."""
    source = write_lines(tmp_path / "one.csv", "text,label", "a,yes", "b,yes", "c,yes")
    absent = str(tmp_path / "no-model")
    with pytest.raises(DataError):
        prepared(absent, {"train": source})
    unseen = write_lines(tmp_path / "unseen.csv", "text,label", "a story,ugly")
    with pytest.raises(DataError, match=r"unseen.csv:2"):
        prepared(absent, {"train": str(write_reviews(tmp_path / "r.csv")), "test": unseen})
    with pytest.raises(ModelError):
        prepared(absent, {"train": str(write_reviews(tmp_path / "good.csv", rows=20))})


def test_what_is_prepared_cannot_be_changed(tmp_path: Path, checkpoint: str) -> None:
    found = prepared(checkpoint, {"train": str(write_reviews(tmp_path / "r.csv", rows=20))})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.max_tokens = 5  # type: ignore[misc]

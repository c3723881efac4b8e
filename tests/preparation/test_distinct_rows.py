"""``data.duplicates``: rows with the same text, kept, left out of training, or kept together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.cases import CASES
from tests.runs_in_memory import never, settings, write_reviews
from tests.tiny.decoders import tiny_gpt2
from warmstart import config_file
from warmstart.errors import ConfigError, DataError, Interrupted, WarmstartError
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.preparation.row_ids import given_rows
from warmstart.preparation.training_rows import training_splits
from warmstart.runs.directory import RunDirectory
from warmstart.tasks import TASKS
from warmstart.tasks.made_rows import SamplesRows
from warmstart.training.train_run import train_run

ROWS = [*((f"row {n}", "ab"[n % 2]) for n in range(8)), ("row 1", "b"), ("row 2", "b")]
"""Rows 1 and 8 are equal; rows 2 and 9 have one text and two labels."""


def write(path: Path, rows: list[tuple[str, ...]], names: str = "text,label") -> str:
    path.write_text("\n".join([names, *map(",".join, rows)]) + "\n", "utf-8")
    return str(path)


def config_of(folder: Path, **data: Any) -> Any:
    return config_file.load({**settings(folder), "data": data})


def shared(prepared: Prepared) -> set[str]:
    """Texts that are in training and in another split."""
    texts = {
        name: set(table.columns[prepared.config.data.text].to_pylist())
        for name, table in prepared.tables.items()
    }
    return texts["train"] & set().union(*(texts[name] for name in texts if name != "train"))


def test_training_rows_with_the_text_of_another_row_are_left_out(tmp_path: Path) -> None:
    given = {
        "train": write(tmp_path / "a.csv", ROWS),
        "validation": write(tmp_path / "v.csv", [("row 3", "b"), ("new", "a"), ("new", "a")]),
        "test": write(tmp_path / "t.csv", [("row 4", "b"), ("other", "a")]),
    }
    prepared = prepare(config_of(tmp_path, **given, duplicates="drop"))
    assert prepared.tables["train"].rows.tolist() == [0, 1, 5, 6, 7]
    assert {name: len(prepared.tables[name]) for name in ("validation", "test")} == {
        "validation": 3,
        "test": 2,
    }
    counts = {"scored_text": 2, "contradictory_labels": 2, "repeated_text": 1}
    assert prepared.dropped["train"] == {**counts, "empty_text": 0, "missing_label": 0}
    assert prepared.data_json()["splits"]["train"]["rows"] == "0-1,5-7"
    said = [message.text for message in prepared.findings.messages]
    assert any(text.startswith("2 training rows dropped: a validation or test") for text in said)
    assert any(text.startswith("2 training rows dropped: their text occurs") for text in said)
    kept = prepare(config_of(tmp_path, **given))
    assert len(kept.tables["train"]) == 10
    assert shared(kept) == {"row 3", "row 4"}


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("group", [None, "person"])
def test_rows_with_one_text_stay_in_one_split(
    tmp_path: Path, stratify: bool, group: str | None
) -> None:
    rows = [(f"text {n % 23}", "ab"[n % 23 % 2], f"p{n % 30}") for n in range(60)]
    path = write(tmp_path / "a.csv", rows, "text,label,person")
    given = {"train": path, "validation": 0.25, "stratify": stratify, "group": group}
    if group is None:
        kept = prepare(config_of(tmp_path, **given))
        assert shared(kept)
        prepared = prepare(config_of(tmp_path, **given, duplicates="together"))
        assert len({row[0] for row in rows}) * 0.25 <= 7
        said = [message.text for message in prepared.findings.messages]
        assert any("25% of the groups of rows with the same text" in text for text in said)
    else:
        # Connected by a text or by a person, all rows are one group, unless some are apart.
        with pytest.raises(DataError, match="of 1 group leaves one split empty"):
            prepare(config_of(tmp_path, **given, duplicates="together"))
        apart = [(f"text {n // 3}", "ab"[n // 6 % 2], f"p{n // 2}") for n in range(60)]
        write(tmp_path / "a.csv", apart, "text,label,person")
        prepared = prepare(config_of(tmp_path, **given, duplicates="together"))
        people = {
            name: set(table.columns["person"].to_pylist())
            for name, table in prepared.tables.items()
        }
        assert not people["train"] & people["validation"]
    assert not shared(prepared)
    assert sum(map(len, prepared.tables.values())) == 60


def _with_rows_twice(path: Path) -> int:
    """Write every row of a file again at its end; returns how many there were."""
    content = path.read_text("utf-8")
    if path.suffix == ".json":  # SQuAD's form
        articles = json.loads(content)["data"]
        path.write_text(json.dumps({"data": articles * 2}), "utf-8")
        return sum(len(one["qas"]) for article in articles for one in article["paragraphs"])
    rows = content if path.suffix == ".jsonl" else content.split("\n", 1)[1]
    path.write_text(content + rows, "utf-8")
    return len(rows.splitlines())


def test_without_scored_rows_only_training_rows_are_compared(tmp_path: Path) -> None:
    made = settings(tmp_path)
    path = Path(made["data"]["train"])
    count = _with_rows_twice(path)
    made["data"] |= {"duplicates": "drop", "validation": "none"}
    prepared = prepare(config_file.load(made))
    assert len(prepared.tables["train"]) == count
    dropped = {reason: n for reason, n in prepared.dropped["train"].items() if n}
    assert dropped == {"repeated_text": count}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_leave_repeated_rows_out(tmp_path: Path, task: str) -> None:
    made = CASES[task].settings(tmp_path)
    path = Path(made["data"]["train"])
    count = _with_rows_twice(path)
    made["data"]["duplicates"] = "drop"
    prepared = prepare(config_file.load(made))
    train, validation = (prepared.tables[name] for name in ("train", "validation"))
    dropped = prepared.dropped["train"]
    by_text = {"text-ranking": "query", "question-answering": "context"}  # pairs are compared
    assert not shared(prepared) or task in by_text
    assert dropped.get("scored_text", 0) + dropped["repeated_text"] > 0
    total = len(train) + len(validation) + sum(dropped.values())
    if not issubclass(TASKS[task], SamplesRows):  # these make several rows of a line
        assert total == 2 * count
    assert total == sum(file.rows for file in train.files)
    if task in by_text:
        made["data"]["duplicates"] = "together"
        with pytest.raises(ConfigError, match=f"split by {by_text[task]}, which is a text"):
            config_file.load(made)
    else:
        made["data"]["duplicates"] = "together"
        together = prepare(config_file.load(made))
        assert not shared(together)
        assert sum(map(len, together.tables.values())) == total


def test_a_run_with_given_rows_resumes_with_the_same_rows_left_out(tmp_path: Path) -> None:
    write_reviews(tmp_path / "reviews.csv")
    lines = (tmp_path / "reviews.csv").read_text("utf-8").splitlines()
    lines[3] = lines[1]  # rows 2 and 0
    lines[6] = lines[2]  # rows 5 (of validation) and 1
    path = write(tmp_path / "a.csv", [tuple(line.split(",")) for line in lines[1:]])
    rows = {"train": np.array([0, 1, 2, 3, 4, 8, 9]), "validation": np.array([5, 6, 7])}
    config = config_of(tmp_path, train=path, duplicates="drop")
    prepared = prepare(config, rows=rows)
    assert prepared.tables["train"].rows.tolist() == [0, 3, 4, 8, 9]
    asked = iter([True])
    with pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "run", stop_requested=lambda: next(asked))
    directory = RunDirectory(tmp_path / "run")
    again = given_rows(directory)
    assert again is not None
    assert again["train"].tolist() == rows["train"].tolist()
    assert training_splits(directory)["train"].rows.tolist() == [0, 3, 4, 8, 9]
    train_run(
        prepare(config, rows=again),
        tmp_path / "run",
        resume=True,
        stop_requested=never,
        baselines=False,
    )


def test_given_rows_with_a_prompt_too_long_resume_too(tmp_path: Path) -> None:
    """Rows that are left out after tokenising are among those that were given, too."""
    tiny_gpt2(tmp_path / "decoder", max_positions=32)
    rows = [("the cat " * (20 if n == 3 else 1), f"and her story {n}") for n in range(8)]
    path = write(tmp_path / "a.csv", rows, "ask,text")
    config = config_file.load(
        {
            "task": "text-generation",
            "model": {"name": str(tmp_path / "decoder"), "max_tokens": 16},
            "data": {"train": path, "prompt": "ask"},
            "train": {"epochs": 1, "batch_size": 2, "device": "cpu"},
        }
    )
    prepared = prepare(config, rows={"train": np.arange(6), "validation": np.array([6, 7])})
    assert prepared.dropped["train"]["prompt_fills_row"] == 1
    asked = iter([True])
    with pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "run", stop_requested=lambda: next(asked))
    again = prepare(config, rows=given_rows(RunDirectory(tmp_path / "run")))
    written = json.loads((tmp_path / "run" / "data.json").read_text("utf-8"))
    assert again.data_json()["splits"] == written["splits"]


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nothing left": ({"validation": "v.csv", "duplicates": "drop"}, {}, "none of the 4 training"),
    "row ids": (
        {"duplicates": "together"},
        {"rows": {"train": [0, 1], "validation": [2, 3]}},
        "row ids for the splits",
    ),
}
"""Settings, arguments of ``prepare``, and what the message found."""


@pytest.mark.parametrize(("data", "more", "found"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused(
    data: dict[str, Any],
    more: dict[str, Any],
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.csv"), [("one", "a"), ("two", "b"), ("three", "a"), ("three", "b")])
    write(Path("v.csv"), [("one", "a"), ("two", "b")])
    given = {"train": "a.csv", **data}
    with pytest.raises(WarmstartError) as caught:
        prepare(config_of(tmp_path, **given), **more)
    assert found in caught.value.found
    advised = caught.value.do.partition("--set data.duplicates=")[2].split(",")[0]
    assert prepare(config_of(tmp_path, **{**given, "duplicates": advised}), **more)


def test_rows_left_out_for_the_test_file_stay_left_out_when_they_are_read_again(
    tmp_path: Path,
) -> None:
    train = Path(write_reviews(tmp_path / "reviews.csv"))
    lines = train.read_text("utf-8").splitlines()
    test = tmp_path / "test.csv"
    test.write_text("\n".join(lines[:6]), "utf-8")
    config = config_of(tmp_path, train=str(train), test=str(test), duplicates="drop")
    prepared = prepare(config)
    assert prepared.dropped["train"]["scored_text"] >= 4
    asked = iter([True])
    with pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "run", stop_requested=lambda: next(asked))
    again = training_splits(RunDirectory(tmp_path / "run"))
    assert again.keys() == {"train", "validation"}
    for name, table in again.items():
        assert table.rows.tolist() == prepared.tables[name].rows.tolist()

"""The stages of preparation: results shared by several runs, and splits given as row ids."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import warmstart
from tests.runs_in_memory import (
    never,
    ranking_settings,
    settings,
    write_reviews,
    writing_settings,
)
from warmstart import config_file
from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.tokenise import RowTokeniser
from warmstart.data.reading import sources
from warmstart.errors import ConfigError, DataError, Interrupted, RunError
from warmstart.preparation import stages
from warmstart.preparation.prepare import prepare
from warmstart.preparation.row_ids import given_rows, ids_of_ranges, ranges
from warmstart.preparation.stages import READING, Workspace, read_sources, split_tables
from warmstart.runs.directory import RunDirectory
from warmstart.tasks import TASKS
from warmstart.training.train_run import train_run

FOLDS = {
    "train": np.array([0, 1, 2, 3, 8, 9, 20, 21, 22, 23]),
    "validation": np.array([4, 5, 6, 7, 30]),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a source was read, and how many rows were tokenised."""
    found: Counter[str] = Counter()
    tokenise = RowTokeniser.tokenise

    def counted_read(source: Any, *arguments: Any, **named: Any) -> Any:
        found[f"read {source}"] += 1
        return sources.read(source, *arguments, **named)

    def counted_tokenise(
        self: RowTokeniser, chunks: Any, rows: Any, *rest: Any, **named: Any
    ) -> Any:
        found["rows"] += len(rows)
        return tokenise(self, chunks, rows, *rest, **named)

    monkeypatch.setattr(stages, "read", counted_read)
    monkeypatch.setattr(RowTokeniser, "tokenise", counted_tokenise)
    return found


def config_of(folder: Path, data: dict[str, Any] | None = None, **train: Any) -> RunConfig:
    made = settings(folder, **train)
    return config_file.load({**made, "data": {**made["data"], **(data or {})}})


def test_two_runs_over_one_file_read_it_once_and_tokenise_it_once(
    tmp_path: Path, calls: Counter[str]
) -> None:
    workspace = Workspace()
    first = prepare(config_of(tmp_path, seed=1), workspace=workspace)
    once = dict(calls)
    assert once == {f"read {tmp_path / 'reviews.csv'}": 1, "rows": 120}
    second = prepare(config_of(tmp_path, seed=2, learning_rate=2e-3), workspace=workspace)
    assert calls == once
    for name, split in first.splits.items():
        assert second.splits[name].table.rows.tolist() == split.table.rows.tolist()
        assert second.examples[name] is first.examples[name]
    assert second.config.train.seed == 2
    # Without a workspace each run reads the files itself, with the same result.
    third = prepare(config_of(tmp_path, seed=1))
    assert calls == {name: 2 * count for name, count in once.items()}
    assert (
        third.examples["train"].tokens.input_ids == first.examples["train"].tokens.input_ids
    ).all()


@pytest.mark.parametrize(
    ("data", "model", "read"),
    [
        ({"missing": "drop"}, {}, 2),
        ({"validation": 0.5}, {}, 1),
        ({"split_seed": 3}, {}, 1),
        ({}, {"max_tokens": 8}, 1),
        ({"stratify": False}, {}, 1),
    ],
)
def test_what_changes_the_result_is_not_shared(
    tmp_path: Path,
    calls: Counter[str],
    data: dict[str, Any],
    model: dict[str, Any],
    read: int,
) -> None:
    workspace = Workspace()
    prepare(config_of(tmp_path), workspace=workspace)
    made = settings(tmp_path)
    other = {**made, "data": {**made["data"], **data}, "model": {**made["model"], **model}}
    found = prepare(config_file.load(other), workspace=workspace)
    assert calls == {f"read {tmp_path / 'reviews.csv'}": read, "rows": 240}
    alone = prepare(config_file.load(other))
    assert (
        found.examples["train"].tokens.input_ids == alone.examples["train"].tokens.input_ids
    ).all()
    assert found.tables["train"].rows.tolist() == alone.tables["train"].rows.tolist()


def test_another_model_tokenises_again(tmp_path: Path, calls: Counter[str]) -> None:
    workspace = Workspace()
    prepare(config_of(tmp_path / "one"), workspace=workspace)
    made = settings(tmp_path / "one")
    other = settings_with_other_model(tmp_path, made)
    prepare(config_file.load(other), workspace=workspace)
    assert calls == {f"read {tmp_path / 'one' / 'reviews.csv'}": 1, "rows": 240}


def settings_with_other_model(folder: Path, made: dict[str, Any]) -> dict[str, Any]:
    from tests.tiny import tiny_checkpoint

    name = str(tiny_checkpoint(folder / "other", "roberta"))
    return {**made, "model": {**made["model"], "name": name}}


def test_every_setting_of_the_data_that_decides_what_is_read_is_part_of_the_key() -> None:
    """A new setting belongs to ``READING``, or to the settings that are used later."""
    afterwards = {
        *("train", "validation", "test"),  # the sources themselves are in the key
        *("truncation", "long_documents", "overlap_tokens", "mask_share", "whole_words"),
        "duplicates",
        *("label_separator", "tag_scheme", "stratify", "split_seed", "allow_same_file"),
        *("limit", "label_names", "control_tokens", "max_answer_tokens"),
    }
    assert set(READING) | afterwards == DataConfig.model_fields.keys()
    assert not set(READING) & afterwards


def test_splits_are_the_rows_that_are_given(tmp_path: Path) -> None:
    test = str(write_reviews(tmp_path / "test.csv", rows=9, seed=4))
    prepared = prepare(config_of(tmp_path, {"test": test}), rows=FOLDS)
    assert prepared.rows_given
    assert list(prepared.tables) == ["train", "validation", "test"]
    for name, rows in FOLDS.items():
        assert prepared.tables[name].rows.tolist() == rows.tolist()
        assert prepared.examples[name].rows.tolist() == rows.tolist()
        assert prepared.tables[name].setting == "data.train"
    assert len(prepared.tables["test"]) == 9
    content = prepared.data_json()
    assert content["rows_given"]
    assert content["splits"]["train"]["rows"] == "0-3,8-9,20-23"
    assert content["splits"]["validation"]["rows"] == "4-7,30"


def test_rows_may_be_given_in_any_order_and_come_in_file_order(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    backwards = {name: rows[::-1] for name, rows in FOLDS.items()}
    tables = split_tables(config, read_sources(config), backwards)
    assert tables["train"].rows.tolist() == FOLDS["train"].tolist()


def test_a_split_that_is_not_given_keeps_its_file(tmp_path: Path) -> None:
    validation = str(write_reviews(tmp_path / "held.csv", rows=7, seed=4))
    config = config_of(tmp_path, {"validation": validation})
    tables = split_tables(config, read_sources(config), {"train": FOLDS["train"]})
    assert tables["train"].rows.tolist() == FOLDS["train"].tolist()
    assert tables["validation"].rows.tolist() == list(range(7))


def test_rows_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    rows = {**FOLDS, "validation": np.array([4, 120, 500, 501, 502])}
    with pytest.raises(DataError) as caught:
        prepare(config_of(tmp_path), rows=rows)
    assert caught.value.found == "row ids 120, 500, 501 for a split; data.train has 120"
    assert caught.value.expected == "row ids of usable rows of data.train, counted from 0"
    assert "data.json" in caught.value.do


def test_rows_that_were_left_out_are_refused(tmp_path: Path) -> None:
    data = write_reviews(tmp_path / "gaps.csv")
    lines = data.read_text("utf-8").splitlines()
    lines[1 + 8] = ",good"  # row 8 has no text
    data.write_text("\n".join(lines) + "\n", "utf-8")
    config = config_of(tmp_path, {"train": str(data), "missing": "drop"})
    with pytest.raises(DataError, match=r"row ids 8 for a split; data.train has 119"):
        prepare(config, rows=FOLDS)


@pytest.mark.parametrize("ids", [[], [0], [3, 4, 5], [0, 2, 4], [*range(70_000), 70_002]])
def test_ranges_are_read_back(ids: list[int]) -> None:
    rows = np.array(ids, dtype=np.int64)
    again = ids_of_ranges(ranges(rows))
    assert again.dtype == np.int64
    assert again.tolist() == ids


def test_a_run_with_given_rows_resumes_to_the_same_weights(tmp_path: Path) -> None:
    config = config_of(tmp_path, batch_size=4)
    whole = train_run(
        prepare(config, rows=FOLDS), tmp_path / "whole", stop_requested=never, baselines=False
    )
    asked = iter([False, False, False, True])
    with pytest.raises(Interrupted):
        train_run(
            prepare(config, rows=FOLDS), tmp_path / "parts", stop_requested=lambda: next(asked)
        )
    directory = RunDirectory(tmp_path / "parts")
    again = given_rows(directory)
    assert again is not None
    assert {name: rows.tolist() for name, rows in again.items()} == {
        name: rows.tolist() for name, rows in FOLDS.items()
    }
    run = warmstart.resume(tmp_path / "parts", progress=False)
    assert run.scores["validation"]["accuracy"]["n"] == len(FOLDS["validation"])
    one, two = (
        (folder / "model" / "model.safetensors").read_bytes()
        for folder in (whole.directory.path, run.path)
    )
    assert one == two


def test_other_rows_are_not_resumed(tmp_path: Path) -> None:
    config = config_of(tmp_path, batch_size=4)
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        train_run(prepare(config, rows=FOLDS), tmp_path / "run", stop_requested=lambda: next(asked))
    others = {"train": FOLDS["validation"], "validation": FOLDS["train"]}
    with pytest.raises(RunError, match="the splits"):
        train_run(prepare(config, rows=others), tmp_path / "run", resume=True, stop_requested=never)


def test_a_run_whose_splits_were_not_given_has_no_rows_to_repeat(tmp_path: Path) -> None:
    asked = iter([True])
    with pytest.raises(Interrupted):
        train_run(
            prepare(config_of(tmp_path)), tmp_path / "run", stop_requested=lambda: next(asked)
        )
    assert given_rows(RunDirectory(tmp_path / "run")) is None


@pytest.mark.parametrize("task", TASKS)
def test_the_key_of_a_read_file_contains_the_task(task: str, tmp_path: Path) -> None:
    """Two tasks clean one file differently, so they do not share the result of reading."""
    data = tmp_path / "rows.jsonl"
    answers = '"answers": [{"text": "c", "answer_start": 0}]'
    row = f'{{"text": "a b. c.", "label": "x", "b": "c", {answers}, "words": ["a"], "tags": ["O"]}}'
    data.write_text(f"{row}\n" * 3)
    more = {"text_pair": "b"} if task in ("text-ranking", "question-answering") else {}
    config = config_file.load({"task": task, "data": {"train": str(data), **more}})
    other = config_file.load({"task": "text-generation", "data": {"train": str(data)}})
    workspace = Workspace()
    tables = [read_sources(one, workspace).tables["train"] for one in (other, config)]
    assert (tables[0] is tables[1]) == (task == "text-generation")


@pytest.mark.parametrize(
    ("rows", "found", "advice"),
    [
        ({**FOLDS, "foo": np.array([50])}, "for the split 'foo'", "rename 'foo'"),
        ({"validation": FOLDS["validation"]}, "without the split train", "row ids of train"),
        ({"train": FOLDS["train"]}, "without the split validation", "row ids of validation"),
        ({**FOLDS, "train": np.array([], np.int64)}, "train has no row ids", "leave the split out"),
        ({**FOLDS, "validation": []}, "validation has no row ids", "leave the split out"),
        ({**FOLDS, "train": np.array([True, False])}, "an array of bool", "numpy.flatnonzero"),
        ({**FOLDS, "train": [0.5, 2.0]}, "an array of float64", "numpy.flatnonzero"),
        ({**FOLDS, "train": [[0, 1], [2, 3]]}, "with 2 axes", "numpy.flatnonzero"),
        ({**FOLDS, "train": [0, 1, 1, 2, 2]}, "id 1 occurs twice in train (2 ids", "numpy.unique"),
        ({**FOLDS, "validation": [9, 30]}, "id 9 occurs in train and validation", "setdiff1d"),
        ({**FOLDS, "validation": [30, -1]}, "row ids -1 for a split", "data.json"),
    ],
)
def test_row_ids_that_do_not_make_splits_are_refused(
    rows: dict[str, Any], found: str, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        prepare(config_of(tmp_path), rows=rows)
    assert found in caught.value.found
    assert advice in caught.value.do


def test_row_ids_may_be_a_list(tmp_path: Path) -> None:
    lists = {name: rows.tolist() for name, rows in FOLDS.items()}
    config = config_of(tmp_path)
    tables = split_tables(config, read_sources(config), lists)
    assert {name: table.rows.tolist() for name, table in tables.items()} == lists


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    config, workspace = config_of(tmp_path), Workspace()
    before = prepare(config, workspace=workspace)
    file = Path(str(config.data.train))
    file.write_text(file.read_text("utf-8") + "a new text,good\n", "utf-8")
    after = prepare(config, workspace=workspace)
    assert len(read_sources(config, workspace).tables["train"]) == 121
    assert before.tables["train"].files[0].sha256 != after.tables["train"].files[0].sha256


def test_a_relative_name_in_another_folder_is_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace()
    config = config_file.load({"data": {"train": "reviews.csv"}})
    found = []
    for name, rows in (("one", 20), ("two", 30)):
        (tmp_path / name).mkdir()
        write_reviews(tmp_path / name / "reviews.csv", rows=rows)
        monkeypatch.chdir(tmp_path / name)
        found.append(len(read_sources(config, workspace).tables["train"]))
    assert found == [20, 30]


def test_other_special_tokens_tokenise_again(tmp_path: Path) -> None:
    made = writing_settings(tmp_path)
    workspace = Workspace()
    for tokens in ({"eos": "the"}, {"pad": "the"}):
        config = config_file.load({**made, "model": {**made["model"], "special_tokens": tokens}})
        shared = prepare(config, workspace=workspace).examples["train"].tokens.input_ids
        assert shared.tolist() == prepare(config).examples["train"].tokens.input_ids.tolist()


@pytest.mark.parametrize("given", ["share", "file"])
def test_a_limit_samples_the_training_rows_and_keeps_the_validation_rows(
    tmp_path: Path, given: str
) -> None:
    data: dict[str, Any] = {"missing": "drop"}
    if given == "file":
        data["validation"] = str(write_reviews(tmp_path / "more.csv", rows=10, seed=5))
    whole = prepare(config_of(tmp_path, data))
    part = prepare(config_of(tmp_path, {**data, "limit": 20}))
    assert len(part.tables["train"]) == len(part.examples["train"]) == 20
    assert set(part.tables["train"].rows) < set(whole.tables["train"].rows)
    assert part.tables["validation"].rows.tolist() == whole.tables["validation"].rows.tolist()
    said = part.findings.messages[0]
    of_all = len(whole.tables["train"])
    assert said.level == "info"
    assert said.text == f"only 20 of {of_all} training rows are used (data.limit=20)"
    counts = [prepared.findings.splits[0].label_counts for prepared in (whole, part)]
    share = 20 / of_all
    assert all(abs(counts[1][name] - share * counts[0][name]) < 1 for name in ("good", "bad"))
    # The seed selects the sample, next to a file too; the proportions are kept only on request.
    other = prepare(config_of(tmp_path, {**data, "limit": 20, "split_seed": 5, "stratify": False}))
    assert other.tables["train"].rows.tolist() != part.tables["train"].rows.tolist()


@pytest.mark.parametrize("limit", [95, 5000])
def test_a_limit_without_effect_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(config_of(tmp_path, {"limit": limit}))
    assert "there are 95 training rows" in caught.value.found
    for advice in caught.value.do.split("; or "):
        override = advice.removeprefix("--set ").split(",")[0]
        prepare(config_file.load(config_of(tmp_path, {"limit": limit}), [override]))


def test_row_ids_and_a_limit_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="given as row ids"):
        prepare(config_of(tmp_path, {"limit": 3}), rows=FOLDS)


def test_a_limit_keeps_the_lists_of_a_ranking_whole(tmp_path: Path) -> None:
    whole, part = (
        prepare(config_file.load(ranking_settings(tmp_path), overrides)).tables["train"]
        for overrides in ([], ["data.limit=20"])
    )
    sizes = Counter(whole.columns["query"].to_pylist())
    assert 15 <= len(part) <= 20
    assert Counter(part.columns["query"].to_pylist()).items() <= sizes.items()


def test_an_error_that_only_the_sample_causes_says_so(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"limit": 1, "stratify": False})
    with pytest.raises(DataError, match="only data.limit=1 of 96 training rows are used") as caught:
        prepare(config)
    *_, last = caught.value.do.split("; or ")
    assert last.startswith("--set data.limit=null: ")
    assert prepare(config_file.load(config, ["data.limit=null"])).findings


def test_an_error_of_all_rows_is_reported_without_the_limit(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\n" + "the cat,good\n" * 20)
    with pytest.raises(DataError) as caught:
        prepare(config_of(tmp_path, {"limit": 5}))
    assert "data.limit" not in str(caught.value)

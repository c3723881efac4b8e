"""Evaluation of a file of words or spans: its warnings, and files that cannot be scored."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.tagging_runs import tagging_settings, write_conll
from warmstart import api, cli, config_file, errors
from warmstart.api import Run
from warmstart.preparation.prepare import prepare
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small model that tags people and things, with short windows."""
    folder: Path = tmp_path_factory.mktemp("tags")
    settings = tagging_settings(folder, epochs=1)
    settings["model"]["max_tokens"] = 14
    train_run(prepare(config_file.load(settings)), folder / "run")
    return api.load(folder / "run")


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def said(run: Run, path: str, overrides: tuple[str, ...] = ()) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run.evaluate(path, overrides)
    return [str(one.message) for one in found]


def test_changed_and_unknown_spans_are_told(run: Run, tmp_path: Path) -> None:
    spans = [[0, 4, "PER"], [9, 11, "THING"], [40, 50, "PER"], [5, 8, "LOC"]]
    found = said(run, lines(tmp_path / "a.jsonl", [{"text": "John saw red", "spans": spans}]))
    assert found == [
        "4 character spans: 2 kept, 1 snapped to words, 1 refused (outside of the text 1)",
        "types that no training row has, never predicted: 'LOC' (1)",
    ]


def test_invalid_tags_and_words_that_are_cut_are_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(
        "John B-PER\nsaw O\n\u200b O\n\nMary B-PER\n\nthe O\nJohn I-PER\n\n"
        + "the O\n" * 20
        + "\nabcdefghijklmnopqrstuvwxyz O\n"
    )
    found = said(run, str(path))
    assert "of 5 rows, truncated to 14 tokens: 1" in found  # rows, not windows
    assert any(one.startswith("1 span with invalid tags, read by conlleval") for one in found)
    assert any(one.startswith("1 row is longer than the model's limit") for one in found)
    assert any(one.startswith("words with more tokens than fit into a window: 1") for one in found)
    assert any(one.startswith("words for which the tokenizer has no token") for one in found)


def test_a_clean_file_gives_no_warning(run: Run, tmp_path: Path) -> None:
    words = [{"words": ["John", "saw", "it"], "tags": ["B-PER", "O", "O"]}]
    assert said(run, lines(tmp_path / "a.jsonl", words)) == []


@pytest.mark.parametrize(
    ("row", "overrides", "found"),
    [
        ({"words": ["a", "b"], "tags": ["PER", "O"]}, [], "has the tag 'PER', without a prefix"),
        ({"words": ["a"], "tags": ["b-per"]}, [], "has the tag 'b-per', without a prefix"),
        ({"words": ["a"], "tags": ["B-PER"]}, ["data.tags=ner"], "has no column 'ner'"),
        ({"words": ["a"], "tags": ["B-PER"]}, ["data.words=tokens"], "has no column 'tokens'"),
        ({"text": "a", "spans": [[0, 1, "PER"]]}, ["data.spans=ents"], "has no column 'ents'"),
        ({"text": "a", "spans": [[0, 1, "PER"]]}, ["data.tags=ner"], "has no column 'ner'"),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused(
    run: Run, tmp_path: Path, row: dict[str, Any], overrides: list[str], found: str
) -> None:
    with pytest.raises(errors.DataError, match=found):
        run.evaluate(lines(tmp_path / "a.jsonl", [row]), overrides)


def test_a_file_in_another_scheme_can_name_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("John E-PER\nsaw U-PER\n")
    with pytest.raises(errors.DataError, match="from two tag schemes") as raised:
        run.evaluate(str(path))
    assert "--set data.tag_scheme=IOBES" in raised.value.do
    said(run, str(path), ("data.tag_scheme=IOBES",))
    with pytest.raises(errors.DataError, match="data.tag_scheme is plain, and the model learned"):
        run.evaluate(str(path), ["data.tag_scheme=plain"])


def test_one_prediction_is_told_in_the_singular(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = lines(tmp_path / "a.jsonl", [{"text": "John saw it"}])
    output = str(tmp_path / "out.csv")
    assert cli.main(["predict", str(run.path), "--data", data, "--output", output]) == 0
    assert "1 prediction in" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["conll", "json", "jsonl"])
def test_a_forgotten_task_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    path = write_conll(tmp_path / "notes.conll")
    if form == "jsonl":
        path = Path(lines(tmp_path / "a.jsonl", [{"words": ["a", "b"], "tags": ["O", "B-X"]}] * 9))
    if form == "json":
        path = tmp_path / "a.json"
        path.write_text(json.dumps([{"text": "Anna left", "label": [[0, 4, "PER"]]}] * 9))
    assert cli.main(["check", str(path)]) == 1
    found = capsys.readouterr().err
    assert "--task token-classification" in found
    assert "refused_spans" not in found
    assert cli.main(["check", str(path), "--task", "token-classification"]) == 0
    output = ["--output", str(tmp_path / "run")]
    assert cli.main(["train", "--train", str(path), *output]) == 1
    assert "--task token-classification" in capsys.readouterr().err


def test_findings_count_spans_and_rows_in_pieces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.conll"
    path.write_text(("John B-PER\nsaw O\nMary B-PER\n" + "the O\n" * 30 + "\n") * 10)
    sets = ["--set", "task=token-classification", "--set", "model.max_tokens=16"]
    assert cli.main(["check", str(path), *sets]) == 0
    found = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert "spans PER 18 2" in found
    assert "truncated at 16 0 0.0% 0 0.0%" in found
    assert "read in pieces 9 100.0% 1 100.0%" in found

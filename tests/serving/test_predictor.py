"""Predictions of a run: the same with every input and output format, one for each input row."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.runs_in_memory import settings, write_reviews
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.data.table import SourceFile, Table
from warmstart.errors import ConfigError, DataError
from warmstart.evaluation.store import folder_name
from warmstart.preparation.prepare import prepare
from warmstart.serving.prediction_files import refuse_output, write_predictions
from warmstart.serving.predictor import predict_file
from warmstart.training.train_run import train_run

NO_ROWS = np.array([], dtype=np.int64)

LONG = "the old cat saw my house and her story was boring when we read it again and again"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose labels are floats in the file, with rows to drop and texts to truncate."""
    folder: Path = tmp_path_factory.mktemp("predictor")
    config = settings(folder, epochs=1)
    lines = write_reviews(folder / "reviews.csv", rows=80).read_text().splitlines()
    lines = [line.replace(",good", ",1.0").replace(",bad", ",0.0") for line in lines]
    lines[4] = "  ,1.0"  # row 3
    lines[9] = "a story without label,"  # row 8
    lines[12] = f"{LONG},0.0"  # row 11
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n")
    test = [*lines[:1], *lines[5:40]]
    (folder / "test.csv").write_text("\n".join(test) + "\n")
    config["model"]["max_tokens"] = 12
    config["data"].update(missing="drop", validation=0.3, test=str(folder / "test.csv"))
    train_run(prepare(config_file.load(config)), folder / "run")
    return api.load(folder / "run")


def lines_of(run: Run, name: str) -> list[str]:
    return (run.path.parent / name).read_text().splitlines()


def kept(run: Run, split: str) -> list[dict[str, Any]]:
    """The rows of ``predictions.parquet``; ``split`` may be a pattern."""
    (path,) = run.path.glob(f"evaluation/{split}/predictions.parquet")
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_was_scored_is_what_is_served(run: Run, split: str) -> None:
    rows = kept(run, split)
    answers = run.predict([row["text"] for row in rows])
    assert [answer["row"] for answer in answers] == list(range(len(rows)))
    for row, answer in zip(rows, answers, strict=True):
        assert list(answer["probabilities"]) == ["0", "1"]
        for label, share in answer["probabilities"].items():
            assert row[f"probability:{label}"] == pytest.approx(share, abs=1e-6)
        assert row["prediction"] == answer["label"]
        assert row["truncated"] == answer["truncated"]


@pytest.mark.parametrize(("split", "file"), [("validation", "reviews.csv"), ("test", "test.csv")])
def test_rows_can_be_traced_to_their_lines_past_those_left_out(
    run: Run, split: str, file: str
) -> None:
    lines, rows = lines_of(run, file), kept(run, split)
    for row in rows:
        text, label = lines[row["line"] - 1].split(",")
        assert (row["text"], row["label"]) == (text, label.removesuffix(".0"))
        assert row["line"] == row["row"] + 2
        assert row["file"] == str(run.path.parent / file)
    dropped = {9 - 5} if split == "test" else {3, 8}
    assert not dropped & {row["row"] for row in rows}
    if split == "test":
        assert {row["row"] for row in rows} == set(range(35)) - dropped
        assert [row["row"] for row in rows if row["truncated"]] != []
    assert run.scores[split]["accuracy"]["n"] == len(rows)


def test_a_file_is_answered_like_its_texts(run: Run, tmp_path: Path) -> None:
    """No label column is needed; a row without text stays, without a prediction."""
    texts = ["a wonderful story", "", "the boring cat", LONG]
    file = tmp_path / "new.csv"
    file.write_text("\n".join(["text", *(text or '""' for text in texts)]) + "\n")
    with pytest.warns(UserWarning, match="of 4 rows, without a prediction: 1 \\(no text\\)"):
        found = predict_file(run.open(), str(file))
    with pytest.warns(UserWarning, match="of 4 rows, without a prediction: 1 \\(no text\\)"):
        table = run.predict_file(str(file))
    assert table.equals(found.table)
    assert table.column("row").to_pylist() == [0, 1, 2, 3]
    assert table.column("line").to_pylist() == [2, 3, 4, 5]
    assert table.column("file").to_pylist() == [str(file)] * 4
    assert table.column("text").to_pylist() == texts
    assert table.column("truncated").to_pylist() == [False, None, False, True]
    direct = run.predict([text for text in texts if text])
    answers = list(found.to_json())
    empty = answers.pop(1)
    assert empty == {"row": 1, "label": None, "probabilities": None, "truncated": None}
    for answer, same in zip(answers, direct, strict=True):
        assert answer["label"] == same["label"]
        assert answer["probabilities"] == pytest.approx(same["probabilities"], abs=1e-6)


def test_a_file_may_be_written_otherwise_than_the_training_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "body.jsonl"
    file.write_text('{"body": "a nice cat", "y": 1}\n{"body": "a poor house", "y": 0}\n')
    table = run.predict_file([str(file)], ["data.text=body"])
    assert table.column("text").to_pylist() == ["a nice cat", "a poor house"]
    scores = run.evaluate(str(file), ["data.text=body", "data.label=y"])
    assert scores["accuracy"]["n"] == 2
    assert [row["label"] for row in kept(run, "file-body-*")] == ["1", "0"]


def test_evaluating_the_test_file_again_gives_its_scores(run: Run) -> None:
    with (
        pytest.warns(UserWarning, match="of 35 rows, left out: 1 \\(no label\\)"),
        pytest.warns(UserWarning, match="truncated to [0-9]+ tokens: "),
    ):
        again = run.evaluate(str(run.path.parent / "test.csv"))
    assert again == run.scores["test"]
    assert kept(run, "file-test-*") == kept(run, "test")


def test_files_with_the_same_name_have_separate_evaluations(run: Run, tmp_path: Path) -> None:
    for folder, label in (("a", "1"), ("b", "0")):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "same.csv"
        file.write_text(f"text,label\na nice cat,{label}\n")
        run.evaluate(str(file))
    assert len(list(run.path.glob("evaluation/file-same-*/scores.json"))) == 2


def test_no_evaluation_of_other_input_replaces_an_earlier_one(run: Run, tmp_path: Path) -> None:
    rows = {"one": "a nice cat,1,0\n", "two": "a poor house,0,1\n", "three": "a poor boy,0,1\n"}
    one, two, three = (str(tmp_path / f"{name}.csv") for name in rows)
    for path, row in zip((one, two, three), rows.values(), strict=True):
        Path(path).write_text("text,label,other\n" + row)
    inputs: list[tuple[str | list[str], list[str]]] = [
        ([one, two], []),
        (one, []),
        ([one, three], []),
        ([two, one], []),
        (one, ["data.label=other"]),
    ]
    before = set(run.path.glob("evaluation/*"))
    for files, overrides in inputs:
        run.evaluate(files, overrides)
    made = set(run.path.glob("evaluation/*")) - before
    assert len(made) == len(inputs)
    run.evaluate([one], ["data.label=other"])
    assert set(run.path.glob("evaluation/*")) - before == made


def test_the_folder_of_an_evaluation_has_a_name_that_every_disk_takes() -> None:
    for path, name in (("x" * 240 + ".csv", "file-" + "x" * 80), ("a.zip!b/c.csv.gz", "file-c")):
        files = (SourceFile(path, sha256="0123456789", encoding=None, rows=1),)
        table = Table(pa.table({}), NO_ROWS, files, NO_ROWS.astype(np.int32), NO_ROWS)
        assert folder_name(table) == f"{name}-01234567"


def test_a_relative_file_is_looked_up_from_here_and_not_in_the_training_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run.path / "config.yaml"
    before = config.read_text()
    assert "dir: null" in before
    config.write_text(before.replace("dir: null", f"dir: {run.path.parent}"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.csv").write_text("text\na nice cat\n")
    try:
        assert api.load(run.path).predict_file("test.csv").num_rows == 1
    finally:
        config.write_text(before)


def test_an_unseen_label_is_refused_with_its_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na cat,1\na dog,2\n")
    with pytest.raises(DataError, match=r"new.csv:3.*2"):
        run.evaluate(str(tmp_path / "new.csv"))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["a", ""], "text 2 of 2 is ''"),
        ([" \n"], "text 1 of 1"),
        (["a", None], "text 2 of 2 is None"),
        ([b"a"], "text 1 of 1 is b'a'"),
        (["a", float("nan")], "text 2 of 2 is nan (a missing value)"),
        (np.array(["a", None]), "text 2 of 2 is None (a missing value)"),
        (pa.array(["a", None]), "text 2 of 2 is None (a missing value)"),
        (pd.Series(["a", None]), "text 2 of 2 is "),
        ("a whole sentence", "texts is 'a whole sentence'"),
        (b"bytes", "texts is of type bytes"),
        ({"text": "a"}, "texts is of type dict"),
        ({"a", "b"}, "texts is of type set"),
        (pd.DataFrame({"text": ["a"]}), "texts is of type DataFrame"),
        (np.array([["a", "b"]]), "texts is of type ndarray"),
        (np.array("a"), "texts is of type ndarray"),
        (5, "texts is of type int"),
        (None, "texts is of type NoneType"),
    ],
)
def test_what_is_no_text_is_refused_and_never_left_out(run: Run, texts: Any, found: str) -> None:
    """Also with ``data.missing: drop``: the caller expects one prediction for each text."""
    with pytest.raises(DataError) as caught:
        run.predict(texts)
    assert found in caught.value.found
    assert "a list of non-empty texts" in caught.value.expected
    assert "run.predict(['one text', 'another'])" in caught.value.do


@pytest.mark.parametrize(
    "given",
    [tuple, np.array, pd.Series, pa.array, lambda texts: pa.chunked_array([texts]), iter],
    ids=["tuple", "numpy", "pandas", "arrow", "chunks", "iterator"],
)
def test_any_sequence_of_texts_is_predicted(run: Run, given: Callable[[list[str]], Any]) -> None:
    texts = ["a nice cat", "a poor house"]
    assert run.predict(given(texts)) == run.predict(texts)


def test_lines_of_a_text_file_keep_their_answers(run: Run, tmp_path: Path) -> None:
    """A blank line has a row too, whatever the column of the text was called in training."""
    file = tmp_path / "lines.txt"
    file.write_text("a nice cat\n\n \t\na poor house\n\n")
    with pytest.warns(UserWarning, match="of 5 rows, without a prediction: 3 \\(no text\\)"):
        table = run.predict_file(file)
    assert table.column("line").to_pylist() == [1, 2, 3, 4, 5]
    answers = table.column("prediction").to_pylist()
    assert [place for place, answer in enumerate(answers) if answer is None] == [1, 2, 4]
    with pytest.warns(UserWarning, match="left out: 3"):
        kept = run.predict_file(file, ["data.missing=drop"])
    assert kept.column("line").to_pylist() == [1, 4]
    with pytest.raises(DataError, match="lines.txt:2"):
        run.predict_file(file, ["data.missing=error"])
    with pytest.raises(ConfigError, match="is a plain text"):
        run.predict_file(file, ["data.text=body"])


def test_columns_of_the_file_are_kept_on_request(run: Run, tmp_path: Path) -> None:
    rows = {
        "row": ["x", "y", "z"],
        "text": ["a nice cat", None, "a poor house"],
        "prediction": ["p", "q", "r"],
        "tags": [["a", "b"], [], None],
        "more": [{"n": 1}, None, {"n": 2}],
    }
    file = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pa.table(rows), file)
    with pytest.warns(UserWarning, match="without a prediction: 1"):
        found = predict_file(run.open(), str(file), keep_columns=True)
    table = found.table.to_pydict()
    assert table["row"] == [0, 1, 2]
    assert table["text"] == rows["text"]
    assert table["input:row"] == rows["row"]
    assert table["input:prediction"] == rows["prediction"]
    assert (table["tags"], table["more"]) == (rows["tags"], rows["more"])
    assert [answer["columns"]["row"] for answer in found.to_json()] == rows["row"]
    for suffix in (".csv", ".jsonl", ".parquet"):
        write_predictions(found, tmp_path / f"out{suffix}")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as opened:
        assert [row["more"] for row in csv.DictReader(opened)] == ['{"n": 1}', "", '{"n": 2}']


def test_the_most_probable_labels(run: Run, tmp_path: Path) -> None:
    texts = ["a nice cat", "a poor house"]
    for whole, best in zip(run.predict(texts), run.predict(texts, top_k=1), strict=True):
        label = max(whole["probabilities"], key=whole["probabilities"].__getitem__)
        assert best["probabilities"] == {label: whole["probabilities"][label]}
        assert best["label"] == whole["label"]
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(texts))
    table = run.predict_file(file, top_k=2)
    assert table.column_names[-4:] == ["label_1", "probability_1", "label_2", "probability_2"]
    assert table["label_1"].to_pylist() == table["prediction"].to_pylist()
    assert all(
        a >= b
        for a, b in zip(*(table[f"probability_{n}"].to_pylist() for n in (1, 2)), strict=True)
    )
    for count in (0, 3):
        with pytest.raises(ConfigError) as caught:
            run.predict(texts, top_k=count)
        assert caught.value.do in ("--top-k 1", "--top-k 2")


def test_an_existing_file_is_overwritten_only_on_request(run: Run, tmp_path: Path) -> None:
    file, output = tmp_path / "lines.csv", tmp_path / "answers.csv"
    file.write_text("text\na nice cat\n")
    output.write_text("older")
    found = predict_file(run.open(), str(file))
    with pytest.raises(ConfigError, match="already exists"):
        write_predictions(found, output)
    refuse_output(output, run.path, [str(file)], overwrite=True)
    write_predictions(found, output, overwrite=True)
    assert output.read_text("utf-8-sig").startswith('"row"')
    (tmp_path / "link.csv").symlink_to(file)
    for path in (file, tmp_path / "link.csv", run.path / "evaluation/test/predictions.parquet"):
        with pytest.raises(ConfigError, match="the output file, is"):
            refuse_output(path, run.path, [str(file)], overwrite=True)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        refuse_output(tmp_path / "folder.csv", run.path, overwrite=True)


def test_no_texts_give_no_predictions(run: Run) -> None:
    assert run.predict([]) == []


def test_a_model_trained_in_an_unsupported_precision_still_predicts(
    run: Run, tmp_path: Path
) -> None:
    config = run.path / "config.yaml"
    before = config.read_text()
    assert "precision: auto" in before
    config.write_text(before.replace("precision: auto", "precision: float16"))
    try:
        elsewhere = api.load(run.path)
        assert elsewhere.predict(["a nice cat"]) == run.predict(["a nice cat"])
        with pytest.warns(UserWarning, match="of 3[0-9] rows"):
            assert elsewhere.evaluate(str(run.path.parent / "test.csv")) == run.scores["test"]
    finally:
        config.write_text(before)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_has_the_same_predictions(run: Run, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "new.csv"
    source.write_text('text\n"good, ""very"" good"\n好的故事\n"two\nlines"\n')
    found, path = predict_file(run.open(), str(source)), tmp_path / "out" / f"answers{suffix}"
    refuse_output(path, run.path)
    write_predictions(found, path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    table, expected = found.table, list(found.to_json())
    assert table.equals(run.predict_file(str(source)))
    if suffix == ".parquet":
        assert pyarrow.parquet.read_table(path).equals(table)
    elif suffix == ".jsonl":
        assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == expected
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["text"] for row in rows] == table.column("text").to_pylist()
        assert [int(row["row"]) for row in rows] == [0, 1, 2]
        for row, answer in zip(rows, expected, strict=True):
            assert row["prediction"] == answer["label"]
            for label, share in answer["probabilities"].items():
                assert float(row[f"probability:{label}"]) == share


def test_an_output_file_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="answers.xlsx") as caught:
        refuse_output(tmp_path / "answers.xlsx", run.path)
    assert ".csv, .parquet, .jsonl" in caught.value.expected
    assert caught.value.do == f"--output {tmp_path / 'answers.csv'}"
    (tmp_path / "answers.csv").touch()
    with pytest.raises(ConfigError, match="already exists") as caught:
        refuse_output(tmp_path / "answers.csv", run.path)
    assert str(tmp_path / "answers-2.csv") in caught.value.do

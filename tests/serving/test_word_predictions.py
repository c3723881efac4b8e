"""Predicted tags for files of words, texts and spans: offsets, CoNLL, Parquet, CSV, JSON."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.runs_in_memory import settings
from tests.tagging_runs import EXPORTS, tagging_settings, texts, write_conll
from warmstart import api, cli, config_file, errors
from warmstart.api import Run
from warmstart.data.tags.conll import ConllColumns, read_conll
from warmstart.preparation.prepare import prepare
from warmstart.serving.prediction_files import refuse_output, write_predictions
from warmstart.serving.predictor import predict_file
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small model that tags people and things."""
    folder: Path = tmp_path_factory.mktemp("tags")
    train_run(prepare(config_file.load(tagging_settings(folder))), folder / "run")
    return api.load(folder / "run")


def columns_of(path: Path) -> dict[str, list[object]]:
    return read_conll([path.read_bytes()], str(path), ConllColumns()).columns.to_pydict()


def test_a_conll_file_keeps_words_and_document_borders(run: Run, tmp_path: Path) -> None:
    data = write_conll(tmp_path / "more.conll", rows=12, seed=5, every=4)
    output = tmp_path / "tagged.conll"
    command = ["predict", str(run.path), "--data", str(data), "--output", str(output)]
    assert cli.main(command) == 0
    before, after = columns_of(data), columns_of(output)
    assert after["words"] == before["words"]
    assert after["document"] == before["document"] == [n // 4 for n in range(12)]
    assert output.read_text().startswith("-DOCSTART-")
    # The same spans as in JSON: each tag of the file is a part of one.
    predictions = list(predict_file(run.open(), str(data)).predictions)
    begins = [sum(tag.startswith("B-") for tag in tags) for tags in after["tags"]]
    assert begins == [len(one.spans) for one in predictions]
    assert sum(begins) > 4


def test_words_alone_can_be_predicted_but_not_learned(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "words.conll"
    data.write_text("the\ncat\nsaw\nJohn\n\nMary\nsaw\nit\n")
    output = tmp_path / "tagged.conll"
    write_predictions(predict_file(run.open(), str(data)), output)
    assert columns_of(output)["words"] == [["the", "cat", "saw", "John"], ["Mary", "saw", "it"]]
    assert columns_of(output)["document"] == [None, None]
    with pytest.raises(errors.DataError, match="has 1 column: the") as raised:
        run.evaluate(str(data))
    assert "write the tag after each word" in raised.value.do


def test_other_tasks_write_no_conll(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_run(prepare(config_file.load(settings(tmp_path, epochs=1))), tmp_path / "run")
    with pytest.raises(errors.ConfigError, match=r"tags\.conll, for a run of the task text-class"):
        refuse_output(tmp_path / "tags.conll", tmp_path / "run")
    command = ["predict", str(tmp_path / "run"), "--data", str(tmp_path / "reviews.csv")]
    assert cli.main([*command, "--output", str(tmp_path / "tags.conll")]) == 1
    assert "only for a task with words and tags: token-classification" in " ".join(
        capsys.readouterr().err.split()
    )
    assert cli.main([*command, "--output", str(tmp_path / "tags.csv")]) == 0


def test_a_word_that_conll_cannot_hold_is_refused(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "words.jsonl"
    data.write_text(json.dumps({"words": ["the\tcat", "saw"]}) + "\n")
    found = predict_file(run.open(), str(data))
    with pytest.raises(errors.DataError, match="sentence 1 has the word") as raised:
        write_predictions(found, tmp_path / "tagged.conll")
    assert "FILE.jsonl or FILE.parquet" in raised.value.do
    assert not (tmp_path / "tagged.conll").exists()
    write_predictions(found, tmp_path / "tagged.jsonl")


def test_every_format_has_the_same_spans(run: Run, tmp_path: Path) -> None:
    data = write_conll(tmp_path / "more.conll", rows=12, seed=5)
    found = predict_file(run.open(), str(data))
    for suffix in (".jsonl", ".parquet", ".csv"):
        write_predictions(found, tmp_path / f"tagged{suffix}")
    lines = [json.loads(line) for line in (tmp_path / "tagged.jsonl").read_text().splitlines()]
    spans = [line["spans"] for line in lines]
    rows = pq.read_table(tmp_path / "tagged.parquet").to_pylist()
    assert [row["prediction"] for row in rows] == spans
    with (tmp_path / "tagged.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [json.loads(cell["prediction"]) for cell in cells] == spans
    assert sum(map(len, spans)) > 4
    # Offsets count characters of the joined words, which are in the same row.
    for row in rows:
        assert row["text"] == " ".join(row["words"])
        assert len(row["tags"]) == len(row["words"])
        for span in row["prediction"]:
            assert row["text"][span["start"] : span["end"]] == span["text"]


def test_texts_keep_their_own_offsets(run: Run, tmp_path: Path) -> None:
    text = "  the cat saw John,\t\tand the  red table!"
    (one,) = run.predict([text])
    shown = [text[span["start"] : span["end"]] for span in one["spans"]]
    assert shown == [span["text"] for span in one["spans"]]
    assert "John" in shown
    data = tmp_path / "lines.txt"
    data.write_text(text + "\n")
    rows = predict_file(run.open(), str(data)).table.to_pylist()
    assert rows[0]["text"] == text
    assert [span["text"] for span in rows[0]["prediction"]] == shown


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_span_files_keep_their_own_offsets(run: Run, tmp_path: Path, name: str) -> None:
    made = [(f"\U0001f600 {text}", []) for text, _ in texts(8, seed=9)]
    made[0] = (made[0][0], [(0, 1, "PER")])  # one span, or some formats cannot be recognised
    data = tmp_path / "export.json"
    data.write_text(EXPORTS[name](made))
    rows = predict_file(run.open(), str(data), ["data.format=spans"]).table.to_pylist()
    assert [row["text"] for row in rows] == [text for text, _ in made]
    for row in rows:
        for span in row["prediction"]:
            assert row["text"][span["start"] : span["end"]] == span["text"]
    assert sum(len(row["prediction"]) for row in rows) > 2

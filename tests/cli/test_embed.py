"""``warmstart embed``: vectors as lines of JSON, as one object, or in a file."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tests.cli.conftest import Trained, Warmstart
from warmstart import api


@pytest.fixture(autouse=True)
def _in_the_folder(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.folder)


def test_texts_are_printed_as_one_line_each(warmstart: Warmstart) -> None:
    ran = warmstart("embed", "run", "--text", "a nice cat", "--text", "no", "--normalize")
    assert (ran.code, ran.err) == (0, "")
    expected = api.load("run").embed(["a nice cat", "no"], normalize=True)
    vectors = np.float32([json.loads(line) for line in ran.out.splitlines()])
    assert np.array_equal(vectors, expected)


def test_the_json_says_how_the_vectors_were_made(warmstart: Warmstart) -> None:
    ran = warmstart("embed", "run", "--text", "a nice cat", "--layer", "-3", "--json")
    content = json.loads(ran.out)
    (row,) = content.pop("vectors")
    assert content == {"pooling": "first", "layer": 0, "normalized": False, "width": 32}
    assert (row["row"], row["truncated"], len(row["vector"])) == (0, False, 32)


def test_a_checkpoint_needs_no_run(warmstart: Warmstart, tiny: Path) -> None:
    ran = warmstart("embed", str(tiny), "--text", "a nice cat", "--json")
    assert json.loads(ran.out)["pooling"] == "mean"


def test_a_file_keeps_its_rows(warmstart: Warmstart, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("id;body\n7;a nice cat\n8;\n9;a poor house\n")
    words = ("embed", "run", "--data", str(data), "--set", "data.text=body", "--set",
             "data.delimiter=;")  # fmt: skip
    ran = warmstart(*words)
    assert [line[:1] for line in ran.out.splitlines()] == ["[", "n", "["]
    assert "of 3 rows, without a vector: 1 (no text)" in ran.err
    content = json.loads(warmstart(*words, "--keep-columns", "--json").out)
    assert [row["columns"]["id"] for row in content["vectors"]] == ["7", "8", "9"]
    assert content["vectors"][1]["vector"] is content["vectors"][1]["truncated"] is None
    output = tmp_path / "vectors.parquet"
    ran = warmstart(*words, "--keep-columns", "--output", str(output))
    assert ran.out == f"2 vectors in {output}\n"
    table = pyarrow.parquet.read_table(output)
    assert table["id"].to_pylist() == ["7", "8", "9"]
    assert str(table.schema.field("vector").type).startswith("fixed_size_list<")
    found = [row["vector"] for row in content["vectors"]]
    assert [None if v is None else np.float32(v).tolist() for v in found] == (
        table["vector"].to_pylist()
    )
    assert "already exists" in warmstart(*words, "--output", str(output)).err
    lines = tmp_path / "vectors.jsonl"
    ran = warmstart(*words, "--output", str(lines), "--json")
    assert json.loads(ran.out)["vectors"] == 2
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["vector"] for row in rows] == found


@pytest.mark.parametrize(
    ("words", "found", "advice", "code"),
    [
        ("", "neither --text nor --data", "warmstart embed RUN --data FILE", 2),
        ("--text x --data test.csv", "both --text and --data", "warmstart embed RUN", 2),
        ("--text x --output v.parquet", "--text with --output", "warmstart embed RUN --data", 2),
        ("--text x --keep-columns", "--text with --keep-columns", "warmstart embed RUN", 2),
        ("--data test.csv --overwrite", "--overwrite without", "--output vectors.parquet", 2),
        ("--data test.csv --keep-columns", "are not printed", "--output vectors.parquet", 2),
        ("--data test.csv --output v.csv", "--output v.csv", "--output v.parquet", 1),
        ("--data test.csv --set data.text=b", "no column 'b'", "data.text=COLUMN", 1),
        ("--data test.csv --set train.epochs=2", "train.epochs", "leave train.epochs out", 1),
        ("--text x --layer 9", "layer is 9, and the model has 2", "--layer -1", 1),
        ("--text x --pooling last", "pooling is last", "--pooling mean", 1),
        ("--text x --pooling cls", "--pooling cls", "--pooling", 2),
    ],
)
def test_what_cannot_be_done_is_refused(
    warmstart: Warmstart, words: str, found: str, advice: str, code: int
) -> None:
    ran = warmstart("embed", "run", *words.split())
    assert (ran.code, ran.out) == (code, "")
    assert found in ran.err
    assert advice in ran.err.partition("  try:  ")[2]
    assert not Path("v.parquet").exists()


def test_a_model_that_does_not_exist_is_refused(warmstart: Warmstart) -> None:
    ran = warmstart("embed", "./no_such", "--text", "x")
    assert (ran.code, ran.out) == (1, "")
    assert "no_such" in ran.err
    assert "--set" not in ran.err  # which embed has only for files

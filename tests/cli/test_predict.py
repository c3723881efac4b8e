"""The options of ``warmstart predict`` for a file, and the standard input."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Has a text on two of three lines."""
    content = io.TextIOWrapper(io.BytesIO("a nice cat\n\na poor house 读\n".encode()), "ascii")
    monkeypatch.setattr(sys, "stdin", content)
    return monkeypatch


@pytest.mark.usefixtures("standard_input")
def test_the_standard_input_has_one_text_per_line(trained: Trained, warmstart: Warmstart) -> None:
    ran = warmstart("predict", str(trained.path), "--data", "-", "--top-k", "1")
    first, blank, last = ran.out.splitlines()
    assert first[-1] == last[-1] == ")"
    assert blank == "no prediction (no text)"
    assert "of 3 rows, without a prediction: 1 (no text)" in ran.err


def test_the_standard_input_may_have_another_format(
    trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"id;text;label\n7;a nice cat;good\n8;;bad\n"
    words = ("--data", "-", "--set", "data.format=csv", "--set", "data.delimiter=;", "--json")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows)))
    ran = warmstart("predict", str(trained.path), *words, "--keep-columns")
    first, second = json.loads(ran.out)["predictions"]
    assert first["columns"] == {"id": "7", "text": "a nice cat", "label": "good"}
    assert second == {
        **dict.fromkeys(first),
        "row": 1,
        "columns": {"id": "8", "text": "", "label": "bad"},
    }
    monkeypatch.setattr(sys, "stdin", None)
    assert "stdin is empty" in warmstart("predict", str(trained.path), *words).err


@pytest.mark.parametrize(
    ("words", "found", "code"),
    [
        ("--text x --overwrite", "--text with --overwrite", 2),
        ("--text x --keep-columns", "--text with --keep-columns", 2),
        ("--data test.csv --overwrite", "--overwrite without --output", 2),
        ("--data test.csv --keep-columns", "--keep-columns, but the columns are not printed", 2),
        ("--data test.csv --top-k 3", "--top-k 3, and the run has 2 labels", 1),
        ("--data test.csv --output test.csv --overwrite", "is one of the files to read", 1),
        ("--data test.csv --set data.label=x", "--set data.label=…, for a file that is", 1),
        ("--data test.csv --set data.group=x", "no column 'x'", 1),
    ],
)
def test_what_would_be_ignored_is_refused(
    trained: Trained,
    warmstart: Warmstart,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    found: str,
    code: int,
) -> None:
    monkeypatch.chdir(trained.folder)
    ran = warmstart("predict", "run", *words.split())
    assert (ran.code, ran.out) == (code, "")
    assert found in ran.err
    assert "  try:      " in ran.err


def test_a_file_of_predictions_is_replaced_on_request(
    trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(trained.folder)
    output = tmp_path / "p.csv"
    output.write_text("older")
    words = ("predict", "run", "--data", "test.csv", "--output", str(output), "--keep-columns")
    assert "already exists" in warmstart(*words).err
    assert output.read_text() == "older"
    assert warmstart(*words, "--overwrite").out == f"20 predictions in {output}\n"
    header = output.read_text().partition("\n")[0]
    assert header.endswith('"probability:bad","probability:good","label"')


def test_a_run_that_is_not_finished_says_so(
    trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    finished = warmstart("predict", str(run), "--text", "nice")
    assert "not finished" not in finished.err
    events = (run / "events.jsonl").read_text().splitlines(keepends=True)
    left = [line for line in events if '"event": "finish"' not in line]
    (run / "events.jsonl").write_text("".join(left))
    ran = warmstart("predict", str(run), "--text", "nice")
    assert (ran.code, ran.out) == (0, finished.out)
    assert "is not finished: its best model so far is used" in " ".join(ran.err.split())
    shutil.rmtree(run / "model")
    ran = warmstart("predict", str(run), "--text", "nice")
    assert ran.code == 1
    assert "has no finished model" in ran.err

"""Unusual input that is accepted: it works, and a message explains how it was read."""

import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart
from tests.cli.mistakes import ROWS, json_lines

LONG = ROWS + "film " * 200 + ",good\n"
NUMBERS = ROWS.replace(",good", ",1.0").replace(",bad", ",0.0")
OBJECTS = json_lines(*({"text": f"it is {n}", "label": n % 2 == 0} for n in range(8)))

CASES: dict[str, tuple[str, str | bytes, str, str]] = {
    "ragged rows, dropped": (
        "a.csv", ROWS + "a,b,c\nd\n", "--set data.ragged=drop",
        "2 training rows dropped: too many or too few fields"),
    "empty texts, dropped": (
        "a.csv", ROWS + ",good\n", "--set data.missing=drop", "1 training row dropped: no text"),
    "missing labels, dropped": (
        "a.csv", ROWS + "hello,\n", "--set data.missing=drop",
        "1 training row dropped: no label"),
    "text beyond the positions": (
        "a.csv", LONG, "", "1 of 18 training rows longer than 128 tokens and truncated"),
    "text beyond max_tokens": (
        "a.csv", ROWS, "--set model.max_tokens=4", "18 of 18 training rows longer than 4 tokens"),
    "labels written as floats": ("a.csv", NUMBERS, "", "label 1 9 50.0%"),
    "labels that are booleans": ("a.jsonl", OBJECTS, "", "label true"),
    "a class with one row, not stratified": (
        "a.csv", ROWS + "odd,strange\n", "--set data.stratify=false", "label strange"),
    "one file for train and test, allowed": (
        "a.csv", ROWS, "--test a.csv --set data.allow_same_file=true",
        "18 of 20 test rows have the same text as a training row: the score may be too high"),
    "texts in training and test": (
        "a.csv", ROWS + "the boy,good\n", "--test rows.csv", "test rows have the same text as"),
    "GB18030": ("a.csv", (ROWS + "他们的猫很好,good\n").encode("gb18030"), "", "ready"),
    "a byte order mark": ("a.csv", ("\ufeff" + ROWS).encode(), "", "ready"),
    "UTF-16 from a spreadsheet": ("a.csv", ROWS.encode("utf-16"), "", "ready"),
    "line ends of Windows": ("a.csv", ROWS.replace("\n", "\r\n"), "", "ready"),
    "blank lines": ("a.csv", ROWS.replace("\n", "\n\n"), "", "ready"),
    "brackets in a name": ("[a] :smile:.csv", ROWS, "--test '[a] :smile:.csv' "
        "--set data.allow_same_file=true", "(first: [a] :smile:.csv:4 = [a] :smile:.csv:4)"),
}  # fmt: skip
"""By kind: the file's name, its content, more words of the command, and the expected message."""


@pytest.mark.parametrize(("file", "content", "words", "said"), CASES.values(), ids=CASES)
def test_it_works_and_is_said(
    file: str,
    content: str | bytes,
    words: str,
    said: str,
    tiny: Path,
    warmstart: Warmstart,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(ROWS)
    Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.rglob("*"))
    flags = ("--model", str(tiny), "--train", file, "--dry-run", "--output", "run")
    ran = warmstart("train", *flags, *shlex.split(words))
    assert ran.code == 0, ran.err
    assert ran.out == "ready to train; output would be run\n"
    assert said in " ".join((ran.out + ran.err).split())
    assert sorted(tmp_path.rglob("*")) == before


def test_predicting_reports_which_rows_it_left_out(
    warmstart: Warmstart, trained: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "new.csv"
    file.write_text('text\n"a nice cat"\n""\n', encoding="utf-8")
    ran = warmstart("predict", str(trained.path), "--data", str(file), "--set", "data.missing=drop")
    assert ran.code == 0
    assert "note: of 2 rows, left out: 1 (no text)" in ran.err

"""The first sheet of an ``.xlsx`` file; needs openpyxl, except for the advice to install it."""

import io
import re
import sys
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from tests.data.reading_helpers import refusal, table, written

HEADER = ["text", "label", "n"]


def sheet(folder: Path, rows: list[list[Any]], *others: str, name: str = "a.xlsx") -> Path:
    """A spreadsheet with these rows in its first sheet, and further sheets."""
    openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl: warmstart[xlsx]")
    book = openpyxl.Workbook()
    book.active.title = "first"
    for row in rows:
        book.active.append(row)
    for other in others:
        book.create_sheet(other).append(["text"])
    book.save(folder / name)
    return folder / name


def changed(path: Path, name: str, pattern: bytes, other: bytes) -> bytes:
    """The file with a text in one of its parts replaced."""
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for entry in old.namelist():
            part = old.read(entry)
            if entry.endswith(name):
                assert re.search(pattern, part)
                part = re.sub(pattern, other, part)
            new.writestr(entry, part)
    return content.getvalue()


def test_without_openpyxl_the_advice_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    error = refusal(written(tmp_path, b"PK\x03\x04", "a.xlsx"))
    assert "needs the package 'openpyxl'" in error.found
    assert error.do == "pip install 'warmstart[xlsx]', or save the sheet as CSV (UTF-8)"
    extras = (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8")
    assert 'xlsx = ["openpyxl' in extras


def test_values_become_the_text_of_json(tmp_path: Path) -> None:
    rows = [
        [],
        [*HEADER, None],
        ["a\nb", "x", 3],
        [None, None, None],
        ["é", None, 2.5],
        ["007", True, date(2026, 1, 31)],
        [1.0, "#N/A", datetime(2026, 1, 31, 12, 30)],
        ["b", "", time(8, 30)],
    ]
    read = table(sheet(tmp_path, rows))
    assert read.columns.to_pydict() == {
        "text": ["a\nb", "é", "007", "1", "b"],
        "label": ["x", None, "true", None, None],
        "n": ["3", "2.5", "2026-01-31", "2026-01-31 12:30:00", "08:30:00"],
    }
    assert read.lines.tolist() == [3, 5, 6, 7, 8]
    assert read.where(1) == f"{tmp_path / 'a.xlsx'} (row 5)"
    assert read.files[0].format == "xlsx"
    assert read.files[0].encoding is None
    assert read.files[0].notes == ("1 cells with an error, such as #N/A, are missing values",)


def test_other_sheets_are_named(tmp_path: Path) -> None:
    read = table(sheet(tmp_path, [["text"], ["a"]], "second", "third"))
    assert read.files[0].notes == ("only the sheet 'first' is read, and not 'second', 'third'",)


def test_a_spreadsheet_gives_the_rows_of_its_csv_file(tmp_path: Path) -> None:
    rows = [["text", "label"], *([f"text {n}", n % 3] for n in range(50))]
    lines = "\n".join(f"{text},{label}" for text, label in rows)
    read = table(sheet(tmp_path, rows))
    assert read.columns.equals(table(written(tmp_path, lines)).columns)
    assert read.rows.tolist() == list(range(50))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.xlsx", "a.xlsx")
    assert table(tmp_path / "a.zip").columns.equals(read.columns)


def test_the_stored_result_of_a_formula_is_read(tmp_path: Path) -> None:
    path = sheet(tmp_path, [["text", "label"], ["a", "=1+1"]])
    error = refusal(path)
    assert error.found == f"{path} (row 2): the cell B2 has a formula, and the file does not " + (
        "contain its result"
    )
    # As a spreadsheet program saves it:
    with_result = changed(path, "sheet1.xml", rb"<v></v>|<v />", b"<v>2</v>")
    read = table(written(tmp_path, with_result, "b.xlsx"))
    assert read.columns.to_pydict() == {"text": ["a"], "label": ["2"]}
    assert read.files[0].notes == ("1 cells have formulas: their stored results are read",)


@pytest.mark.parametrize(
    ("rows", "found", "advice"),
    [
        (
            [["text", None, "label"], ["a", "b", "c"]],
            "(row 1): column 2 has no name",
            "write a name",
        ),
        ([["text", "text"], ["a", "b"]], "(row 1) has repeated column names: text", "rename them"),
        (
            [["Reviews"], ["text", "label"]],
            "(row 2) has a value to the right of the 1 named",
            "title",
        ),
        ([["text"]], "has no rows", ""),
        ([], "has no rows", ""),
    ],
)
def test_sheets_that_are_no_table(
    tmp_path: Path, rows: list[list[Any]], found: str, advice: str
) -> None:
    error = refusal(sheet(tmp_path, rows))
    assert found in error.found
    assert advice in error.do


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"text,label\na,b\n", "is not a complete spreadsheet file"),
        (b"PK\x03\x04 cut", "is not a complete spreadsheet file"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "is protected by a password, or has the older format",
        ),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, found: str) -> None:
    pytest.importorskip("openpyxl", reason="needs openpyxl: warmstart[xlsx]")
    assert found in refusal(written(tmp_path, content, "a.xlsx")).found


@pytest.mark.parametrize(
    ("name", "pattern", "other"),
    [
        ("sheet1.xml", rb"</row>", b"&#55357;</row>"),
        ("sheet1.xml", rb"</sheetData>.*", b""),
        ("sheet1.xml", rb't="(s|n|inlineStr)"', b't="s"'),
        ("sheet1.xml", rb'r="A2"', b'r="2"'),
        ("styles.xml", rb"(?s)^.*$", b"<a/>"),
        ("workbook.xml", rb"<sheets>.*</sheets>", b""),
        ("workbook.xml.rels", rb"sheet1", b"sheet9"),
    ],
)
def test_a_damaged_part_is_an_error(
    tmp_path: Path, name: str, pattern: bytes, other: bytes
) -> None:
    path = sheet(tmp_path, [["text", "n"], ["a", 5000], ["b", 2]])
    damaged = written(tmp_path, changed(path, name, pattern, other), "b.xlsx")
    assert "is not a complete spreadsheet file" in refusal(damaged).found


def test_a_file_that_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="needs openpyxl: warmstart[xlsx]")
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(1 << 25))
    error = refusal(tmp_path / "a.xlsx")
    assert "bytes unpack to 33,554,432 bytes" in error.found
    assert "save the sheet as CSV" in error.do


def test_a_spreadsheet_under_another_name_is_read_as_the_advice_says(tmp_path: Path) -> None:
    path = sheet(tmp_path, [["text"], ["a"]])
    disguised = written(tmp_path, path.read_bytes(), "b.csv")
    assert "rename it to end in .xlsx" in refusal(disguised).do
    assert len(table(disguised.rename(tmp_path / "b.xlsx"))) == 1
    assert len(table(written(tmp_path, path.read_bytes(), "c.data"), format="xlsx")) == 1

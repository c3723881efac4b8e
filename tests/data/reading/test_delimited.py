"""CSV and TSV: exact strings, exact lines, and a message for every way a file can be broken."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.reading_helpers import refusal, table, written
from warmstart.config import DataConfig
from warmstart.data.reading import delimited
from warmstart.data.reading.delimited import parse_delimited

COLA = {"columns": ["source", "label", "mark", "sentence"], "format": "tsv"}


def test_every_field_stays_the_text_it_was(tmp_path: Path) -> None:
    read = table(written(tmp_path, 'text,label\nNA,01\n,null\n"",1.0\n2020-01-01,true\n'))
    assert read.columns.to_pydict() == {
        "text": ["NA", "", "", "2020-01-01"],
        "label": ["01", "null", "1.0", "true"],
    }
    assert set(map(str, read.columns.schema.types)) == {"string"}


def test_quotes_and_line_ends_inside_fields_keep_lines_right(tmp_path: Path) -> None:
    content = 'text,label\r\n"two\r\nlines, ""quoted""",a\r\n\r\nplain,b\r\n"three\n\n",c\r\nlast,d'
    read = table(written(tmp_path, content))
    assert read.columns["text"].to_pylist() == [
        'two\r\nlines, "quoted"', "plain", "three\n\n", "last"
    ]  # fmt: skip
    assert read.lines.tolist() == [2, 5, 6, 9]
    assert read.rows.tolist() == [0, 1, 2, 3]
    assert read.where(3).endswith("a.csv:9")


def test_quoting_none_makes_quotes_ordinary(tmp_path: Path) -> None:
    path = written(tmp_path, 'a\t1\t\t"So he said.\na\t0\t*\tMary left."\n', "a.tsv")
    read = table(path, quoting="none", **COLA)
    assert read.columns["sentence"].to_pylist() == ['"So he said.', 'Mary left."']


def test_blank_lines_are_no_rows_but_empty_fields_are(tmp_path: Path) -> None:
    read = table(written(tmp_path, "\n\ntext,label\n\n,\n\r\na,b\n\n"))
    assert read.columns.to_pydict() == {"text": ["", "a"], "label": ["", "b"]}
    assert read.lines.tolist() == [5, 7]
    assert read.rows.tolist() == [0, 1]


def test_one_column(tmp_path: Path) -> None:
    read = table(written(tmp_path, "text\na b\n\n' c\n"))
    assert read.columns.to_pydict() == {"text": ["a b", "' c"]}
    assert read.lines.tolist() == [2, 4]


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    read = table(written(tmp_path, ",text,label,,\n0,a,b,,\n"))
    assert read.columns.to_pydict() == {"text": ["a"], "label": ["b"]}


def test_ragged_rows_are_named_or_dropped_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,b\nc\n\nd,e,f\ng,h\n")
    error = refusal(path)
    assert f"{path}:3 has 1 field: c" in error.found
    assert error.expected.startswith("2 fields")
    assert "--set data.ragged=drop" in error.do
    assert "quoting" not in error.do
    read = table(path, ragged="drop")
    assert read.columns["text"].to_pylist() == ["a", "g"]
    assert (read.rows.tolist(), read.lines.tolist()) == ([0, 3], [2, 6])
    assert (read.files[0].rows, read.files[0].dropped) == (4, 2)


def test_ragged_row_with_a_quote_advises_about_quotes(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, 'text,label\na "b" c\n'))
    assert "--set data.quoting=none" in error.do


def test_a_file_of_ragged_rows_has_none_left(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "text,label\na\nb\n"), ragged="drop")
    assert "has no rows: 2 were dropped" in error.found
    assert "data.delimiter" in error.do


def test_lines_of_dropped_rows_with_line_ends_inside(tmp_path: Path) -> None:
    read = table(written(tmp_path, 'text,label\n"x\ny"\na,b\n'), ragged="drop")
    assert read.lines.tolist() == [4]


@pytest.mark.parametrize("content", ["", "\ufeff", "\n\n", " \n"])
def test_empty_file(tmp_path: Path, content: str) -> None:
    error = refusal(path := written(tmp_path, content))
    assert error.found == f"{path} is empty"
    assert "data.columns" in error.expected


@pytest.mark.parametrize("content", ["text,label", "\ntext,label\n\n"])
def test_header_only(tmp_path: Path, content: str) -> None:
    error = refusal(path := written(tmp_path, content))
    line = 1 + content.startswith("\n")
    assert error.found == f"{path}:{line} is a header, but no row follows"
    assert "--set 'data.columns=" in error.do


def test_missing_column_names_the_nearest(tmp_path: Path) -> None:
    read = table(written(tmp_path, "id,txt,label\n1,a,b\n"))
    with pytest.raises(Exception, match=r"try: +--set data.text=txt$"):
        read.column("text", "data.text")
    with pytest.raises(Exception, match=r"--set data.group=COLUMN .*--set 'data.columns="):
        read.column("zzz", "data.group")


@pytest.mark.parametrize(
    ("content", "likely", "advice"),
    [
        ("text;label\nWell, yes;1\n", ";", "--set data.delimiter=';'"),
        ("text\tlabel\na\t1\n", "\t", "--set data.format=tsv"),
        ("text|label\na|1\n", "|", "--set data.delimiter='|'"),
    ],
)
def test_wrong_delimiter(tmp_path: Path, content: str, likely: str, advice: str) -> None:
    error = refusal(path := written(tmp_path, content))
    assert f"{path}:1 has only one column" in error.found
    assert repr(likely) in error.found
    assert error.do == advice


def test_wrong_delimiter_without_a_header(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\nc,d\n", "a.tsv")
    error = refusal(path, columns=["text", "label"])
    assert error.do == "--set data.delimiter=','"


def test_a_sentence_as_the_only_header_is_no_wrong_delimiter(tmp_path: Path) -> None:
    assert len(table(written(tmp_path, "text\tplain\nwithout\n", "a.csv"))) == 1


def test_given_delimiter(tmp_path: Path) -> None:
    read = table(written(tmp_path, "text;label\na,b;1\n"), delimiter=";")
    assert read.columns["text"].to_pylist() == ["a,b"]


@pytest.mark.parametrize("delimiter", ['"', "\n", "，"])
def test_unusable_delimiter(tmp_path: Path, delimiter: str) -> None:
    error = refusal(written(tmp_path, "a,b\n1,2\n"), delimiter=delimiter)
    assert repr(delimiter) in error.found
    assert "--set data.delimiter=" in error.do


def test_columns_that_do_not_fit_the_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c\nd,e,f\n")
    for ragged in ("error", "drop"):
        error = refusal(path, columns=["text", "label"], ragged=ragged)
        assert error.found == f"{path}:1 has 3 fields, but data.columns names 2"
        assert "give 3 names in data.columns" in error.do


def test_a_ragged_first_row_does_not_condemn_the_columns(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "a\nd,e\n"), columns=["text", "label"])
    assert "a.csv:1 has 1 field" in error.found
    assert "data.ragged" in error.do


def test_duplicate_columns(tmp_path: Path) -> None:
    error = refusal(path := written(tmp_path, "text,label,text\na,b,c\n"))
    assert error.found == f"{path}:1 has repeated column names: text"
    assert "--set 'data.columns=" in error.do


def test_a_nul_byte(tmp_path: Path) -> None:
    error = refusal(path := written(tmp_path, "text,label\na,b\nc\0,d\n"))
    assert error.found == f"{path}:3: a NUL byte"
    assert "tr -d" in error.do


def test_rows_longer_than_the_parser_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "text,label\n" + "x" * 300 + ",b\n")
    monkeypatch.setattr(delimited, "BLOCKS", (64, 1024))
    assert len(table(path)) == 1
    monkeypatch.setattr(delimited, "BLOCKS", (64, 128))
    error = refusal(path)
    assert f"{path} has a row of more than 128 bytes" in error.found
    assert "data.quoting=none" in error.do


def test_lines_are_right_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (64, 1 << 20))
    content = "text,label\n" + "".join(f'"{i}\n.",x\nshort\n' for i in range(50))
    read = table(written(tmp_path, content), ragged="drop")
    assert read.lines.tolist() == [2 + 3 * i for i in range(50)]
    assert read.files[0].dropped == 50


FIELD = st.text(st.sampled_from('a"\n\r,é '), max_size=6)


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_a_quoted_file_reads_back_with_its_lines(
    rows: list[tuple[str, str]], line_end: str
) -> None:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    lines = []
    for row in [("text", "label"), *rows]:
        universal = written.getvalue().replace("\r\n", "\n").replace("\r", "\n")
        lines.append(universal.count("\n") + 1)
        writer.writerow(row)
    parsed = parse_delimited(
        written.getvalue().encode(), "x", ",", DataConfig(train="x", label="none")
    )
    assert list(zip(*parsed.columns.to_pydict().values(), strict=True)) == rows
    assert parsed.lines.tolist() == lines[1:]


def test_cola_and_wikiqa_as_they_are(shared_data: Callable[[str], Path]) -> None:
    train = table(shared_data("cola/in_domain_train.tsv"), quoting="none", **COLA)
    assert len(train) == 8551
    assert train.where(8550).endswith("in_domain_train.tsv:8551")
    assert len(table(shared_data("cola/out_of_domain_dev.tsv"), quoting="none", **COLA)) == 516
    wikiqa = shared_data("wikiqa/WikiQA-train.tsv")
    read = table(wikiqa, quoting="none", ragged="drop")
    assert (len(read), read.files[0].dropped) == (20347, 13)
    assert f"{wikiqa}:4093 has 7 fields" in refusal(wikiqa, quoting="none").found
    assert f"{wikiqa}:4092: a field" in refusal(wikiqa).found
    assert len(table(shared_data("artist_bios/artist_bios.csv"))) == 3050

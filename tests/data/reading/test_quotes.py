"""Stray quotes are refused, with the line where they open; quoted texts may have several lines."""

from pathlib import Path

import pytest

from tests.data.reading_helpers import refusal, table, written

COLA = {"columns": ["source", "label", "mark", "sentence"]}
ROW = "a\t1\t\tA plain row.\n"


@pytest.mark.parametrize("quoted_last", [False, True])
def test_a_quote_that_never_closes(tmp_path: Path, quoted_last: bool) -> None:
    content = ROW + 'a\t1\t\t"So he said.\n' + 5 * ROW
    if not quoted_last:
        content = ROW + '"a\t1\t\tSo he said.\n' + 5 * ROW
    for ragged in ("error", "drop"):
        error = refusal(path := written(tmp_path, content, "a.tsv"), ragged=ragged, **COLA)
        assert f"{path}:2: a field starts with a quote here that is never closed" in error.found
        assert "the next 5 lines" in error.found
        assert "--set data.quoting=none" in error.do
    assert len(table(path, quoting="none", **COLA)) == 7


def test_a_quote_that_never_closes_in_the_header(tmp_path: Path) -> None:
    long = 20_000 * "some text,1\n"  # beyond the csv module's limit for a field
    error = refusal(path := written(tmp_path, '"text,label\n' + long))
    assert f"{path}:1: a field" in error.found


def test_quotes_that_close_lines_later(tmp_path: Path) -> None:
    content = ROW + 'a\t1\t\t"So he said.\n' + ROW + 'a\t0\t\tMary left."\n' + ROW
    error = refusal(path := written(tmp_path, content, "a.tsv"), **COLA)
    assert (
        f"{path}:2: a field starts with a quote here; up to the closing quote, the next 2 lines"
        in (error.found)
    )
    assert "--set data.quoting=none" in error.do


def test_quotes_that_close_in_the_middle_of_a_later_line(tmp_path: Path) -> None:
    content = 'text,label\n"So he said,1\nthen,0\nMary said "no" twice,1\n'
    error = refusal(path := written(tmp_path, content))
    assert f"{path}:2: a field" in error.found
    assert "the next 2 lines would become part" in error.found


def test_quotes_that_swallow_between_commas_are_known_by_their_labels(tmp_path: Path) -> None:
    content = 'text,label\nHi there.,good\nNo.,bad\n"So he said.,bad\nMary left.",good\n'
    assert f":{4}: a field" in refusal(written(tmp_path, content)).found
    assert len(table(written(tmp_path, content), label="other")) == 3


def test_two_rows_alone_are_known_by_their_numbers(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, 'label,text\n1,"Hello\n0,yes"\n'))
    assert "a.csv:2: a field" in error.found
    assert "the next line" in error.found


def test_swallowed_rows_are_not_dropped_as_ragged(tmp_path: Path) -> None:
    content = 'id,text,more\n1,a,b\n2,"John,c\nMary",3,d\n'
    error = refusal(path := written(tmp_path, content), ragged="drop")
    assert f"{path}:3: a field" in error.found


def test_text_after_a_closing_quote(tmp_path: Path) -> None:
    error = refusal(path := written(tmp_path, 'text,label\na,b\n"Hello" she said,b\n'))
    assert (
        error.found
        == f'{path}:3: a quoted field has text after its closing quote: "Hello" she said'
    )
    assert "--set data.quoting=none" in error.do


def test_the_line_is_that_of_the_quote_not_of_the_row(tmp_path: Path) -> None:
    error = refusal(path := written(tmp_path, 'text,label\n"a\nb","c" d\n'))
    assert f"{path}:3: a quoted field has text" in error.found


@pytest.mark.parametrize(
    "content",
    [
        'label,text\n1,"Hello\nworld, yes"\n0,"One, two\nthree, four"\n',  # commas by chance
        'text,label\n"Dear all,\n\nhello, you.\n\nBye",1\nshort,0\n',
        'text,label\n"she said ""no"", twice\nand left",1\n5" disk,0\nsay "hi" now,1\n',
        'text\n"one\ntwo"\n',
    ],
)
def test_honest_texts_of_several_lines_pass(tmp_path: Path, content: str) -> None:
    read = table(written(tmp_path, content))
    assert "\n" in read.columns["text"][0].as_py()


def test_a_tab_separated_text_of_several_lines_passes(tmp_path: Path) -> None:
    read = table(written(tmp_path, 'text\tlabel\n"two\nlines"\t1\n', "a.tsv"))
    assert read.columns["text"].to_pylist() == ["two\nlines"]

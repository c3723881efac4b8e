"""Lines of a CSV file that are not rows, and names of columns that look alike."""

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.data.reading_helpers import refusal, table, written
from warmstart.config import DataConfig
from warmstart.config_file import load
from warmstart.errors import DataError

ROWS = "text;label\na, b;x\nc;y\n"


@pytest.mark.parametrize(
    "line", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\n sep=;\n".replace(" ", "")]
)
def test_the_line_with_which_excel_names_the_delimiter(tmp_path: Path, line: str) -> None:
    read = table(written(tmp_path, line + ROWS))
    assert read.columns.to_pydict() == {"text": ["a, b", "c"], "label": ["x", "y"]}
    assert read.lines.tolist() == [2 + line.count("\n"), 3 + line.count("\n")]
    assert "delimiter: ';'" in read.files[0].notes[0]
    assert len(table(written(tmp_path, line + ROWS), delimiter=";")) == 2


def test_a_tab_in_the_line_of_excel(tmp_path: Path) -> None:
    assert len(table(written(tmp_path, "sep=\t\n" + ROWS.replace(";", "\t")))) == 2
    read = table(written(tmp_path, "sep=;\na,1\n"), columns=["text", "label"], delimiter=",")
    assert read.columns["label"].to_pylist() == ["1"]


@pytest.mark.parametrize(
    "title",
    ["Survey 2024\n", "Survey 2024\n\n", "Survey 2024;\n", '"Survey; 2024"\n', "Survey\nof May\n",
     "# exported by a tool\n"],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_a_title_above_the_header(tmp_path: Path, title: str, delimiter: str) -> None:
    content = (title + ROWS.replace(", ", " ")).replace(";", delimiter)
    path = written(tmp_path, content)
    error = refusal(path)
    assert error.found.startswith(f"{path}:1 looks like a title; the names of the columns are in")
    command, _, setting = error.do.removeprefix("remove the lines above them: ").partition(", and ")
    command = command.replace("FILE", "a.csv", 1).replace("NEW.csv", "b.csv")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    settings = {}
    for word in shlex.split(setting)[1:]:
        name, _, value = word.removeprefix("data.").partition("=")
        settings[name] = value
    assert len(table(tmp_path / "b.csv", **settings)) == 2


@pytest.mark.parametrize(
    "content",
    [
        "text\na\nb\n",
        "text,\na,\nb,\n",
        ",text\n0,a\n1,b\n",
        "text,label\n,a\nb,c\n",
        "name,text\na,b\n",
        "name,tags\na,x|y\nb,x|y\n",
    ],
)
def test_headers_that_are_not_titles(tmp_path: Path, content: str) -> None:
    assert len(table(written(tmp_path, content))) > 0


def test_texts_with_commas_below_a_known_column_are_ragged(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "text\na, b\nc, d\n"))
    assert "has 2 fields" in error.found


@pytest.mark.parametrize("again", ["text,label", "Text,Label", " text,label ", "\ufefftext,label"])
def test_a_header_in_the_middle_is_refused(tmp_path: Path, again: str) -> None:
    """As in ``cat a.csv b.csv``."""
    path = written(tmp_path, f"text,label\na,x\n{again}\nb,y\n{again}\n")
    error = refusal(path)
    assert error.found == f"{path}:3 repeats the names of the columns (and 1 more such lines)"
    assert "awk" in error.do


def test_the_advice_removes_repeated_headers(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "text,label\na,x\ntext,label\nb,y\n"))
    command = error.do.removeprefix("remove these lines: ").replace("FILE", "a.csv")
    subprocess.run(["bash", "-c", command.replace("NEW", "b")], cwd=tmp_path, check=True)
    assert table(tmp_path / "b.csv").columns["text"].to_pylist() == ["a", "b"]


def test_named_columns_and_a_header(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,x\n")
    error = refusal(path, columns=["text", "label"])
    assert error.found == f"{path}:1 repeats the names of the columns"
    assert error.do == "remove data.columns: the file has a header"
    assert len(table(path)) == 1


def test_one_column_may_repeat_its_name(tmp_path: Path) -> None:
    assert len(table(written(tmp_path, "text\na\ntext\n"))) == 2


@pytest.mark.parametrize("name", ["text\u200b", "te\u0301xt", " text", "te\u00a0xt", "\ufefftext"])
def test_a_column_whose_name_looks_the_same(tmp_path: Path, name: str) -> None:
    asked = {"te\u0301xt": "t\u00e9xt", "te\u00a0xt": "te xt"}.get(name, "text")
    read = table(path := written(tmp_path, f"id,{name}\n1,a\n"))
    with pytest.raises(DataError) as caught:
        read.column(asked, "data.text")
    assert (
        f"{path} has no column {asked!a}; its column {name!a} looks the same" in caught.value.found
    )
    word = shlex.split(caught.value.do[caught.value.do.index("--set") :])[1]
    config = load({"data": {"train": str(path)}}, [word])
    assert config.data.text == name
    assert read.column(config.data.text, "data.text").to_pylist() == ["a"]


def test_two_columns_that_look_the_same(tmp_path: Path) -> None:
    read = table(written(tmp_path, "text,text\u200b,label,Label\na,b,x,y\n"))
    with pytest.raises(DataError, match="two columns that look the same"):
        read.column("text", "data.text")
    assert read.column("label", "data.label").to_pylist() == ["x"]
    data = DataConfig(train="x")
    assert data.label == "label"


def test_files_whose_columns_look_the_same(tmp_path: Path) -> None:
    one, other = (
        written(tmp_path, "text,l\na,b\n"),
        written(tmp_path, "text\u200b,l\na,b\n", "b.csv"),
    )
    error = refusal([str(one), str(other)])
    assert f"{other} lacks 'text' and adds 'text\\u200b'" in error.found

"""Folders of ``.txt`` files: labels from sub-folders, the file of each row, what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.data.reading_helpers import refusal, table
from warmstart import errors
from warmstart.config import DataConfig, RunConfig
from warmstart.data.reading import text_folders
from warmstart.data.reading.sources import file_states
from warmstart.evaluation.store import prediction_table
from warmstart.preparation.stages import read_sources

IMDB = {
    "pos/b.txt": "B\n",
    "pos/a.txt": "A\r\n\r\nx\r\n",
    "neg/a.txt": "\u00e9",
    "neg/z.txt": " ",
    ".hidden": "x",
    "pos/.DS_Store": "x",
    "README": "x",
}
PLAIN = {"b.txt": "B\nb", "a.TXT": "A", "c.txt": ""}


def folder(path: Path, files: dict[str, str | bytes]) -> Path:
    """A folder with these files; a name that ends in ``/`` is an empty folder."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            file.mkdir()
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("block", [text_folders.BLOCK, 1])
def test_sub_folders_are_labels(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_folders, "BLOCK", block)
    read = table(folder(tmp_path, IMDB), text="review", label="stars")
    assert read.columns.to_pydict() == {
        "review": ["\u00e9", " ", "A\r\n\r\nx", "B"],
        "stars": ["neg", "neg", "pos", "pos"],
    }
    assert [read.where(row) for row in (0, 3)] == [f"{tmp_path}/neg/a.txt", f"{tmp_path}/pos/b.txt"]
    kept = read.filter(np.array([False, False, True, True]))
    assert kept.where(0) == f"{tmp_path}/pos/a.txt"
    assert kept.paths().to_pylist() == [f"{tmp_path}/pos/a.txt", f"{tmp_path}/pos/b.txt"]
    (file,) = read.files
    assert (file.path, file.rows, file.row_unit, file.format) == (
        str(tmp_path), 4, "document", "text"
    )  # fmt: skip
    assert file.notes == ("Files that do not end in .txt, not read: 1.",)
    assert "documents" not in file.to_json()


def test_documents_have_no_label(tmp_path: Path) -> None:
    read = table(folder(tmp_path, PLAIN), text="story")
    assert read.columns.to_pydict() == {"story": ["A", "B\nb", None]}


def test_several_folders_and_a_folder_in_data_dir(tmp_path: Path) -> None:
    folder(tmp_path / "one", PLAIN)
    folder(tmp_path / "two", {"d.txt": "D"})
    read = table(["one", "two"], dir=str(tmp_path))
    assert read.columns["text"].to_pylist() == ["A", "B\nb", None, "D"]
    assert read.where(3) == f"{tmp_path}/two/d.txt"


def test_every_change_changes_the_hash(tmp_path: Path) -> None:
    def sha256(files: dict[str, str | bytes]) -> str:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        return table(folder(tmp_path / "data", files)).files[0].sha256

    changed: list[dict[str, str | bytes]] = [
        {"pos/a.txt": "ab", "neg/a.txt": "c"},
        {"pos/a.txt": "c", "neg/a.txt": "ab"},
        {"pos/a.txt": "a", "neg/a.txt": "bc"},
        {"pos/b.txt": "ab", "neg/a.txt": "c"},
        {"other/a.txt": "ab", "neg/a.txt": "c"},
    ]
    assert len({sha256(files) for files in changed}) == len(changed)
    assert sha256(changed[0]) == sha256(changed[0])


def test_a_changed_text_in_a_sub_folder_is_noticed(tmp_path: Path) -> None:
    folder(tmp_path / "data", IMDB)
    data = DataConfig(train="data", dir=str(tmp_path))
    before = file_states(data.train, data)
    (tmp_path / "data" / "pos" / "a.txt").write_text("longer than before")
    changed = file_states(data.train, data)
    assert changed != before
    (tmp_path / "data" / "neg" / "a.txt").unlink()
    assert file_states(data.train, data) != changed


@pytest.mark.parametrize(
    ("files", "found", "do"),
    [
        ({"urls.txt": "u", **IMDB}, "has .txt files, such as urls.txt, beside its", "mv {}/*.txt"),
        ({**IMDB, "unsup/": ""}, "/unsup has no .txt file", "move this one to another place"),
        ({**IMDB, "x/y/z.txt": "z"}, "/x has folders in it", "sub-folders are the labels"),
        ({**IMDB, "pos/a.csv": ""}, "other data files, such as {}/pos/a.csv", "--set data.train="),
        ({**PLAIN, "a.json": ""}, "other data files, such as {}/a.json", "--set data.train="),
        ({"pos/": "", "neg/": ""}, "is a folder", "--set data.train="),
        ({"pos/a.txt": b"\x1f\x8b"}, "{}/pos/a.txt is not text", "rename the file"),
        ({"pos/a.txt": b"a\0b"}, "{}/pos/a.txt:1: a NUL byte", "tr -d"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, files: dict[str, str | bytes], found: str, do: str
) -> None:
    error = refusal(folder(tmp_path, files))
    assert found.format(tmp_path) in error.found
    assert do.format(tmp_path) in error.do


def test_the_advice_for_texts_beside_folders_works(tmp_path: Path) -> None:
    folder(tmp_path, {"data/urls.txt": "u", "data/pos/a.txt": "a", "OTHER/": ""})
    do = refusal(tmp_path / "data").do
    import subprocess

    command = do.partition("place: ")[2].partition(";")[0]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert table(tmp_path / "data").columns["label"].to_pylist() == ["pos"]


def test_an_empty_text_is_named_and_predictions_name_their_file(tmp_path: Path) -> None:
    data = DataConfig(train=str(folder(tmp_path / "a", IMDB)))
    with pytest.raises(errors.DataError, match=r"a/neg/z\.txt"):
        read_sources(RunConfig(data=data))
    (tmp_path / "a" / "neg" / "z.txt").unlink()
    rows = read_sources(RunConfig(data=data)).tables["train"]
    saved = prediction_table(None, rows, data, labels=None)
    assert saved["file"].to_pylist() == [
        f"{tmp_path}/a/{name}.txt" for name in ("neg/a", "pos/a", "pos/b")
    ]

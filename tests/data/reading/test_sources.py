"""Find the user's files, read several, and name the one with an error."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.reading_helpers import refusal, table, written

CSV = "text,label\na,b\nc,d\n"


def test_what_a_table_knows_of_its_rows(tmp_path: Path) -> None:
    first, second = written(tmp_path, CSV), written(tmp_path, "label,text\nf,e\n", "b.csv")
    read = table([str(first), str(second)])
    assert read.columns.to_pydict() == {"text": ["a", "c", "e"], "label": ["b", "d", "f"]}
    assert (read.rows.tolist(), read.rows.dtype) == ([0, 1, 2], np.dtype(np.int64))
    assert (read.file_index.tolist(), read.file_index.dtype) == ([0, 0, 1], np.dtype(np.int32))
    assert (read.lines.tolist(), read.lines.dtype) == ([2, 3, 2], np.dtype(np.int64))
    assert read.where(2) == f"{second}:2"
    assert read.setting == "data.train"
    assert read.files[0].sha256 == hashlib.sha256(CSV.encode()).hexdigest()
    assert [file.rows for file in read.files] == [2, 1]


def test_row_ids_count_dropped_rows(tmp_path: Path) -> None:
    first, second = written(tmp_path, "text,label\na\nc,d\n"), written(tmp_path, CSV, "b.csv")
    read = table([str(first), str(second)], ragged="drop")
    assert read.rows.tolist() == [1, 2, 3]


def test_files_of_different_formats_go_together(tmp_path: Path) -> None:
    lines = written(tmp_path, '{"label": 1, "text": "e"}\n', "b.jsonl")
    read = table([str(written(tmp_path, CSV)), str(lines)])
    assert read.columns["label"].to_pylist() == ["b", "d", "1"]


def test_files_with_different_columns(tmp_path: Path) -> None:
    first, second = written(tmp_path, CSV), written(tmp_path, "text,tag\na,b\n", "b.csv")
    error = refusal([str(first), str(second)])
    assert error.found == f"{second} lacks label and adds tag, compared with {first}"
    assert "the same header" in error.do


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, CSV, "train.csv")
    error = refusal(tmp_path / "trian.csv")
    assert error.found == f"data.train: {tmp_path}/trian.csv does not exist"
    assert "contains: train.csv" in error.expected
    assert error.do == f"--set data.train={tmp_path}/train.csv"
    error = refusal(tmp_path / "nowhere" / "x.csv")
    assert "working directory" in error.do
    assert "--set data.dir=FOLDER" in error.do


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    written(tmp_path, CSV, "b.csv")
    written(tmp_path, CSV, "a.csv.gz")
    written(tmp_path, CSV, "notes.md")
    error = refusal(tmp_path)
    assert error.found == f"data.train: {tmp_path} is a folder"
    assert error.expected.endswith("contains: a.csv.gz, b.csv")
    assert error.do == f"--set data.train={tmp_path}/a.csv.gz"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, CSV)

    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    error = refusal(path)
    assert error.found == f"{path} cannot be read: Permission denied"
    assert "chmod" in error.do


@pytest.mark.parametrize("place", ["top/raw/x.csv", "raw/x.csv", "x.csv"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_longest_tail_in_the_data_folder_counts(
    tmp_path: Path, place: str, packed: bool
) -> None:
    folder = tmp_path / "data"
    (folder / place).parent.mkdir(parents=True)
    (folder / place).write_text(CSV)
    if packed:
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.write(folder / place, place)
        folder = tmp_path / "d.zip"
    read = table("top/raw/x.csv", dir=str(folder))
    assert read.where(0) == f"{folder}{'!' if packed else '/'}{place}:2"


def test_a_longer_tail_wins(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.csv").write_text(CSV)
    (tmp_path / "x.csv").write_text("text,label\nwrong,x\n")
    assert len(table("top/raw/x.csv", dir=str(tmp_path))) == 2


def test_what_the_data_folder_does_not_apply_to(tmp_path: Path) -> None:
    path = written(tmp_path, CSV)
    (tmp_path / "empty").mkdir()
    assert len(table(path, dir=str(tmp_path / "empty"))) == 2
    error = refusal("a.csv", dir=str(tmp_path / "empty"))
    assert error.found == f"data.train: {tmp_path}/empty/a.csv does not exist"


def test_a_zip_inside_the_data_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("x/y.csv", CSV)
    assert len(table("below/d.zip!x/y.csv", dir=str(tmp_path))) == 2


@pytest.mark.parametrize("name", ["nowhere", "a.csv"])
def test_a_data_folder_that_is_none(tmp_path: Path, name: str) -> None:
    written(tmp_path, CSV)
    error = refusal("x.csv", dir=f"{tmp_path}/{name}")
    assert error.found == f"data.dir: {tmp_path}/{name} is neither a folder nor a zip file"
    assert "--set data.dir=FOLDER" in error.do


def test_the_bundled_corpus() -> None:
    read = table(
        "bundled/grammar/validation",
        columns=["source", "label", "mark", "sentence"],
        text="sentence",
    )
    assert len(read) > 100
    assert set(read.columns["label"].to_pylist()) == {"0", "1"}
    assert read.where(0) == "bundled/grammar/validation:1"


@pytest.mark.parametrize("source", ["bundled/grammar/dev", "bundled/gramar/train"])
def test_a_bundled_corpus_that_does_not_exist(source: str) -> None:
    error = refusal(source)
    assert f"{source} is not bundled with warmstart" in error.found
    assert "use bundled/grammar/" in error.do


def test_a_local_copy_replaces_a_download(tmp_path: Path) -> None:
    """There is no network: the address would not respond."""
    written(tmp_path, CSV, "rows.csv")
    url = "https://127.0.0.1:9/data/rows.csv"
    found = table(url, dir=str(tmp_path))
    assert found.files[0].path == f"{tmp_path}/rows.csv"
    error = refusal("https://127.0.0.1:9/data/other.csv", dir=str(tmp_path))
    assert error.found == f"data.train: {tmp_path}/other.csv does not exist"

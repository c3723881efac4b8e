"""Find the user's files, read several, and name the one with an error."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading.paths import output_path
from warmstart.errors import DataError

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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300 + ".csv", "file name too long"),
        ("x" * 5000 + ".csv", "file name too long"),
        ("d/" * 3000 + "x.csv", "file name too long"),
        ("a\0b.csv", "null"),
        ("x" * 300 + ".ann", "file name too long"),
        ("x" * 300 + ".zip!a.csv", "file name too long"),
    ],
)
def test_names_that_no_file_can_have(tmp_path: Path, name: str, reason: str) -> None:
    for settings in ({}, {"dir": str(tmp_path)}):
        error = refusal(name, **settings)
        assert reason in error.found
        assert len(error.found) < 500
    error = refusal("a.csv", dir=name.partition("!")[0])
    assert reason in error.found


def test_a_tilde_without_a_user_is_part_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, CSV, "~odd.csv")
    assert len(table("~odd.csv")) == len(table("./~odd.csv")) == 2
    for settings in ({}, {"dir": str(tmp_path)}, {"dir": "~nobody"}):
        assert "~nobody" in refusal("~nobody/x.csv", **settings).found


@pytest.mark.parametrize("folder", [False, True])
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path, *, folder: bool) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    os.mkfifo(tmp_path / "rows.zip")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    settings = {"dir": str(tmp_path)} if folder else {}
    for name, kind in (
        ("rows.csv", "a pipe"),
        ("rows.zip", "a pipe"),
        ("rows.zip!a.csv", "a pipe"),
        ("zero.csv", "a device"),
    ):
        path = tmp_path / name.partition("!")[0]
        error = refusal(name if folder else tmp_path / name, **settings)
        assert error.found == f"{path} is {kind}, not a file"
        command = f": cat {path} > rows.csv" if kind == "a pipe" else ""
        assert error.do == f"save the rows to a file and name it{command}"
    for device in ("/dev/zero", "/dev/null", "/dev/random"):
        assert refusal(device, format="csv").found == f"{device} is a device, not a file"


def test_a_pipe_beside_an_annotation_file(tmp_path: Path) -> None:
    written(tmp_path, "T1\tX 0 1\ta\n", "a.ann")
    os.mkfifo(tmp_path / "a.txt")
    assert refusal(tmp_path / "a.ann").found == f"{tmp_path}/a.txt is a pipe, not a file"


def test_standard_input_from_a_file_is_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, CSV)
    code = (
        "from tests.data.reading_helpers import refusal, table\n"
        "print(len(table('/dev/stdin', format='csv')))"
    )
    with path.open("rb") as rows:
        run = subprocess.run([sys.executable, "-c", code], stdin=rows, capture_output=True)
    assert run.stdout == b"2\n"
    code = code.replace("len(table(", "refusal(").replace("csv'))", "csv').found")
    run = subprocess.run([sys.executable, "-c", code], input=CSV.encode(), capture_output=True)
    assert run.stdout == b"/dev/stdin is a pipe, not a file\n"


def test_an_output_below_the_home_folder_of_nobody_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        output_path(Path("~nobody-here/run"))
    assert caught.value.found == "~nobody-here/run: there is no home folder ~nobody-here"
    advised = Path(caught.value.do.removeprefix("write the path in full, such as ").strip("'"))
    assert output_path(advised) == Path("~nobody-here/run").absolute()
    assert output_path(Path("~/run")).is_absolute()

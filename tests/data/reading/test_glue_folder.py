"""The classic GLUE folder: rows and columns of the data set on the Hub, whatever the files are."""

import zipfile
from pathlib import Path

import pytest

from tests.data.reading_helpers import refusal, table
from tests.glue_files import NAMES, as_microsoft_has_it, write_glue
from warmstart.data.reading.glue_folder import LAYOUTS, SOURCE

COLUMNS = {
    "cola": ["sentence"],
    "sst2": ["sentence"],
    "mrpc": ["sentence1", "sentence2"],
    "stsb": ["sentence1", "sentence2"],
    "qqp": ["question1", "question2"],
    "mnli": ["premise", "hypothesis"],
    "qnli": ["question", "sentence"],
    "rte": ["sentence1", "sentence2"],
    "wnli": ["sentence1", "sentence2"],
}
"""The columns of the data set on the Hub, without ``label`` and ``idx``."""


@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_the_columns_of_the_hub(name: str, tmp_path: Path) -> None:
    folder = write_glue(tmp_path, [name], rows=8)
    for split, file in LAYOUTS[name].splits.items():
        rows = table(f"{SOURCE}{name}:{split}", dir=str(folder))
        assert rows.columns.column_names == [*COLUMNS[name], "label"]
        assert len(rows) == (8 if split == "train" else 4)
        # A quote at the beginning of a field is an ordinary character.
        assert rows.columns[COLUMNS[name][0]][0].as_py().startswith('"')
        has_labels = not split.startswith("test")
        assert rows.columns["label"].null_count == (0 if has_labels else len(rows))
        (source,) = rows.files
        assert source.path == f"{folder / LAYOUTS[name].folder / file}.tsv"
        assert source.format == "hub"
        header = name != "cola" or split.startswith("test")
        assert rows.where(0) == f"{source.path}:{1 + header}"


def test_rows_with_too_few_fields_are_dropped_and_counted(tmp_path: Path) -> None:
    """As in QQP, in which a row ends after the first question."""
    folder = write_glue(tmp_path, ["qqp"], rows=4)
    path = folder / "QQP" / "train.tsv"
    header, first, *others = path.read_text().splitlines()
    path.write_text("\n".join([header, first, "9\t91\t92\tcut off", *others]) + "\n")
    rows = table(f"{SOURCE}qqp:train", dir=str(folder))
    assert (rows.files[0].rows, rows.files[0].dropped) == (5, 1)
    assert rows.rows.tolist() == [0, 2, 3, 4]


def test_mrpc_as_microsoft_distributes_it(tmp_path: Path) -> None:
    folder = write_glue(tmp_path, ["mrpc"], rows=8)
    sources = {split: f"{SOURCE}mrpc:{split}" for split in ("train", "validation")}
    usual = {split: table(source, dir=str(folder)) for split, source in sources.items()}
    as_microsoft_has_it(folder)
    hashes = set()
    for split, source in sources.items():
        rows = table(source, dir=str(folder))
        assert rows.columns.equals(usual[split].columns)
        assert rows.rows.tolist() == usual[split].rows.tolist()
        assert rows.files[0].path.endswith("msr_paraphrase_train.txt")
        hashes.add(rows.files[0].sha256)
    assert len(hashes) == 2  # not the same file twice
    assert rows.where(1) == f"{rows.files[0].path}:5"
    (folder / "MRPC" / "dev_ids.tsv").unlink()
    error = refusal(sources["train"], dir=str(folder))
    assert error.found == (
        f"{folder} has no MRPC/train.tsv, or MRPC/msr_paraphrase_train.txt and MRPC/dev_ids.tsv"
    )


def test_a_zip_file_with_the_folders(tmp_path: Path) -> None:
    folder = write_glue(tmp_path / "folder", ["rte"], rows=4)
    with zipfile.ZipFile(tmp_path / "glue.zip", "w") as archive:
        for path in sorted(folder.rglob("*.tsv")):
            archive.write(path, path.relative_to(folder))
    source = f"{SOURCE}rte:train"
    rows = table(source, dir=str(tmp_path / "glue.zip"))
    assert rows.columns.equals(table(source, dir=str(folder)).columns)


@pytest.mark.parametrize("file", ["diagnostic/diagnostic.tsv", "AX.tsv"])
def test_the_diagnostics_have_two_possible_names(file: str, tmp_path: Path) -> None:
    folder = write_glue(tmp_path, ["ax"], rows=8)
    (folder / "diagnostic" / "diagnostic.tsv").rename(folder / "here.tsv")
    (folder / "here.tsv").rename(folder / file)
    rows = table(f"{SOURCE}ax:test", dir=str(folder))
    assert rows.columns.column_names == ["premise", "hypothesis", "label"]


def test_names_that_glue_does_not_have(tmp_path: Path) -> None:
    folder = str(write_glue(tmp_path, ["sst2"], rows=4))
    error = refusal(f"{SOURCE}SST-2:train", dir=folder)
    assert error.do == f"{SOURCE}sst2:train"
    assert len(table(error.do, dir=folder)) == 4
    error = refusal(f"{SOURCE}sst2:validated", dir=folder)
    assert error.do == f"{SOURCE}sst2:validation"
    assert len(table(error.do, dir=folder)) == 2
    error = refusal(f"{SOURCE}cola:train", dir=folder)
    assert error.found == f"{folder} has no CoLA/train.tsv"
    write_glue(tmp_path, ["cola"], rows=4)  # what it advises
    assert len(table(f"{SOURCE}cola:train", dir=folder)) == 4
    assert "neither a folder nor" in refusal(f"{SOURCE}cola:train", dir=f"{folder}/none").found


def test_a_file_with_other_columns_is_not_the_one_of_glue(tmp_path: Path) -> None:
    folder = write_glue(tmp_path, ["rte"], rows=4)
    path = folder / "RTE" / "dev.tsv"
    path.write_text(path.read_text().replace("sentence1", "premise"))
    error = refusal(f"{SOURCE}rte:validation", dir=str(folder))
    assert error.found.startswith(f"{path} has no column 'sentence1'; its columns: index, premise")
    path.write_text(path.read_text().replace("premise", "sentence1").replace("label", "gold"))
    assert "has no column 'label'" in refusal(f"{SOURCE}rte:validation", dir=str(folder)).found

"""The settings for a new file: those of the run that describe it, and those that are given."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.runs_in_memory import write_reviews
from warmstart import config_file
from warmstart.config import RunConfig
from warmstart.errors import ConfigError, WarmstartError
from warmstart.serving.file_settings import file_config, read_files

TEXTS = ["a café", "好的故事"]


def of_run(**data: Any) -> RunConfig:
    """The settings as a run stores them."""
    return config_file.load({"data": {"train": "train.csv", "text": "body", **data}})


def write_rows(folder: Path) -> dict[str, Path]:
    """The same rows in every format, by suffix."""
    files = {suffix: folder / f"rows.{suffix}" for suffix in ("jsonl", "parquet", "txt")}
    lines = [json.dumps({"body": text}, ensure_ascii=False) for text in TEXTS]
    files["jsonl"].write_text("\n".join(lines), encoding="utf-8")
    pyarrow.parquet.write_table(pa.table({"body": TEXTS}), files["parquet"])
    files["txt"].write_text("\n".join(TEXTS), encoding="utf-8")
    return files


@pytest.mark.parametrize(
    "data",
    [
        {"delimiter": ";"},
        {"columns": ["label", "body"]},
        {"encoding": "cp1252"},
        {"quoting": "none", "ragged": "drop"},
        {"train": "train.dat", "format": "csv", "delimiter": "|", "encoding": "latin-1"},
        {"train": "train.tsv", "format": "tsv", "encoding": "cp1252"},
    ],
    ids=str,
)
def test_the_format_of_the_training_file_is_not_that_of_every_file(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    config = of_run(**data)
    for suffix, file in write_rows(tmp_path).items():
        found = file_config(config, (), file, labelled=False)
        assert read_files(file, found.data, ()).columns["body"].to_pylist() == TEXTS
        renamed = file.rename(tmp_path / f"rows-{suffix}")
        given = ["data.format=" + {"txt": "text"}.get(suffix, suffix)]
        found = file_config(config, given, renamed, labelled=False)
        assert read_files(renamed, found.data, given).columns["body"].to_pylist() == TEXTS


def test_a_file_like_the_training_file_is_read_like_it(tmp_path: Path) -> None:
    config = of_run(train="train.txt", format="csv", delimiter=";", encoding="cp1252")
    file = tmp_path / "new.txt"
    file.write_bytes("body;label\ncaf\xe9;1\n".encode("cp1252"))
    found = file_config(config, (), file)
    assert read_files(file, found.data, ()).columns["body"].to_pylist() == ["café"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("data.delimiter=;", "rows.jsonl"),
        ("data.columns=[a, body]", "rows.parquet"),
        ("data.quoting=none", "rows.txt"),
        ("data.encoding=utf-8", "rows.parquet"),
        ("data.ragged=drop", "rows.jsonl"),
        ("data.text=body", "rows.txt"),
        ("data.group=body2", "rows.jsonl"),
    ],
)
def test_what_is_given_for_a_file_is_read_or_refused(tmp_path: Path, given: str, name: str) -> None:
    write_rows(tmp_path)
    config = of_run(delimiter=";", quoting="none")
    with pytest.raises(WarmstartError) as caught:
        read_files(tmp_path / name, file_config(config, [given], tmp_path / name).data, [given])
    setting, _, value = given.partition("=")
    assert setting in str(caught.value) or value in str(caught.value)
    read_files(tmp_path / name, file_config(config, [], tmp_path / name).data, [])


@pytest.mark.parametrize(
    "given",
    ["data.label=x", "data.label_columns=[a]", "data.tag_scheme=BIO"],
)
def test_labels_are_not_read_by_predictions(given: str) -> None:
    with pytest.raises(ConfigError, match="predictions do not read") as caught:
        file_config(of_run(), [given], "a.csv", labelled=False)
    assert given.partition("=")[0] in caught.value.found
    assert file_config(of_run(), ["data.label=x"], "a.csv").data.label == "x"


def test_a_second_text_cannot_be_added_or_removed() -> None:
    with pytest.raises(ConfigError, match="data.text_pair"):
        file_config(of_run(), ["data.text_pair=b"], "a.csv", labelled=False)
    with pytest.raises(ConfigError, match="data.text_pair"):
        file_config(of_run(text_pair="b"), ["data.text_pair=null"], "a.csv", labelled=False)
    pairs = file_config(of_run(text_pair="b"), ["data.text_pair=c"], "a.csv", labelled=False)
    assert pairs.data.text_pair == "c"


def test_the_training_file_itself_needs_no_settings(tmp_path: Path) -> None:
    file = write_reviews(tmp_path / "reviews.csv", rows=5)
    config = of_run(train=str(file), text="text")
    assert len(read_files(file, file_config(config, (), file).data, ())) == 5

"""Settings that describe a file are refused if no file has a format that reads them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warmstart import config_file
from warmstart.errors import ConfigError
from warmstart.preparation.stages import read_sources


@pytest.mark.parametrize(
    ("setting", "value", "default"),
    [
        ("delimiter", ";", "null"),
        ("columns", ["text", "label"], "null"),
        ("quoting", "none", "double"),
        ("ragged", "drop", "error"),
    ],
)
def test_a_setting_for_files_that_no_file_reads_is_refused(
    setting: str, value: Any, default: str, tmp_path: Path
) -> None:
    lines = [f'{{"text": "text {row}", "label": "{row % 2}"}}' for row in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    given = {"data": {"train": str(tmp_path / "a.jsonl"), setting: value}}
    with pytest.raises(ConfigError) as caught:
        read_sources(config_file.load(given))
    assert caught.value.found == (
        f"data.{setting} is set, and no file has a format that reads it: "
        f"{tmp_path / 'a.jsonl'} (jsonl)"
    )
    assert caught.value.do == f"--set data.{setting}={default}"
    advised = config_file.load(given, [caught.value.do.removeprefix("--set ")])
    assert len(read_sources(advised).tables["train"]) == 20
    # One file with a fitting format is enough.
    (tmp_path / "b.csv").write_text("text,label\na,1\nb,0\n")
    given["data"] |= {"validation": str(tmp_path / "b.csv")}
    if setting in ("quoting", "ragged"):
        assert len(read_sources(config_file.load(given)).tables["validation"]) == 2


def test_the_encoding_of_a_binary_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["0", "1"]}), tmp_path / "a.parquet")
    given = {"data": {"train": str(tmp_path / "a.parquet"), "encoding": "cp1252"}}
    with pytest.raises(ConfigError, match="applies only to csv, tsv, jsonl"):
        read_sources(config_file.load(given))

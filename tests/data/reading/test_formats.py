"""JSON lines, Parquet and plain text: the same strings and lines as from a CSV file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading_helpers import refusal, table, written
from warmstart.config import DataConfig
from warmstart.data.labels import clean_rows, label_texts
from warmstart.errors import DataError


def test_scalars_become_their_json_text(tmp_path: Path) -> None:
    content = (
        '{"text": "a", "label": 1}\n\n'
        '{"text": "2020-01-01T00:00:00", "label": 1.0, "more": {"x": [1]}}\n'
        '{"text": null, "label": true, "more": "é"}\n'
    )
    read = table(written(tmp_path, content, "a.jsonl"))
    assert read.columns.to_pydict() == {
        "text": ["a", "2020-01-01T00:00:00", None],
        "label": ["1", "1.0", "true"],
        "more": [None, '{"x": [1]}', "é"],
    }
    assert read.lines.tolist() == [1, 3, 4]
    assert read.files[0].encoding == "utf-8"


@pytest.mark.parametrize("label", ["1", "true", '"x"', "null", "0.5", "9223372036854775808"])
def test_every_way_of_parsing_json_gives_the_same(tmp_path: Path, label: str) -> None:
    """Uniform integers and booleans are read by pyarrow, everything else line by line."""
    line = f'{{"text": "a", "label": {label}}}\n'
    alone = table(written(tmp_path, line, "a.jsonl"))
    beside = table(written(tmp_path, line + '{"label": "x"}\n', "b.jsonl"))
    expected = None if label == "null" else label.strip('"')
    assert alone.columns["label"].to_pylist() == [expected]
    assert beside.columns["label"].to_pylist() == [expected, "x"]
    assert set(map(str, alone.columns.schema.types)) == {"string"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"', "Expecting ',' delimiter"),
        ('["a"]', "it is a list"),
        ('{"text": "a"} {"text": "b"}', "Extra data"),
        ('{"text": "\\ud800"}', "surrogates"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_line_that_is_no_object(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, '{"text": "a"}\n\n' + line + "\n", "a.jsonl")
    error = refusal(path)
    assert error.found.startswith(f"{path}:3 is not a JSON object (")
    assert reason in error.found
    assert "one object per line" in error.expected
    assert error.do.endswith("--set data.format=json")


def test_an_object_without_keys(tmp_path: Path) -> None:
    read = table(written(tmp_path, '{"text": 0.5}\n{}\n', "a.jsonl"))
    assert read.columns.to_pydict() == {"text": ["0.5", None]}
    error = refusal(path := written(tmp_path, "\n{}\n{}\n", "b.jsonl"))
    assert f"{path}:2 is not a JSON object (it is empty)" in error.found


def test_parquet_columns_become_strings(tmp_path: Path) -> None:
    columns = pa.table(
        {
            "text": pa.array(["a", None]),
            "label": pa.array([0, 1]),
            "share": pa.array([0.5, 1.0]),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "vector": pa.array([[1.0], [2.0]]),
            "image": pa.array([b"\xff", b"\xfe"]),
        }
    )
    pq.write_table(columns, tmp_path / "a.parquet")
    read = table(tmp_path / "a.parquet")
    assert read.columns.select(["text", "label", "kind"]).to_pydict() == {
        "text": ["a", None],
        "label": ["0", "1"],
        "kind": ["x", "y"],
    }
    assert read.columns["share"].type == "string"
    assert pa.types.is_list(read.columns["vector"].type)  # refused only if it is used
    assert read.files[0].encoding is None
    assert read.lines.tolist() == [1, 2]


def test_broken_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), path := tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-6])
    error = refusal(path)
    assert f"{path} is not a complete Parquet file" in error.found
    assert "sha256" in error.do
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert refusal(path).found == f"{path} has no rows"


def test_parquet_with_a_column_twice(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    pq.write_table(twice, tmp_path / "a.parquet")
    assert "has repeated column names: text" in refusal(tmp_path / "a.parquet").found


def test_plain_text_is_a_row_a_line(tmp_path: Path) -> None:
    read = table(written(tmp_path, 'one, "two"\r\n \n\nthree\tfour', "a.txt"))
    assert read.columns.to_pydict() == {"text": ['one, "two"', "three\tfour"]}
    assert read.lines.tolist() == [1, 4]
    assert read.rows.tolist() == [0, 1]


def test_a_name_that_tells_no_format(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,b\n", "a.data")
    error = refusal(path)
    assert f"data.train: the format cannot be derived from the name {path}" in error.found
    assert ".csv .tsv" in error.expected
    assert "--set data.format=csv" in error.do
    assert len(table(path, format="csv")) == 1


@pytest.mark.parametrize(
    ("head", "kind", "advice"),
    [
        (b"PK\x03\x04", "a zip or a spreadsheet", "rename it to end in .xlsx"),
        (b"\x1f\x8b", "gzip", ".gz"),
        (b"PAR1", "Parquet", "--set data.format=parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet or document (.xls, .doc)", "as CSV"),
        (b"%PDF-1.7", "PDF", "as CSV"),
        (b"BZh9", "bzip2", "bunzip2"),
        (b"\n<!DOCTYPE HTML>", "a web page", "download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS", "git lfs pull"),
    ],
)
def test_other_files_under_the_name_of_text(
    tmp_path: Path, head: bytes, kind: str, advice: str
) -> None:
    error = refusal(path := written(tmp_path, head + b"\0\1\2"))
    assert error.found == f"{path} is not text: it starts like {kind}"
    assert advice in error.do


def test_nan_in_parquet_is_a_missing_value(tmp_path: Path) -> None:
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        values = pa.array(np.array([1.0, np.nan, 0.5]), kind)
        pq.write_table(pa.table({"text": ["a", "b", "c"], "label": values}), tmp_path / "a.parquet")
        assert table(tmp_path / "a.parquet").columns["label"].to_pylist() == ["1", None, "0.5"]


NOT_UTF8 = {
    "bytes": pa.array([b"a", b"\xff"]),
    "fixed-size bytes": pa.array([b"ab", b"\xffb"], pa.binary(2)),
    "large bytes": pa.array([b"a", b"\xff"], pa.large_binary()),
    "dictionary of bytes": pa.array([b"a", b"\xff"]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", NOT_UTF8)
def test_bytes_that_are_not_text_are_refused_if_they_are_used(tmp_path: Path, kind: str) -> None:
    columns = pa.table({"text": ["a", "b"], "label": ["x", "y"], "raw": NOT_UTF8[kind]})
    pq.write_table(columns, tmp_path / "a.parquet")
    read = table(tmp_path / "a.parquet")
    assert read.columns["text"].to_pylist() == ["a", "b"]
    for data in (DataConfig(train="x", text="raw"), DataConfig(train="x", label="raw")):
        with pytest.raises(DataError, match="has values of the type"):
            label_texts(clean_rows(read, data, labelled=True)[0], data.label)


@pytest.mark.parametrize("kind", ["string", "large string", "dictionary"])
def test_text_that_is_not_utf8_is_refused_with_its_row(tmp_path: Path, kind: str) -> None:
    invalid = pa.array([b"a", b"caf\xe9", None])
    texts = pa.Array.from_buffers(pa.string(), 3, invalid.buffers())
    values = {"string": texts, "large string": texts.cast(pa.large_string())}.get(
        kind, texts.dictionary_encode()
    )
    pq.write_table(pa.table({"text": values, "label": list("xyz")}), tmp_path / "a.parquet")
    error = refusal(tmp_path / "a.parquet")
    assert error.found == f"{tmp_path}/a.parquet:2: the column 'text' has bytes that are not UTF-8"


def test_bytes_that_are_text_are_text(tmp_path: Path) -> None:
    for values in (
        pa.array([b"ab", "\u00e9".encode()]),
        pa.array([b"ab", "\u00e9".encode()], pa.binary(2)),
        pa.array([b"ab", "\u00e9".encode()]).dictionary_encode(),
    ):
        pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
        assert table(tmp_path / "a.parquet").columns["text"].to_pylist() == ["ab", "\u00e9"]


def test_chat_data_in_parquet_gets_advice(tmp_path: Path) -> None:
    chat = [[{"role": "user", "content": "Hi."}]]
    pq.write_table(pa.table({"messages": chat}), tmp_path / "a.parquet")
    data = DataConfig(train="x", text="messages")
    with pytest.raises(DataError, match="conversation as one text"):
        clean_rows(table(tmp_path / "a.parquet"), data, labelled=False)


def test_too_many_columns(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(100_000)]
    error = refusal(path := written(tmp_path, ",".join(names) + "\n" + "1," * 99_999 + "1\n"))
    assert error.found == f"{path}:1: the file has more than 5,000 columns"
    assert "cut -d, -f1,2" in error.do
    wide = pa.table({name: ["a"] for name in names[:5001]})
    pq.write_table(wide, tmp_path / "a.parquet")
    assert "more than 5,000 columns" in refusal(tmp_path / "a.parquet").found
    read = table(written(tmp_path, ",".join(names[:5000]) + "\n" + "1," * 4999 + "1\n", "b.csv"))
    assert len(read.columns.column_names) == 5000

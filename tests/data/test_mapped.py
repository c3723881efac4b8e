"""Tables and arrays on disk: the same content as in memory, and no file remains."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limits import file_size
from warmstart.config import DataConfig
from warmstart.data import mapped
from warmstart.data.mapped import FlatArray, filtered, mapped_table
from warmstart.data.reading.sources import read
from warmstart.errors import DataError

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.int64())])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder; everything above a kilobyte is written there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 1 << 10)
    return tmp_path


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, 100):
        numbers = list(range(start, min(start + 100, rows)))
        texts = [None if number % 7 == 0 else f"文 {number}" for number in numbers]
        yield pa.record_batch([pa.array(texts, pa.string()), pa.array(numbers)], schema=SCHEMA)


@pytest.mark.parametrize("rows", [0, 1, 30, 5000])
def test_a_mapped_table_is_the_table(folder: Path, rows: int) -> None:
    expected = pa.Table.from_batches(batches(rows), SCHEMA)
    assert mapped_table(batches(rows), SCHEMA).equals(expected)


def test_a_large_table_takes_no_memory_of_arrows(folder: Path) -> None:
    before = pa.total_allocated_bytes()
    table = mapped_table(batches(5000), SCHEMA)
    assert table.nbytes > 50_000
    assert pa.total_allocated_bytes() == before


def test_no_file_is_left_in_the_temporary_folder(folder: Path) -> None:
    table = mapped_table(batches(5000), SCHEMA)
    tokens = FlatArray(np.int32)
    tokens.append(np.arange(5000))
    array = tokens.finished()
    assert list(folder.iterdir()) == []
    assert table["number"].to_pylist() == array.tolist() == list(range(5000))


PIECES = st.lists(st.lists(st.integers(-128, 127), max_size=40), max_size=12)


@given(pieces=PIECES, limit=st.sampled_from([0, 100, 1 << 20]))
def test_a_flat_array_is_its_pieces_end_to_end(pieces: list[list[int]], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mapped, "MAPPED_BYTES", limit)
        array = FlatArray(np.int8)
        for piece in pieces:
            array.append(np.array(piece, np.int64))
        found = array.finished()
    assert found.dtype == np.int8
    assert found.tolist() == [number for piece in pieces for number in piece]
    found += 1  # writable like an array in memory


@given(kept=st.lists(st.booleans(), max_size=300), limit=st.sampled_from([0, 1 << 20]))
def test_filtering_keeps_rows_in_order(kept: list[bool], limit: int) -> None:
    table = pa.Table.from_batches(batches(len(kept)), SCHEMA)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mapped, "MAPPED_BYTES", limit)
        patched.setattr(mapped, "PIECE_ROWS", 64)
        found = filtered(table, np.array(kept, dtype=np.bool_))
    assert found.schema == SCHEMA
    assert found["number"].to_pylist() == np.flatnonzero(kept).tolist()


@pytest.mark.parametrize("quoting", ["none", "double"])
def test_a_file_read_to_disk_is_the_file_read_to_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, quoting: str
) -> None:
    rows = "".join(f'{n},"a text, {n}"\n' if n % 3 else f"{n},plain\n\n" for n in range(3000))
    rows = rows.replace(", ", " ") if quoting == "none" else rows
    (folder / "a.csv").write_text("label,text\n" + rows)
    data = DataConfig.model_validate({"train": str(folder / "a.csv"), "quoting": quoting})
    on_disk = read(data.train, data, "data.train")
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 1 << 30)
    in_memory = read(data.train, data, "data.train")
    assert on_disk.columns.equals(in_memory.columns)
    assert (on_disk.lines == in_memory.lines).all()
    assert len(on_disk) == 3000


def large_array() -> None:
    FlatArray(np.int32).append(np.arange(50_000))


def large_table() -> None:
    mapped_table(batches(50_000), SCHEMA)


@pytest.mark.parametrize("make", [large_array, large_table])
def test_a_full_disk_is_reported(folder: Path, make: Callable[[], None]) -> None:
    with file_size(20_000), pytest.raises(DataError) as caught:
        make()
    assert caught.value.found.startswith(f"cannot write temporary copies of the rows to {folder}: ")
    assert "space for" in caught.value.expected
    assert "TMPDIR=FOLDER" in caught.value.do
    assert list(folder.iterdir()) == []


def test_a_missing_temporary_folder_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "gone"))
    with pytest.raises(DataError, match="cannot write temporary copies of the rows to .*gone: "):
        mapped_table(batches(5000), SCHEMA)

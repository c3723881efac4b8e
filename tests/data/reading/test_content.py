"""Files of any size, in blocks: the same rows, lines and errors, in the memory of a few blocks."""

import codecs
import gzip
import json
import lzma
import mmap
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.reading_helpers import refusal, table, written
from tests.limits import file_size
from warmstart.data import mapped
from warmstart.data.reading import content, encodings, formats, lines, quotes
from warmstart.data.reading.content import blocks, collected, content_of, find_byte, line_blocks
from warmstart.data.reading.encodings import to_utf8
from warmstart.data.reading.lines import line_starts
from warmstart.errors import DataError

BLOCK = 1 << 14
FILE_BYTES = 48 * BLOCK
MOST_BYTES = FILE_BYTES // 2
"""More than a few blocks, all line numbers and the memory of a decompressor."""


@pytest.fixture
def small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Blocks of 16 KiB; everything larger is on disk. Returns the temporary folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(mapped, "MAPPED_BYTES", BLOCK)
    for module in (content, formats, lines):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(quotes, "_PIECE_BYTES", BLOCK)
    monkeypatch.setattr("warmstart.data.reading.delimited.BLOCKS", (BLOCK, 1 << 30))
    monkeypatch.setattr("warmstart.data.reading.delimited._HEAD", BLOCK)
    monkeypatch.setattr("warmstart.data.reading.archives._BLOCK", BLOCK)
    return folder


@contextmanager
def block_of(size: int) -> Iterator[None]:
    """Blocks of this many bytes inside the ``with`` block."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(content, "BLOCK", size)
        yield


PIECES = st.lists(st.sampled_from([b"a", "é".encode(), b"\n", b"\r", b"\r\n", b" "]), max_size=40)


@given(pieces=PIECES, size=st.integers(2, 9))
def test_blocks_of_lines_are_the_lines(pieces: list[bytes], size: int) -> None:
    text = b"".join(pieces)
    with block_of(size):
        found = list(line_blocks(text))
        assert b"".join(blocks(text)) == b"".join(found) == text
        assert all(len(block) <= size for block in blocks(text))
    offsets = np.cumsum([0, *map(len, found)])[:-1]
    starts = [line_starts(block) + offset for block, offset in zip(found, offsets, strict=True)]
    assert [int(one) for part in starts for one in part] == line_starts(text).tolist()
    longest = max(map(len, text.replace(b"\r", b"\n").split(b"\n")))
    assert all(len(block) <= longest + 2 * size for block in found)


CODECS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "big5", "ascii")


@given(
    text=st.text(alphabet="aé文🙂\n", max_size=12),
    codec=st.sampled_from(CODECS),
    noise=st.tuples(st.integers(0, 40), st.binary(max_size=3)),
    size=st.sampled_from([2, 4, 6, 1 << 20]),
)
def test_the_first_fault_is_the_same_wherever_blocks_end(
    text: str, codec: str, noise: tuple[int, bytes], size: int
) -> None:
    whole = text.encode(codec, errors="ignore")
    at = max(noise[0], 4 if codec in {"utf-16", "utf-32"} else 0)  # after the mark
    whole = whole[:at] + noise[1] + whole[at:]
    try:
        whole.decode(codec)
        expected = None
    except UnicodeDecodeError as error:
        expected = error.start
    with block_of(size):
        assert encodings._first_invalid(whole, codec) == expected


def test_utf16_without_its_mark_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xff\xff\xd8\xd8a\xff", "a.jsonl")
    error = refusal(path, encoding="utf-16")
    assert "a.jsonl:1: byte 0x" in error.found
    assert "is not valid utf-16" in error.found
    assert "--set data.encoding=" in error.do


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_every_encoding_is_read_by_blocks(small_blocks: Path, tmp_path: Path, codec: str) -> None:
    rows = [{"text": f"他们的猫很好，在这里的是我 {n}"} for n in range(500)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    read = table(written(tmp_path, text.encode(codec), "a.jsonl"))
    assert read.columns.to_pylist() == rows
    assert codecs.lookup(str(read.files[0].encoding)) == codecs.lookup(codec)


def test_a_byte_is_found_in_any_block(small_blocks: Path) -> None:
    text = b"a" * (3 * BLOCK) + b"x" + b"a" * BLOCK
    assert find_byte(text, b"x") == 3 * BLOCK
    assert find_byte(text, b"y") == -1
    assert find_byte(collected([text]), b"x") == 3 * BLOCK


def test_what_is_large_is_mapped_and_what_is_small_is_not(small_blocks: Path) -> None:
    large, small = small_blocks / "large", small_blocks / "small"
    large.write_bytes(bytes(range(256)) * 65)
    small.write_bytes(b"a")
    assert isinstance(content_of(large), mmap.mmap)
    assert content_of(small) == b"a"
    assert b"".join(blocks(content_of(large))) == large.read_bytes()
    assert isinstance(collected([b"a" * BLOCK, b"b"]), mmap.mmap)
    assert bytes(collected([b"a", b"", b"b"])) == b"ab"
    assert bytes(collected([])) == b""


def json_row(n: int) -> bytes:
    return json.dumps({"id": n, "text": f"row {n} " + "x" * (n % 3000)}).encode() + b"\n"


def uneven_json_row(n: int) -> bytes:
    """Numbers of both kinds: no block is what pyarrow's reader can be trusted with."""
    return json.dumps({"id": n, "text": f"row {n} " + "x" * (n % 3000), "x": 0.5}).encode() + b"\n"


def quoted_row(n: int) -> bytes:
    return f'{n},"row {n}, ""{"x" * (n % 3000)}""\n and more"\n'.encode()


def plain_row(n: int) -> bytes:
    return f"row {n} {'x' * (n % 3000)}\n".encode()


def many(row: Callable[[int], bytes]) -> Iterator[bytes]:
    """Rows up to ``FILE_BYTES``."""
    size = n = 0
    while size < FILE_BYTES:
        yield (made := row(n))
        size, n = size + len(made), n + 1


def json_file(folder: Path) -> Path:
    return written(folder, b"".join(many(json_row)), "a.jsonl")


def uneven_json_file(folder: Path) -> Path:
    return written(folder, b"".join(many(uneven_json_row)), "a.jsonl")


def json_with_blank_lines(folder: Path) -> Path:
    return written(folder, b"\n\r\n".join(many(json_row)), "a.jsonl")


def text_file(folder: Path) -> Path:
    return written(folder, b"".join(many(plain_row)), "a.txt")


def csv_file(folder: Path) -> Path:
    return written(folder, b"\n\nid,text\n" + b"".join(many(quoted_row)), "a.csv")


def marked_file(folder: Path) -> Path:
    return written(folder, codecs.BOM_UTF8 + b"".join(many(json_row)), "a.jsonl")


def xz_file(folder: Path) -> Path:
    small = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 12}]
    packed = lzma.compress(b"".join(many(json_row)), filters=small)
    return written(folder, packed, "a.jsonl.xz")


def gz_file(folder: Path) -> Path:
    return written(folder, gzip.compress(b"".join(many(json_row))), "a.jsonl.gz")


def zip_file(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", b"".join(many(json_row)))
    return folder / "a.zip"


def parquet_file(folder: Path) -> Path:
    rows = [json.loads(row) for row in many(json_row)]
    pq.write_table(
        pa.Table.from_pylist(rows),
        folder / "a.parquet",
        row_group_size=100,
        use_dictionary=False,
        data_page_size=BLOCK,
    )
    return folder / "a.parquet"


FILES = [
    json_file, uneven_json_file, json_with_blank_lines, text_file, csv_file, marked_file, xz_file,
    gz_file, zip_file, parquet_file,
]  # fmt: skip


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
def test_a_large_file_takes_the_memory_of_a_few_blocks(
    small_blocks: Path, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    table(path)  # so that all modules are imported
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        read = table(path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
    texts = read.columns["text"]
    assert texts.nbytes > FILE_BYTES // 2
    assert (texts[0].as_py(), texts[-1].as_py())[1].startswith(f"row {len(read) - 1}")
    assert most < MOST_BYTES
    assert pool.max_memory() < MOST_BYTES
    assert list(small_blocks.iterdir()) == []


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
def test_a_file_read_by_blocks_is_the_file_read_at_once(
    tmp_path: Path, make: Callable[[Path], Path], request: pytest.FixtureRequest
) -> None:
    path = make(tmp_path)
    at_once = table(path)
    request.getfixturevalue("small_blocks")
    by_blocks = table(path)
    assert by_blocks.columns.equals(at_once.columns)
    assert (by_blocks.lines == at_once.lines).all()
    assert (by_blocks.rows == at_once.rows).all()
    assert by_blocks.files == at_once.files


def test_columns_may_appear_and_be_missing_in_any_block(small_blocks: Path, tmp_path: Path) -> None:
    def row(n: int) -> dict[str, Any]:
        late = {"late": f"l{n}"} if n > 400 and n % 3 else {}
        return {"text": f"row {n}"} | late | ({"later": "x"} if n > 800 else {})

    text = "".join(json.dumps(row(n)) + "\n" for n in range(1200)) + "{}\n" * 900
    read = table(written(tmp_path, text, "a.jsonl"))
    assert read.columns.column_names == ["text", "late", "later"]
    expected = [row(n) for n in range(1200)] + [{}] * 900
    assert read.columns.to_pylist() == [
        {name: one.get(name) for name in ("text", "late", "later")} for one in expected
    ]
    assert read.lines.tolist() == list(range(1, 2101))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (b'{"text": }\n', "a.jsonl:3001 is not a JSON object"),
        (b'{"text": "\xe9"}\n', "a.jsonl:3001: byte 0xE9 at offset"),
        (b'{"text": "\0"}\n', "a.jsonl:3001: a NUL byte"),
    ],
)
def test_a_fault_far_down_is_named_by_its_line(
    small_blocks: Path, tmp_path: Path, fault: bytes, found: str
) -> None:
    rows = b'{"text": "a \xc3\xa9 b"}\n' * 3000
    path = written(tmp_path, rows + fault + rows, "a.jsonl")
    error = refusal(path)
    assert found in error.found
    if "offset" in found:
        assert f"offset {len(rows) + fault.index(0xE9)} " in error.found


def test_bytes_that_are_text_in_some_batches_are_none(small_blocks: Path, tmp_path: Path) -> None:
    values = [b"a"] * 4000 + [b"\xff"]
    columns = pa.table({"text": pa.array(values), "same": pa.array([b"x" * 30] * 4001)})
    pq.write_table(columns, tmp_path / "a.parquet")
    read = table(tmp_path / "a.parquet")
    assert pa.types.is_binary(read.columns["text"].type)
    assert read.columns["same"].type == pa.string()
    assert read.columns["text"].to_pylist() == values


def test_a_full_temporary_folder_is_reported(small_blocks: Path, tmp_path: Path) -> None:
    path = gz_file(tmp_path)
    with file_size(3 * BLOCK), pytest.raises(DataError) as caught:
        table(path)
    assert caught.value.found.startswith(
        f"cannot write temporary copies of the rows to {small_blocks}: "
    )
    assert "TMPDIR=FOLDER" in caught.value.do
    assert list(small_blocks.iterdir()) == []


def test_an_archive_that_ends_early_is_no_full_disk(small_blocks: Path, tmp_path: Path) -> None:
    path = gz_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    assert f"{path} is not a complete gzip file" in refusal(path).found


def test_small_text_stays_as_it_is() -> None:
    text = "é\n".encode()
    assert to_utf8(text, "auto", "a.txt") == (text, "utf-8")


def test_a_file_may_change_while_it_is_read(small_blocks: Path) -> None:
    path = small_blocks / "rows"
    path.write_bytes(before := b"ab" * 9 * BLOCK)
    content = content_of(path)
    with path.open("r+b") as other:
        other.write(b"xx")  # with a map of the file, a shorter file would end the process
    assert bytes(content[:]) == before

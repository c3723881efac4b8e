"""Compressed files are unpacked in memory, and refused before they can do harm."""

import gzip
import lzma
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading import archives

CSV = b"text,label\na,b\n"


def zipped(folder: Path, **members: bytes) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("module", "suffix"), [(gzip, ".gz"), (lzma, ".xz")])
def test_compressed_files(tmp_path: Path, module: Any, suffix: str) -> None:
    packed = module.compress(CSV)
    plain = table(written(tmp_path, CSV))
    read = table(path := written(tmp_path, packed, "a.csv" + suffix))
    assert read.columns.equals(plain.columns)
    assert read.files[0].sha256 == plain.files[0].sha256
    for broken in (packed[:-9], packed[:20] + b"\0\0\0\0" + packed[24:], b"text,label\n"):
        path.write_bytes(broken)
        error = refusal(path)
        assert f"{path} is not a complete {'gzip' if suffix == '.gz' else 'xz'} file" in error.found
        assert "again" in error.do


def test_a_zip_with_one_data_file_needs_no_member(tmp_path: Path) -> None:
    path = zipped(tmp_path, **{"README.md": b"hi", "x/a.csv": CSV, "__MACOSX/x/._a.csv": b"no"})
    read = table(path)
    assert read.files[0].path == str(path)
    assert read.columns.equals(table(f"{path}!x/a.csv").columns)
    assert table(f"{path}!x/a.csv").where(0) == f"{path}!x/a.csv:2"


def test_a_compressed_member(tmp_path: Path) -> None:
    assert len(table(zipped(tmp_path, **{"a.csv.gz": gzip.compress(CSV)}))) == 1


def test_several_members_or_none_are_ambiguous(tmp_path: Path) -> None:
    error = refusal(path := zipped(tmp_path, **{"a.csv": CSV, "b.tsv": CSV}))
    assert f"{path} contains 2 data files" in error.found
    assert "a.csv, b.tsv" in error.expected
    assert f"{path}!a.csv" in error.do
    assert "contains 0 data files" in refusal(zipped(tmp_path, **{"README.md": b""})).found


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    path = zipped(tmp_path, **{"raw/train.csv": CSV, "b.tsv": CSV})
    error = refusal(f"{path}!train.csv")
    assert f"{path} has no member 'train.csv'" in error.found
    assert "raw/train.csv, b.tsv" in error.expected
    assert error.do == f"write {path}!raw/train.csv"


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "C:\\a.csv", "x/../../a.csv"])
def test_names_that_lead_out_of_the_archive(tmp_path: Path, name: str) -> None:
    error = refusal(path := zipped(tmp_path, **{"fine.csv": CSV, name: CSV}))
    assert f"{path} is not safe to open" in error.found
    assert "trust" in error.do


def test_a_name_that_occurs_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", CSV)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.csv", CSV)
    assert "occurs twice" in refusal(path).found


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = zipped(tmp_path, **{"a.csv": CSV})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 8
    struct.pack_into("<H", content, at, 1)
    path.write_bytes(content)
    error = refusal(path)
    assert error.found == f"{path}!a.csv is encrypted"
    assert "password" in error.do


def test_a_broken_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path, **{"a.csv": CSV * 50})
    whole = path.read_bytes()
    for broken in (whole[:-30], whole.replace(whole[40:50], bytes(10), 1), b"nothing"):
        path.write_bytes(broken)
        assert f"{path} is not a complete zip file" in refusal(path).found


@pytest.mark.parametrize("kind", ["gz", "xz", "zip"])
def test_content_far_larger_than_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    content = CSV + b"a,b\n" * 1_000_000
    if kind == "zip":
        path = zipped(tmp_path, **{"a.csv": content})
    else:
        pack = gzip.compress if kind == "gz" else lzma.compress
        path = written(tmp_path, pack(content), f"a.csv.{kind}")
    error = refusal(path)
    assert "unpack to more than" in error.found
    assert "unpack it yourself" in error.do
    monkeypatch.setattr(archives, "FREE_BYTES", len(content))
    assert len(table(path)) == 1_000_001


def nested(content: bytes, layers: int) -> bytes:
    for _ in range(layers):
        content = gzip.compress(content)
    return content


@pytest.mark.parametrize("name", ["a.csv.gz.gz", "a.csv.gz.gz.gz"])
def test_layers_of_compression_share_one_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    content = nested(b"text,label\n" + b"a,b\n" * 1_000_000, name.count("gz"))
    error = refusal(path := written(tmp_path, content, name))
    assert error.found == (
        f"{path}: {len(content):,} bytes unpack to more than {200 * len(content):,}"
    )
    # The same bomb in a zip archive
    error = refusal(f"{zipped(tmp_path, **{name: content})}!{name}")
    assert "bytes unpack to more than" in error.found
    assert len(table(written(tmp_path, nested(b"text,label\na,b\n", 3), "b.csv.gz.gz.gz"))) == 1

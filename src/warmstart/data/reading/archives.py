"""Read compressed files block by block, without unpacking them into a folder.

A ``.gz`` or ``.xz`` file contains one file. A ``.zip`` file can contain several:
``archive.zip!member`` names one of them; the name can be omitted if the archive has a single data
file. A zip archive is rejected if the path of any member points outside of it (``../``, ``/``,
``C:``) or occurs twice. Unpacking stops if the content is much larger than the compressed file (a
zip bomb), before it fills the disk. Large content is stored in an unnamed temporary file (see
``mapped``).

Source: Python library reference, ``zipfile``, section *Decompression pitfalls*.
"""

import gzip
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa

from warmstart import errors
from warmstart.data.reading.content import Content, collected

FREE_BYTES = 1 << 24
"""Content up to this size (16 MiB) is unpacked with any compression ratio."""

MAX_RATIO = 200
"""Largest accepted compression ratio of larger content; the ratio of text is 3 to 30."""

_BLOCK = 1 << 22
_KINDS = {".gz": "gzip", ".xz": "xz"}
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


class _Readable(Protocol):
    """A file object that gzip, lzma or zipfile returns."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; empty at the end of the file."""
        ...


def split_member(source: str) -> tuple[str, str | None]:
    """Split ``archive.zip!member`` into archive and member; the member is optional.

    >>> split_member("cola.zip!raw/train.tsv"), split_member("odd!name.csv")
    (('cola.zip', 'raw/train.tsv'), ('odd!name.csv', None))
    """
    match = re.fullmatch(r"(.+?\.zip)!(.+)", source, re.IGNORECASE)
    return (match[1], match[2]) if match else (source, None)


def decompress(content: Content, name: str, path: str, *, packed: int) -> tuple[Content, str]:
    """Decompress gz and xz; the suffix of the name shows which, if any.

    Args:
        content: the content of the file.
        name: the name of the file.
        path: the file as shown in messages.
        packed: number of bytes of the user's file, to which all layers of compression are compared.

    Returns:
        The decompressed content, and the name without ``.gz`` and ``.xz``.

    Raises:
        DataError: the file is truncated or damaged, or its content is too large (a zip bomb).
    """
    while (suffix := PurePosixPath(name).suffix.lower()) in _KINDS:
        kind, source = _KINDS[suffix], pa.BufferReader(pa.py_buffer(content))
        try:
            with gzip.open(source) if kind == "gzip" else lzma.open(source) as stream:
                content = collected(_bounded(stream, packed, path))
        except _BROKEN as error:
            raise errors.files.corrupt(path, kind, error) from error
        name = name[: -len(suffix)]
    return content, name


def members(archive: Path, path: str) -> list[str]:
    """Names of the files in a zip archive in its order, without hidden files of operating systems.

    Args:
        archive: the zip file.
        path: the archive as shown in messages.

    Raises:
        DataError: it is damaged or not safe to open.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = [info.filename for info in zipped.infolist() if not info.is_dir()]
    except _BROKEN as error:
        raise errors.files.corrupt(path, "zip", error) from error
    for name, count in Counter(names).items():
        parts = PurePosixPath(name.replace("\\", "/"))
        if count > 1 or parts.is_absolute() or ".." in parts.parts or re.match("[A-Za-z]:", name):
            raise errors.files.unsafe_archive(path, name)
    return [
        name
        for name in names
        if not name.startswith("__MACOSX/") and not PurePosixPath(name).name.startswith(".")
    ]


def only_member(archive: Path, suffixes: Collection[str], path: str) -> str:
    """Name of the only data file in a zip archive.

    Args:
        archive: the zip file.
        suffixes: the suffixes of data files, in lower case.
        path: the archive as shown in messages.

    Raises:
        DataError: there are several data files, or none; or the archive is damaged or unsafe.
    """
    names = members(archive, path)
    data_files = [name for name in names if name.lower().endswith(tuple(suffixes))]
    if len(data_files) != 1:
        raise errors.files.ambiguous_archive(path, data_files)
    return data_files[0]


def read_member(archive: Path, member: str, path: str) -> Content:
    """Content of one file in a zip archive.

    Args:
        archive: the zip file.
        member: name of the file in the archive.
        path: the archive as shown in messages.

    Raises:
        DataError: no such member; it is encrypted, damaged, or too large (a zip bomb).
    """
    names = members(archive, path)
    if member not in names:
        raise errors.files.member_not_found(path, member, names)
    try:
        with zipfile.ZipFile(archive) as zipped:
            info = zipped.getinfo(member)
            if info.flag_bits & 0x1:
                raise errors.files.encrypted_archive(path, member)
            with zipped.open(info) as stream:
                return collected(_bounded(stream, info.compress_size, f"{path}!{member}"))
    except (*_BROKEN, NotImplementedError) as error:  # a method that zipfile does not support
        raise errors.files.corrupt(path, "zip", error) from error


def _bounded(stream: _Readable, packed: int, path: str) -> Iterator[bytes]:
    """The blocks of ``stream``; fails if they are too large for ``packed`` compressed bytes."""
    limit = max(FREE_BYTES, MAX_RATIO * packed)
    size = 0
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > limit:
            raise errors.files.archive_too_large(path, packed=packed, limit=limit)
        yield block

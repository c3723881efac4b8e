"""Compressed files, unpacked block by block; nothing is written but one file without a name.

``.gz`` and ``.xz`` hold one file. A ``.zip`` holds several: ``archive.zip!member`` names one, and
an archive with a single data file needs no name. An archive is refused whole if a member's name
leads out of it (``../``, ``/``, ``C:``) or stands there twice, and a file whose content is far
larger than itself is given up before it fills the disk. What is large once it is unpacked lies in a
temporary file (``mapped``), of which no other program learns.

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

FREE_BYTES = 1 << 28
"""Content up to this size (256 MiB) is unpacked whatever its ratio."""

MAX_RATIO = 200
"""Beyond ``FREE_BYTES``, content may be this many times its packed size; text is 3 to 30 times."""

_BLOCK = 1 << 22
_KINDS = {".gz": "gzip", ".xz": "xz"}
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


class _Readable(Protocol):
    """What gzip, lzma and zipfile open."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


def split_member(source: str) -> tuple[str, str | None]:
    """Archive and member of ``archive.zip!member``.

    >>> split_member("cola.zip!raw/train.tsv"), split_member("odd!name.csv")
    (('cola.zip', 'raw/train.tsv'), ('odd!name.csv', None))
    """
    match = re.fullmatch(r"(.+?\.zip)!(.+)", source, re.IGNORECASE)
    return (match[1], match[2]) if match else (source, None)


def decompress(content: Content, name: str, path: str) -> tuple[Content, str]:
    """Undo gz and xz, as the name tells.

    Args:
        content: the file.
        name: its name.
        path: the file, for messages.

    Returns:
        The content, and the name without the suffixes undone.

    Raises:
        DataError: it is cut short or corrupt, or unpacks to far more than it is.
    """
    while (suffix := PurePosixPath(name).suffix.lower()) in _KINDS:
        kind, packed = _KINDS[suffix], pa.BufferReader(pa.py_buffer(content))
        try:
            with gzip.open(packed) if kind == "gzip" else lzma.open(packed) as stream:
                content = collected(_bounded(stream, len(content), path))
        except _BROKEN as error:
            raise errors.files.corrupt(path, kind, error) from error
        name = name[: -len(suffix)]
    return content, name


def members(archive: Path, path: str) -> list[str]:
    """Names of the files in a zip, in its order, without what operating systems add.

    Args:
        archive: the zip file.
        path: the same, for messages.

    Raises:
        DataError: it is corrupt or not safe to open.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = [info.filename for info in zipped.infolist() if not info.is_dir()]
    except _BROKEN as error:
        raise errors.files.corrupt(path, "zip", error) from error
    for name, times in Counter(names).items():
        parts = PurePosixPath(name.replace("\\", "/"))
        if times > 1 or parts.is_absolute() or ".." in parts.parts or re.match("[A-Za-z]:", name):
            raise errors.files.unsafe_archive(path, name)
    return [
        name
        for name in names
        if not name.startswith("__MACOSX/") and not PurePosixPath(name).name.startswith(".")
    ]


def only_member(archive: Path, suffixes: Collection[str], path: str) -> str:
    """The one data file that a zip holds.

    Args:
        archive: the zip file.
        suffixes: how names of data files end, in lower case.
        path: the archive, for messages.

    Raises:
        DataError: there are several, or none; or the archive is corrupt or unsafe.
    """
    names = members(archive, path)
    found = [name for name in names if name.lower().endswith(tuple(suffixes))]
    if len(found) != 1:
        raise errors.files.ambiguous_archive(path, found)
    return found[0]


def read_member(archive: Path, member: str, path: str) -> Content:
    """Content of one file in a zip.

    Args:
        archive: the zip file.
        member: its name there.
        path: the archive, for messages.

    Raises:
        DataError: no such member; it is encrypted, corrupt, or unpacks to far more than it is.
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
    except (*_BROKEN, NotImplementedError) as error:  # a compression method zipfile lacks
        raise errors.files.corrupt(path, "zip", error) from error


def _bounded(stream: _Readable, packed: int, path: str) -> Iterator[bytes]:
    """All of ``stream``, whose compressed size is ``packed`` bytes, within reason."""
    limit = max(FREE_BYTES, MAX_RATIO * packed)
    size = 0
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > limit:
            raise errors.files.archive_too_large(path, packed=packed, limit=limit)
        yield block

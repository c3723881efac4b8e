"""The bytes of a file: small files are read into memory, large files are copied and memory-mapped.

The copy is a temporary file without a name (see ``mapped``). The user's own file is not mapped: if
another program truncated it while it is read, the system would end the process (SIGBUS).

``Content`` is ``bytes``, ``bytearray`` or ``mmap``: they all support ``len`` and slicing. To go
through a whole file, use ``blocks``, or ``line_blocks`` if lines must not be split. A block is a
copy, and its pages of the memory map are released immediately. A file of any size therefore needs
only the memory of a few blocks.

Offsets and sizes are in bytes.

Source: Python library reference, ``mmap`` (``madvise``).
"""

import hashlib
import mmap
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from warmstart import errors
from warmstart.data.mapped import FlatBytes
from warmstart.data.reading.paths import refuse_device

Content = bytes | bytearray | mmap.mmap

BLOCK = 1 << 24
"""Bytes per block (16 MiB); an even number, so that no UTF-16 code unit is split."""


def content_of(file: Path) -> Content:
    """A copy of the bytes of a file, which does not change if the file does.

    Args:
        file: an existing, readable file.

    Raises:
        OSError: it cannot be read.
        DataError: it is large, and the temporary folder is full or not writable.
    """
    with file.open("rb", buffering=0) as opened:
        return collected(iter(partial(opened.read, BLOCK), b""))


def hashed_content(file: Path, digest: "hashlib._Hash") -> Content:
    """The bytes of one of several files, which are added to the hash of them all.

    Args:
        file: a file of a folder.
        digest: the hash, changed in place. A zero byte follows each file, so that text moved from
            one file to the next changes it.

    Raises:
        DataError: the file cannot be read, or is a pipe or a device.
    """
    try:
        refuse_device(file)
        content = content_of(file)
    except OSError as error:
        raise errors.files.unreadable(str(file), error) from error
    for block in blocks(content):
        digest.update(block)
    digest.update(b"\0")
    return content


def collected(pieces: Iterable[bytes]) -> Content:
    """The concatenation of the pieces; stored in a temporary file if it is large.

    Args:
        pieces: consumed one at a time.

    Raises:
        DataError: the temporary folder is full or not writable.
    """
    with closing(FlatBytes()) as whole:
        for piece in pieces:
            whole.append(piece)
        return whole.finished()


def blocks(content: Content, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes from ``start`` to ``stop`` (by default the end), in blocks of ``BLOCK`` bytes.

    Args:
        content: the content of a file.
        start: offset of the first byte.
        stop: offset after the last byte.

    >>> list(blocks(b"abc", 1))
    [b'bc']
    """
    stop = len(content) if stop is None else stop
    for begin in range(start, stop, BLOCK):
        yield _block(content, begin, min(begin + BLOCK, stop))


def find_byte(content: Content, byte: bytes) -> int:
    """Offset of the first occurrence of ``byte``; -1 if it does not occur.

    Args:
        content: the content of a file.
        byte: a single byte.
    """
    start = 0
    for block in blocks(content):
        if (position := block.find(byte)) >= 0:
            return start + position
        start += len(block)
    return -1


def line_blocks(content: Content) -> Iterator[bytes]:
    """All bytes in blocks of complete lines; a block exceeds ``BLOCK`` only for a longer line.

    Args:
        content: text in UTF-8.
    """
    start = 0
    while start < len(content):
        searched, stop = start, min(start + BLOCK, len(content))
        while stop < len(content) and (end := _last_line_end(content, searched, stop)) < 0:
            # Search again from the last byte: it may be a CR that is a line break by itself.
            searched, stop = stop - 1, min(stop + BLOCK, len(content))
        stop = end if stop < len(content) else stop
        yield _block(content, start, stop)
        start = stop


def _last_line_end(content: Content, start: int, stop: int) -> int:
    """Offset after the last complete line break before ``stop``; -1 if there is none."""
    end = content.rfind(b"\n", start, stop)
    if end < 0:  # a CR in the last byte may be the first half of CR LF
        end = content.rfind(b"\r", start, stop - 1)
    return end + 1 if end >= 0 else -1


def _block(content: Content, start: int, stop: int) -> bytes:
    """A copy of these bytes; their pages of the memory map are then released."""
    with memoryview(content) as view:
        block = bytes(view[start:stop])
    if isinstance(content, mmap.mmap) and (release := getattr(mmap, "MADV_DONTNEED", None)):
        page = start - start % mmap.PAGESIZE
        content.madvise(release, page, stop - page)
    return block

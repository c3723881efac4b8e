"""A file's bytes, however many: small ones held, large ones mapped, and read block by block.

``Content`` is what ``bytes``, ``bytearray`` and ``mmap`` have in common: a length and slices.
Whoever goes through all of it takes ``blocks``, or ``line_blocks`` where lines must stay whole. A
block is a copy; the pages of a map that it came from are given back at once, so that a file of any
size takes the memory of a few blocks.

Offsets and sizes are bytes.

Source: Python library reference, ``mmap`` (``madvise``).
"""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from warmstart.data import mapped
from warmstart.data.mapped import FlatBytes

Content = bytes | bytearray | mmap.mmap

BLOCK = 1 << 24
"""Bytes handled at once (16 MiB); even, so that no UTF-16 unit is cut."""


def content_of(file: Path) -> Content:
    """A file's bytes; it must not be cut short while they are used.

    Args:
        file: exists and may be read.

    Raises:
        OSError: it cannot be read after all.
    """
    if not file.is_file() or file.stat().st_size <= mapped.MAPPED_BYTES:
        return file.read_bytes()
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def collected(pieces: Iterable[bytes]) -> Content:
    """Pieces end to end, on disk where they are many.

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
    """The bytes from ``start`` to ``stop`` (the end by default), ``BLOCK`` at once.

    Args:
        content: of a file.
        start: of the first byte.
        stop: behind the last byte.

    >>> list(blocks(b"abc", 1))
    [b'bc']
    """
    stop = len(content) if stop is None else stop
    for begin in range(start, stop, BLOCK):
        yield _block(content, begin, min(begin + BLOCK, stop))


def find_byte(content: Content, byte: bytes) -> int:
    """Offset of the first such byte, -1 where there is none.

    Args:
        content: of a file.
        byte: one.
    """
    start = 0
    for block in blocks(content):
        if (found := block.find(byte)) >= 0:
            return start + found
        start += len(block)
    return -1


def line_blocks(content: Content) -> Iterator[bytes]:
    """The same in blocks of whole lines; only a longer line makes a longer block.

    Args:
        content: UTF-8.
    """
    start = 0
    while start < len(content):
        searched, stop = start, min(start + BLOCK, len(content))
        while stop < len(content) and (end := _last_line_end(content, searched, stop)) < 0:
            # From one byte back: a CR that ended the search may be a line end by itself.
            searched, stop = stop - 1, min(stop + BLOCK, len(content))
        stop = end if stop < len(content) else stop
        yield _block(content, start, stop)
        start = stop


def _last_line_end(content: Content, start: int, stop: int) -> int:
    """Behind the last line end that is wholly before ``stop``; -1 where there is none."""
    end = content.rfind(b"\n", start, stop)
    if end < 0:  # a CR as the last byte may be half of CR LF
        end = content.rfind(b"\r", start, stop - 1)
    return end + 1 if end >= 0 else -1


def _block(content: Content, start: int, stop: int) -> bytes:
    """A copy of these bytes, whose pages are then given back."""
    with memoryview(content) as view:
        block = bytes(view[start:stop])
    if isinstance(content, mmap.mmap) and (forget := getattr(mmap, "MADV_DONTNEED", None)):
        page = start - start % mmap.PAGESIZE
        content.madvise(forget, page, stop - page)
    return block

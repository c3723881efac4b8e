"""What grows with the rows, on disk and memory-mapped once it is large.

A table or an array is collected piece by piece. Up to ``MAPPED_BYTES`` it is simply held; beyond,
all of it goes to a temporary file, which is then mapped: to a reader it is memory like any other,
but its pages are the system's file cache, which takes them back wherever room is needed. The file
lies in the system's temporary folder (the variable ``TMPDIR`` names another) and has no name, so it
is gone with its last reader, however the process ends.

Source: Python library reference, ``tempfile.TemporaryFile`` and ``mmap``; pyarrow documentation,
"Streaming, Serialization, and IPC" (arrays read from a map are not copied).
"""

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import IO, Any

import numpy as np
import pyarrow as pa

from warmstart import errors

Buffer = bytes | bytearray | memoryview
Array = np.ndarray[Any, np.dtype[Any]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

MAPPED_BYTES = 1 << 25
"""Held up to this size (32 MiB), on disk beyond: less than what importing torch takes."""

PIECE_ROWS = 1 << 16
"""Rows handled at once where a table is made from another."""


def mapped_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The table of these record batches, on disk where it is large.

    Args:
        batches: consumed one at a time.
        schema: theirs.

    Raises:
        DataError: the temporary folder is full or not writable.
    """
    held: list[pa.RecordBatch] = []
    size = 0
    rest = iter(batches)
    for batch in rest:
        held.append(batch)
        size += batch.nbytes
        if size > MAPPED_BYTES:
            return _table_on_disk(chain(held, rest), schema)
    return pa.Table.from_batches(held, schema)


def filtered(table: pa.Table, kept: Mask) -> pa.Table:
    """The rows where ``kept``, in their order.

    In pieces and not by ``Table.filter`` or ``Table.take``, which need all of it at once; ``take``
    moreover joins every column's chunks first and fails at 2 GiB of text.

    Args:
        table: N rows.
        kept: bool [N].

    Raises:
        DataError: the temporary folder is full or not writable.
    """
    batches = table.to_batches(max_chunksize=PIECE_ROWS)
    ends = np.cumsum([len(batch) for batch in batches])
    parts = zip(batches, np.split(kept, ends[:-1]), strict=True) if len(batches) else ()
    return mapped_table((batch.filter(pa.array(part)) for batch, part in parts), table.schema)


class FlatBytes:
    """Bytes that grow by pieces, on disk where they are many."""

    def __init__(self) -> None:
        self._held: list[Buffer] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def append(self, piece: Buffer) -> None:
        """Add bytes at the end.

        Args:
            piece: contiguous; not changed before ``finished``.

        Raises:
            DataError: the temporary folder is full or not writable.
        """
        self._held.append(piece)
        self._size += memoryview(piece).nbytes
        if self._size > MAPPED_BYTES:
            self._file = self._file or _temporary_file()
            with _closed_on_failure(self._file):
                for held in self._held:
                    self._file.write(held)
            self._held.clear()

    def finished(self) -> bytearray | mmap.mmap:
        """All of them; nothing is added afterwards.

        Raises:
            DataError: the temporary folder is full or not writable.
        """
        if self._file is None:
            return bytearray().join(self._held)
        with _closed_on_failure(self._file), self._file as file:
            return _map(file)

    def close(self) -> None:
        """Give up what was not finished."""
        if self._file is not None:
            self._file.close()


class FlatArray:
    """A one-dimensional array that grows by pieces, on disk where it is large.

    Args:
        dtype: of its numbers.
    """

    def __init__(self, dtype: np.typing.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._bytes = FlatBytes()

    def append(self, values: Array) -> None:
        """Add numbers at the end.

        Raises:
            DataError: the temporary folder is full or not writable.
        """
        self._bytes.append(np.ascontiguousarray(values, self._dtype).data)

    def finished(self) -> Array:
        """All of it, [T]; nothing is added afterwards.

        Raises:
            DataError: the temporary folder is full or not writable.
        """
        return np.frombuffer(self._bytes.finished(), self._dtype)


def _table_on_disk(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    file = _temporary_file()
    with _closed_on_failure(file), file:
        with pa.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_stream(pa.py_buffer(_map(file))).read_all()


def _temporary_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="warmstart-")
    except OSError as error:
        raise errors.files.no_temporary_room(error) from error


def _map(file: IO[bytes]) -> mmap.mmap:
    """The file as memory; whoever writes there writes to a copy of that page."""
    file.flush()
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


@contextmanager
def _closed_on_failure(file: IO[bytes]) -> Iterator[None]:
    """The system's refusal in our words; what could not be written is not tried again."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            file.close()
        raise errors.files.no_temporary_room(error) from error

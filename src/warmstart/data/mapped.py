"""Tables, arrays and bytes that are memory-mapped files on disk if they are large.

A table or an array is built piece by piece. Up to ``MAPPED_BYTES`` it is kept in memory. Larger
data is written to a temporary file, which is then memory-mapped: it is used like memory, but its
pages belong to the file cache of the operating system, which can release them when memory is
needed. The file is in the system's temporary folder (the environment variable ``TMPDIR`` changes
it). It has no name and is deleted when its last user closes it, even if the process is killed.

Source: Python library reference, ``tempfile.TemporaryFile`` and ``mmap``; pyarrow documentation,
"Streaming, Serialization, and IPC" (arrays that are read from a memory map are not copied).
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
"""Maximum size in memory (32 MiB); larger data is stored on disk. Importing torch needs more."""

PIECE_ROWS = 1 << 16
"""Number of rows processed at a time when a table is made from another table."""


def mapped_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The table of these record batches, on disk if it is large.

    Args:
        batches: consumed one at a time.
        schema: the schema of the batches.

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
    """The rows where ``kept`` is true, in the same order.

    Works in pieces, because pyarrow's ``Table.filter`` and ``Table.take`` need memory for the whole
    result. ``take`` also concatenates all chunks of a column and fails above 2 GiB of text.

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
    """Bytes that are appended in pieces, on disk if they are large."""

    def __init__(self) -> None:
        self._held: list[Buffer] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def append(self, piece: Buffer) -> None:
        """Append bytes.

        Args:
            piece: contiguous; must not be changed before ``finished`` is called.

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
        """All bytes; ``append`` must not be called afterwards.

        Raises:
            DataError: the temporary folder is full or not writable.
        """
        if self._file is None:
            return bytearray().join(self._held)
        with _closed_on_failure(self._file), self._file as file:
            return _map(file)

    def close(self) -> None:
        """Delete the temporary file, if ``finished`` was not called."""
        if self._file is not None:
            self._file.close()


class FlatArray:
    """A one-dimensional array that is appended in pieces, on disk if it is large.

    Args:
        dtype: the type of its values.
    """

    def __init__(self, dtype: np.typing.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._bytes = FlatBytes()

    def append(self, values: Array) -> None:
        """Append values.

        Raises:
            DataError: the temporary folder is full or not writable.
        """
        self._bytes.append(np.ascontiguousarray(values, self._dtype).data)

    def finished(self) -> Array:
        """The whole array [T]; ``append`` must not be called afterwards.

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
    """Memory-map the file; writes to the map go to a private copy of the page."""
    file.flush()
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


@contextmanager
def _closed_on_failure(file: IO[bytes]) -> Iterator[None]:
    """Convert an ``OSError`` to a ``DataError`` and close the file."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            file.close()
        raise errors.files.no_temporary_room(error) from error

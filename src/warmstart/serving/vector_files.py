"""Write the vectors of a file's rows as Parquet or JSON lines, block by block."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet

from warmstart.serving.embedder import FileVectors
from warmstart.serving.prediction_files import write_output


def numbers_of(vector: np.ndarray[Any, np.dtype[np.float32]]) -> list[float]:
    """The numbers of a vector with as many digits as float32 needs, and no more.

    Args:
        vector: float32 [H].

    >>> numbers_of(np.array([0.1, -2.0], dtype=np.float32))
    [0.1, -2.0]
    """
    return list(map(float, vector.astype(str)))


def vector_rows(found: FileVectors) -> Iterator[dict[str, Any]]:
    """Each row as ``embed --json`` prints it; without a text, the vector is None.

    Args:
        found: the rows; their vectors are computed block by block.
    """
    start = 0
    for block in found.blocks():
        rows = block.select(["row", "truncated"]).to_pylist()
        columns = found.table.part(start, len(rows)).columns.to_pylist()
        start += len(rows)
        for place, (row, vector) in enumerate(zip(rows, block.column("vector"), strict=True)):
            row["vector"] = (
                numbers_of(np.array(vector.as_py(), np.float32)) if vector.is_valid else None
            )
            if found.keep_columns:
                # Dates and bytes become text.
                row["columns"] = json.loads(json.dumps(columns[place], default=str))
            yield row


def write_vectors(found: FileVectors, path: Path, *, overwrite: bool = False) -> None:
    """Write vectors as Parquet or JSON lines, depending on ``path``'s suffix.

    Args:
        found: the rows.
        path: the file to write.
        overwrite: as for ``write_output``.

    Raises:
        WarmstartError: as for ``write_output``.
    """
    write_output(path, partial(VECTOR_WRITERS[path.suffix], found), overwrite=overwrite)


def _write_parquet(found: FileVectors, path: Path) -> None:
    blocks = found.blocks()
    first = next(blocks)
    with pyarrow.parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for block in blocks:
            writer.write_table(block)


def _write_jsonl(found: FileVectors, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in vector_rows(found):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


VECTOR_WRITERS: dict[str, Callable[[FileVectors, Path], None]] = {
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}
"""The function that writes a file of vectors, by its suffix."""

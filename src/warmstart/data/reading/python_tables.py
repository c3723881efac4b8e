"""Tables of Python as data: pandas, pyarrow, polars, ``datasets.Dataset``, and lists of mappings.

A table is written to the folder ``tables`` of the cache, under a name made from its content, and is
then a file like any other: it is recorded with its SHA-256, and the run can be resumed, also by the
command. A list of mappings becomes JSON lines, everything else Parquet. When a table is written,
those that nothing has read for ``KEPT_DAYS`` are removed.

Source: Apache Arrow documentation, "The Arrow PyCapsule Interface" (``__arrow_c_stream__``);
datasets documentation, ``ClassLabel``.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warmstart import errors
from warmstart.data.reading.fetch import cache_folder, sha256_of

SOURCES = ("train", "validation", "test")
"""The settings of ``data`` that name sources."""


KEPT_DAYS = 90
"""Days after its last use until a table is removed from the cache."""


@runtime_checkable
class ArrowTable(Protocol):
    """A table that Arrow can read: of pyarrow, pandas, polars and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as a stream of Arrow's C data interface."""


Rows = list[Mapping[str, Any]] | tuple[Mapping[str, Any], ...]


Source = str | os.PathLike[str]
Data = Source | ArrowTable | Rows | Sequence[Source | ArrowTable]
"""One or several files or tables; also a ``datasets.Dataset``."""


def with_files(settings: Mapping[Any, Any]) -> dict[Any, Any]:
    """The settings with the path of a file in place of every table.

    Args:
        settings: nested mappings, or names with dots: ``{"data": {"train": table}}`` or
            ``{"data.train": table}``.

    Raises:
        DataError: a table cannot be used or not be written.
    """
    found = dict(settings)
    for name in SOURCES:
        if (dotted := f"data.{name}") in found:
            found[dotted] = source_of(found[dotted], dotted)
    if isinstance(group := found.get("data"), Mapping):
        named = {name: f"data.{name}" for name in SOURCES if name in group}
        found["data"] = {
            **group,
            **{name: source_of(group[name], setting) for name, setting in named.items()},
        }
    return found


def source_of(value: Any, setting: str) -> Any:
    """The value with the path of a file in place of a table; other values stay as they are.

    Args:
        value: a table, a source, or a list of both.
        setting: the setting or argument with this value.

    Raises:
        DataError: a table cannot be used or not be written.
    """
    if _is_rows(value):
        return _stored(lambda path: _write_rows(value, path, setting), ".jsonl")
    if isinstance(value, list | tuple):
        return [source_of(one, setting) for one in value]
    if _is_dataset(value) or isinstance(value, ArrowTable):
        table = _arrow(value, setting)
        return _stored(lambda path: _write_parquet(table, path, setting), ".parquet")
    if isinstance(value, Mapping | Iterator):
        raise errors.python_tables.no_table(setting, value)
    return value


def paths_of(data: Data, setting: str) -> list[str]:
    """The path of every file, and of the file of every table.

    Args:
        data: one or several files or tables.
        setting: the argument with this value.

    Raises:
        DataError: this is neither a file nor a table, or the table cannot be used or written.
    """
    found = source_of(data, setting)
    paths = found if isinstance(found, list) else [found]
    wrong = [one for one in paths if not isinstance(one, str | os.PathLike)]
    if wrong or not paths:
        raise errors.arguments.no_source(setting, wrong[0] if wrong else found)
    return [os.fspath(one) for one in paths]


def is_stored(path: Path) -> bool:
    """Whether this is the name of a table that Python wrote to the cache."""
    return path.parent == _folder()


def note_use(path: Path) -> None:
    """Keep a stored table for another ``KEPT_DAYS``.

    Args:
        path: the table.
    """
    with suppress(OSError):  # the cache is not writable: nothing is removed from it either
        os.utime(path)


def dataset_table(dataset: Any) -> pa.Table:
    """A ``datasets.Dataset`` with the names of class labels; the label -1 ("no label") is null.

    Args:
        dataset: the data set, in memory or mapped.
    """
    table = dataset.with_format("arrow")[:]
    for position, (name, feature) in enumerate(dataset.features.items()):
        if type(feature).__name__ == "ClassLabel":
            codes = table.column(name)
            known = pc.if_else(pc.less(codes, 0), None, codes)
            table = table.set_column(position, name, pc.take(pa.array(feature.names), known))
    return table


def _is_rows(value: Any) -> TypeGuard[Rows]:
    return isinstance(value, list | tuple) and any(isinstance(row, Mapping) for row in value)


def _is_dataset(value: Any) -> bool:
    """Whether it is a ``datasets.Dataset``; if the package is not imported, nothing is."""
    package = sys.modules.get("datasets")
    return package is not None and isinstance(value, package.Dataset)


def _arrow(value: Any, setting: str) -> pa.Table:
    """The table in Arrow, without the index of pandas."""
    pandas = sys.modules.get("pandas")
    try:
        if _is_dataset(value):
            table = dataset_table(value)
        elif pandas is not None and isinstance(value, pandas.DataFrame):
            table = pa.Table.from_pandas(value, preserve_index=False)
        else:
            table = pa.table(value)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise errors.python_tables.no_columns(setting, value, error) from error
    if not table.num_rows:
        raise errors.python_tables.no_rows(setting, value)
    return table.replace_schema_metadata(None)


def _write_parquet(table: pa.Table, path: Path, setting: str) -> None:
    try:
        pq.write_table(table, path)
    except pa.ArrowException as error:
        raise errors.python_tables.no_columns(setting, table, error) from error


def _write_rows(rows: Rows, path: Path, setting: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows, 1):
            try:
                if not isinstance(row, Mapping):
                    raise TypeError(f"it is a {type(row).__name__} and not a dict")
                line = json.dumps({key: _missing_or_value(row[key]) for key in row}, default=_json)
            except (TypeError, ValueError, RecursionError) as error:
                raise errors.python_tables.no_json(setting, number, error) from error
            file.write(line + "\n")


def _missing_or_value(value: Any) -> Any:
    """None for NaN, which is what pandas writes in place of a missing value."""
    return None if isinstance(value, float) and value != value else value


def _json(value: object) -> Any:
    """A scalar or an array of numpy as JSON has it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a value is a {type(value).__name__}")


def _stored(write: Callable[[Path], None], suffix: str) -> str:
    """The path of the file in the cache, written if it is not there yet."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            file = Path(unfinished, "table")
            write(file)
            path = folder / f"{sha256_of(file)[:16]}{suffix}"
            file.replace(path)
    except OSError as error:
        raise errors.python_tables.not_written(str(folder), error) from error
    _remove_unused(folder)
    return str(path)


def _remove_unused(folder: Path) -> None:
    """Remove what was not used for a long time, also the unfinished folders of killed processes."""
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    for place in folder.iterdir():
        with suppress(OSError):  # another process removes it
            if place.stat().st_mtime < oldest:
                shutil.rmtree(place) if place.is_dir() else place.unlink()


def _folder() -> Path:
    return (cache_folder() / "tables").absolute()

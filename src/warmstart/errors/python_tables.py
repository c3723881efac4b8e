"""Error messages about tables that are given in Python as data.

``setting`` is the setting or the argument that has the table.
"""

import shlex
from collections.abc import Mapping, Sequence

from warmstart.errors.base import DataError

_TABLE = (
    "a pandas, polars or pyarrow table, a datasets.Dataset, a list of dicts, or the name of a file"
)


def no_table(setting: str, value: object) -> DataError:
    """A mapping of columns, several splits, a generator, or a list with values that are no rows."""
    kind = type(value).__name__
    if isinstance(value, Mapping):
        names = ", ".join(repr(name) for name in list(value)[:3])
        one = repr(next(iter(value), "train"))
        is_column = any(isinstance(part, Sequence) for part in value.values())
        advice = (
            "give the columns as a table: pyarrow.table(COLUMNS)"
            if is_column
            else f"choose one of its parts: data[{one}]"
        )
        return DataError(f"{setting} is a {kind} with the keys {names}", _TABLE, advice)
    return DataError(f"{setting} is a {kind}", _TABLE, "make a list of its rows: list(ROWS)")


def no_columns(setting: str, value: object, error: Exception) -> DataError:
    """A table whose columns Arrow cannot express, such as one with texts and numbers."""
    reason = " ".join(str(part) for part in error.args) or type(error).__name__
    return DataError(
        f"{setting}: the {type(value).__name__} cannot be read as a table ({reason})",
        "columns with different names, and in each column values of one type",
        "convert the values of the column to text, in pandas: "
        'df["COLUMN"] = df["COLUMN"].astype("string")',
    )


def no_rows(setting: str, value: object) -> DataError:
    """A table without rows."""
    return DataError(
        f"{setting}: the {type(value).__name__} has no rows",
        "a table with at least one row",
        "check how the table was made: print(len(TABLE))",
    )


def no_json(setting: str, row: int, error: Exception) -> DataError:
    """A row of a list of mappings with a value that JSON does not have."""
    return DataError(
        f"{setting}: row {row} of the list cannot be used ({error})",
        "texts, numbers, booleans, None, or lists of them",
        "convert the value to text: str(VALUE)",
    )


def not_written(folder: str, error: OSError) -> DataError:
    """The cache folder is full or not writable."""
    return DataError(
        f"the table cannot be written to {folder} ({error.strerror or error})",
        "a cache folder that can be written, in which a run finds its table again",
        f"WARMSTART_CACHE={shlex.quote('FOLDER')} names another cache folder",
    )


def gone(path: str, setting: str) -> DataError:
    """A table that was given in Python is no longer in the cache."""
    name = setting.removeprefix("data.")
    return DataError(
        f"{setting}: {path} does not exist; it was written from a table that was given in Python. "
        "Such a file is removed after 90 days without use",
        "the same table, which is written under the same name",
        f'in Python: warmstart.check({{"data": {{"{name}": TABLE, …}}}}) writes it again',
    )

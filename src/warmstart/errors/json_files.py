"""Error messages about ``.json`` files that are not an array of records.

``path`` is always the file as shown in messages.
"""

import shlex
from collections.abc import Sequence

from warmstart.errors.base import DataError
from warmstart.errors.data import _short

_RECORDS = 'an array of objects, such as [{"text": "…", "label": "…"}, …]'


def broken(path: str, line: int, reason: str, text: str) -> DataError:
    """A text that is not JSON; ``text`` begins where it ends to be JSON."""
    return DataError(
        f"{path}:{line} is not JSON ({reason}): {_short(text, 60) or 'the file ends here'}",
        _RECORDS,
        "correct this line; or check that the file was written or downloaded completely",
    )


def json_lines(path: str) -> DataError:
    """Several values, one after the other, under ``data.format: json``."""
    return DataError(
        f"{path} is not one JSON array: something follows the first value",
        _RECORDS,
        "--set data.format=jsonl, if every line is one object",
    )


def no_record(where: str, reason: str, text: str) -> DataError:
    """An element of the array that is not one object."""
    return DataError(
        f"{where} is not a JSON object ({reason}): {_short(text, 60)}",
        _RECORDS,
        "write every element as one object, with the name of each column once as a key",
    )


def no_records(path: str, text: str) -> DataError:
    """One value that is neither an array nor an object."""
    return DataError(
        f"{path} is not an array: {_short(text, 60)}",
        _RECORDS,
        "name the file with the rows; or --set data.format=text, if each line is one text",
    )


def one_object(path: str, text: str) -> DataError:
    """One object that is not a table."""
    return DataError(
        f"{path} is one object and not an array: {_short(text, 60)}",
        _RECORDS,
        "write [ before the object and ] after it, if it is the only row",
    )


def array_in_object(path: str, key: str) -> DataError:
    """One object with the array of records in it."""
    return DataError(
        f"{path} is one object, with an array of objects under the key {key!r}",
        _RECORDS,
        f"write only this array: {_convert(f'v[{key!a}]')}",
    )


def split_form(path: str, keys: Sequence[str]) -> DataError:
    """The names of the columns in one list, the rows in another, as pandas' ``orient="split"``."""
    rows = '[dict(zip(v["columns"], row)) for row in v["data"]]'
    return _other_form(path, keys, "the names of the columns in one list", rows)


def column_form(path: str, keys: Sequence[str], *, values: str) -> DataError:
    """An object for each column, as pandas' default; ``values``: how to get its values."""
    rows = f"[dict(zip(v, row)) for row in zip(*(c{values} for c in v.values()))]"
    return _other_form(path, keys, "the values of each column together", rows)


def row_form(path: str, keys: Sequence[str]) -> DataError:
    """An object with the number of each row as its key, as pandas' ``orient="index"``."""
    return _other_form(path, keys, "the number of each row as its key", "[*v.values()]")


def _other_form(path: str, keys: Sequence[str], form: str, rows: str) -> DataError:
    return DataError(
        f"{path} is one object, with {form}: {_short(', '.join(keys), 60)}",
        _RECORDS,
        f'write it with pandas\' to_json(…, orient="records"); or {_convert(rows)}',
    )


def _convert(rows: str) -> str:
    """The command that writes the records; ``rows``: Python for them, from the value ``v``."""
    program = f"import json, sys; v = json.load(sys.stdin); json.dump({rows}, sys.stdout)"
    return f"python -c {shlex.quote(program)} < FILE > NEW.json"

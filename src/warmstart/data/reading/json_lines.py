"""Parse JSON lines: one object per line, every value as text.

Pyarrow's parser is fast, but it accepts several objects on a line, crashes at a deep nesting, and
needs memory for every pair of a row and a key. It is used only for blocks in which each line is one
flat object with the keys of the first lines. All other blocks are read by Python's parser, which is
slow but exact and reports the line of an error.

Source: pyarrow documentation, ``pyarrow.json``; JSON Lines, jsonlines.org; RFC 8259, section 4 (the
names in an object should be unique).
"""

import json
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.reading.lines import MAX_COLUMNS, Ints
from warmstart.data.tags.spans import place_of

_EXACT_TYPES = frozenset({pa.string(), pa.bool_(), pa.int64(), pa.null()})
"""Types of pyarrow's JSON reader that convert back to the exact text of the file: not dates and
floats."""

_CHUNK_LINES = 1024

_MOST_BRACKETS = 500
"""A line with more opening brackets could be nested more deeply than pyarrow can parse."""

_EACH = {"line": "", "record": ".[] | "}
"""What the advice with jq needs to change each object of a file."""


def parse_json_lines(
    path: str,
    data: DataConfig,
    block: bytes,
    lines: Ints,
    pieces: pa.LargeStringArray,
    names: Sequence[str],
    unit: str = "line",
) -> Iterator[pa.Table]:
    """The rows of a block, in one or several tables; a key that an object lacks is null.

    Args:
        path: the file as shown in messages.
        data: names the text columns, which must not contain lists or objects.
        block: complete lines.
        lines: the numbers of the N lines that are not blank.
        pieces: these lines.
        names: the keys of earlier blocks.
        unit: what the numbers count: ``line``, or ``record`` of an array.

    Raises:
        DataError: a line is not one object, repeats a key, or has a list or an object in a text
            column; or the file has too many keys.
    """
    table = _by_arrow(block, pieces)
    if table is not None and table.num_rows == len(lines):
        yield table
        return
    keys = dict.fromkeys(names)
    settings = _text_settings(data)
    for start in range(0, len(pieces), _CHUNK_LINES):
        numbers = lines[start : start + _CHUNK_LINES].tolist()
        texts = pieces.slice(start, _CHUNK_LINES).to_pylist()
        rows = []
        for number, line in zip(numbers, texts, strict=True):
            rows.append(_object(line, path, number, settings, unit))
            keys.update(dict.fromkeys(rows[-1]))
            if len(keys) > MAX_COLUMNS:
                raise errors.data.too_many_columns(
                    place_of(path, number, unit), MAX_COLUMNS, each=_EACH[unit]
                )
        if not keys:
            raise _no_object(path, int(lines[0]), unit, "it is empty", "{}")
        yield pa.table({key: pa.array([row.get(key) for row in rows], pa.string()) for key in keys})


def _by_arrow(block: bytes, pieces: pa.LargeStringArray) -> pa.Table | None:
    """The table, if all values convert back to their exact text; else ``None``."""
    if not _look_like_objects(pieces) or _are_deep(block, pieces):
        return None
    try:
        head = "".join(pieces.slice(0, _CHUNK_LINES).to_pylist()).encode()
        table = _read(head, pajson.ParseOptions())
        if len(head) < len(block) and len(pieces) > _CHUNK_LINES:
            known = pajson.ParseOptions(
                explicit_schema=table.schema, unexpected_field_behavior="error"
            )
            table = _read(block, known)
    except pa.ArrowInvalid:  # invalid JSON, mixed types or new keys
        return None
    if not 0 < table.num_columns <= MAX_COLUMNS or not _EXACT_TYPES.issuperset(table.schema.types):
        return None
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _look_like_objects(pieces: pa.LargeStringArray) -> bool:
    """Whether each line begins with { and ends with }, except for white space."""

    def all_within(lines: pa.LargeStringArray, end: str) -> bool:
        return bool(pc.all(pc.and_(pc.starts_with(lines, "{"), pc.ends_with(lines, end))).as_py())

    # The usual form needs no copy of the lines; the last one may have no line break.
    usual = all_within(pieces[:-1], "}\n") and all_within(pieces[-1:], "}")
    return usual or all_within(pc.utf8_trim_whitespace(pieces), "}")


def _are_deep(block: bytes, pieces: pa.LargeStringArray) -> bool:
    """Whether a line has more opening brackets than ``_MOST_BRACKETS``; each line has at least one.

    ``block``: contains all lines.
    """
    if block.count(b"[") + block.count(b"{") < len(pieces) + _MOST_BRACKETS:
        return False
    brackets = pc.add(pc.count_substring(pieces, "["), pc.count_substring(pieces, "{"))
    return bool(pc.max(brackets).as_py() > _MOST_BRACKETS)


def _read(text: bytes, options: pajson.ParseOptions) -> pa.Table:
    return pajson.read_json(
        pa.BufferReader(text),
        read_options=pajson.ReadOptions(use_threads=False, block_size=len(text)),
        parse_options=options,
    )


def _text_settings(data: DataConfig) -> dict[str, str]:
    """Column -> the setting that names it, for columns of texts, which cannot be lists."""
    lists = {data.words, data.tags, data.spans}
    columns = {name: setting for setting, name in data.text_columns.items()}
    return {name: setting for name, setting in columns.items() if name not in lists}


def _object(
    line: str, path: str, number: int, settings: dict[str, str], unit: str
) -> dict[str, str | None]:
    """The object on a line; values other than strings and null are converted to JSON text.

    ``settings``: column -> setting, for columns that must not contain lists or objects.
    """
    try:
        value = _DECODER.decode(line)
        if "\\u" in line:  # only so can a text contain half of a surrogate pair
            _ENCODER.encode(value).encode()
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise _no_object(path, number, unit, reason, line) from None
    if not isinstance(value, dict):
        raise _no_object(path, number, unit, f"it is a {type(value).__name__}", line)
    for column in settings:
        if isinstance(value.get(column), list | dict):
            raise errors.data.nested_text(
                column,
                place_of(path, number, unit),
                _ENCODER.encode(value[column]),
                setting=settings[column],
                each=_EACH[unit],
            )
    return {
        key: item if item is None or isinstance(item, str) else _json_text(item)
        for key, item in value.items()
    }


def _json_text(value: Any) -> str:
    """A value as JSON; a usual float as the encoder writes it, without the encoder."""
    if type(value) is float and isfinite(value):
        return repr(value)
    return _ENCODER.encode(value)


def _no_object(path: str, number: int, unit: str, reason: str, text: str) -> errors.DataError:
    if unit == "line":
        return errors.data.bad_json_line(path, number, reason=reason, text=text)
    return errors.json_files.no_record(place_of(path, number, unit), reason, text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; fails if a key occurs twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(
            f"the key {next(key for key in keys if keys.count(key) > 1)!r} is repeated"
        )
    return value


def _constant(name: str) -> float | None:
    """NaN is a missing value; the infinities are written as ``Infinity`` and ``-Infinity``."""
    return None if name == "NaN" else float(name)


def _integer(digits: str) -> int | str:
    """The integer, or its text if it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return digits


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer)
_ENCODER = json.JSONEncoder(ensure_ascii=False)

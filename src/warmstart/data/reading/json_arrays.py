"""Read a ``.json`` file: an array of records, JSON lines, SQuAD, or an annotation tool's export.

Which of them it is, the content decides. The records of an array become JSON lines, so that they
are parsed and checked like a ``.jsonl`` file, and their numbers count records.

Source: RFC 8259; pandas documentation, ``DataFrame.to_json`` (the other forms that it writes).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from warmstart import errors
from warmstart.data.reading.content import BLOCK
from warmstart.data.reading.squad_json import is_squad
from warmstart.data.tags.span_records import format_of

_SPACE = re.compile(r"[ \t\n\r]*")
_LINE_BREAK = re.compile(r"[\r\n]")
_DECODER = json.JSONDecoder(parse_int=str)  # int() refuses a number of more than 4,300 digits
_SPAN_LISTS = ("spans", "entities", "ents")
"""Keys of an export's list of spans, which may be empty."""


def kind_of_json(text: str) -> str:
    r"""The format of a ``.json`` file: ``json``, ``jsonl``, ``spans`` or ``squad``.

    Args:
        text: the content of the file.

    >>> kind_of_json('[{"text": "a", "label": "b"}]'), kind_of_json('{"text": "a"}\n{"text": "b"}')
    ('json', 'jsonl')
    >>> kind_of_json('[{"text": "a", "spans": []}]')
    'spans'
    """
    start = _after_space(text, 0)
    try:
        first, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        first, end = None, len(text)
    if _after_space(text, end) < len(text):  # something follows the first value
        lines = (line for line in _LINE_BREAK.split(text) if line.strip())
        return "spans" if _has_export(map(_value_or_none, lines)) else "jsonl"
    if isinstance(first, list):
        is_export = format_of(first) is not None or _has_export(first)
    elif isinstance(first, dict):
        if is_squad(first):
            return "squad"
        if isinstance(first.get("classes"), list) or _is_export(first):
            return "spans"
        # One flat object on one line is a file of JSON lines with one row.
        is_flat = not any(isinstance(value, list | dict) for value in first.values())
        return "jsonl" if is_flat and not _LINE_BREAK.search(text[start:end]) else "json"
    else:
        is_export = False
    return "spans" if is_export else "json"


def array_blocks(text: str, path: str) -> Iterator[list[str]]:
    r"""The records of an array in lists of a few megabytes, each record as one line of JSON.

    Args:
        text: the content of the file.
        path: the file as shown in messages.

    Raises:
        DataError: the text is not one JSON array.

    >>> list(array_blocks('[{"a": 1},\n {"a":\n 2}]', "a.json"))
    [['{"a": 1}', '{"a":  2}']]
    """
    block: list[str] = []
    size = 0
    for record in _records(text, path):
        block.append(_LINE_BREAK.sub(" ", record))
        size += len(record)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _records(text: str, path: str) -> Iterator[str]:
    """Each record of the array as it is written."""
    place = _after_space(text, 0)
    if not text.startswith("[", place):
        raise _no_array(text, place, path)
    place = _after_space(text, place + 1)
    if text.startswith("]", place):
        raise errors.data.no_rows(path, 0)
    try:
        while True:
            _, end = _DECODER.raw_decode(text, place)
            yield text[place:end]
            place = _after_space(text, end)
            if text.startswith("]", place):
                break
            if not text.startswith(",", place):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, place)
            place = _after_space(text, place + 1)
        place = _after_space(text, place + 1)
        if place < len(text):
            raise json.JSONDecodeError("Extra data after the array", text, place)
    except (ValueError, RecursionError) as error:
        raise _broken(error, text, place, path) from None


def _no_array(text: str, place: int, path: str) -> errors.DataError:
    """The error for a file that is not an array."""
    try:
        value, end = _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError) as error:
        return _broken(error, text, place, path)
    if _after_space(text, end) < len(text):
        return errors.json_files.json_lines(path)
    if not isinstance(value, dict):
        return errors.json_files.no_records(path, text[place:end])
    lists = [key for key, one in value.items() if isinstance(one, list) and _of(one, dict)]
    if lists:
        return errors.json_files.array_in_object(path, lists[0])
    if {"columns", "data"} <= value.keys() and _of(value["data"], list):
        return errors.json_files.split_form(path, list(value))
    if value and _of(value.values(), list):
        return errors.json_files.column_form(path, list(value), values="")
    if value and _of(value.values(), dict):
        inside = [one.keys() for one in value.values()]
        # pandas numbers the rows of a table; both forms have the same keys in every object.
        if all(key.isdigit() for key in value) and not all(key.isdigit() for key in inside[0]):
            return errors.json_files.row_form(path, list(value))
        return errors.json_files.column_form(path, list(value), values=".values()")
    return errors.json_files.one_object(path, text[place:end])


def _broken(
    error: ValueError | RecursionError, text: str, place: int, path: str
) -> errors.DataError:
    """The error for a text that is not JSON, with the line at which it ends to be JSON."""
    if isinstance(error, json.JSONDecodeError):
        place, reason = error.pos, error.msg
    else:
        reason = str(error)
    line = len(_LINE_BREAK.findall(text[:place].replace("\r\n", "\n"))) + 1
    return errors.json_files.broken(path, line, reason, text[place : place + 60])


def _of(values: Any, kind: type) -> bool:
    """Whether there are values, and all are of this type."""
    values = list(values) if not isinstance(values, str | int | float | None) else []
    return bool(values) and all(isinstance(value, kind) for value in values)


def _has_export(values: Any) -> bool:
    """Whether one of the values is a record of an annotation tool."""
    return any(_is_export(value) for value in values)


def _is_export(value: Any) -> bool:
    if format_of(value) is not None:
        return True
    return isinstance(value, dict) and any(isinstance(value.get(key), list) for key in _SPAN_LISTS)


def _value_or_none(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _after_space(text: str, place: int) -> int:
    """The place of the next character that is not white space."""
    found = _SPACE.match(text, place)
    return found.end() if found else place

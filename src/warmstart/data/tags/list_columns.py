"""Columns of lists: words, tags and character spans, as Arrow lists or as JSON texts.

Letters: N rows.
"""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from warmstart import errors
from warmstart.data.table import Table
from warmstart.data.tags.span_formats import SPAN_TYPE, is_export
from warmstart.data.tags.spans import offset_of

_SOUGHT_ROWS = 4096
_TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)


def text_lists(table: Table, name: str, setting: str) -> list[list[str] | None]:
    """Lists of texts, from a list column or from JSON texts; None for missing values.

    Args:
        table: N rows.
        name: the column.
        setting: the setting that names it, for messages.

    Raises:
        DataError: there is no such column, or a value is not a list of texts.
    """
    column = table.column(name, setting)
    if _is_nested(column.type) and not pa.types.is_nested(column.type.value_type):
        try:
            texts: list[list[str] | None] = column.cast(pa.list_(pa.string())).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise errors.data.not_text(name, str(column.type), setting=setting) from None
        for place, row in enumerate(texts):
            if row is not None and None in row:
                raise errors.tags.not_a_list(table.where(place), name, str(row), setting)
        return texts
    rows = _from_json(table, column, name, setting, _is_list_of_texts_or_ids)
    return [None if row is None else [str(one) for one in row] for row in rows]


def span_lists(table: Table, name: str) -> pa.ChunkedArray:
    """Character spans, from a column of spans or from JSON texts; null for missing values.

    Args:
        table: N rows.
        name: the column.

    Raises:
        DataError: there is no such column, or a value is not a list of spans.
    """
    column = table.column(name, "data.spans")
    if is_export(table.columns):
        return column
    values = _from_json(table, column, name, "data.spans", _is_span_list)
    spans = [None if row is None else [_plain(one) for one in row] for row in values]
    return pa.chunked_array([pa.array(spans, SPAN_TYPE)])


def holds_lists(table: Table, name: str) -> bool:
    """Whether a column has lists of texts; its first value that is not missing decides.

    Args:
        table: N rows.
        name: a column of the table.
    """
    column = table.columns.column(name)
    if _is_nested(column.type):
        kind = column.type.value_type
        return any(is_kind(kind) for is_kind in _TEXT_TYPES)
    if not pa.types.is_string(column.type):
        return False
    for start in range(0, len(column), _SOUGHT_ROWS):
        for given in column.slice(start, _SOUGHT_ROWS).to_pylist():
            if given is not None and given.strip():
                return _is_text_list(_value_of(given))
    return True


def _from_json(
    table: Table,
    column: pa.ChunkedArray,
    name: str,
    setting: str,
    fits: Callable[[Any], bool],
) -> list[Any]:
    """The values of a column of JSON texts or Arrow lists, each one checked."""
    if not _is_nested(column.type) and not pa.types.is_string(column.type):
        raise errors.data.not_text(name, str(column.type), setting=setting)
    values: list[Any] = []
    for place, given in enumerate(column.to_pylist()):
        if given is None or (isinstance(given, str) and not given.strip()):
            values.append(None)
            continue
        value = _value_of(given) if isinstance(given, str) else given
        if value is None or not fits(value):
            raise errors.tags.not_a_list(table.where(place), name, str(given), setting)
        values.append(value)
    return values


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _value_of(text: str) -> Any:
    """The value that a text has as JSON; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_list_of_texts_or_ids(value: Any) -> bool:
    """Whether a value is a list of texts, or of whole numbers, as a list column may be."""
    return _is_text_list(value) or (
        isinstance(value, list) and all(type(one) is int for one in value)
    )


def _plain(span: Any) -> dict[str, Any]:
    """A span with the default keys, from a list of three values or from an object."""
    start, end, kind = _parts(span)
    return {"start": offset_of(start), "end": offset_of(end), "type": kind}


def _parts(span: Any) -> tuple[Any, Any, Any]:
    """Start, end and type of a list of three values or of an object."""
    if isinstance(span, dict):
        return span.get("start"), span.get("end"), span.get("type", span.get("label"))
    return tuple(span) if isinstance(span, list) and len(span) == 3 else (None, None, None)


def _is_span(one: Any) -> bool:
    start, end, kind = _parts(one)
    return isinstance(kind, str) and offset_of(start) is not None and offset_of(end) is not None


def _is_span_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_span, value))

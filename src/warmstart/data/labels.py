"""Labels: which rows have one, their spelling, and their class index.

Labels are compared as text. If two spellings in a column could mean the same label ("Yes" and
"yes ", "1" and "1.0", see ``spellings``), this is an error that the user must resolve: a class that
is split in two by a stray space would train without an error and score badly. Only one spelling is
changed here: an integer written as a float ("1.0", as pandas writes a column of integers with a
missing value) becomes the integer. This rule looks at each label separately, so it gives the same
result for all files of a run.

All operations run on Arrow columns; Python code only handles the distinct labels.

N: rows of a table. C: classes.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.spellings import other_spelling, plain, refuse_two_spellings
from warmstart.data.table import Table

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

WHOLE_FLOAT = re.compile(r"\A([+-]?\d+)\.0+\Z")
INTEGER = re.compile(r"[+-]?\d+")
REAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

MANY_LABELS = 1000
"""A column with more distinct values than this, and a different one in most rows, is not accepted
as a label column."""


def unlabelled(table: Table, data: DataConfig) -> Bools:
    """Which rows have no label, bool [N].

    Args:
        table: N rows as read from the files.
        data: the setting that names the column.
    """
    return blank(table.column(data.label, "data.label"))


def clean_rows(
    table: Table,
    data: DataConfig,
    *,
    labelled: bool,
    unlabelled: Callable[[Table, DataConfig], Bools] = unlabelled,
) -> tuple[Table, dict[str, int]]:
    """The usable rows, and the numbers of rows dropped by ``data.missing: drop``.

    Args:
        table: N rows as read from the files.
        data: the settings that name the columns, and ``data.missing``.
        labelled: whether every row must have a label; if ``False``, the label column is not read.
        unlabelled: function that returns which rows have no label.

    Returns:
        The table without the unusable rows (the same object if there are none), and the counts
        ``{"empty_text": n, "missing_label": n}``. A row that lacks both counts as an empty text; so
        does a pair that lacks one of its texts.

    Raises:
        DataError: a column is missing or is not text, a row lacks its text or label with
            ``data.missing: error``, or no row remains.
    """
    empty_by_column = {
        (setting, name): blank(_text_column(table, name, setting))
        for setting, name in data.text_columns.items()
    }
    empty = np.logical_or.reduce(list(empty_by_column.values()))
    missing = np.zeros_like(empty)
    if labelled:
        missing = unlabelled(table, data) & ~empty
    counts = {"empty_text": int(empty.sum()), "missing_label": int(missing.sum())}
    if not any(counts.values()):
        return table, counts
    column = ", ".join(data.label_columns or [data.label])
    if len(table) > 1 and counts["missing_label"] == len(table):
        path = ", ".join(file.path for file in table.files)
        raise errors.labels.no_label_at_all(column, path, len(table))
    if data.missing == "error":
        for (setting, name), rows in empty_by_column.items():
            if rows.any():
                where = table.where(int(rows.argmax()))
                raise errors.data.empty_text(name, where, int(rows.sum()), setting=setting)
        where = table.where(int(missing.argmax()))
        raise errors.labels.missing_label(column, where, counts["missing_label"])
    kept = ~(empty | missing)
    if not kept.any():
        raise errors.data.nothing_left(len(table), data.text_columns, setting=table.setting)
    return table.filter(kept), counts


def rows_with_text(table: Table, data: DataConfig) -> tuple[Table, dict[str, int]]:
    """The rows without a missing text, and the number of dropped rows.

    Args:
        table: N rows as read from the files.
        data: the settings that name the columns.

    Returns:
        The table without those rows (the same object if there are none), and ``{"empty_text": n}``;
        with ``data.prompt`` also ``{"empty_prompt": n}``, for rows that lack only their prompt.

    Raises:
        DataError: a column is missing or is not text, or no row remains.
    """
    columns = {
        setting: blank(_text_column(table, name, setting))
        for setting, name in data.text_columns.items()
    }
    empty = np.logical_or.reduce(list(columns.values()))
    if empty.all():
        raise errors.data.nothing_left(len(table), data.text_columns, setting=table.setting)
    counts = {"empty_text": int(empty.sum())}
    if data.prompt is not None:
        no_text = columns["data.text"]
        counts = {"empty_text": int(no_text.sum()), "empty_prompt": int((empty & ~no_text).sum())}
    return (table.filter(~empty) if empty.any() else table), counts


def _text_column(table: Table, name: str, setting: str) -> pa.ChunkedArray:
    """A text column; fails for a column of numbers or dates, for example."""
    column = table.column(name, setting)
    if not _is_string(column.type):
        raise errors.data.not_text(name, str(column.type), setting=setting)
    return column


def as_texts_of(table: Table, column: str, setting: str) -> pa.ChunkedArray:
    """The values of a column as text, N strings; null if a value is missing.

    Args:
        table: N rows.
        column: the name of the column.
        setting: the setting that named the column, for messages.

    Raises:
        DataError: there is no such column, or its values are lists, structures or bytes.
    """
    values = table.column(column, setting)
    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise errors.data.not_text(column, str(values.type), setting=setting) from None


def _holds_several(text: str) -> bool:
    """Whether a label is the text of a list or an object, as JSON or Python write them.

    >>> _holds_several("['spam', 'rude']"), _holds_several("[POS]")
    (True, False)
    """
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return re.fullmatch(r"""\s*[\[{]\s*['"].*[\]}]\s*""", text) is not None


def label_texts(table: Table, column: str) -> pa.ChunkedArray:
    """The label of each row as text, N strings; null if it is missing.

    Args:
        table: N rows.
        column: the column with the labels: text, numbers or booleans.

    Raises:
        DataError: two spellings could be the same label, or the column does not contain labels.
    """
    texts = as_texts_of(table, column, "data.label")
    distinct = pc.unique(texts).drop_null()
    if len(distinct) > max(MANY_LABELS, len(table) // 2):
        raise errors.labels.not_labels(column, len(distinct), len(table), where=table.where(0))
    spellings: list[str] = distinct.to_pylist()

    def where(text: str) -> str:
        return table.where(int(pc.index(texts, text).as_py()))

    for text in spellings:
        if _holds_several(text):
            raise errors.labels.several_labels(column, text, where(text))
    refuse_two_spellings(spellings, where)
    normalised = [WHOLE_FLOAT.sub(r"\1", text) for text in spellings]
    if normalised == spellings:
        return texts
    return pc.take(pa.array(normalised, pa.string()), pc.index_in(texts, value_set=distinct))


def label_names(texts: pa.ChunkedArray) -> tuple[str, ...]:
    """The C distinct labels: in numeric order if all are integers, else alphabetical.

    Args:
        texts: the labels of the training rows from ``label_texts``, without nulls.

    Raises:
        DataError: there is only one label.

    >>> label_names(pa.chunked_array([["10", "9", "10"]]))
    ('9', '10')
    """
    names: list[str] = pc.unique(texts).to_pylist()
    if len(names) < 2:
        raise errors.labels.one_label(names[0], len(texts))
    return in_order(names)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort labels: in numeric order if all are integers, else alphabetically.

    Args:
        names: distinct labels.
    """
    names = list(names)
    if all(INTEGER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=Decimal))  # int() accepts at most 4,300 digits
    return tuple(sorted(names))


def class_index(texts: pa.ChunkedArray, names: Sequence[str], table: Table) -> Ints:
    """Class index of each row: the index of its label in ``names``, int64 [N].

    Args:
        texts: labels from ``label_texts``, N strings without nulls.
        names: the C labels of the training rows.
        table: the rows, for the file and line in messages.

    Raises:
        DataError: no training row has this label.
    """
    return label_index(texts, names, table, range(len(texts)))


def label_index(
    labels: pa.Array | pa.ChunkedArray, names: Sequence[str], table: Table, rows: Sequence[int]
) -> Ints:
    """Index of each label in ``names``, int64 [M].

    Args:
        labels: M strings without nulls.
        names: the labels of the training rows.
        table: the rows, for the file and line in messages.
        rows: position in the table of each label, M.

    Raises:
        DataError: no training row has this label.
    """
    index = pc.index_in(labels, value_set=pa.array(names, pa.string()))
    if index.null_count:
        unseen = pc.filter(labels, pc.is_null(index))
        first = int(pc.index(pc.is_null(index), True).as_py())
        label = labels[first].as_py()
        same = other_spelling(label, names)
        raise errors.labels.unseen_label(
            label,
            names,
            same=same,
            best=None if same is None else plain(same),
            where=table.where(int(rows[first])),
            rows=int(pc.sum(pc.equal(unseen, label)).as_py()),
            other_labels=len(pc.unique(unseen)) - 1,
            setting=table.setting,
        )
    found: Ints = index.to_numpy().astype(np.int64)
    return found


def blank(values: pa.ChunkedArray) -> Bools:
    """Which values are null, NaN, empty or only (Unicode) white space, bool [N].

    Args:
        values: a column, N rows.

    >>> blank(pa.chunked_array([["a", " ", "", None]])).tolist()
    [False, True, True, True]
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if _is_string(values.type):
        empty = pc.or_(pc.utf8_is_space(values), pc.equal(pc.binary_length(values), 0))
    else:
        empty = pc.is_null(values, nan_is_null=True)
    mask: Bools = pc.fill_null(empty, True).to_numpy()
    return mask


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def label_numbers(table: Table, column: str) -> Floats:
    """A column of numbers, stored as numbers or as text, float64 [N].

    Args:
        table: N rows.
        column: the column with the numbers.

    Raises:
        DataError: a value is not a finite number.
    """
    values = as_texts_of(table, column, "data.label")
    texts = pc.utf8_trim_whitespace(values)
    is_number = pc.fill_null(pc.match_substring_regex(texts, REAL), False)
    numbers = pc.if_else(is_number, texts, None).cast(pa.float64())
    result: Floats = pc.fill_null(numbers, np.nan).to_numpy()
    finite = np.isfinite(result)
    if not finite.all():
        row = int(finite.argmin())
        raise errors.labels.not_a_number(column, str(values[row].as_py()), table.where(row))
    return result


def grades_of(table: Table, column: str) -> Floats:
    """A column of grades, which are numbers of 0 or more, float64 [N].

    Args:
        table: N rows.
        column: name of the column.

    Raises:
        DataError: a value is not a grade.
    """
    values = table.column(column, "data.label")
    texts = values.cast(pa.string())
    plain = pc.utf8_trim_whitespace(texts)
    number = pc.match_substring_regex(plain, r"^[+]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    if not pc.all(number).as_py():
        row = int(pc.index(number, False).as_py())
        raise errors.labels.not_a_grade(column, str(texts[row].as_py()), table.where(row))
    found: Floats = plain.cast(pa.float64()).to_numpy()
    if not np.isfinite(found).all():
        row = int(np.isfinite(found).argmin())
        raise errors.labels.not_a_grade(column, str(texts[row].as_py()), table.where(row))
    return found


def shown_number(value: float) -> str:
    """A number for a person: four significant digits, and no digit before the point is rounded.

    >>> [shown_number(x) for x in (0.123456, 12.3456, -405070.375, 2e20)]
    ['0.1235', '12.35', '-405070', '2e+20']

    Args:
        value: a label, a predicted number, or a statistic of them.
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"

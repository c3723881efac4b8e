"""Labels of multi-label rows: as lists, as text with a separator, or as columns of 0 and 1.

A list is a list of labels, or a list of 0 and 1 with one value for each label (multi-hot); then the
labels are the positions of the values, from 0. In a column of text, a list is written as in JSON or
as in Python (``['rude', 'spam']``, as pandas writes it). All formats are converted to a list of
distinct texts per row. An empty list (an empty text,
or 0 in all columns) means that no label applies to the row; the row is used for training. If the
list itself is missing (null, or an empty cell in a column of 0 and 1), the row has no label.

N: rows. C: labels. M: total number of labels of all rows.
"""

import ast
import json
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.tokens import Bools, Ints
from warmstart.data.labels import (
    MANY_LABELS,
    WHOLE_FLOAT,
    as_texts_of,
    blank,
    in_order,
    label_index,
)
from warmstart.data.named_labels import named_lists
from warmstart.data.spellings import NUMBER, refuse_two_spellings
from warmstart.data.table import Table

SEPARATOR = "|"
"""Default of ``data.label_separator``: the text between the labels of a row."""

_OTHER_SEPARATORS = (",", ";", "/", "\t", " ")
"""Other usual ones; they are never used unless the setting names them."""

_LIST = re.compile(r"\[.*\]|\{.*\}|\(.*\)|\w+\([\[{].*\)", re.DOTALL)
"""A text that could be a list or an object: also ``array([1, 0])``, which is refused."""

_IN_BRACKETS = re.compile(r"""\s*\[[^\[\]{}\s,'"]+\]\s*""")
"""A label in brackets, such as [POS]."""

_YES, _NO = ("1", "1.0", "true", "True"), ("0", "0.0", "false", "False")


def without_label_list(table: Table, data: DataConfig) -> Bools:
    """Which rows have a missing label list (which differs from an empty list), bool [N].

    Args:
        table: N rows as read from the files.
        data: the settings that name the column(s).
    """
    if data.label_columns is not None:
        cells = (table.column(name, "data.label_columns") for name in data.label_columns)
        missing: Bools = np.logical_or.reduce([blank(column) for column in cells])
        return missing
    nulls: Bools = pc.is_null(table.column(data.label, "data.label")).to_numpy()
    return nulls


def label_lists(table: Table, data: DataConfig) -> pa.ListArray:
    """The labels of each row, N lists of texts; ``data.label_columns`` keep their order.

    Args:
        table: N rows without ``unlabelled`` rows.
        data: the settings that name the column(s) and the separator.

    Raises:
        DataError: a column of ``data.label_columns`` has a value other than 0 and 1, the label
            column does not contain labels, two spellings could be the same label, or a label has no
            name.
    """
    if data.label_columns is not None:
        return as_lists(_of_columns(table, data.label_columns), data.label_columns)
    rows, labels = _rows_and_labels(table, data)
    if (length := _multi_hot_length(rows, labels, table, data.label)) is not None:
        ones = np.array([label in _YES for label in labels], dtype=np.bool_)
        lists = as_lists(ones.reshape(-1, length), [str(index) for index in range(length)])
    else:
        lists = _normalised_lists(rows, labels, table, data.label)
    return named_lists(lists, data, table)


def multi_hot(table: Table, data: DataConfig) -> bool:
    """Whether labels are lists of 0 and 1, with one value for each label.

    Args:
        table: N rows without ``unlabelled`` rows.
        data: the settings that name the column(s) and the separator.
    """
    if data.label_columns is not None:
        return False
    return _multi_hot_length(*_rows_and_labels(table, data), table, data.label) is not None


def label_matrix(lists: pa.ListArray, names: Sequence[str], table: Table) -> Bools:
    """Which labels each row has, bool [N, C].

    Args:
        lists: N lists from ``label_lists``.
        names: the C labels of the training rows.
        table: the rows, for the file and line in messages.

    Raises:
        DataError: no training row has this label.
    """
    rows, labels = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
    matrix = np.zeros((len(lists), len(names)), dtype=np.bool_)
    matrix[rows, label_index(labels, names, table, rows)] = True
    return matrix


def as_lists(matrix: Bools, names: Sequence[str]) -> pa.ListArray:
    """The names of each row's labels, N lists; the inverse of ``label_matrix``.

    Args:
        matrix: bool [N, C].
        names: the C labels.

    >>> as_lists(np.array([[True, True], [False, False]]), ["rude", "spam"]).to_pylist()
    [['rude', 'spam'], []]
    """
    offsets = np.concatenate([[0], np.cumsum(matrix.sum(axis=1))]).astype(np.int32)
    labels = pa.array(names, pa.string()).take(pa.array(np.nonzero(matrix)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), labels)


def as_texts(lists: pa.ListArray, separator: str = SEPARATOR) -> pa.Array:
    """The labels of each row joined to one text, N texts.

    Args:
        lists: N lists of texts.
        separator: text between two labels.
    """
    return pc.binary_join(lists, separator)


def names_of(lists: pa.ListArray) -> tuple[str, ...]:
    """The distinct labels: in numeric order if all are integers, else alphabetical.

    Args:
        lists: lists from ``label_lists``.
    """
    return in_order(pc.unique(pc.list_flatten(lists)).to_pylist())


def rarest_label(lists: pa.ListArray) -> Ints:
    """The rarest label of each row, as a number from 0; rows without labels share one number [N].

    Used as strata for the split, so that both splits get rows with rare labels.

    Args:
        lists: N lists of texts.
    """
    rows, labels = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
    names = pc.unique(labels)
    codes = pc.index_in(labels, value_set=names).to_numpy().astype(np.int64)
    counts = np.bincount(codes, minlength=len(names))
    common_first = np.lexsort((codes, -counts[codes]))
    rarest = np.full(len(lists), len(names), dtype=np.int64)
    # If an index is assigned several times, the last value stays: here, the row's rarest label.
    rarest[rows[common_first]] = codes[common_first]
    return np.unique(rarest, return_inverse=True)[1].astype(np.int64)


def without_separator(table: Table, data: DataConfig) -> bool:
    """Whether labels are texts, and none of them contains the separator or is a JSON list.

    Args:
        table: N rows.
        data: the settings that name the column(s) and the separator.
    """
    if data.label_columns is not None:
        return False
    column = table.column(data.label, "data.label")
    if pa.types.is_nested(column.type):
        return False
    texts = column.cast(pa.string())
    is_list = pc.or_(
        pc.match_substring(texts, data.label_separator or SEPARATOR),
        pc.match_substring_regex(texts, r"^\s*[\[({]"),
    )
    return not pc.any(is_list).as_py()


def refuse_unused_separator(table: Table, data: DataConfig) -> None:
    """Raise an error if ``data.label_separator`` is set and every row has a list of labels.

    Args:
        table: N rows.
        data: the settings that name the column and the separator.

    Raises:
        DataError: there is nothing that the separator separates.
    """
    if data.label_separator is None:
        return
    column = table.column(data.label, "data.label")
    if not pa.types.is_nested(column.type):
        texts = pc.drop_null(column.cast(pa.string()))
        if not pc.all(pc.match_substring_regex(texts, r"^\s*\[.*\]\s*$")).as_py():
            return
    raise errors.labels.separator_of_lists(data.label, data.label_separator, table.where(0))


def _of_columns(table: Table, names: Sequence[str]) -> Bools:
    """Which of the columns are 1, bool [N, C]."""
    matrix = np.zeros((len(table), len(names)), dtype=np.bool_)
    for index, name in enumerate(names):
        texts = pc.utf8_trim_whitespace(as_texts_of(table, name, "data.label_columns"))
        yes = pc.is_in(texts, value_set=pa.array(_YES))
        known = pc.or_(yes, pc.is_in(texts, value_set=pa.array(_NO)))
        if not pc.all(known).as_py():
            row = int(pc.index(known, False).as_py())
            raise errors.labels.not_zero_or_one(name, str(texts[row].as_py()), table.where(row))
        matrix[:, index] = yes.to_numpy()
    return matrix


def _rows_and_labels(table: Table, data: DataConfig) -> tuple[Ints, list[Any]]:
    """The row [M] and the label [M] of each entry of the lists in the label column."""
    column = table.column(data.label, "data.label")
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        try:
            values = column.cast(pa.large_list(pa.string())).combine_chunks()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists of lists, or of bytes
            raise errors.data.not_text(data.label, str(kind), setting="data.label") from None
        rows = pc.list_parent_indices(values).to_numpy().astype(np.int64)
        return rows, pc.list_flatten(values).to_pylist()
    texts = as_texts_of(table, data.label, "data.label")
    distinct = pc.unique(texts)  # equal texts are parsed once
    parts = []
    for text in distinct.to_pylist():
        found = _parts(text, data.label_separator or SEPARATOR)
        if found is None:
            where = table.where(int(pc.index(texts, text).as_py()))
            raise errors.labels.unreadable_list(data.label, text, where)
        parts.append(found)
    if data.label_separator is None:
        _refuse_other_separator(parts, texts, table, data.label)
    codes = pc.index_in(texts, value_set=distinct).to_numpy()
    counts = np.array([len(part) for part in parts], dtype=np.int64)[codes]
    labels = [label for code in codes.tolist() for label in parts[code]]
    return np.repeat(np.arange(len(codes)), counts), labels


def _refuse_other_separator(
    parts: list[list[Any]], texts: pa.Array, table: Table, column: str
) -> None:
    """Raise if labels are combinations of fewer labels with another separator between them."""
    labels = {part[0] for part in parts if len(part) == 1}
    if any(len(part) > 1 for part in parts) or not labels:
        return
    for separator in _OTHER_SEPARATORS:
        pieces = {piece.strip() for label in labels for piece in str(label).split(separator)}
        # Names of labels may contain spaces ("very good"), so each part must also be a label.
        if len(pieces) < len(labels) and (separator != " " or pieces <= labels):
            example = next(str(part[0]) for part in parts if separator in str(part[0]))
            where = table.where(int(pc.index(texts, example).as_py()))
            raise errors.labels.other_separator(
                column, example, separator, (len(labels), len(pieces)), where=where
            )


def _parts(text: str, separator: str) -> list[Any] | None:
    """The labels in one text: a list of JSON or Python, or texts with the separator between them.

    None if the text looks like a list or an object, but cannot be read as a list of labels.
    """
    shown = text.strip()
    if not _LIST.fullmatch(shown):
        return text.split(separator)
    try:
        labels = json.loads(shown)
    except (ValueError, RecursionError):
        labels = _python_list(shown)
    parts = text.split(separator)
    if labels is None and (shown[0] == "(" or all(map(_IN_BRACKETS.fullmatch, parts))):
        return parts
    if not isinstance(labels, list) or any(isinstance(label, list | dict) for label in labels):
        return None
    return [one if one is None or isinstance(one, str) else json.dumps(one) for one in labels]


def _python_list(text: str) -> list[Any] | None:
    """A list, tuple or set as Python writes it, as a list; None if it is anything else."""
    if re.search(r"""['"]\s+['"]""", text):  # numpy's ['a' 'b'], which Python reads as ['ab']
        return None
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    simple = str | int | float | bool | None
    is_list = isinstance(found, list | tuple | set)
    return list(found) if is_list and all(isinstance(one, simple) for one in found) else None


def _multi_hot_length(rows: Ints, labels: list[Any], table: Table, column: str) -> int | None:
    """Number of values of each list if the lists are multi-hot, else None.

    Lists with only 0 and 1 are multi-hot if all N of them have the same length, at least 2, or if a
    list repeats a value, which a list of labels does not.
    """
    values = set(labels)
    if not labels or not values.issubset((*_YES, *_NO, None)):
        return None
    lengths = np.bincount(rows, minlength=len(table))
    if lengths.max() < 2:
        return None
    if None in values:
        where = table.where(int(rows[labels.index(None)]))
        raise errors.labels.not_zero_or_one(column, "null", where)
    if (lengths == lengths[0]).all():
        return int(lengths[0])
    ones = np.array([label in _YES for label in labels], dtype=np.int64)
    if len(np.unique(rows * 2 + ones)) == len(rows):
        return None
    other = int((lengths != lengths[0]).argmax())
    raise errors.labels.unequal_multi_hot(
        column, (int(lengths[0]), int(lengths[other])), (table.where(0), table.where(other))
    )


def _normalised_lists(rows: Ints, labels: list[Any], table: Table, column: str) -> pa.ListArray:
    """The label lists of N rows: surrounding space, repeated and empty labels are removed."""
    texts = pa.array(labels, pa.string())
    distinct = pc.unique(texts).drop_null()
    spellings = [WHOLE_FLOAT.sub(r"\1", text.strip()) for text in distinct.to_pylist()]
    if len(set(spellings)) > max(MANY_LABELS, len(table) // 2):
        raise errors.labels.not_labels(
            column, len(set(spellings)), len(table), where=table.where(0)
        )
    if all(NUMBER.fullmatch(text) for text in spellings) and not all(map(str.isdigit, spellings)):
        first = next(index for index, text in enumerate(spellings) if not text.isdigit())
        where_first = table.where(int(rows[pc.index(texts, distinct[first]).as_py()]))
        raise errors.labels.numbers_in_lists(column, spellings[first], where_first)
    normalised = pa.array(spellings, pa.string()).take(pc.index_in(texts, value_set=distinct))
    names = [name for name in dict.fromkeys(spellings) if name]

    def where(label: str) -> str:
        return table.where(int(rows[pc.index(normalised, label).as_py()]))

    refuse_two_spellings(names, where)
    codes = pc.fill_null(pc.index_in(normalised, value_set=pa.array(names, pa.string())), -1)
    numbers = codes.to_numpy().astype(np.int64)
    kept = numbers >= 0
    # One number for each (row, label); np.unique sorts them and removes repeated labels.
    pairs = np.unique(rows[kept] * max(len(names), 1) + numbers[kept])
    row, code = np.divmod(pairs, max(len(names), 1))
    offsets = np.searchsorted(row, np.arange(len(table) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(names, pa.string()).take(pa.array(code))
    )

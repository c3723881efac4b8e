"""Labels as a person wrote them: which rows have one, how they are spelled, which class each is.

Labels are compared as text. Nothing is guessed about what a person meant: where two spellings could
be one label ("Yes" and "yes ", "1" and "1.0") the person is asked, because a class split in two
by a stray space trains without complaint and scores badly. One spelling is settled here: a whole
number written as a float ("1.0", as a data frame with a gap writes a column of integers) is that
integer. The rule looks at one label at a time, so the files of a run cannot disagree about it.

Everything is done on Arrow columns; Python sees the distinct labels, never the rows.

Letters: N rows of a table, C classes.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.table import Table

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
WHOLE_FLOAT = re.compile(r"\A([+-]?\d+)\.0+\Z")
INTEGER = re.compile(r"[+-]?\d+")
REAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

MANY_LABELS = 1000
"""Above so many distinct labels, a column where most rows have their own is not one of labels."""


def unlabelled(table: Table, data: DataConfig) -> Bools:
    """Which rows have no label, bool [N].

    Args:
        table: N rows as read.
        data: names the column.
    """
    return blank(table.column(data.label, "data.label"))


def clean_rows(
    table: Table,
    data: DataConfig,
    *,
    labelled: bool,
    unlabelled: Callable[[Table, DataConfig], Bools] = unlabelled,
) -> tuple[Table, dict[str, int]]:
    """The rows that can be used, and how many were left out under ``data.missing: drop``.

    Args:
        table: N rows as read.
        data: names the columns and the policy.
        labelled: whether every row must have a label; ``False`` leaves the label column unread.
        unlabelled: which rows have none.

    Returns:
        The table without the unusable rows (the same table where there are none), and
        ``{"empty_text": n, "missing_label": n}``; a row that lacks both counts as an empty text, as
        does a pair that lacks one of its texts.

    Raises:
        DataError: a column is missing or holds no text, a row lacks its text or its label under
            ``data.missing: error``, or no row remains.
    """
    without = {
        (setting, name): blank(_text_column(table, name, setting))
        for setting, name in data.text_columns.items()
    }
    empty = np.logical_or.reduce(list(without.values()))
    missing = np.zeros_like(empty)
    if labelled:
        missing = unlabelled(table, data) & ~empty
    counts = {"empty_text": int(empty.sum()), "missing_label": int(missing.sum())}
    if not any(counts.values()):
        return table, counts
    if data.missing == "error":
        for (setting, name), rows in without.items():
            if rows.any():
                where = table.where(int(rows.argmax()))
                raise errors.data.empty_text(name, where, int(rows.sum()), setting=setting)
        where = table.where(int(missing.argmax()))
        column = ", ".join(data.label_columns or [data.label])
        raise errors.data.missing_label(column, where, counts["missing_label"])
    kept = ~(empty | missing)
    if not kept.any():
        raise errors.data.nothing_left(len(table), data.text_columns, setting=table.setting)
    return table.filter(kept), counts


def rows_with_text(table: Table, data: DataConfig) -> tuple[Table, dict[str, int]]:
    """The rows in which no text is missing, and how many were left out.

    Args:
        table: N rows as read.
        data: names the columns.

    Returns:
        The table without those rows (the same where there are none), and ``{"empty_text": n}``.

    Raises:
        DataError: a column is missing or holds no text, or no row remains.
    """
    columns = (
        blank(_text_column(table, name, setting)) for setting, name in data.text_columns.items()
    )
    empty = np.logical_or.reduce(list(columns))
    if empty.all():
        raise errors.data.nothing_left(len(table), data.text_columns, setting=table.setting)
    return (table.filter(~empty) if empty.any() else table), {"empty_text": int(empty.sum())}


def _text_column(table: Table, name: str, setting: str) -> pa.ChunkedArray:
    """A column of texts, which one of numbers or dates is not."""
    column = table.column(name, setting)
    if not _is_string(column.type):
        raise errors.data.not_text(name, str(column.type), setting=setting)
    return column


def label_texts(table: Table, column: str) -> pa.ChunkedArray:
    """Every row's label as text, one spelling for each label; N strings, null where it is missing.

    Args:
        table: N rows.
        column: the column with the labels: text, numbers or booleans.

    Raises:
        DataError: two spellings could be one label, or the column does not hold labels.
    """
    values = table.column(column, "data.label")
    if pa.types.is_nested(values.type):
        raise errors.data.not_text(column, str(values.type), setting="data.label")
    texts = values.cast(pa.string())
    distinct = pc.unique(texts).drop_null()
    if len(distinct) > max(MANY_LABELS, len(table) // 2):
        raise errors.data.not_labels(column, len(distinct), len(table), where=table.where(0))
    spellings: list[str] = distinct.to_pylist()
    refuse_two_spellings(spellings, lambda text: table.where(int(pc.index(texts, text).as_py())))
    settled = [WHOLE_FLOAT.sub(r"\1", text) for text in spellings]
    if settled == spellings:
        return texts
    return pc.take(pa.array(settled, pa.string()), pc.index_in(texts, value_set=distinct))


def label_names(texts: pa.ChunkedArray) -> tuple[str, ...]:
    """The distinct labels, C names: in numeric order where all are integers, else alphabetical.

    Args:
        texts: the training split's labels as ``label_texts`` gives them, without nulls.

    Raises:
        DataError: there is one label only.

    >>> label_names(pa.chunked_array([["10", "9", "10"]]))
    ('9', '10')
    """
    names: list[str] = pc.unique(texts).to_pylist()
    if len(names) < 2:
        raise errors.data.one_label(names[0], len(texts))
    return in_order(names)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Labels in numeric order where all are integers, else alphabetical.

    Args:
        names: distinct labels.
    """
    names = list(names)
    if all(INTEGER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def class_index(texts: pa.ChunkedArray, names: Sequence[str], table: Table) -> Ints:
    """Position of each row's label in ``names``, int64 [N].

    Args:
        texts: labels as ``label_texts`` gives them, N strings without nulls.
        names: the label names learned from training, C.
        table: the rows, to say where a fault is.

    Raises:
        DataError: a label was never seen in training.
    """
    index = pc.index_in(texts, value_set=pa.array(names, pa.string()))
    if index.null_count:
        unseen = pc.filter(texts, pc.is_null(index))
        first = int(pc.index(pc.is_null(index), True).as_py())
        label = texts[first].as_py()
        raise errors.data.unseen_label(
            label,
            names,
            where=table.where(first),
            rows=int(pc.sum(pc.equal(unseen, label)).as_py()),
            other_labels=len(pc.unique(unseen)) - 1,
            setting=table.setting,
        )
    classes: Ints = index.to_numpy().astype(np.int64)
    return classes


def blank(values: pa.ChunkedArray) -> Bools:
    """Which values are null, NaN, empty or nothing but white space (of any script), bool [N].

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
    """A column of numbers, however they are written, float64 [N].

    Args:
        table: N rows.
        column: the column with the numbers.

    Raises:
        DataError: one is no number, or not a finite one.
    """
    values = table.column(column, "data.label")
    if pa.types.is_nested(values.type):
        raise errors.data.not_text(column, str(values.type), setting="data.label")
    texts = pc.utf8_trim_whitespace(values.cast(pa.string()))
    fine = pc.fill_null(pc.match_substring_regex(texts, REAL), False)
    numbers = pc.if_else(fine, texts, None).cast(pa.float64())
    found: Floats = pc.fill_null(numbers, np.nan).to_numpy()
    finite = np.isfinite(found)
    if not finite.all():
        row = int(finite.argmin())
        raise errors.labels.not_a_number(column, str(values[row].as_py()), table.where(row))
    return found


def refuse_two_spellings(spellings: Iterable[str], where: Callable[[str], str]) -> None:
    """Refuse labels that differ in case, surrounding space or the way of writing a number alone.

    Args:
        spellings: distinct labels.
        where: the place at which one is met first.

    Raises:
        DataError: two of them could be one.
    """
    same: dict[Hashable, list[str]] = defaultdict(list)
    for text in spellings:
        plain = text.strip()
        same[Decimal(plain) if NUMBER.fullmatch(plain) else plain.casefold()].append(text)
    for variants in same.values():
        if len(variants) > 1:
            raise errors.data.label_spellings({text: where(text) for text in variants})

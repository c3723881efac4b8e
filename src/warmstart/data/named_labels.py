"""Names for labels that a file writes as ids (``data.label_names``), such as 0 for ``negative``.

An id is replaced by its name directly after the labels of a table are parsed. Everything that comes
later (findings, scores, predictions, ``id2label`` of the saved model) therefore has the names, in
the order of the ids. A file may also contain the names themselves; then they only have this order.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.labels import in_order, label_texts
from warmstart.data.table import Table

Labels = TypeVar("Labels", pa.Array, pa.ChunkedArray)


def class_texts(table: Table, data: DataConfig) -> pa.ChunkedArray:
    """The label of each row as text, or its name, N strings; null if it is missing.

    Args:
        table: N rows.
        data: names the column and the labels.

    Raises:
        DataError: the column does not contain labels, or a label has no name.
    """
    return named(label_texts(table, data.label), data, table, range(len(table)))


def named(labels: Labels, data: DataConfig, table: Table, rows: Sequence[int]) -> Labels:
    """The names of labels that are ids; the labels themselves without ``data.label_names``.

    Args:
        labels: M strings.
        data: the names of the labels.
        table: the rows, for the file and line in messages.
        rows: position in the table of each label, M.

    Raises:
        DataError: a label has no name.
    """
    names: dict[str, str] = data.name_of_label
    if not names:
        return labels
    distinct = set(pc.unique(labels).drop_null().to_pylist())
    if distinct.isdisjoint(names) and distinct <= {*names.values()}:
        return labels
    if unnamed := in_order(distinct - names.keys()):
        place = int(pc.index(labels, unnamed[0]).as_py())
        where = table.where(int(rows[place]))
        raise errors.labels.label_without_name(unnamed[0], where, len(unnamed), names)
    index = pc.index_in(labels, value_set=pa.array(list(names), pa.string()))
    return pc.take(pa.array(list(names.values()), pa.string()), index)


def named_lists(lists: pa.ListArray, data: DataConfig, table: Table) -> pa.ListArray:
    """As ``named``, for N lists of labels.

    Args:
        lists: the labels of each row.
        data: the names of the labels.
        table: the rows, for the file and line in messages.

    Raises:
        DataError: a label has no name.
    """
    rows = pc.list_parent_indices(lists).to_numpy()
    flat = named(pc.list_flatten(lists), data, table, rows)
    return pa.ListArray.from_arrays(lists.offsets, flat, mask=lists.is_null())


def named_tags(
    tags: list[list[str] | None], data: DataConfig, table: Table
) -> list[list[str] | None]:
    """As ``named``, for the tags of the words of each row.

    Args:
        tags: the tags of N rows; None for a row without tags.
        data: the names of the tags.
        table: the rows, for the file and line in messages.

    Raises:
        DataError: a tag has no name, or no row of the training file has a tag that is named.
    """
    if not data.name_of_label:
        return tags
    lists = named_lists(pa.array(tags, pa.list_(pa.string())), data, table)
    if table.setting == "data.train":
        in_order_of_ids(pc.unique(pc.list_flatten(lists)).to_pylist(), data)
    named_rows: list[list[str] | None] = lists.to_pylist()
    return named_rows


def in_order_of_ids(names: Iterable[str], data: DataConfig) -> tuple[str, ...]:
    """The labels of the training rows; with ``data.label_names`` in the order of their ids.

    Args:
        names: the labels, in the order that they have without names.
        data: the names of the labels.

    Raises:
        DataError: no training row has a label that is named.
    """
    found = tuple(names)
    wanted = data.name_of_label
    for label, name in wanted.items():
        if name not in found:
            raise errors.labels.name_without_label(label, name)
    return tuple(wanted[label] for label in in_order(wanted)) or found

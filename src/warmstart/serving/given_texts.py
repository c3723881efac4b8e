"""Texts that are given in Python: any sequence of ``str``, from a list to a column of a table."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, cast

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.tokenise import is_unicode
from warmstart.data.table import SourceFile, Table

_PAIR = "data.text_pair"


def listed(texts: Iterable[Any]) -> list[Any] | None:
    """The elements as a list; None if it is one text, or its elements are not in an order.

    Args:
        texts: a list, a tuple, an array of numpy or pyarrow, a series of pandas, a column of a data
            set.
    """
    # Iterating over these would give characters, keys, or the names of columns.
    if isinstance(texts, str | bytes | Mapping | Set) or getattr(texts, "ndim", 1) != 1:
        return None
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return cast("list[Any]", texts.to_pylist())
    try:
        return list(texts)
    except TypeError:
        return None


def usable_texts(texts: Iterable[Any], name: str) -> list[str]:
    """The texts as a list.

    Args:
        texts: as for ``listed``.
        name: the name of one of them in messages.

    Raises:
        DataError: this is no sequence of texts, or an element is missing, empty or not a text.
    """
    values = listed(texts)
    if values is None:
        raise errors.data.not_a_list(f"{name}s", texts)
    for number, text in enumerate(values, start=1):
        which = f"{name} {number} of {len(values)}"
        if not isinstance(text, str) or not text.strip():
            raise errors.data.unusable_text(which, text)
        if not is_unicode(text):
            raise errors.prompt.not_unicode(which, text)
    return [str(text) for text in values]


def text_table(
    data: DataConfig, texts: Iterable[Any], text_pairs: Iterable[Any] | None = None
) -> Table:
    """Texts, or pairs of texts, as a table with the columns of a config.

    Args:
        data: names the columns.
        texts: as for ``usable_texts``.
        text_pairs: the second text of each.

    Raises:
        DataError: a text cannot be used, or second texts are missing or not expected.
    """
    given = {"data.text": usable_texts(texts, "text")}
    if text_pairs is not None:
        given[_PAIR] = usable_texts(text_pairs, "text_pair")
    columns = data.text_columns
    if given.keys() < columns.keys():
        raise errors.data.texts_without_pairs(columns[_PAIR])
    if columns.keys() < given.keys():
        raise errors.data.pairs_without_use(columns["data.text"])
    count = len(given["data.text"])
    if _PAIR in given and len(given[_PAIR]) != count:
        raise errors.data.unequal_texts(count, len(given[_PAIR]))
    arrays = {columns[setting]: pa.array(v, pa.string()) for setting, v in given.items()}
    return Table(
        columns=pa.table(arrays),
        rows=np.arange(count, dtype=np.int64),
        files=(SourceFile("text", sha256="", encoding=None, rows=count),),
        file_index=np.zeros(count, dtype=np.int32),
        lines=np.arange(1, count + 1, dtype=np.int64),
    )

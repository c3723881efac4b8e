"""Texts that are given in Python: any sequence of ``str``, from a list to a column of a table."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, cast

import pyarrow as pa

from warmstart import errors
from warmstart.data.examples.tokenise import is_unicode


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

"""Find repeated texts: inside of a split, between splits, and with different labels.

Two rows have the same text if all characters are equal; for pairs, if both texts are equal. To find
them among millions of rows, Python's 8-byte hash of each row's text is computed first, which is all
that is kept in memory. Only texts with equal hashes are then compared, by Arrow. The hash values
differ between processes, but the result does not depend on them.

N: rows of all splits together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations_with_replacement
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.config import DataConfig
from warmstart.data.table import Table

Ints = np.ndarray[Any, np.dtype[np.int64]]

CHUNK_ROWS = 65_536
"""Number of rows that are hashed at a time, as Python strings."""

EXAMPLES = 3
"""Maximum number of example pairs that are kept."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows of one split with the same text as a row of another split, or an earlier row.

    Args:
        split: the split whose rows are counted.
        stands_in: the split that contains the same texts; equal to ``split`` for repeats inside
            of one split.
        rows: number of rows that repeat a text.
        conflicting: number of these rows whose label differs from that of the repeated row.
        examples: pairs of ``file:line``, the later row first.
        conflicting_examples: pairs of ``file:line 'label'``, the later row first.
    """

    split: str
    stands_in: str
    rows: int
    conflicting: int
    examples: tuple[tuple[str, str], ...]
    conflicting_examples: tuple[tuple[str, str], ...]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from ``dataclasses.asdict``."""
        pairs = {
            name: tuple((str(one), str(other)) for one, other in content[name])
            for name in ("examples", "conflicting_examples")
        }
        return cls(**{**content, **pairs})


def find_repeats(
    tables: Mapping[str, Table], columns: Mapping[str, str], labels: Mapping[str, pa.ChunkedArray]
) -> tuple[Repeats, ...]:
    """All repeats inside of each split, and between an earlier and a later split.

    Args:
        tables: split -> its rows, in the order training, validation, test.
        columns: setting -> text column; two entries for pairs.
        labels: split -> each row's label; splits without labels are missing.

    Returns:
        One entry for each pair of splits that has repeats.
    """
    texts = text_ids(tables, columns)
    repeats = []
    for earlier, later in combinations_with_replacement(tables, 2):
        rows, originals = _matches(texts[earlier], texts[later], inside=earlier == later)
        if len(rows):
            repeats.append(_repeats((later, rows), (earlier, originals), tables, labels))
    return tuple(repeats)


def equal_texts(table: Table, data: DataConfig) -> Ints:
    """A number from 0 for each row, which is the same for rows with the same text, int64 [rows].

    Args:
        table: rows.
        data: names the text columns.

    Raises:
        DataError: there is no such column.
    """
    ids = text_ids({"train": table}, data.text_columns)["train"]
    single = ids < 0
    ids[single] = np.arange(single.sum()) + ids.max() + 1
    return ids


def text_ids(tables: Mapping[str, Table], columns: Mapping[str, str]) -> dict[str, Ints]:
    """Split -> the id of each row's text [rows]; -1 for a text that occurs only once.

    Args:
        tables: split -> its rows.
        columns: setting -> text column; two entries for pairs.

    Raises:
        DataError: there is no such column.
    """
    hashes = np.concatenate([_hashes(table, columns) for table in tables.values()])
    order = np.argsort(hashes)
    ascending = hashes[order]
    equal = np.flatnonzero(ascending[1:] == ascending[:-1])
    candidates = np.zeros(len(hashes), np.bool_)  # [N], rows whose hash occurs more than once
    candidates[order[equal]] = candidates[order[equal + 1]] = True
    ends = list(accumulate(len(table) for table in tables.values()))[:-1]
    codes = np.zeros(candidates.sum(), np.int64)
    for setting, name in columns.items():
        parts = [
            table.column(name, setting).filter(pa.array(mask))
            for table, mask in zip(tables.values(), np.split(candidates, ends), strict=True)
        ]
        column_codes = _codes([chunk for part in parts for chunk in part.chunks])
        # One code for each distinct combination of the columns so far.
        _, codes = np.unique(codes * len(codes) + column_codes, return_inverse=True)
    ids = np.full(len(hashes), -1)
    ids[candidates] = codes
    return dict(zip(tables, np.split(ids, ends), strict=True))


def _codes(texts: Sequence[pa.Array]) -> Ints:
    """The same number (from 0) for equal texts of all arrays, int64 [total length]."""
    wide = pa.large_string()  # the 32-bit offsets of pa.string() are limited to 2 GiB
    joined = pa.chunked_array([part.cast(wide) for part in texts], wide)
    codes: Ints = pc.index_in(joined, value_set=pc.unique(joined)).to_numpy().astype(np.int64)
    return codes


def _hashes(table: Table, columns: Mapping[str, str]) -> Ints:
    chunks = table.chunks(columns, CHUNK_ROWS)
    return np.concatenate([np.fromiter(map(hash, texts), np.int64, len(texts)) for texts in chunks])


def _matches(earlier: Ints, later: Ints, *, inside: bool) -> tuple[Ints, Ints]:
    """Rows of ``later`` whose text occurs in ``earlier``, and the first such row of ``earlier``.

    Args:
        earlier: text ids of the first split, -1 for texts that occur once [rows].
        later: text ids of the second split [rows].
        inside: both are the same split; a row then does not match itself.
    """
    repeated = np.flatnonzero(earlier >= 0)
    first = np.full(max(earlier.max(), later.max()) + 1, -1)  # text id -> first row
    # If an index is assigned several times, the last value stays. In reverse order, this is the
    # first row.
    first[earlier[repeated[::-1]]] = repeated[::-1]
    rows = np.flatnonzero(later >= 0)
    originals = first[later[rows]]
    kept = (originals >= 0) & (originals != rows) if inside else originals >= 0
    return rows[kept], originals[kept]


def _repeats(
    later: tuple[str, Ints],
    earlier: tuple[str, Ints],
    tables: Mapping[str, Table],
    labels: Mapping[str, pa.ChunkedArray],
) -> Repeats:
    """Count the rows of ``later`` that repeat rows of ``earlier``; both: (split, row indices)."""
    (split, rows), (stands_in, originals) = later, earlier
    pairs = list(zip(rows[:EXAMPLES].tolist(), originals[:EXAMPLES].tolist(), strict=True))
    conflicts: list[tuple[str, str]] = []
    conflicting = 0
    if split in labels and stands_in in labels:
        labels_later = labels[split].take(pa.array(rows))
        labels_earlier = labels[stands_in].take(pa.array(originals))
        differ = np.flatnonzero(pc.not_equal(labels_later, labels_earlier).to_numpy())
        conflicting = len(differ)
        for index in differ[:EXAMPLES].tolist():
            row = f"{tables[split].where(rows[index])} {_shown(labels_later[index].as_py())}"
            original = tables[stands_in].where(originals[index])
            conflicts.append((row, f"{original} {_shown(labels_earlier[index].as_py())}"))
    return Repeats(
        split=split,
        stands_in=stands_in,
        rows=len(rows),
        conflicting=conflicting,
        examples=tuple((tables[split].where(a), tables[stands_in].where(b)) for a, b in pairs),
        conflicting_examples=tuple(conflicts),
    )


def _shown(label: object) -> str:
    """A label in a message; two different numbers are never shown alike.

    >>> _shown("good"), _shown(242321.0), _shown(0.25)
    ("'good'", '242321', '0.25')
    """
    return f"{label:.17g}" if isinstance(label, float) and label.is_integer() else repr(label)

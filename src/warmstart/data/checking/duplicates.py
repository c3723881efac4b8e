"""Texts that stand in the data more than once: inside a split, across splits, with other labels.

Two rows are the same when their texts are equal character for character; of pairs, when both are.
To find them among millions, a row's text becomes 8 bytes, Python's own hash; only rows that share
one are compared as texts, by Arrow. What stays in memory is those 8 bytes a row. The hash differs
from process to process, the result does not, because equal hashes are only a reason to look.

Letters: N rows of all splits together, G texts that stand more than once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations_with_replacement
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.table import Table

Ints = np.ndarray[Any, np.dtype[np.int64]]

CHUNK_ROWS = 65_536
"""Rows whose texts are Python strings at one time, while they are hashed."""

EXAMPLES = 3
"""Pairs of rows kept to show."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows of one split whose text stands word for word in an earlier row of it, or in another.

    Args:
        split: whose rows are counted.
        stands_in: where their texts stand too; equal to ``split`` for repeats inside it.
        rows: how many rows repeat one.
        conflicting: how many of them have another label than the row they repeat.
        examples: pairs of ``file:line``, the repeating row first.
        conflicting_examples: pairs of ``file:line 'label'``, the repeating row first.
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
    """Every repeat inside a split and, for each two splits, of the earlier in the later.

    Args:
        tables: by split, in the order training, validation, test.
        columns: the column with the text by its setting; of pairs both.
        labels: by split, each row's label as text; a split without labels is left out.

    Returns:
        One entry for each pair of splits that has repeats, and none for the others.
    """
    texts = _text_ids(tables, columns)
    found = []
    for earlier, later in combinations_with_replacement(tables, 2):
        rows, twins = _twins(texts[earlier], texts[later], inside=earlier == later)
        if len(rows):
            found.append(_repeats((later, rows), (earlier, twins), tables, labels))
    return tuple(found)


def _text_ids(tables: Mapping[str, Table], columns: Mapping[str, str]) -> dict[str, Ints]:
    """A number for each text that stands more than once, -1 for all others; by split, int64 [N]."""
    hashes = np.concatenate([_hashes(table, columns) for table in tables.values()])
    order = np.argsort(hashes)
    ascending = hashes[order]
    equal = np.flatnonzero(ascending[1:] == ascending[:-1])
    suspect = np.zeros(len(hashes), np.bool_)
    suspect[order[equal]] = suspect[order[equal + 1]] = True
    ends = list(accumulate(len(table) for table in tables.values()))[:-1]
    codes = np.zeros(suspect.sum(), np.int64)
    for setting, name in columns.items():
        parts = [
            table.column(name, setting).filter(pa.array(mask))
            for table, mask in zip(tables.values(), np.split(suspect, ends), strict=True)
        ]
        of_column = _codes([chunk for part in parts for chunk in part.chunks])
        _, codes = np.unique(codes * len(codes) + of_column, return_inverse=True)
    ids = np.full(len(hashes), -1)
    ids[suspect] = codes
    return dict(zip(tables, np.split(ids, ends), strict=True))


def _codes(texts: Sequence[pa.Array]) -> Ints:
    """A number from 0 for each distinct text of all the arrays together, int64."""
    wide = pa.large_string()  # of all splits together; 32-bit offsets end at 2 GiB
    joined = pa.chunked_array([part.cast(wide) for part in texts], wide)
    codes: Ints = pc.index_in(joined, value_set=pc.unique(joined)).to_numpy().astype(np.int64)
    return codes


def _hashes(table: Table, columns: Mapping[str, str]) -> Ints:
    chunks = table.chunks(columns, CHUNK_ROWS)
    return np.concatenate([np.fromiter(map(hash, texts), np.int64, len(texts)) for texts in chunks])


def _twins(earlier: Ints, later: Ints, *, inside: bool) -> tuple[Ints, Ints]:
    """Rows of ``later`` whose text stands in ``earlier``, and the first row there that has it.

    Args:
        earlier: text numbers of the one split, -1 for texts that stand once.
        later: of the other.
        inside: both are one split; a row is then not its own twin.
    """
    known = np.flatnonzero(earlier >= 0)
    first = np.full(max(earlier.max(), later.max()) + 1, -1)
    # Of several assignments to one place the last stays; backwards, that is the first row's.
    first[earlier[known[::-1]]] = known[::-1]
    rows = np.flatnonzero(later >= 0)
    twins = first[later[rows]]
    kept = (twins >= 0) & (twins != rows) if inside else twins >= 0
    return rows[kept], twins[kept]


def _repeats(
    later: tuple[str, Ints],
    earlier: tuple[str, Ints],
    tables: Mapping[str, Table],
    labels: Mapping[str, pa.ChunkedArray],
) -> Repeats:
    """Count and show the rows of ``later`` that repeat those of ``earlier``: (split, positions)."""
    (split, rows), (stands_in, twins) = later, earlier
    pairs = list(zip(rows[:EXAMPLES].tolist(), twins[:EXAMPLES].tolist(), strict=True))
    conflicts: list[tuple[str, str]] = []
    conflicting = 0
    if split in labels and stands_in in labels:
        mine, theirs = labels[split].take(pa.array(rows)), labels[stands_in].take(pa.array(twins))
        differ = np.flatnonzero(pc.not_equal(mine, theirs).to_numpy())
        conflicting = len(differ)
        for at in differ[:EXAMPLES].tolist():
            here, there = tables[split].where(rows[at]), tables[stands_in].where(twins[at])
            conflicts.append((f"{here} {mine[at].as_py()!r}", f"{there} {theirs[at].as_py()!r}"))
    return Repeats(
        split=split,
        stands_in=stands_in,
        rows=len(rows),
        conflicting=conflicting,
        examples=tuple((tables[split].where(a), tables[stands_in].where(b)) for a, b in pairs),
        conflicting_examples=tuple(conflicts),
    )

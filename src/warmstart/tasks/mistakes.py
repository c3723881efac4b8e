"""Rows that a model got wrong, as the report shows them.

A task says which rows these are, what their columns are called and what the reader should know;
the report only lays them out. They are read from ``predictions.parquet``, so that a report can be
written again at any time, without the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TEXT_CHARACTERS = 600
"""Longer texts are cut in the report; ``predictions.parquet`` has them whole."""

CHECK_LABELS = "Often the label is wrong and not the model: check it first."
"""End of the note about rows that a model got wrong."""

PROBABILITY = "probability:"
"""Columns of ``predictions.parquet`` with the probability of a label begin with this."""


class Segment(NamedTuple):
    """A piece of a text, with what is wrong in it."""

    text: str
    kind: str = ""
    """Empty for plain text; else a class of the report's style: ``right``, ``missed``, …"""
    note: str = ""
    """Shown with the piece, such as the type of an entity."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One row that the model got wrong."""

    text: tuple[Segment, ...]
    label: str
    prediction: str
    amount: str
    """How wrong it is, in words: a probability, a distance, a rank."""
    where: str
    """``file:line``."""
    truncated: bool


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst rows of a split.

    Args:
        heading: of the section.
        note: a sentence or two about which rows these are.
        columns: titles of the text, the label, the prediction and the amount.
        rows: worst first.
        count: rows that are wrong in total.
    """

    heading: str
    note: str
    columns: tuple[str, str, str, str]
    rows: tuple[Mistake, ...]
    count: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of marked pieces in the rows, sorted; empty where no text is marked."""
        return tuple(sorted({part.kind for row in self.rows for part in row.text if part.kind}))


def worst_rows(
    path: Path, most: int, amount: Callable[[pa.RecordBatch], pa.Array]
) -> tuple[list[dict[str, Any]], int]:
    """The rows with the largest amount as dictionaries, and the number of rows that have one.

    Args:
        path: a ``predictions.parquet``.
        most: number of rows to return.
        amount: how wrong each row of a record batch is; null for rows that are right.
    """
    shown: list[dict[str, Any]] = []
    count = 0
    for batch in pq.ParquetFile(path).iter_batches():
        amounts = amount(batch)
        wrong = batch.append_column("amount", amounts).filter(pc.is_valid(amounts))
        count += len(wrong)
        order = pc.array_sort_indices(wrong["amount"], order="descending")[:most]
        # The sort is stable: equally bad rows stay in file order.
        shown = sorted(shown + wrong.take(order).to_pylist(), key=lambda row: -row["amount"])[:most]
    return shown, count


def mistake(row: Mapping[str, Any], label: str, prediction: str, amount: str) -> Mistake:
    """One row of ``predictions.parquet`` as a mistake."""
    text = " | ".join(str(row[name]) for name in ("text", "text_pair") if name in row)
    return Mistake(
        text=(Segment(shortened(text)),),
        label=label,
        prediction=prediction,
        amount=amount,
        where=f"{row['file']}:{row['line']}",
        truncated=bool(row["truncated"]),
    )


def shortened(text: str) -> str:
    """The text, cut to ``TEXT_CHARACTERS``."""
    return text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]}…"


def share_columns(rows: pa.RecordBatch) -> list[str]:
    """Names of the columns that hold the probability of a label."""
    return [name for name in rows.schema.names if name.startswith(PROBABILITY)]


def percent(share: float) -> str:
    """A share as a percentage with one decimal.

    >>> percent(0.9966)
    '99.7 %'
    """
    return f"{100 * share:.1f} %"


def joined_labels(labels: Sequence[str]) -> str:
    """Several labels with commas between them; ``none`` where there are none."""
    return ", ".join(labels) or "none"

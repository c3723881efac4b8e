"""Rows with wrong predictions, for the report.

A task defines which rows these are, the titles of their columns and a note for the reader; the
report only lays them out. They are read from ``predictions.parquet``, so that the report can be
written again at any time, without the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warmstart.errors.counts import counted

TEXT_CHARACTERS = 600
"""Longer texts are cut in the report; ``predictions.parquet`` has the full texts."""

CHECK_LABELS = "Often the label is wrong and not the model: check it first."
"""The hint about rows that a model got wrong."""

PROBABILITY = "probability:"
"""Columns of ``predictions.parquet`` with the probability of a label begin with this."""


class Segment(NamedTuple):
    """A piece of a text, with the mistake in it, if any."""

    text: str
    kind: str = ""
    """Empty for plain text; otherwise a class of the report's style: ``right``, ``missed``, …"""
    note: str = ""
    """Shown next to the piece, such as the type of an entity."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One row with a wrong prediction."""

    text: tuple[Segment, ...]
    label: str
    prediction: str
    amount: str
    """The size of the error as text: a probability, a distance, a rank."""
    where: str
    """``file:line``."""
    truncated: bool


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst rows of a split.

    Args:
        heading: heading of the section.
        note: one or two sentences that explain which rows these are.
        columns: titles of the text, the label, the prediction and the size of the error.
        rows: worst first.
        count: total number of wrong rows.
        hint: where to look first; not shown for a model that has learned nothing.
        all_marked: whether the marks in the texts show labels and predictions, so that these need
            no columns of their own.
    """

    heading: str
    note: str
    columns: tuple[str, str, str, str]
    rows: tuple[Mistake, ...]
    count: int
    hint: str = ""
    all_marked: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of marked pieces in the rows, sorted; empty if no text is marked."""
        return tuple(sorted({part.kind for row in self.rows for part in row.text if part.kind}))


def worst_rows(
    path: Path, most: int, amount: Callable[[pa.RecordBatch], pa.Array]
) -> tuple[list[dict[str, Any]], int]:
    """The rows with the largest error as dictionaries, and the total number of wrong rows.

    Args:
        path: path of a ``predictions.parquet``.
        most: maximum number of rows to return.
        amount: size of the error of each row of a record batch; null for correct rows.
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


def most_confident(predictions: Path, most: int) -> Mistakes:
    """The wrong predictions of one label per row with the highest probability.

    Args:
        predictions: path of a ``predictions.parquet``.
        most: maximum number of rows to show.
    """

    def highest(rows: pa.RecordBatch) -> pa.Array:
        shares = pc.max_element_wise(*(rows[name] for name in share_columns(rows)))
        return pc.if_else(pc.not_equal(rows["label"], rows["prediction"]), shares, None)

    rows, count = worst_rows(predictions, most, highest)
    return Mistakes(
        heading="Most confident mistakes",
        note=f"{len(rows)} of {counted(count, 'wrong prediction')}, the most confident first.",
        hint=CHECK_LABELS,
        columns=("text", "true label", "predicted label", "probability"),
        rows=tuple(
            mistake(row, row["label"], row["prediction"], percent(row["amount"])) for row in rows
        ),
        count=count,
    )


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
    """Names of the columns with the probability of a label."""
    return [name for name in rows.schema.names if name.startswith(PROBABILITY)]


def percent(share: float) -> str:
    """A share as a percentage with one decimal.

    >>> percent(0.9966)
    '99.7 %'
    """
    return f"{100 * share:.1f} %"


def joined_labels(labels: Sequence[str]) -> str:
    """Several labels separated by commas; ``none`` if there are none."""
    return ", ".join(labels) or "none"


def most_certain_of_lists(rows: pa.RecordBatch) -> pa.Array:
    """The highest probability of a wrong outcome in each row; null if all labels are correct.

    Args:
        rows: N rows with several labels each.
    """
    columns = share_columns(rows)
    names = [name.removeprefix(PROBABILITY) for name in columns]
    shares = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    pairs = zip(rows["label"].to_pylist(), rows["prediction"].to_pylist(), strict=True)
    amounts: list[float | None] = []
    for (true, predicted), of_row in zip(pairs, shares, strict=True):
        share = dict(zip(names, of_row, strict=True))
        missed = [1 - share[name] for name in set(true) - set(predicted)]
        added = [share[name] for name in set(predicted) - set(true)]
        amounts.append(max(missed + added, default=None))
    return pa.array(amounts, pa.float64())

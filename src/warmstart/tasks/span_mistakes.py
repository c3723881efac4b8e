"""Rows whose spans are wrong, with every span marked in the text, for the report."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from warmstart.errors.counts import counted
from warmstart.tasks.mistakes import (
    TEXT_CHARACTERS,
    Mistake,
    Mistakes,
    Segment,
    worst_rows,
)

RIGHT, WRONG, MISSED, INVENTED = "right", "wrong", "missed", "invented"
"""Kinds of segments; also classes in the style of the report."""

Span = tuple[int, int, str]
"""Start, end and type."""


def span_mistakes(path: Path, most: int) -> Mistakes:
    """The rows with the largest number of wrong spans.

    Args:
        path: a ``predictions.parquet`` of a token classifier.
        most: maximum number of rows to return.
    """
    rows, count = worst_rows(path, most, _wrong_spans)
    return Mistakes(
        heading="Rows with the most wrong spans",
        note=f"{len(rows)} of {counted(count, 'row')} with a wrong span.",
        hint="Often the annotation is wrong and not the model: check it first.",
        columns=("text", "annotated", "predicted", "wrong spans"),
        rows=tuple(_mistake(row) for row in rows),
        count=count,
        all_marked=True,
    )


def _wrong_spans(rows: pa.RecordBatch) -> pa.Array:
    """Number of spans of each row that only one side has; null for correct rows."""
    amounts: list[int | None] = []
    pairs = zip(rows["label"].to_pylist(), rows["prediction"].to_pylist(), strict=True)
    for annotated, predicted in pairs:
        wrong = len(set(_spans(annotated)) ^ set(_spans(predicted)))
        amounts.append(wrong or None)
    return pa.array(amounts, pa.int64())


def _spans(values: Sequence[dict[str, Any]]) -> list[Span]:
    return [(one["start"], one["end"], one["type"]) for one in values]


def _mistake(row: dict[str, Any]) -> Mistake:
    text: str = row["text"]
    annotated, predicted = _spans(row["label"]), _spans(row["prediction"])

    def listed(spans: Sequence[Span]) -> str:
        return ", ".join(f"{text[start:end]} ({kind})" for start, end, kind in spans) or "none"

    return Mistake(
        text=segments(text, annotated, predicted),
        label=listed(annotated),
        prediction=listed(predicted),
        amount=str(row["amount"]),
        where=f"{row['file']}:{row['line']}",
        truncated=bool(row["truncated"]),
    )


def segments(
    text: str, annotated: Sequence[Span], predicted: Sequence[Span]
) -> tuple[Segment, ...]:
    """The text cut at the borders of all spans, each piece with the mistake in it.

    Args:
        text: text of the row; it is cut after ``TEXT_CHARACTERS``.
        annotated: spans of the label.
        predicted: spans of the prediction.

    >>> [tuple(part) for part in segments("Anna left", [(0, 4, "PER")], [])]
    [('Anna', 'missed', 'missed PER'), (' left', '', '')]
    """
    shown = min(len(text), TEXT_CHARACTERS)
    borders = {0, shown}
    for start, end, _ in (*annotated, *predicted):
        borders |= {place for place in (start, end) if place < shown}
    parts = []
    for start, end in pairwise(sorted(borders)):
        true = next((one for one in annotated if one[0] <= start < one[1]), None)
        given = next((one for one in predicted if one[0] <= start < one[1]), None)
        kind, note = "", ""
        if true is None and given is None:
            pass
        elif true is None and given is not None:
            is_part = _overlaps(given, annotated)
            kind, note = (WRONG, "too much") if is_part else (INVENTED, f"invented {given[2]}")
        elif given is None and true is not None:
            is_part = _overlaps(true, predicted)
            kind, note = (WRONG, "left out") if is_part else (MISSED, f"missed {true[2]}")
        elif true is not None and given is not None:
            kind, note = _of_both(true, given)
        # If a span is cut into pieces by another span, its note is shown after the last piece.
        last = any(one is not None and one[1] == end for one in (true, given)) or end == shown
        parts.append(Segment(text[start:end], kind, note if last else ""))
    if len(text) > shown:
        parts.append(Segment("…"))
    return tuple(parts)


def _overlaps(span: Span, others: Sequence[Span]) -> bool:
    return any(start < span[1] and span[0] < end for start, end, _ in others)


def _of_both(true: Span, given: Span) -> tuple[str, str]:
    """Kind and note of a piece that is in an annotated and in a predicted span."""
    if true == given:
        return RIGHT, true[2]
    if true[2] != given[2]:
        return WRONG, f"{given[2]}, not {true[2]}"
    return WRONG, f"{true[2]}, wrong border"

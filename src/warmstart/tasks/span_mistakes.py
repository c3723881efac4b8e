"""Rows whose spans are wrong, with every span marked in the text, for the report."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

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
    """The rows with the most wrong spans.

    Args:
        path: a ``predictions.parquet`` of a token classifier.
        most: number of rows to return.
    """
    rows, count = worst_rows(path, most, _wrong_spans)
    return Mistakes(
        heading="Rows with the most wrong spans",
        note=f"{len(rows)} of {count:,} rows with a wrong span. Marked: right, wrong type or "
        "border, missed, invented. Often the annotation is wrong and not the model: check it "
        "first.",
        columns=("text", "annotated", "predicted", "wrong spans"),
        rows=tuple(_mistake(row) for row in rows),
        count=count,
    )


def _wrong_spans(rows: pa.RecordBatch) -> pa.Array:
    """Spans of each row that only one side has; null for rows that are right."""
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
    """The text cut at the borders of all spans, each piece with what is wrong in it.

    Args:
        text: of the row; it is cut after ``TEXT_CHARACTERS``.
        annotated: spans of the label.
        predicted: spans of the prediction.

    >>> [tuple(part) for part in segments("Anna left", [(0, 4, "PER")], [])]
    [('Anna', 'missed', 'PER'), (' left', '', '')]
    """
    shown = min(len(text), TEXT_CHARACTERS)
    borders = {0, shown}
    for start, end, _ in (*annotated, *predicted):
        borders |= {place for place in (start, end) if place < shown}
    places = sorted(borders)
    parts = []
    for start, end in pairwise(places):
        true = next((one for one in annotated if one[0] <= start < one[1]), None)
        given = next((one for one in predicted if one[0] <= start < one[1]), None)
        last = any(one is not None and one[1] == end for one in (true, given))
        parts.append(Segment(text[start:end], *_kind(true, given, is_last=last)))
    if len(text) > shown:
        parts.append(Segment("…"))
    return tuple(parts)


def _kind(true: Span | None, given: Span | None, *, is_last: bool) -> tuple[str, str]:
    """The kind of a piece, and the type shown behind the last piece of a span."""
    if true is None and given is None:
        return "", ""
    if true == given and true is not None:
        return RIGHT, true[2] if is_last else ""
    if given is None and true is not None:
        return MISSED, true[2] if is_last else ""
    if true is None and given is not None:
        return INVENTED, given[2] if is_last else ""
    assert true is not None
    assert given is not None
    return WRONG, f"{given[2]}, not {true[2]}" if is_last and given[2] != true[2] else ""

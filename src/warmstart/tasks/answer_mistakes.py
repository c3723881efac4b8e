"""Questions with a wrong answer, for the report: each with its context around the answers."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from warmstart.metrics.answer_metrics import f1
from warmstart.tasks.mistakes import Mistake, Mistakes, Segment, percent, shortened, worst_rows

NO_ANSWER = "no answer"
"""What is shown for a question without an answer."""

_AROUND = 200
"""Characters of the context that are shown on each side of an answer."""


def answer_mistakes(path: Path, most: int) -> Mistakes:
    """The questions with the most certain wrong answers.

    An answer is wrong if it has no word in common with any reference answer.

    Args:
        path: path of a ``predictions.parquet`` of question answering.
        most: maximum number of questions to return.
    """
    rows, count = worst_rows(path, most, _confidence_of_wrong)
    return Mistakes(
        heading="Most confident mistakes",
        note=f"{len(rows)} of {count:,} answers that have no word in common with a reference "
        "answer, the most confident first.",
        hint="Often a reference answer is incomplete and not the model wrong: check it first.",
        columns=("question and context", "reference answers", "predicted answer", "confidence"),
        rows=tuple(_mistake(row) for row in rows),
        count=count,
    )


def _confidence_of_wrong(rows: pa.RecordBatch) -> pa.Array:
    """The confidence of each wrong answer; null for the others."""
    triples = zip(
        rows["label"].to_pylist(),
        rows["prediction"].to_pylist(),
        rows["confidence"].to_pylist(),
        strict=True,
    )
    amounts = [
        None if any(f1(text, reference) for reference in _references(label)) else confidence
        for label, text, confidence in triples
    ]
    return pa.array(amounts, pa.float64())


def _references(label: list[dict[str, Any]]) -> list[str]:
    return [answer["text"] for answer in label] or [""]


def _mistake(row: dict[str, Any]) -> Mistake:
    context = str(row["text_pair"])
    start, end = row["start"], row["end"]
    if start is None:
        parts: tuple[Segment, ...] = (Segment(shortened(context)),)
    else:
        before = context[max(0, start - _AROUND) : start]
        after = context[end : end + _AROUND]
        parts = (
            Segment("…" * (start > _AROUND) + before),
            Segment(context[start:end], "invented"),
            Segment(after + "…" * (end + _AROUND < len(context))),
        )
    answers = [shortened(answer["text"]) for answer in row["label"]]
    return Mistake(
        text=(Segment(f"{shortened(str(row['text']))} | "), *parts),
        label=" | ".join(dict.fromkeys(answers)) or NO_ANSWER,
        prediction=shortened(row["prediction"]) or NO_ANSWER,
        amount=percent(row["confidence"]),
        where=f"{row['file']}:{row['line']}",
        truncated=bool(row["truncated"]),
    )

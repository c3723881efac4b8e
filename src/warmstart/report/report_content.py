"""Everything the report shows, taken from a run directory and put in the shape of the page.

The page itself (``template.html.j2``) only lays out; what is worth showing, in which order and from
which rows is decided here, in plain values that a test can look at. A section whose files are not
there yet is ``None`` or empty, and the page says so in one line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warmstart.data.checking.lengths import Lengths
from warmstart.runs import words
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import Check, Evaluation, RunRecord, Sample, read_record
from warmstart.runs.words import verdict

MISTAKES = 20
"""Most confident mistakes shown."""
SAMPLES = 12
"""Samples shown of those that the model wrote on the way."""
CONFUSIONS = 20
"""Largest confusions listed where there are too many classes for a matrix."""
TEXT_CHARACTERS = 600
"""A longer text is cut in the page; the whole one is in ``predictions.parquet``."""

POINTS = 2_000
"""Rows drawn where true and predicted numbers are; of more, so many evenly spread."""

PROBABILITY = "probability:"

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row that the model got wrong, and how much so."""

    text: str
    label: str
    prediction: str
    amount: float
    """The probability it gave to its own answer, or to the wrong one among its answers that it was
    surest of; where the answer is a number, how far off that is."""
    where: str
    """``file:line``."""
    truncated: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often one label was taken for another."""

    label: str
    prediction: str
    n: int
    share: float
    """Of the rows whose true label it is."""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """What the report shows.

    Args:
        record: what the run directory's files say.
        verdict: what came of the run, in a sentence or two.
        evaluation: the evaluation the run is judged by.
        overfits_after: the training evaluation from which validation loss only rises.
        mistakes: of ``evaluation``'s split, worst first.
        mistaken: how many rows of that split are wrong in all; ``None`` without predictions.
        confusions: the largest, for tasks with many labels.
        points: true and predicted numbers of that split, where numbers are learned.
    """

    record: RunRecord
    verdict: str
    evaluation: Evaluation | None
    overfits_after: Check | None
    mistakes: tuple[Mistake, ...]
    mistaken: int | None
    confusions: tuple[Confusion, ...]
    points: tuple[Floats, Floats] | None = None

    @property
    def training_metric(self) -> str | None:
        """The validation metric that chose the kept model, where there were evaluations."""
        if not self.record.checks:
            return None
        return self.record.config.train.best_metric or next(
            iter(self.record.checks[0].scores), None
        )

    @property
    def shown_samples(self) -> tuple[Sample, ...]:
        """What the model wrote on the way: at most ``SAMPLES`` of it, evenly spread."""
        found = self.record.samples
        if len(found) <= SAMPLES:
            return found
        places = np.linspace(0, len(found) - 1, SAMPLES).round().astype(int)
        return tuple(found[place] for place in places)

    @property
    def lengths(self) -> Lengths | None:
        """How long the training rows are."""
        findings = self.record.findings
        return findings.splits[0].lengths if findings and findings.splits else None


def gather(run_path: Path) -> ReportContent:
    """Read what the report shows.

    Args:
        run_path: the run directory, of a finished or an unfinished run.

    Raises:
        RunError: this is no run directory, or one of its files is damaged.
    """
    record = read_record(run_path)
    evaluation = record.evaluation
    mistakes: tuple[Mistake, ...] = ()
    mistaken: int | None = None
    points = None
    if evaluation is not None:
        table = RunDirectory(run_path).evaluation(evaluation.split) / "predictions.parquet"
        if table.exists() and "confusion_matrix" in evaluation.details:
            mistakes, mistaken = confident_mistakes(table, MISTAKES)
        elif table.exists() and record.config.problem == "multi-label":
            mistakes, mistaken = label_mistakes(table, MISTAKES)
        elif table.exists() and record.config.problem == "regression":
            mistakes, mistaken = farthest_numbers(table, MISTAKES)
            points = numbers(table)
        elif table.exists() and "queries" in evaluation.details:
            mistakes, mistaken = worst_queries(table, MISTAKES)
    return ReportContent(
        record=record,
        verdict=verdict(record),
        evaluation=evaluation,
        overfits_after=overfitting_start(record.checks),
        mistakes=mistakes,
        mistaken=mistaken,
        confusions=largest_confusions(evaluation.details) if evaluation else (),
        points=points,
    )


def overfitting_start(checks: Sequence[Check]) -> Check | None:
    """The evaluation after which validation loss only rises, or ``None`` if it ends by falling.

    Args:
        checks: the evaluations during training, in order.
    """
    start = None
    for earlier, later in zip(checks[-2::-1], checks[:0:-1], strict=True):
        if not later.loss > earlier.loss:
            break
        start = earlier
    return start


def confident_mistakes(path: Path, most: int) -> tuple[tuple[Mistake, ...], int]:
    """The wrong answers that the model was surest of, and how many wrong answers there are.

    Args:
        path: a ``predictions.parquet``.
        most: how many to return.
    """

    def surest(rows: pa.RecordBatch) -> pa.Array:
        shares = pc.max_element_wise(*(rows[name] for name in _shares_of(rows)))
        return pc.if_else(pc.not_equal(rows["label"], rows["prediction"]), shares, None)

    return _worst(path, most, surest)


def label_mistakes(path: Path, most: int) -> tuple[tuple[Mistake, ...], int]:
    """Of rows with wrong labels those where the model was surest of one, and how many there are.

    Args:
        path: a ``predictions.parquet`` with lists of labels.
        most: how many to return.
    """

    def surest_wrong(rows: pa.RecordBatch) -> pa.Array:
        shares = zip(*(rows[name].to_pylist() for name in _shares_of(rows)), strict=True)
        names = [name.removeprefix(PROBABILITY) for name in _shares_of(rows)]
        found: list[float | None] = []
        answers = zip(rows["label"].to_pylist(), rows["prediction"].to_pylist(), strict=True)
        for (true, given), of_row in zip(answers, shares, strict=True):
            missed, added = set(true) - set(given), set(given) - set(true)
            of_label = dict(zip(names, of_row, strict=True))
            sure = [1 - of_label[name] for name in missed] + [of_label[name] for name in added]
            found.append(max(sure, default=None))
        return pa.array(found, pa.float64())

    return _worst(path, most, surest_wrong)


def farthest_numbers(path: Path, most: int) -> tuple[tuple[Mistake, ...], int]:
    """The rows whose predicted number is farthest from the true one, and how many there are.

    Args:
        path: a ``predictions.parquet`` with numbers.
        most: how many to return.
    """
    return _worst(path, most, lambda rows: pc.abs(pc.subtract(rows["value"], rows["label"])))


def worst_queries(path: Path, most: int) -> tuple[tuple[Mistake, ...], int]:
    """The queries whose first relevant document stands lowest, and how many have none on top.

    Args:
        path: a ``predictions.parquet`` of a ranking.
        most: how many to return.
    """
    table = pq.read_table(path)
    query = table["group" if "group" in table.column_names else "text"].dictionary_encode()
    codes = query.combine_chunks().indices.to_numpy()
    # By query, best first; where each query begins, and the rank of every row in its own.
    rows = np.lexsort((-table["score"].to_numpy(), codes))
    starts = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    relevant = np.flatnonzero(_grades(table["label"])[rows] > 0)
    _, first = np.unique(codes[rows[relevant]], return_index=True)
    wrong = relevant[first][rank[relevant[first]] > 0]
    worst = wrong[np.argsort(-rank[wrong], kind="stable")][:most]
    shown = []
    for place in worst.tolist():
        best, top = (table.take([rows[at]]).to_pylist()[0] for at in (place, place - rank[place]))
        answers = {
            "label": best["text_pair"][:TEXT_CHARACTERS],
            "prediction": top["text_pair"][:TEXT_CHARACTERS],
        }
        found = _mistake({**top, **answers, "amount": int(rank[place]) + 1})
        shown.append(replace(found, text=str(top["text"])))
    return tuple(shown), len(wrong)


def _grades(labels: pa.ChunkedArray) -> Floats:
    """Grades that ``predictions.parquet`` has as text, float64 [N]."""
    texts = pc.utf8_trim_whitespace(labels.cast("string"))
    grades: Floats = texts.cast("float64").to_numpy()
    return grades


def numbers(path: Path) -> tuple[Floats, Floats]:
    """True and predicted numbers of at most ``POINTS`` rows, float64 [P] each.

    Args:
        path: a ``predictions.parquet`` with numbers.
    """
    table = pq.read_table(path, columns=["label", "value"])
    rows = np.unique(np.linspace(0, len(table) - 1, POINTS).round().astype(np.int64))
    true, predicted = (table[name].to_numpy()[rows] for name in ("label", "value"))
    return true, predicted


def _shares_of(rows: pa.RecordBatch) -> list[str]:
    return [name for name in rows.schema.names if name.startswith(PROBABILITY)]


def _worst(
    path: Path, most: int, amount: Callable[[pa.RecordBatch], pa.Array]
) -> tuple[tuple[Mistake, ...], int]:
    """The rows with the largest amount, and how many have one; those that are right have none."""
    shown: list[dict[str, Any]] = []
    count = 0
    for batch in pq.ParquetFile(path).iter_batches():
        amounts = amount(batch)
        wrong = batch.append_column("amount", amounts).filter(pc.is_valid(amounts))
        count += len(wrong)
        order = pc.array_sort_indices(wrong["amount"], order="descending")[:most]
        # Of equally bad ones the first; the sort is stable.
        shown = sorted(shown + wrong.take(order).to_pylist(), key=lambda row: -row["amount"])[:most]
    return tuple(map(_mistake, shown)), count


def _mistake(row: Mapping[str, Any]) -> Mistake:
    text = " | ".join(str(row[name]) for name in ("text", "text_pair") if name in row)
    return Mistake(
        text=text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]}…",
        label=_in_words(row["label"]),
        prediction=_in_words(row["prediction"] if "prediction" in row else row["value"]),
        amount=row["amount"],
        where=f"{row['file']}:{row['line']}",
        truncated=bool(row["truncated"]),
    )


def _in_words(answer: str | float | Sequence[str]) -> str:
    """A label, several with commas between them, or a number."""
    if isinstance(answer, float):
        return words.number(answer)
    return answer if isinstance(answer, str) else ", ".join(answer) or "none"


def largest_confusions(details: Mapping[str, Any]) -> tuple[Confusion, ...]:
    """The off-diagonal cells of the confusion matrix with the most rows, most first.

    Args:
        details: a classifier's, with ``labels`` [C] and ``confusion_matrix`` [C, C] (rows by true
            label); anything else gives none.

    >>> found = largest_confusions({"labels": ["a", "b"], "confusion_matrix": [[3, 1], [0, 4]]})
    >>> [(c.label, c.prediction, c.n, c.share) for c in found]
    [('a', 'b', 1, 0.25)]
    """
    if "confusion_matrix" not in details:
        return ()
    labels, matrix = details["labels"], np.asarray(details["confusion_matrix"])
    errors = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-errors, axis=None, kind="stable")[:CONFUSIONS]
    cells = (divmod(int(cell), len(matrix)) for cell in order)
    return tuple(
        Confusion(labels[i], labels[j], int(matrix[i, j]), float(matrix[i, j] / matrix[i].sum()))
        for i, j in cells
        if errors[i, j]
    )

"""The content of the report, read from a run directory, in the order of the page.

The page (``template.html.j2``) only lays it out; what is shown, in which order and from which rows,
is decided here, in plain values that a test can read. A section whose files do not exist yet is
``None`` or empty, and the page says so in one line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warmstart.data.checking.lengths import Lengths
from warmstart.errors.counts import counted
from warmstart.runs.advice import Advice, advice
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import Check, EvaluationRecord, RunRecord, Sample, read_record
from warmstart.runs.stored import reading
from warmstart.runs.words import verdict
from warmstart.tasks.capabilities import PlotsNumbers, ShowsMistakes
from warmstart.tasks.mistakes import Mistakes

MISTAKES = 20
"""Number of worst rows to show."""
SAMPLES = 12
"""Maximum number of shown samples that were generated during training."""
CONFUSIONS = 20
"""Number of largest confusions to list if there are too many classes for a matrix."""
POINTS = 2_000
"""Rows in the plot of true and predicted numbers; more rows are sampled evenly."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often one label was predicted instead of another."""

    label: str
    prediction: str
    n: int
    share: float
    """Share of the rows with this true label."""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """The content of the report.

    Args:
        record: the content of the run directory's files.
        verdict: the result of the run in one or two sentences.
        advice: what to try next, if the model is not clearly better than its baselines.
        evaluation: the evaluation by which the run is judged.
        overfits_after: the evaluation during training after which validation loss only rises.
        mistakes: the worst rows of ``evaluation``'s split; None without predictions.
        confusions: the largest confusions, for tasks with many labels.
        points: true and predicted numbers of that split, if numbers are learned.
    """

    record: RunRecord
    verdict: str
    advice: Advice | None
    evaluation: EvaluationRecord | None
    overfits_after: Check | None
    mistakes: Mistakes | None
    confusions: tuple[Confusion, ...]
    points: tuple[Floats, Floats] | None = None

    @property
    def training_metric(self) -> str | None:
        """The validation metric that selected the kept model, if there were evaluations."""
        if not self.record.checks:
            return None
        return self.record.config.train.best_metric or next(
            iter(self.record.checks[0].scores), None
        )

    @property
    def labels(self) -> list[dict[str, Any]]:
        """Precision, recall, F1 and number of every label, those with the lowest F1 first."""
        parts = self.evaluation.details.get("per_class", ()) if self.evaluation else ()
        return _worst_first([{"number": number, **part} for number, part in enumerate(parts)])

    @property
    def types(self) -> list[dict[str, Any]]:
        """Scores of every type of span, those with the lowest F1 first; empty without spans."""
        return _worst_first(self.evaluation.details.get("per_type", ()) if self.evaluation else ())

    @property
    def answer_types(self) -> list[dict[str, Any]]:
        """Scores of questions with and without an answer; empty without questions."""
        return list(self.evaluation.details.get("per_answer_type", ()) if self.evaluation else ())

    @property
    def batch_note(self) -> str:
        """Why the Matthews correlation per batch is not shown; empty if it is, or if there is none.

        With many labels a batch has few rows of each, and in a file that is sorted by label most
        batches have rows of one label only: then the values are noise or undefined.
        """
        details = self.evaluation.details if self.evaluation else {}
        values = details.get("matthews_per_batch") or ()
        if not values:
            return ""
        if len(values) == 1:
            return "The Matthews correlation per batch is not shown: all rows are in one batch."
        if len(details["labels"]) > 2:
            return (
                "The Matthews correlation per batch is shown only for two labels: with "
                f"{len(details['labels']):,} labels, a batch of "
                f"{counted(details['batch_rows'], 'row')} has too few rows of each."
            )
        if 2 * sum(value is None for value in values) > len(values):
            return (
                "The Matthews correlation per batch is not shown: most batches of "
                f"{counted(details['batch_rows'], 'row')} in file order have rows of one label "
                "only."
            )
        return ""

    @property
    def evaluated_files(self) -> list[EvaluationRecord]:
        """The evaluations by ``evaluate``, except the one by which the run is judged."""
        return [
            found
            for found in self.record.evaluations.values()
            if found.is_file and found is not self.evaluation
        ]

    @property
    def shown_samples(self) -> tuple[Sample, ...]:
        """Texts generated during training: at most ``SAMPLES`` of them, evenly spaced."""
        found = self.record.samples
        if len(found) <= SAMPLES:
            return found
        places = np.linspace(0, len(found) - 1, SAMPLES).round().astype(int)
        return tuple(found[place] for place in places)

    @property
    def lengths(self) -> Lengths | None:
        """Lengths of the training rows."""
        findings = self.record.findings
        return findings.splits[0].lengths if findings and findings.splits else None


def _worst_first(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by F1, equal ones by their number of rows or spans.

    What occurs nowhere has no F1 and says nothing: it is last.
    """
    return sorted(parts, key=lambda part: (part["f1"] is None, part["f1"], -part["support"]))


def gather(run_path: Path) -> ReportContent:
    """Read the content of the report.

    Args:
        run_path: the run directory, of a finished or an unfinished run.

    Raises:
        RunError: this is not a run directory, or one of its files is damaged.
    """
    record = read_record(run_path)
    evaluation = record.evaluation
    mistakes: Mistakes | None = None
    points = None
    if evaluation is not None:
        table = RunDirectory(run_path).evaluation(evaluation.split) / "predictions.parquet"
        with reading(table):
            if table.exists() and isinstance(record.task, ShowsMistakes):
                mistakes = record.task.mistakes(table, MISTAKES)
            if table.exists() and isinstance(record.task, PlotsNumbers):
                points = record.task.points(table, POINTS)
    return ReportContent(
        record=record,
        verdict=verdict(record),
        advice=advice(record),
        evaluation=evaluation,
        overfits_after=overfitting_start(record.checks),
        mistakes=mistakes,
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


def largest_confusions(details: Mapping[str, Any]) -> tuple[Confusion, ...]:
    """The off-diagonal cells of the confusion matrix with the most rows, most first.

    Args:
        details: details of a classifier, with ``labels`` [C] and ``confusion_matrix`` [C, C] (rows
            by true label); other details give an empty result.

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

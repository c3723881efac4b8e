"""Everything the report shows, read from a run directory, in the order of the page.

The page (``template.html.j2``) only lays out; what is shown, in which order and from which rows is
decided here, in plain values that a test can read. A section whose files do not exist yet is
``None`` or empty, and the page says so in one line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warmstart.data.checking.lengths import Lengths
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import Check, EvaluationRecord, RunRecord, Sample, read_record
from warmstart.runs.words import verdict
from warmstart.tasks.capabilities import PlotsNumbers, ShowsMistakes
from warmstart.tasks.mistakes import Mistakes

MISTAKES = 20
"""Worst rows shown."""
SAMPLES = 12
"""Samples shown of those that the model generated during training."""
CONFUSIONS = 20
"""Largest confusions listed where there are too many classes for a matrix."""
POINTS = 2_000
"""Rows in the plot of true and predicted numbers; more rows are sampled evenly."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


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
        mistakes: the worst rows of ``evaluation``'s split; None without predictions.
        confusions: the largest, for tasks with many labels.
        points: true and predicted numbers of that split, where numbers are learned.
    """

    record: RunRecord
    verdict: str
    evaluation: EvaluationRecord | None
    overfits_after: Check | None
    mistakes: Mistakes | None
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
    mistakes: Mistakes | None = None
    points = None
    if evaluation is not None:
        table = RunDirectory(run_path).evaluation(evaluation.split) / "predictions.parquet"
        if table.exists() and isinstance(record.task, ShowsMistakes):
            mistakes = record.task.mistakes(table, MISTAKES)
        if table.exists() and isinstance(record.task, PlotsNumbers):
            points = record.task.points(table, POINTS)
    return ReportContent(
        record=record,
        verdict=verdict(record),
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

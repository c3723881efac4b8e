"""What the temperature of a run changes in its scores, for the report and the model card."""

from dataclasses import dataclass

from warmstart.metrics.scores import Score
from warmstart.runs.run_record import EvaluationRecord, RunRecord


@dataclass(frozen=True, slots=True)
class Change:
    """What the temperature changes in one metric on one split."""

    evaluation: EvaluationRecord
    metric: str
    before: Score
    """Without the temperature."""
    after: Score


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the temperature of a run changes.

    Args:
        temperature: divides the logits.
        changes: by split, the most reliable first.
    """

    temperature: float
    changes: tuple[Change, ...]


def calibration_of(record: RunRecord) -> Calibration | None:
    """What the temperature of a run changes; None if its model is not calibrated.

    Args:
        record: the content of the run directory's files.
    """
    found = [
        Change(evaluation, metric, Score(**before), evaluation.scores[metric])
        for evaluation in record.evaluations.values()
        for metric, before in evaluation.uncalibrated.get("scores", {}).items()
    ]
    if not found:
        return None
    return Calibration(found[0].evaluation.uncalibrated["temperature"], tuple(found))

"""Scores of the baselines, on the same rows and with the same function as for the model."""

from collections.abc import Mapping
from dataclasses import dataclass

from warmstart.config import RunConfig
from warmstart.evaluation.chosen_numbers import chooses_numbers, with_chosen_numbers
from warmstart.metrics.scores import Scores
from warmstart.tasks.capabilities import HasBaselines
from warmstart.tasks.task import AnyTask, Predictions, Split


@dataclass(frozen=True, slots=True)
class Scored:
    """The predictions of a baseline for one split, and their scores."""

    predictions: Predictions
    scores: Scores


def baseline_scores(
    task: AnyTask,
    config: RunConfig,
    train: Split,
    splits: Mapping[str, Split],
    metric: str | None = None,
) -> tuple[dict[str, dict[str, Scored]], list[str]]:
    """Fit the task's baselines on the training split and score them on every other split.

    Each baseline gets a temperature and thresholds of its own from the validation rows, if the
    model does: the same for all would favour the model.

    Args:
        task: what is learned.
        config: names the columns.
        train: the training split.
        splits: the splits to score, by name.
        metric: the metric that a threshold maximises; the main metric by default.

    Returns:
        ``{baseline: {split: …}}``, and notes for the reader of these scores (for example that
        a baseline was fitted on a sample); both empty for a task without baselines.
    """
    if not isinstance(task, HasBaselines):
        return {}, []
    chooses = chooses_numbers(task, config.train) and "validation" in splits
    scored: dict[str, dict[str, Scored]] = {}
    notes = []
    for name, baseline in task.baselines(config, train, splits).items():
        own: AnyTask = task
        predictions = dict(baseline.predictions)
        if chooses:
            labels = splits["validation"].labels
            own, predictions, _ = with_chosen_numbers(
                task, config.train, predictions, labels, metric
            )
        scored[name] = {
            split: Scored(predictions[split], own.score(predictions[split], rows.labels))
            for split, rows in splits.items()
        }
        if baseline.note is not None:
            notes.append(f"{name}: {baseline.note}")
    return scored, notes

"""Scores of the baselines, on the same rows and with the same function as for the model."""

from collections.abc import Mapping
from dataclasses import dataclass

from warmstart.config import RunConfig
from warmstart.metrics.scores import Scores
from warmstart.tasks.capabilities import ChoosesThreshold, HasBaselines
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

    With ``train.choose_threshold`` each baseline gets a threshold of its own from the validation
    rows, like the model: one threshold for all would favour the model.

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
    chooses = config.train.choose_threshold and "validation" in splits
    scored: dict[str, dict[str, Scored]] = {}
    notes = []
    for name, baseline in task.baselines(config, train, splits).items():
        predictions = dict(baseline.predictions)
        own: AnyTask = task
        if chooses and isinstance(task, ChoosesThreshold):
            labels = splits["validation"].labels
            chosen = metric or task.metrics[0].name
            own, _ = task.with_threshold(predictions["validation"], labels, chosen)
            assert isinstance(own, ChoosesThreshold)
            predictions = {split: own.repeated(found) for split, found in predictions.items()}
        scored[name] = {
            split: Scored(predictions[split], own.score(predictions[split], rows.labels))
            for split, rows in splits.items()
        }
        if baseline.note is not None:
            notes.append(f"{name}: {baseline.note}")
    return scored, notes

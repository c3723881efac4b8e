"""The final scores of a run: the kept model and the baselines on every held-out split.

The steps are separate functions, so that an experiment can leave out the test split or the
baselines, or compute them later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accelerate import Accelerator

from warmstart.devices.processes import Processes
from warmstart.evaluation.baseline_scores import Scored, baseline_scores
from warmstart.evaluation.chosen_numbers import chooses_numbers, with_chosen_numbers
from warmstart.evaluation.evaluate import Evaluation, evaluate, with_final_scores
from warmstart.evaluation.store import scores_json, write_evaluation
from warmstart.models.packed.forward import forward_for
from warmstart.preparation.prepare import Prepared
from warmstart.preparation.stages import content_key
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import task_json
from warmstart.runs.model_folder import HEAD_START, load_head_start
from warmstart.runs.only_shown import only_shown
from warmstart.tasks.capabilities import ComparesWithStart
from warmstart.tasks.task import AnyTask

HELD_OUT = ("validation", "test")
"""Splits that are scored at the end."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What final scoring needs, in addition to the task and the model.

    Args:
        prepared: rows, labels and examples.
        accelerator: device and precision.
        processes: the processes that share the work.
        notice: called with each sentence that the user should read.
        stop: called between batches; raises an error if the run must stop.
    """

    prepared: Prepared
    accelerator: Accelerator
    processes: Processes
    notice: Callable[[str], None]
    stop: Callable[[], None] | None = None

    def evaluations(
        self, task: AnyTask, model: Any, splits: tuple[str, ...]
    ) -> dict[str, Evaluation[Any]]:
        """Score a model on splits.

        Args:
            task: the task of the run.
            model: on its device.
            splits: names of splits of the run; others are skipped.
        """
        prepared, place, processes = self.prepared, self.accelerator, self.processes
        forward = forward_for(model, task.head, prepared.examples["train"], place.autocast)
        found = {}
        for name in splits:
            if name in prepared.splits:
                examples, labels = prepared.examples[name], prepared.splits[name].labels
                scored = evaluate(
                    task, model, forward, examples, labels, place, processes, self.stop
                )
                found[name] = with_final_scores(
                    task, scored, model, forward, examples, place, processes
                )
        return found


def with_chosen_scores(
    scoring: Scoring, task: AnyTask, found: Mapping[str, Evaluation[Any]]
) -> tuple[AnyTask, dict[str, Evaluation[Any]], tuple[str, ...]]:
    """Choose the temperature and thresholds on the validation rows, and score every split anew.

    Args:
        scoring: the scoring of the run.
        task: the task of the run.
        found: evaluations of one model, without these numbers.

    Returns:
        The task with the numbers; the evaluations; and sentences about the numbers. All as before
        if the settings request none.
    """
    config, splits = scoring.prepared.config.train, scoring.prepared.splits
    if not chooses_numbers(task, config):
        return task, dict(found), ()
    predictions = {name: evaluation.predictions for name, evaluation in found.items()}
    labels, metric = splits["validation"].labels, scoring.prepared.best_metric
    chosen = with_chosen_numbers(task, config, predictions, labels, metric)
    scored = {
        name: replace(
            evaluation,
            predictions=chosen.predictions[name],
            scores=chosen.task.score(chosen.predictions[name], splits[name].labels),
        )
        for name, evaluation in found.items()
    }
    return chosen.task, scored, chosen.sentences


def start_scores(
    scoring: Scoring, directory: RunDirectory, task: AnyTask, splits: tuple[str, ...]
) -> dict[str, dict[str, Scored]]:
    """Scores of the model before the first step, if it could predict already.

    They are shown next to the model's scores: if there are none, a notice says why. Like a
    baseline, it gets a temperature and thresholds of its own.

    Args:
        scoring: the scoring of the run, by one process.
        directory: the run directory.
        task: the task of the run, without chosen numbers.
        splits: names of the splits to score.

    Returns:
        ``{"untouched": {split: …}}`` if the checkpoint itself can do the task,
        ``{"linear-probe": …}`` if the head was fitted before the first step, otherwise nothing.
    """
    fitted = directory.entry(HEAD_START).exists()
    if not fitted and not isinstance(task, ComparesWithStart):
        return {}
    prepared = scoring.prepared
    scores: dict[str, dict[str, Scored]] = {}
    with only_shown("the scores before training", scoring.notice):
        model = task.model(prepared.checkpoint, prepared.train.seed_of("initialization"))
        if fitted:
            load_head_start(directory, model)
        model.to(scoring.accelerator.device)
        found = scoring.evaluations(task, model, splits)
        _, found, _ = with_chosen_scores(scoring, task, found)
        scores["linear-probe" if fitted else "untouched"] = {
            name: Scored(evaluation.predictions, evaluation.scores)
            for name, evaluation in found.items()
        }
    return scores


def write_scores(
    scoring: Scoring,
    directory: RunDirectory,
    task: AnyTask,
    found: Mapping[str, Evaluation[Any]],
    baselines: Mapping[str, Mapping[str, Scored]],
) -> dict[str, dict[str, Any]]:
    """Write the evaluations of a run, and the task with its chosen numbers.

    Args:
        scoring: the scoring of the run.
        directory: the run directory.
        task: the task of the run.
        found: evaluations by split.
        baselines: ``{baseline: {split: …}}``.

    Returns:
        The content of ``scores.json`` by split.
    """
    prepared = scoring.prepared
    directory.write_json("task.json", task_json(task))
    contents = {}
    for name, evaluation in found.items():
        of_split = {baseline: scores[name] for baseline, scores in baselines.items()}
        write_evaluation(
            directory, name, task, evaluation, prepared.splits[name], prepared.config.data, of_split
        )
        contents[name] = scores_json(
            name,
            task,
            evaluation,
            len(prepared.splits[name].table),
            {baseline: scored.scores for baseline, scored in of_split.items()},
        )
    return contents


def fit_baselines(
    scoring: Scoring, task: AnyTask, splits: tuple[str, ...]
) -> dict[str, dict[str, Scored]]:
    """Fit the task's baselines and score them; their notes are written as notices.

    They are shown next to the model's scores: if they cannot be fitted, a notice says why.

    Args:
        scoring: the scoring of the run.
        task: the task of the run.
        splits: names of the splits to score.
    """
    prepared = scoring.prepared
    held_out = {name: split for name, split in prepared.splits.items() if name in splits}
    scores: dict[str, dict[str, Scored]] = {}
    config, train = prepared.config, prepared.splits["train"]
    # No baseline depends on the model or on a seed, so runs over the same rows share them.
    chosen = (config.train.choose_threshold, config.train.calibrate)
    key = ("baselines", repr(task), repr(config.data), prepared.best_metric, chosen)
    rows = [(name, content_key(split.table)) for name, split in prepared.splits.items()]

    def fitted() -> tuple[dict[str, dict[str, Scored]], list[str]]:
        return baseline_scores(task, config, train, held_out, prepared.best_metric)

    with only_shown("the baselines", scoring.notice):
        scores, notes = prepared.workspace.once((*key, *rows, *held_out), fitted)
        for note in notes:
            scoring.notice(note)
    return scores

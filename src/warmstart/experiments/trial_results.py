"""What the trials of an experiment have reached, read from their run directories."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet

from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome
from warmstart.experiments.trials import Trial
from warmstart.experiments.workers import cause
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.mean_over_runs import MeanScore, mean_scores
from warmstart.runs.advice import failure
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.runs.run_record import RunRecord, read_record
from warmstart.runs.safe_files import write_folder
from warmstart.tasks.capabilities import Compares


def trial_json(trial: Trial, outcome: Outcome | None, record: RunRecord | None) -> dict[str, Any]:
    """One trial in ``results.json``.

    Args:
        trial: the trial.
        outcome: how it ended; None if it was not started.
        record: content of its run directory, if it is finished.
    """
    content: dict[str, Any] = {
        "trial": trial.name,
        "run": str(trial.path),
        "status": "not started" if outcome is None else outcome.status,
        "settings": dict(trial.changes),
        "seconds": None if outcome is None else outcome.seconds,
        "error": None if outcome is None or outcome.status != "failed" else cause(outcome),
    }
    if outcome is not None and outcome.status == "pruned":
        pruned = read_record(trial.path)
        last = pruned.checks[-1].scores[metric_of(pruned)]
        content["last_value"] = last.value  # at its last evaluation on the validation rows
    if record is None:
        return content
    return content | {
        "steps": record.finish["steps"],
        "epochs": record.start.get("epochs"),
        "best_epoch": None if record.kept is None else record.kept.epoch,
        "collapsed": failure(record) or None,
        "scores": {
            split: {name: score.to_json() for name, score in evaluation.scores.items()}
            for split, evaluation in record.evaluations.items()
            if not evaluation.is_file
        },
    }


def finished_records(
    trials: Sequence[Trial], outcomes: Mapping[str, Outcome]
) -> dict[str, RunRecord]:
    """The content of the run directory of each finished trial, by name.

    Args:
        trials: all trials.
        outcomes: how they ended.
    """
    done = [t for t in trials if t.name in outcomes and outcomes[t.name].status == "finished"]
    return {trial.name: read_record(trial.path) for trial in done}


def stored_sums(run: Path, split: str) -> UnitSums | None:
    """The sums from which the scores of a run follow, from its stored predictions.

    Args:
        run: the run directory.
        split: the split.

    Returns:
        None if the task cannot be compared.
    """
    directory = RunDirectory(run)
    _, task = load_task(directory)
    if not isinstance(task, Compares):
        return None
    rows = pyarrow.parquet.read_table(directory.evaluation(split) / "predictions.parquet")
    return task.unit_sums(*task.read_back(rows))


def mean_scores_json(records: Sequence[RunRecord], split: str) -> dict[str, Any]:
    """The scores of several runs on the same rows of a split: ``{metric: MeanScore}``.

    Args:
        records: the runs, at least one.
        split: the split.
    """
    sums = [stored_sums(record.path, split) for record in records]
    known = [one for one in sums if one is not None]
    if len(known) < len(sums):
        return {}
    found = mean_scores(known, records[0].task.metrics)
    return {name: score.to_json() for name, score in found.items()}


def best_trial(records: Mapping[str, RunRecord]) -> str:
    """The name of the trial with the best validation score; the first of equal ones.

    Args:
        records: the runs by trial, at least one.
    """
    metric = metric_of(next(iter(records.values())))
    best, *others = records
    for name in others:
        score = records[name].evaluations["validation"].scores[metric]
        if score.better_than(records[best].evaluations["validation"].scores[metric]):
            best = name
    return best


def metric_of(record: RunRecord) -> str:
    """The metric that selects the best model of a run, and the best run."""
    return record.config.train.best_metric or record.task.metrics[0].name


def keep_best(folder: ExperimentFolder, trial: Path, name: str = "best") -> None:
    """Copy a trial's run directory; large files are shared with it where possible.

    Args:
        folder: the experiment.
        trial: the run directory.
        name: the entry of the experiment that becomes the copy.
    """

    def fill(target: Path) -> None:
        shutil.copytree(trial, target, dirs_exist_ok=True, copy_function=_shared_copy)

    folder.entry(name).parent.mkdir(exist_ok=True)
    write_folder(folder.entry(name), fill)


def _shared_copy(source: str, target: str) -> str:
    """Copy a file, without its content if the file system allows two names for one file.

    Weights are never changed in place: they are replaced as a whole.
    """
    if source.endswith(".safetensors"):
        with suppress(OSError):
            os.link(source, target)
            return target
    return shutil.copy2(source, target)


def baselines_json(record: RunRecord) -> dict[str, Any]:
    """The scores of the baselines by split: ``{split: {baseline: {metric: score}}}``.

    Args:
        record: a run.
    """
    return {
        split: {
            name: {metric: score.to_json() for metric, score in scores.items()}
            for name, scores in evaluation.baselines.items()
        }
        for split, evaluation in record.evaluations.items()
        if not evaluation.is_file
    }


def scores_of_run(record: RunRecord) -> dict[str, Any]:
    """The scores of one run in the form of scores over several: ``{split: {metric: MeanScore}}``.

    Args:
        record: the run.
    """
    return {
        split: {
            name: MeanScore(
                score.value,
                None,
                score.low,
                score.high,
                score.value,
                score.value,
                1,
                score.n,
                score.higher_is_better,
            ).to_json()
            for name, score in evaluation.scores.items()
        }
        for split, evaluation in record.evaluations.items()
        if not evaluation.is_file
    }

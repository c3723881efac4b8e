"""Score the test rows of a finished run that left them untouched."""

from dataclasses import replace
from pathlib import Path

from warmstart.evaluation.compare import compare
from warmstart.experiments.trials import workspace
from warmstart.preparation.prepare import prepare
from warmstart.preparation.row_ids import given_rows
from warmstart.run import Run
from warmstart.runs.directory import RunDirectory
from warmstart.training.job import job_for
from warmstart.training.kept_model_scores import score_kept_model


def score_test_rows(path: Path) -> None:
    """Score the kept model and the baselines on the test rows, and write the report again.

    A run without a test split, or whose test rows are scored already, stays as it is.

    Args:
        path: the run directory.
    """
    directory = RunDirectory(path)
    if directory.evaluation("test").exists():
        return
    prepared = prepare(directory.read_config(), rows=given_rows(directory), workspace=workspace())
    if "test" not in prepared.splits:
        return
    with directory.locked():
        score_kept_model(prepared, job_for(prepared, directory))
    Run(path).report()


def compared_with_default(best: Path, default: Path, metric: str) -> str:
    """The difference between two runs on the test rows, and what it decides, in words.

    Args:
        best: the run directory of the best trial.
        default: that of the config without changes.
        metric: name of the metric.
    """
    pair = compare(best, default, metric=metric).pairs[0]
    # The pair has the paths of the runs; within an experiment their names are enough.
    return replace(pair, a=best.name, b=default.name).in_words()

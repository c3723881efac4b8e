"""The last part of a run, in every process: score the kept model and write its scores."""

from dataclasses import replace
from typing import Any

from warmstart.devices.processes import ALONE
from warmstart.evaluation.baseline_scores import Scored
from warmstart.evaluation.final_scoring import (
    HELD_OUT,
    Scoring,
    fit_baselines,
    start_scores,
    with_chosen_scores,
    write_scores,
)
from warmstart.preparation.prepare import Prepared
from warmstart.runs.loaded_run import load_run
from warmstart.training.job import Job
from warmstart.training.monitoring.samples import write_final_samples


def score_kept_model(
    prepared: Prepared, job: Job, splits: tuple[str, ...] = HELD_OUT, *, baselines: bool = True
) -> dict[str, dict[str, Any]]:
    """Score the kept model and the baselines on the held-out splits, and write the scores.

    Every process calls this; rank 0 fits the baselines and writes.

    Args:
        prepared: the prepared run.
        job: the training job, after training.
        splits: names of the splits to score.
        baselines: whether baselines are fitted and scored.

    Returns:
        The content of ``scores.json`` by split; empty in processes other than rank 0.
    """
    kept = job.processes.agreed(lambda: load_run(job.run))
    kept.model.to(job.accelerator.device)
    scoring = Scoring(prepared, job.accelerator, job.processes, job.log.notice)
    splits = tuple(name for name in splits if name in prepared.splits)
    found = scoring.evaluations(job.task, kept.model, splits)
    task, found, sentences = with_chosen_scores(scoring, job.task, found)
    for sentence in sentences:
        scoring.notice(sentence)
    write_final_samples(prepared, job, kept.model)
    if not job.processes.first:
        return {}
    beside: dict[str, dict[str, Scored]] = {}
    if baselines and splits:
        # By one process: an error in one of several would leave the others waiting.
        alone = replace(scoring, processes=ALONE)
        beside = fit_baselines(scoring, job.task, splits)
        beside |= start_scores(alone, job.run, job.task, splits)
    return write_scores(scoring, job.run, task, found, beside)

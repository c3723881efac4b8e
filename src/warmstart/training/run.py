"""One whole training run: from a prepared job to a scored run directory.

``loop.fit`` trains; this file is what stands around it: the directory and its lock, loading the
weights, the final evaluation of the best model on every split beside the baselines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart import config_file, errors
from warmstart.evaluation.beside import baseline_scores
from warmstart.evaluation.evaluate import evaluate
from warmstart.evaluation.store import scores_json, write_evaluation
from warmstart.models.forward import forward_for
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Listener
from warmstart.runs.load import load_run
from warmstart.training.device import precision_of
from warmstart.training.environment import MUST_MATCH, environment
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.plan import Plan
from warmstart.training.prepare import Prepared
from warmstart.training.stop import stop_requested

HELD_OUT = ("validation", "test")
"""Splits that are scored at the end."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended.

    Args:
        directory: its run directory.
        steps: optimiser updates made.
        seconds: spent training and evaluating.
        evaluations: content of each split's ``scores.json``.
    """

    directory: RunDirectory
    steps: int
    seconds: float
    evaluations: Mapping[str, Mapping[str, Any]]


def train_run(
    prepared: Prepared,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    listeners: Sequence[Listener] = (),
) -> Finished:
    """Train, keep the best model, score it on the held-out splits.

    Args:
        prepared: read and checked.
        path: the run directory to make, or to go on with.
        resume: go on from the newest checkpoint of ``path``.
        overwrite: replace an earlier run in ``path``.
        listeners: told of every event: progress display, TensorBoard.

    Raises:
        Interrupted: asked to stop; everything is saved.
        WarmstartError: the directory cannot be used, the run diverged, memory or disk ran out.
    """
    directory = RunDirectory(path)
    job = job_for(prepared, directory, listeners)
    facts = environment(job.accelerator, job.forward.path)
    if not resume:
        RunDirectory.create(path, overwrite=overwrite)
    with directory.locked(), stop_requested() as stopping:
        _write_or_compare(directory, prepared, facts, resume=resume)
        _announce(job, resume=resume)
        progress = fit(job, resume=resume, stop_requested=stopping)
        evaluations = score_held_out(prepared, job)
        job.log.write(
            {
                "event": "finish",
                "status": "finished",
                "steps": progress.step,
                "seconds": progress.total_seconds,
                "best_step": progress.best_step,
            }
        )
    return Finished(directory, progress.step, progress.total_seconds, evaluations)


def score_held_out(prepared: Prepared, job: Job) -> dict[str, dict[str, Any]]:
    """Score the kept model on the validation and test splits, with baselines, and write it all."""
    best = load_run(job.run)
    best.model.to(job.accelerator.device)
    forward = forward_for(best.model, job.train, job.accelerator.autocast)
    splits = {name: prepared.tables[name] for name in HELD_OUT if name in prepared.tables}
    baselines, notes = baseline_scores(
        prepared.task, prepared.config, prepared.tables["train"], splits
    )
    for note in notes:
        job.log.notice(note)
    evaluations = {}
    for name, table in splits.items():
        found = evaluate(
            job.task, best.model, forward, prepared.examples[name], table, job.accelerator
        )
        beside = {baseline: scores[name] for baseline, scores in baselines.items()}
        write_evaluation(job.run, name, found, table, prepared.config.data, beside)
        evaluations[name] = scores_json(name, found, table, beside)
    return evaluations


def _announce(job: Job, *, resume: bool) -> None:
    plan = Plan(job.train.lengths, job.config)
    start = {
        "event": "start",
        "steps": plan.total_steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "epochs": job.config.epochs,
        "rows": len(job.train),
        "batch_size": job.config.batch_size,
        "precision": precision_of(job.accelerator),
        "device": job.accelerator.device.type,
    }
    if resume:
        # Already in the file from the first time; the display is new and has not seen it.
        for listener in job.log.listeners:
            listener(start)
    else:
        job.log.write(start)


def _write_or_compare(
    directory: RunDirectory, prepared: Prepared, facts: dict[str, Any], *, resume: bool
) -> None:
    """Write what the run is made of; on resume, compare with what was written then."""
    data = prepared.data_json()
    if not resume:
        config = config_file.resolve_paths(prepared.config, Path.cwd())
        directory.write_text("config.yaml", config_file.dump(config))
        # On one line: it may hold the ids of millions of rows.
        directory.write_json("data.json", data, indent=None)
        directory.write_json("environment.json", facts)
        content = {"task": prepared.task.name, "facts": prepared.task.facts}
        directory.write_json("task.json", content)
        return
    before, then = directory.read_json("data.json"), directory.read_json("environment.json")
    hashes = [
        {name: [file["sha256"] for file in files] for name, files in content["files"].items()}
        for content in (before, data)
    ]
    changed = [key for key in MUST_MATCH if then.get(key) != facts[key]]
    changed += ["the data files"] if hashes[0] != hashes[1] else []
    changed += ["the splits"] if before["splits"] != data["splits"] else []
    if changed:
        raise errors.run.changed_since(directory.path, changed)

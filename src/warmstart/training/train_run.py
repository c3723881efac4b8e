"""One whole training run: from a prepared job to a scored run directory.

``loop.fit`` trains; this file is what stands around it: the directory and its lock, loading the
weights, the final evaluation of the best model on every split beside the baselines.

Of several processes the first runs ``train_run`` as if it were alone, and calls the others once all
is checked, downloaded and written; they are in ``follow``. Only the first writes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from warmstart import errors
from warmstart.config import RunConfig, config_file
from warmstart.data.table import Table
from warmstart.devices.device import precision_of
from warmstart.devices.processes import current
from warmstart.evaluation.baseline_scores import baseline_scores
from warmstart.evaluation.evaluate import Evaluation, evaluate_finally
from warmstart.evaluation.store import scores_json, write_evaluation
from warmstart.metrics.scores import Scores
from warmstart.models.checkpoints.load import Checkpoint, new_parts
from warmstart.models.packed.forward import forward_for
from warmstart.preparation.new_start import keep_start
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.preparation.replaced_inputs import refuse_replaced_inputs
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Listener
from warmstart.runs.loaded_run import load_run
from warmstart.tasks.task import Labelled, Settles, Task, shown_labels
from warmstart.training.average import forget, keep_average
from warmstart.training.checkpoint import Progress, generators_kept
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.monitoring.environment import MUST_BE_ALIKE, MUST_MATCH, environment
from warmstart.training.monitoring.samples import write_final_samples
from warmstart.training.stop import stop_requested, stops_at_once
from warmstart.training.unfreezing import schedule_in_words

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


class Order(NamedTuple):
    """What the first of several processes tells the others to take part in."""

    config: RunConfig
    path: Path
    resume: bool


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
    if not resume:
        refuse_replaced_inputs(prepared, directory)
    job = job_for(prepared, directory, listeners)
    facts = environment(job)
    if not resume:
        RunDirectory.create(path, overwrite=overwrite)
    device = job.accelerator.device
    with directory.locked(), stop_requested() as stopping, generators_kept(device):
        config = config_file.resolve_paths(prepared.config, Path.cwd())
        if resume:
            _refuse_changes(directory, prepared, facts)
        else:
            if config.pretrain is not None:
                config = keep_start(prepared.checkpoint, config, directory)
            _write(directory, config, prepared, facts)
        _announce(job, prepared.checkpoint, resume=resume)
        job.processes.from_first(Order(config, path.absolute(), resume))
        job.processes.agreed(lambda: None)
        progress = fit(job, resume=resume, stop_requested=stopping)
        evaluations = _finish(prepared, job, progress, stopping)
    return Finished(directory, progress.step, progress.total_seconds, evaluations)


def _finish(
    prepared: Prepared, job: Job, progress: Progress, stopping: Callable[[], bool]
) -> dict[str, dict[str, Any]]:
    """All that follows the last step. A stop ends it at once; a resume does all of it again."""

    def stopped() -> errors.Interrupted:
        return errors.run.interrupted_after_training(job.run.path, job.processes.count)

    try:
        with stops_at_once(stopping, stopped):
            keep_average(job, progress)
            evaluations = score_held_out(prepared, job)
    except errors.Interrupted:
        job.log.write({"event": "interrupted", "step": progress.step - 1})
        raise
    job.log.write(
        {
            "event": "finish",
            "status": "finished",
            "steps": progress.step,
            "seconds": progress.total_seconds,
            "best_step": progress.best_step,
        }
    )
    forget(job.run)
    if stopping():  # while the last lines were written
        raise stopped()
    return evaluations


def follow() -> int:
    """What a process does that is not the first: its share of each run that the first begins.

    Returns:
        Its exit code. It says nothing: the first process does.
    """
    code = 0
    order: Order | None = None
    # Asked to stop, it passes that on while training, and else ends when the first process does.
    with stop_requested() as stopping, suppress(errors.RunError):
        while (order := current().from_first(order)) is not None:
            code = _take_part(*order, stopping)
    return code


def _take_part(config: RunConfig, path: Path, resume: bool, stopping: Callable[[], bool]) -> int:
    """Train and evaluate with the others; the exit code."""

    def get_ready() -> tuple[Prepared, Job]:
        prepared = prepare(config)
        job = job_for(prepared, RunDirectory(path))
        _refuse_differences(job, prepared)
        return prepared, job

    try:
        prepared, job = current().agreed(get_ready)
        progress = fit(job, resume=resume, stop_requested=stopping)
        with stops_at_once(stopping, lambda: errors.run.interrupted_after_training(path)):
            keep_average(job, progress)
            score_held_out(prepared, job)
    except errors.Interrupted:
        return 130
    except errors.WarmstartError:
        return 1
    return 0


def score_held_out(prepared: Prepared, job: Job) -> dict[str, dict[str, Any]]:
    """Score the kept model on the validation and test splits, with baselines, and write it all."""
    best = job.processes.agreed(lambda: load_run(job.run))
    best.model.to(job.accelerator.device)
    forward = forward_for(best.model, job.train, job.accelerator.autocast)
    splits = {name: prepared.tables[name] for name in HELD_OUT if name in prepared.tables}
    found = {}
    for name, table in splits.items():
        split = prepared.examples[name], table
        found[name] = evaluate_finally(
            job.task, best.model, forward, *split, job.accelerator, job.processes
        )
    if job.config.choose_threshold:
        found = _with_settled(prepared, job, found)
    untouched = _untouched_scores(prepared, job, splits)
    write_final_samples(prepared, job, best.model)
    if not job.processes.first:
        return {}
    baselines, notes = baseline_scores(
        prepared.task, prepared.config, prepared.tables["train"], splits
    )
    baselines |= untouched
    for note in notes:
        job.log.notice(note)
    evaluations = {}
    for name, table in splits.items():
        beside = {baseline: scores[name] for baseline, scores in baselines.items()}
        write_evaluation(
            job.run,
            name,
            found[name],
            table,
            prepared.config.data,
            beside,
            labels=shown_labels(job.task, table),
        )
        evaluations[name] = scores_json(name, found[name], table, beside)
    return evaluations


def _with_settled(
    prepared: Prepared, job: Job, found: Mapping[str, Evaluation]
) -> dict[str, Evaluation]:
    """Settle on the validation rows what the task leaves open, keep it, score anew with it."""
    assert isinstance(job.task, Settles)
    split = found["validation"].predictions, prepared.tables["validation"]
    task, said = job.task.settled(*split, job.best_metric)
    if job.processes.first:
        job.run.write_json("task.json", task_json(task))
    job.log.notice(said)
    assert isinstance(task, Labelled)
    scored = {}
    for name, evaluation in found.items():
        before = evaluation.predictions
        answers = task.answers(before.probabilities, before.rows, before.truncated)
        scores = task.score(answers, prepared.tables[name])
        scored[name] = replace(evaluation, predictions=answers, scores=scores)
    return scored


def _untouched_scores(
    prepared: Prepared, job: Job, splits: Mapping[str, Table]
) -> dict[str, dict[str, Scores]]:
    """What a language model scored before it was trained: ``{"untouched": {split: scores}}``."""
    if isinstance(job.task, Labelled):
        return {}
    model = job.task.model(prepared.checkpoint, job.config.seed)
    model.to(job.accelerator.device)
    forward = forward_for(model, job.train, job.accelerator.autocast)
    scores = {}
    for name, table in splits.items():
        split = prepared.examples[name], table
        found = evaluate_finally(job.task, model, forward, *split, job.accelerator, job.processes)
        scores[name] = found.scores
    return {"untouched": scores}


def _announce(job: Job, checkpoint: Checkpoint, *, resume: bool) -> None:
    plan = Plan.of(job.train, job.config)
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
        if job.forward.packed is None:
            job.log.notice(f"the model runs {job.forward.path}")
        for text in (*new_parts(checkpoint), schedule_in_words(job)):
            if text is not None:
                job.log.notice(text)


def _write(
    directory: RunDirectory, config: RunConfig, prepared: Prepared, facts: dict[str, Any]
) -> None:
    """Write what the run is made of."""
    directory.write_text("config.yaml", config_file.dump(config))
    # On one line: it may hold the ids of millions of rows.
    directory.write_json("data.json", prepared.data_json(), indent=None)
    directory.write_json("environment.json", facts)
    directory.write_json("task.json", task_json(prepared.task))


def task_json(task: Task) -> dict[str, Any]:
    """The content of ``task.json``."""
    return {"task": task.name, "facts": task.facts}


def _refuse_changes(directory: RunDirectory, prepared: Prepared, facts: dict[str, Any]) -> None:
    """Compare what a resumed run is made of with what was written when it began."""
    then = directory.read_json("environment.json")
    if then["processes"] != facts["processes"]:
        raise errors.run.other_processes(directory.path, then["processes"], facts["processes"])
    changed = _other_data(directory, prepared)
    changed += [key for key in MUST_MATCH if then.get(key) != facts[key]]
    if changed:
        raise errors.run.changed_since(directory.path, changed)


def _refuse_differences(job: Job, prepared: Prepared) -> None:
    """Compare what this process has with what the first one wrote."""
    facts = environment(job)
    theirs = job.run.read_json("environment.json")
    other = [key for key in MUST_BE_ALIKE if theirs[key] != facts[key]]
    other += _other_data(job.run, prepared)
    if other:
        raise errors.run.processes_differ(job.processes.index, other)


def _other_data(directory: RunDirectory, prepared: Prepared) -> list[str]:
    """In what the data differ from what ``data.json`` says."""
    before, data = directory.read_json("data.json"), prepared.data_json()
    hashes = [
        {name: [file["sha256"] for file in files] for name, files in content["files"].items()}
        for content in (before, data)
    ]
    return ["the data files"] * (hashes[0] != hashes[1]) + ["the splits"] * (
        before["splits"] != data["splits"]
    )

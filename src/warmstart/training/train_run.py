"""One whole training run: from a prepared run to a scored run directory.

``loop.fit`` trains; this file does the rest: the directory and its lock, loading the weights, and
the final scores of the kept model.

With several processes rank 0 runs ``train_run`` as if it were alone, and starts the others when
everything is checked, downloaded and written; they are in ``worker.follow``. Only rank 0 writes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from warmstart import config_file, errors
from warmstart.config import RunConfig
from warmstart.devices.device import precision_of
from warmstart.evaluation.final_scoring import HELD_OUT
from warmstart.preparation.new_start import keep_start
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.preparation.replaced_inputs import refuse_replaced_inputs
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Listener
from warmstart.runs.loaded_run import task_json
from warmstart.runs.manifest import write_manifest
from warmstart.runs.safe_files import remove
from warmstart.tasks.capabilities import ScalesOutput
from warmstart.training.average import forget, keep_average
from warmstart.training.checkpoint import Progress, checkpoints, generators_kept, remove_old
from warmstart.training.job import Job, job_for
from warmstart.training.kept_model_scores import score_kept_model
from warmstart.training.loop import fit
from warmstart.training.monitoring.environment import changes, environment, inputs
from warmstart.training.second_try import as_resumed, begin_again, why_again
from warmstart.training.stop import stop_on_signals, stops_at_once
from warmstart.training.unfreezing import schedule_in_words
from warmstart.training.worker import Order, other_data


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended.

    Args:
        directory: its run directory.
        steps: number of optimiser updates.
        seconds: time spent in training and evaluation.
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
    stop_requested: Callable[[], bool] | None = None,
    splits: tuple[str, ...] = HELD_OUT,
    baselines: bool = True,
) -> Finished:
    """Train, keep the best model, and score it on the held-out splits.

    Args:
        prepared: the prepared run.
        path: the run directory to create, or to resume.
        resume: continue from the newest checkpoint of ``path``, or from the first step if there is
            no checkpoint yet.
        overwrite: replace an earlier run in ``path``.
        listeners: called with every event: progress display, TensorBoard.
        stop_requested: called after each step; if it returns True, the run is saved and stops. By
            default SIGINT and SIGTERM stop the run.
        splits: splits that are scored at the end; a search leaves out ``test``.
        baselines: whether baselines are fitted and scored.

    Raises:
        Interrupted: a stop was requested; everything is saved.
        WarmstartError: the directory cannot be used, the run diverged, or memory or disk ran out.
    """
    directory = RunDirectory(path)
    if not resume:
        refuse_replaced_inputs(prepared, directory)
    if resume:
        prepared = as_resumed(prepared, directory)
    job = job_for(prepared, directory, listeners)
    facts = environment(job) | inputs(prepared)
    if not resume:
        RunDirectory.create(path, overwrite=overwrite)
    device = job.accelerator.device
    with directory.locked(), _stopping(stop_requested) as stopping, generators_kept(device):
        config = config_file.resolve_paths(prepared.config, Path.cwd())
        if resume:
            directory.settle()
            _refuse_changes(directory, prepared, facts)
            resume = _continues(directory)
        else:
            if config.pretrain is not None:
                config = keep_start(prepared.checkpoint, config, directory)
            _write(directory, config, prepared, facts)
        _announce(job, prepared, resume=resume)
        job.processes.from_first(Order(config, path.absolute(), resume, splits))
        job.processes.agreed(lambda: None)
        progress = fit(job, resume=resume, stop_requested=stopping)
        if (reason := why_again(job, progress)) is not None:
            prepared, job = begin_again(prepared, job, reason, listeners)
            progress = fit(job, resume=False, stop_requested=stopping, earlier=progress)
        score = partial(score_kept_model, prepared, job, splits, baselines=baselines)
        evaluations = _finish(job, progress, score, stopping)
    return Finished(directory, progress.step, progress.total_seconds, evaluations)


def _finish(
    job: Job,
    progress: Progress,
    score: Callable[[], dict[str, dict[str, Any]]],
    stopping: Callable[[], bool],
) -> dict[str, dict[str, Any]]:
    """What follows the last step. A signal ends it immediately; a resumed run repeats all of it."""

    def interrupted() -> errors.Interrupted:
        return errors.run.interrupted_after_training(job.run.path, job.processes.count)

    try:
        with stops_at_once(stopping, interrupted):
            keep_average(job, progress)
            evaluations = score()
    except errors.Interrupted:
        job.log.write({"event": "interrupted", "step": progress.step - 1})
        raise
    # A run that was stopped after its last checkpoint, before it removed the one before, has both.
    remove_old(job.run, job.config.keep_checkpoints)
    write_manifest(job.run.model)
    remove(job.run.entry("report.html"))  # of the unfinished run: it is made again at the end
    job.log.write(
        {
            "event": "finish",
            "status": "finished",
            "steps": progress.step,
            "seconds": progress.total_seconds,
            "best_step": progress.best_step,
            "out_of_time": progress.out_of_time,
        }
    )
    tidy(job.run)
    if stopping():  # a signal arrived while the last events were written
        raise interrupted()
    return evaluations


def tidy(directory: RunDirectory) -> None:
    """Remove what a finished run no longer needs: models to average, and the run it replaced.

    Args:
        directory: the directory of a finished run, locked.

    Raises:
        RunError: the directory is not writable.
    """
    forget(directory)
    directory.complete()


def _continues(directory: RunDirectory) -> bool:
    """Whether a resumed run has a checkpoint; otherwise what it wrote after its start is removed.

    The settings and the seed determine the first step, so the run can also begin again.
    """
    if checkpoints(directory):
        return True
    forget(directory)
    remove(directory.entry("events.jsonl"))
    return False


@contextmanager
def _stopping(stop_requested: Callable[[], bool] | None) -> Iterator[Callable[[], bool]]:
    """The caller's function, or one that returns True after SIGINT or SIGTERM."""
    if stop_requested is not None:
        yield stop_requested
        return
    with stop_on_signals() as asked:
        yield asked


def _announce(job: Job, prepared: Prepared, *, resume: bool) -> None:
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
        # The event is in the file already; the listeners of this process have not seen it.
        for listener in job.log.listeners:
            listener(start)
    else:
        job.log.write(start)
        if job.forward.packed is None:
            job.log.notice(f"the model runs {job.forward.path}")
        if isinstance(job.task, ScalesOutput):
            job.log.notice(job.task.scale.in_words())
        parts = prepared.about_model()
        for text in (*parts, schedule_in_words(job)):
            if text is not None:
                job.log.notice(text)


def _write(
    directory: RunDirectory, config: RunConfig, prepared: Prepared, facts: dict[str, Any]
) -> None:
    """Write the settings, the data, the environment and the task."""
    directory.write_text("config.yaml", config_file.dump(config))
    # On one line, because it may contain the ids of millions of rows.
    directory.write_json("data.json", prepared.data_json(), indent=None)
    directory.write_json("environment.json", facts)
    directory.write_json("task.json", task_json(prepared.task))


def _refuse_changes(directory: RunDirectory, prepared: Prepared, facts: dict[str, Any]) -> None:
    """Refuse a resumed run whose data or environment changed since it began."""
    then = directory.read_json("environment.json")
    if then["processes"] != facts["processes"]:
        raise errors.run.other_processes(directory.path, then["processes"], facts["processes"])
    changed = other_data(directory, prepared)
    changed += changes(then, facts)
    if changed:
        raise errors.run.changed_since(directory.path, changed)

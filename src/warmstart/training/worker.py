"""The worker loop of ranks > 0, the other processes under torchrun.

Rank 0 runs the program; the others wait here, take part in each training run that rank 0 starts,
and write nothing.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.devices.processes import current
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.preparation.row_ids import given_rows
from warmstart.runs.directory import RunDirectory
from warmstart.tasks.capabilities import facts_of
from warmstart.training.average import keep_average
from warmstart.training.job import Job, job_for
from warmstart.training.kept_model_scores import score_kept_model
from warmstart.training.loop import fit
from warmstart.training.monitoring.environment import EQUAL_ON_ALL_RANKS, environment
from warmstart.training.stop import stop_on_signals, stops_at_once


class Order(NamedTuple):
    """What rank 0 sends to the other ranks to start a run."""

    config: RunConfig
    path: Path
    resume: bool
    splits: tuple[str, ...]


def follow() -> int:
    """Take part in each run that rank 0 starts, until rank 0 ends.

    Returns:
        The exit code. Nothing is printed: rank 0 does that.
    """
    code = 0
    order: Order | None = None
    # A signal is passed on to the other ranks while training; otherwise the process ends with
    # rank 0.
    with stop_on_signals() as stopping, suppress(errors.RunError):
        while (order := current().from_first(order)) is not None:
            code = _take_part(order, stopping)
    return code


def _take_part(order: Order, stopping: Callable[[], bool]) -> int:
    """Train and evaluate with the other ranks; returns the exit code."""

    def get_ready() -> tuple[Prepared, Job]:
        directory = RunDirectory(order.path)
        prepared = prepare(order.config, rows=given_rows(directory))
        job = job_for(prepared, directory)
        _refuse_differences(job, prepared)
        return prepared, job

    try:
        prepared, job = current().agreed(get_ready)
        progress = fit(job, resume=order.resume, stop_requested=stopping)
        with stops_at_once(stopping, lambda: errors.run.interrupted_after_training(order.path)):
            keep_average(job, progress)
            score_kept_model(prepared, job, order.splits)
    except errors.Interrupted:
        return 130
    except errors.WarmstartError:
        return 1
    return 0


def _refuse_differences(job: Job, prepared: Prepared) -> None:
    """Refuse a process whose data or environment differs from what rank 0 wrote."""
    facts = environment(job)
    theirs = job.run.read_json("environment.json")
    other = [key for key in EQUAL_ON_ALL_RANKS if theirs[key] != facts[key]]
    other += other_data(job.run, prepared)
    if other:
        raise errors.launch.processes_differ(job.processes.index, other)


def other_data(directory: RunDirectory, prepared: Prepared) -> list[str]:
    """Names of the parts of the data that differ from ``data.json``."""
    before, data = directory.read_json("data.json"), prepared.data_json()
    hashes = [
        {name: [file["sha256"] for file in files] for name, files in content["files"].items()}
        for content in (before, data)
    ]
    # A run that was scored has more facts than were learned: its temperature and thresholds.
    facts, learned = directory.read_json("task.json")["facts"], facts_of(prepared.task)
    return [
        *["the data files"] * (hashes[0] != hashes[1]),
        *["the splits"] * (before["splits"] != data["splits"]),
        *[f"{name} in task.json" for name in learned if facts.get(name) != learned[name]],
    ]

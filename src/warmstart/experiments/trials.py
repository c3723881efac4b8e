"""One trial: an ordinary run, started or resumed in whichever process this is called.

Trials of one process share a ``Workspace``: files are read, rows tokenised and baselines fitted
once for all trials over the same rows.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from warmstart import api, config_file, errors
from warmstart.config import RunConfig
from warmstart.data.examples.tokens import Ints
from warmstart.evaluation.final_scoring import HELD_OUT
from warmstart.experiments.experiment_folder import Outcome, Status
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.preparation.row_ids import given_rows, ids_of_ranges
from warmstart.preparation.stages import Workspace
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Listener, is_finished
from warmstart.runs.safe_files import remove


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial trains; it can be sent to another process.

    Args:
        path: its run directory.
        settings: the settings that all trials share, as nested mappings.
        changes: what is different in this trial, by dotted names.
        rows: row ids of each split in the form of ``row_ids.ranges``; empty for the splits of the
            settings.
        splits: the splits that are scored.
    """

    path: Path
    settings: Mapping[str, Any]
    changes: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = HELD_OUT

    @property
    def name(self) -> str:
        """Its name, which is also the name of its folder."""
        return self.path.name

    @property
    def config(self) -> RunConfig:
        """All settings of the trial."""
        return config_file.load(self.settings, dict(self.changes))

    @property
    def given_rows(self) -> dict[str, Ints] | None:
        """The row ids of each split, int64 [N] each; None for the splits of the settings."""
        return {split: ids_of_ranges(ids) for split, ids in self.rows.items()} or None

    def prepared(self) -> Prepared:
        """The trial, read and checked; parts that other trials of this process need are shared."""
        return prepare(self.config, rows=self.given_rows, workspace=workspace())

    def run(self, stopping: Callable[[], bool]) -> Outcome:
        """Run the trial to its end, or resume it; one that is finished is not repeated.

        Args:
            stopping: whether a stop was requested: the trial is then saved and ends.
        """
        return ended_as(self.name, lambda: train_trial(self, stopping))


def ended_as(name: str, run: Callable[[], Status]) -> Outcome:
    """How a trial ended; an error becomes part of the outcome.

    Args:
        name: name of the trial.
        run: trains it.
    """
    began, error = time.perf_counter(), ""
    try:
        status = run()
    except errors.Interrupted:
        status = "interrupted"
    except errors.WarmstartError as problem:
        status, error = "failed", str(problem)
    except Exception:  # a bug, or memory ran out: the other trials continue
        status, error = "failed", traceback.format_exc()
    return Outcome(name, status, round(time.perf_counter() - began, 3), error)


@cache
def workspace() -> Workspace:
    """The results that the trials of this process share."""
    return Workspace()


def train_trial(
    trial: Trial, stopping: Callable[[], bool], listeners: Sequence[Listener] = ()
) -> Status:
    """Train a trial, or resume it; one that is finished is not repeated.

    Args:
        trial: what to train.
        stopping: whether a stop was requested: the trial is then saved and ends.
        listeners: called with every event of the training.

    Raises:
        WarmstartError: as for ``train``.
    """
    with _threads_of(RunDirectory(trial.path)):
        return _train(trial, stopping, listeners)


def _train(trial: Trial, stopping: Callable[[], bool], listeners: Sequence[Listener]) -> Status:
    directory = RunDirectory(trial.path)
    if directory.is_run and is_finished(directory.entry("events.jsonl")):
        if not directory.is_complete(exported=False):
            api.resume(trial.path, progress=False)
    else:
        resuming = directory.is_run
        if resuming:
            directory.recover()
            rows = given_rows(directory)
            prepared = prepare(directory.read_config(), rows=rows, workspace=workspace())
        else:
            prepared = trial.prepared()
        if stopping():
            return "interrupted"
        api.train_prepared(
            prepared,
            trial.path,
            resuming=resuming,
            overwrite=not resuming,
            progress=False,
            listeners=listeners,
            stop_requested=stopping,
            splits=trial.splits,
        )
    remove(directory.entry("checkpoint"))  # a finished run needs none, and it is large
    return "finished"


@contextmanager
def _threads_of(directory: RunDirectory) -> Iterator[None]:
    """Use as many threads as the run began with, if it began: an exact resume needs as many.

    It is another one if the experiment is resumed with more or fewer workers.
    """
    before = torch.get_num_threads()
    if directory.entry("environment.json").is_file():
        torch.set_num_threads(directory.read_json("environment.json")["threads"] or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

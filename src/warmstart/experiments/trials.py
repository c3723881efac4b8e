"""One trial: an ordinary run, started or resumed in whichever process this is called.

Trials of one process share a ``Workspace``: files are read, rows tokenised and baselines fitted
once for all trials over the same rows.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from warmstart import api, config_file, errors
from warmstart.config import RunConfig
from warmstart.data.examples.tokens import Ints
from warmstart.experiments.experiment_folder import Outcome
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.preparation.row_ids import given_rows, ids_of_ranges
from warmstart.preparation.stages import Workspace
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import is_finished
from warmstart.runs.safe_files import remove

HELD_OUT = ("validation", "test")


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


@cache
def workspace() -> Workspace:
    """The results that the trials of this process share."""
    return Workspace()


def run_trial(trial: Trial, stopping: Callable[[], bool]) -> Outcome:
    """Run a trial to its end, or resume it; an error becomes part of the outcome.

    Args:
        trial: what to train. A trial that is finished already is not repeated.
        stopping: whether a stop was requested: the trial is then saved and ends.
    """
    began = time.perf_counter()

    def ended(status: Any, error: str = "") -> Outcome:
        return Outcome(trial.name, status, round(time.perf_counter() - began, 3), error)

    try:
        with _threads_of(RunDirectory(trial.path)):
            return ended("finished" if _run(trial, stopping) else "interrupted")
    except errors.Interrupted:
        return ended("interrupted")
    except errors.WarmstartError as error:
        return ended("failed", str(error))
    except Exception:  # a bug, or memory ran out: the other trials continue
        return ended("failed", traceback.format_exc())


def _run(trial: Trial, stopping: Callable[[], bool]) -> bool:
    """Whether the trial is finished; otherwise a stop was requested before it began."""
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
            return False
        api.train_prepared(
            prepared,
            trial.path,
            resuming=resuming,
            overwrite=not resuming,
            progress=False,
            stop_requested=stopping,
            splits=trial.splits,
        )
    remove(directory.entry("checkpoint"))  # a finished run needs none, and it is large
    return True


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

"""The study of a search: Optuna's record of all trials and their values.

By default it is a journal file in the experiment's folder, which many processes may write. With the
URL of a database, several machines can join one study. Each worker asks the study for the values of
its next trial, and tells it the result.

A trial that never ended is found again: its run directory is in this experiment's folder, and
nobody holds its lock. Optuna cannot continue a trial, so it is closed, and its values are enqueued
for a new one, which resumes the same run directory.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from warmstart import errors
from warmstart.experiments.experiment_folder import ExperimentFolder
from warmstart.experiments.search_space import Space, distributions

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Sampler = Literal["tpe", "gp", "random"]
Pruner = Literal["median", "hyperband", "none"]

HEARTBEAT_SECONDS = 60
"""Interval at which a running trial reports to a database that it is alive."""


@dataclass(frozen=True, slots=True)
class StudyPlace:
    """Where a study is and how it chooses; it can be sent to another process.

    Args:
        storage: URL of a database, or path of a journal file.
        name: name of the study.
        space: the settings that are searched.
        sampler: how values are chosen.
        pruner: when a trial is stopped early.
        seed: seed of the sampler.
        higher_is_better: direction of the metric.
        folder: the folder of this experiment.
    """

    storage: str
    name: str
    space: Space
    sampler: Sampler
    pruner: Pruner
    seed: int
    higher_is_better: bool
    folder: Path

    def open(self, *, create: bool = False, order: int = 0) -> "Study":
        """The study.

        Args:
            create: create it if it does not exist.
            order: number of the trial that will be asked for; workers with equal seeds would
                choose equal values.

        Raises:
            RunError: the storage cannot be opened.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        direction: Literal["maximize", "minimize"]
        direction = "maximize" if self.higher_is_better else "minimize"
        with opened_storage(self.storage) as storage, _quiet():
            return optuna.create_study(
                storage=storage,
                study_name=self.name,
                sampler=_sampler(self.sampler, self.seed + order),
                pruner=_pruner(self.pruner),
                direction=direction,
                load_if_exists=not create,
            )

    @contextmanager
    def trial(self, most: int, order: int) -> "Iterator[tuple[Trial, str] | None]":
        """The next trial of the study and the name of its run directory, locked in the block.

        Args:
            most: number of trials of the study; None is yielded if it has so many.
            order: number of this trial in this experiment.
        """
        study = self.open(order=order)
        with self._asking():
            self._enqueue_lost(study)
            begun = [one for one in study.trials if not is_closed(one)]
            waiting = [one for one in begun if one.state.name == "WAITING"]
            if len(begun) - len(waiting) >= most:
                yield None
                return
            with _quiet():
                trial = study.ask(distributions(self.space))
            name = str(trial.user_attrs.get("run", f"trial-{trial.number:03d}"))
            trial.set_user_attr("run", name)
            trial.set_user_attr("folder", str(self.folder))
            lock = self._lock_of(name)
            lock.acquire()
        try:
            yield trial, name
        finally:
            lock.release()

    def _lock_of(self, name: str) -> FileLock:
        return FileLock(self._hidden(name), timeout=0)

    def _asking(self) -> FileLock:
        """Held while a process asks: the number of trials is then exact."""
        return FileLock(self._hidden("asking"))

    def _hidden(self, name: str) -> Path:
        """The path of a lock next to the run directories."""
        trials = ExperimentFolder(self.folder).entry("trials")
        trials.mkdir(exist_ok=True)
        return trials.joinpath(f".{name}.lock")

    def _enqueue_lost(self, study: "Study") -> None:
        """Close trials of this folder that nobody works on, and enqueue their values again."""
        for trial in self._running(study):
            name = str(trial.user_attrs["run"])
            lock = self._lock_of(name)
            try:
                lock.acquire()
            except Timeout:
                continue
            lock.release()
            if all(one.number != trial.number for one in self._running(study)):
                continue  # it has ended since we asked: its lock was free for this reason
            study.tell(trial.number, state=_state("FAIL"), skip_if_finished=True)
            study.enqueue_trial(trial.params, user_attrs={"run": name, "resumes": trial.number})

    def _running(self, study: "Study") -> "list[FrozenTrial]":
        """The trials of this folder that have not ended."""
        trials = study.get_trials(deepcopy=False, states=(_state("RUNNING"),))
        return [one for one in trials if one.user_attrs.get("folder") == str(self.folder)]


def is_closed(trial: "FrozenTrial") -> bool:
    """Whether a trial was only closed because another one resumes its run directory."""
    return trial.state.name == "FAIL" and "error" not in trial.user_attrs


@contextmanager
def opened_storage(storage: str) -> "Iterator[BaseStorage]":
    """The storage of a study; errors of the database or the file become errors with advice.

    Args:
        storage: URL of a database, or path of a journal file.

    Raises:
        RunError: the storage cannot be opened, or the driver of the database is missing.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        with _quiet():
            if "://" in storage:
                # Without a pool no connection stays open: a database accepts about a hundred.
                found: BaseStorage = RDBStorage(
                    storage,
                    heartbeat_interval=HEARTBEAT_SECONDS,
                    engine_kwargs={"poolclass": NullPool},
                )
            else:
                Path(storage).parent.mkdir(exist_ok=True)
                found = JournalStorage(JournalFileBackend(storage))
        yield found
    except ImportError as error:
        raise errors.search.driver_missing(storage) from error
    except (SQLAlchemyError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise errors.search.storage_unreachable(storage, lines[0]) from error


def known_studies(storage: str) -> Mapping[str, "Study"]:
    """The studies in a storage, by name."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with opened_storage(storage) as found:
        names = optuna.study.get_all_study_names(found)
        return {name: optuna.load_study(study_name=name, storage=found) for name in names}


def _sampler(name: Sampler, seed: int) -> "BaseSampler":
    from optuna import samplers

    with _quiet():
        if name == "gp":
            return samplers.GPSampler(seed=seed)
        if name == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed)


def _pruner(name: Pruner) -> "BasePruner":
    from optuna import pruners

    if name == "hyperband":
        return pruners.HyperbandPruner()
    if name == "none":
        return pruners.NopPruner()
    return pruners.MedianPruner()


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's remarks about experimental features."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""What all experiments have in common: begin or resume, run the trials, write the results.

A kind of experiment is a ``Kind``: which trials there are, and what is computed from them. The
rest is here, once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from rich.console import Console

from warmstart import config_file, errors
from warmstart.api import ConfigSource, name_of, refuse_missing_packages
from warmstart.config import RunConfig
from warmstart.config.overrides import Overrides
from warmstart.data.reading.paths import given_path
from warmstart.evaluation.final_scoring import HELD_OUT
from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome
from warmstart.experiments.experiment_forecast import experiment_forecast
from warmstart.experiments.experiment_page import Page, write_page
from warmstart.experiments.ray_workers import RayWorkers, files_of, ready_place
from warmstart.experiments.trial_progress import watching
from warmstart.experiments.trial_results import finished_records, trial_json
from warmstart.experiments.trials import Trial
from warmstart.experiments.workers import WORKER, TrialPlace, WorkOrder, cause, outcomes
from warmstart.report.svg import drawing
from warmstart.run import Run
from warmstart.runs.run_record import RunRecord
from warmstart.training.stop import stop_on_signals

VERSION = 1
"""Version of ``experiment.json``."""

FINAL = "final"
"""The entry with the run that follows from all trials."""


Trials = Sequence[Mapping[str, Any]]
"""The trials as they are in ``results.json``."""


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """What an experiment was asked to do; the content of ``experiment.json``.

    Args:
        folder: its folder.
        kind: name of the command.
        name: name of the config.
        options: options of the command.
        settings: the settings of the experiment, as nested mappings.
    """

    folder: ExperimentFolder
    kind: str
    name: str
    options: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def config(self) -> RunConfig:
        """The settings of the experiment; a trial has the same, apart from its export."""
        return config_file.load(self.settings)

    @property
    def of_trials(self) -> dict[str, Any]:
        """The settings that all trials share, as nested mappings: no trial is exported."""
        return {name: value for name, value in self.settings.items() if name != "export"}

    def trial(
        self,
        name: str,
        changes: Mapping[str, Any],
        rows: Mapping[str, str] | None = None,
        splits: tuple[str, ...] = HELD_OUT,
    ) -> Trial:
        """A trial of the experiment; the arguments are those of ``Trial``."""
        return Trial(self.folder.trial(name), self.of_trials, changes, rows or {}, splits)

    def final(self, changes: Mapping[str, Any]) -> Trial:
        """The run that follows from all trials; ``changes`` as for ``Trial``."""
        return Trial(self.folder.entry(FINAL), self.of_trials, changes)


def _none(_plan: ExperimentPlan, _records: Mapping[str, RunRecord]) -> None:
    """No run follows from the trials."""


def _always(_plan: ExperimentPlan) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of experiment.

    Args:
        command: name of its command.
        checked: checks settings, data and options before anything is written; returns the options
            to keep in ``experiment.json``.
        orders: what is left to run, given the names of the finished trials.
        trials: the trials, when all orders have been run.
        results: the content of ``results.json`` apart from what all kinds have, from the trials as
            they will be there and the run directories of the finished ones, at least one.
        page: what the report shows in addition, from the whole ``results.json``.
        typical: a trial whose duration is typical, and the number of runs.
        final: the run that follows from all trials, given the finished ones; None without one.
        exports: whether there is one model at the end that can be exported (``export.onnx``).
    """

    command: str
    checked: Callable[[ExperimentPlan], Mapping[str, Any]]
    orders: Callable[[ExperimentPlan, Sequence[str]], Sequence[WorkOrder]]
    trials: Callable[[ExperimentPlan], Sequence[Trial]]
    results: Callable[[ExperimentPlan, Trials, Mapping[str, RunRecord]], dict[str, Any]]
    page: Callable[[Mapping[str, Any], Mapping[str, RunRecord]], Page]
    typical: Callable[[ExperimentPlan], tuple[Trial, int]]
    final: Callable[[ExperimentPlan, Mapping[str, RunRecord]], Trial | None] = _none
    exports: Callable[[ExperimentPlan], bool] = _always


def kind_of_fixed_trials(
    command: str,
    trials: Callable[[ExperimentPlan], Sequence[Trial]],
    results: Callable[[ExperimentPlan, Trials, Mapping[str, RunRecord]], dict[str, Any]],
    page: Callable[[Mapping[str, Any], Mapping[str, RunRecord]], Page],
    final: Callable[[ExperimentPlan, Mapping[str, RunRecord]], Trial | None] = _none,
    exports: Callable[[ExperimentPlan], bool] = _always,
) -> Kind:
    """A kind whose trials are all known before the first one.

    Args:
        command: as for ``Kind``.
        trials: all trials; raises an error if the options do not fit.
        results: as for ``Kind``.
        page: as for ``Kind``.
        final: as for ``Kind``.
        exports: as for ``Kind``.
    """

    def checked(plan: ExperimentPlan) -> Mapping[str, Any]:
        trials(plan)[0].prepared()  # every fault of settings and data, before anything is written
        return plan.options

    def orders(plan: ExperimentPlan, done: Sequence[str]) -> list[WorkOrder]:
        return [trial for trial in trials(plan) if trial.name not in done]

    def typical(plan: ExperimentPlan) -> tuple[Trial, int]:
        *_, last = found = trials(plan)
        return last, len(found)

    return Kind(command, checked, orders, trials, results, page, typical, final, exports)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A finished experiment on disk.

    Args:
        path: its folder.
    """

    path: Path

    @property
    def results(self) -> dict[str, Any]:
        """The content of ``results.json``; ``--json`` prints the same."""
        content: dict[str, Any] = ExperimentFolder.open(self.path).read_json("results.json")
        return content

    @property
    def scores(self) -> dict[str, Any]:
        """The scores over all trials, by split and metric."""
        scores: dict[str, Any] = self.results["scores"]
        return scores

    @property
    def runs(self) -> list[Run]:
        """The finished trials, in order."""
        trials = self.results["trials"]
        return [Run(Path(trial["run"])) for trial in trials if trial["status"] == "finished"]

    @property
    def report(self) -> Path:
        """The path of ``experiment.html``."""
        return ExperimentFolder(self.path).entry("experiment.html")

    @property
    def best(self) -> Run:
        """The best trial by the validation score."""
        return Run(ExperimentFolder(self.path).entry("best"))


def new_experiment(
    kind: Kind,
    config: ConfigSource,
    overrides: Overrides,
    options: Mapping[str, Any],
    *,
    workers: int | RayWorkers,
    output: str | Path | None,
    overwrite: bool,
    progress: bool,
) -> Experiment:
    """Check everything, create the folder, and run the experiment.

    Args:
        kind: of the experiment.
        config: what to train, and on which data.
        overrides: settings that replace the config's.
        options: options of the kind, as JSON values.
        workers: number of processes, or a Ray cluster.
        output: the folder; by default a new one under ``runs/``.
        overwrite: replace an earlier experiment in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested; see ``resumed_experiment``.
        WarmstartError: an error that the user can fix.
    """
    refuse_workers(workers)
    settings = config_file.resolve_paths(config_file.load(config, overrides), Path.cwd())
    if settings.pretrain is not None:
        raise errors.experiment.pretrains(kind.command)
    refuse_missing_packages(settings)
    name = name_of(config, settings)
    if output is None:
        path = Path("runs") / f"{name}-{kind.command}-{datetime.now():%Y%m%d-%H%M%S}"
    else:
        path = given_path(output, "output")
    folder = ExperimentFolder(path.absolute())
    folder.refuse_unusable(overwrite=overwrite)
    given = settings.model_dump(exclude_unset=True)
    plan = ExperimentPlan(folder, kind.command, name, options, given)
    if settings.export.onnx and not kind.exports(plan):
        nested = " --nested" if options.get("nested") else ""
        raise errors.experiment.exports_nothing(f"{kind.command}{nested}")
    plan = replace(plan, options=kind.checked(plan))
    if progress:
        console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        console.print(experiment_forecast(*kind.typical(plan), folder.path), soft_wrap=True)
    with ready_place(workers, folder, files_of(plan.config)) as place:
        begin(plan, overwrite=overwrite)
        return _carry_out(kind, plan, place, progress=progress)


def begin(plan: ExperimentPlan, *, overwrite: bool) -> None:
    """Create the folder of an experiment, and write ``experiment.json``.

    Args:
        plan: the experiment, with the options to keep.
        overwrite: as for ``ExperimentFolder.create``.
    """
    content = {
        "version": VERSION,
        "kind": plan.kind,
        "name": plan.name,
        "options": dict(plan.options),
        "settings": plan.settings,
        "began": time.time(),
    }
    ExperimentFolder.create(plan.folder.path, content, overwrite=overwrite)


def resumed_experiment(
    kind: Kind, path: str | Path, *, workers: int | RayWorkers, progress: bool
) -> Experiment:
    """Continue an interrupted experiment: finished trials stay, the others are resumed or begun.

    Args:
        kind: of the experiment.
        path: its folder.
        workers: number of processes, or a Ray cluster.
        progress: show live progress on stderr.

    Raises:
        RunError: there is no such experiment, or it is finished.
    """
    refuse_workers(workers)
    folder = ExperimentFolder.open(given_path(path, "path").absolute())
    content = folder.read_json("experiment.json")
    if folder.is_finished:
        raise errors.experiment.already_finished(folder.path, folder.entry("experiment.html"))
    plan = ExperimentPlan(
        folder, kind.command, content["name"], content["options"], content["settings"]
    )
    with ready_place(workers, folder, files_of(plan.config)) as place:
        return _carry_out(kind, plan, place, progress=progress)


def refuse_workers(workers: int | RayWorkers) -> None:
    """Refuse workers that cannot be used, and an experiment inside a worker of another one."""
    if current_process().name == WORKER:
        raise errors.experiment.script_without_guard()
    if isinstance(workers, RayWorkers):
        workers.refuse_unusable()
    elif workers < 1:
        raise errors.experiment.too_few_workers(workers)


def _carry_out(
    kind: Kind, plan: ExperimentPlan, place: int | TrialPlace, *, progress: bool
) -> Experiment:
    folder = plan.folder
    with folder.locked():
        _run_orders(plan, kind.orders(plan, finished(folder)), place, progress=progress)
        records = finished_records(kind.trials(plan), folder.outcomes())
        final = kind.final(plan, records) if records else None
        if final is not None and FINAL not in finished(folder):
            _run_orders(plan, [final], place, progress=progress)
        complete(kind, plan)
        if (export := plan.config.export).onnx:
            chosen = folder.entry("best" if final is None else FINAL)
            Run(chosen).export(int8=export.int8, max_drop=export.max_drop)
    return Experiment(folder.path)


def complete(kind: Kind, plan: ExperimentPlan) -> None:
    """Write the results and the page of an experiment whose trials have ended.

    Args:
        kind: of the experiment.
        plan: the experiment.

    Raises:
        RunError: no trial has finished.
    """
    folder = plan.folder
    ended, trials = folder.outcomes(), kind.trials(plan)
    records = finished_records(trials, ended)
    if not records:
        last = next(reversed(ended.values()))
        raise errors.experiment.all_failed(folder.path, kind.command, cause(last))
    found = [trial_json(one, ended.get(one.name), records.get(one.name)) for one in trials]
    content = {
        "experiment": str(folder.path),
        "kind": kind.command,
        "name": plan.name,
        "trials": found,
        **kind.results(plan, found, records),
    }
    with drawing():
        page = kind.page(content, records)
        write_page(folder, content, next(iter(records.values())), page)
    folder.write_json("results.json", content)  # it makes the experiment finished


def finished(folder: ExperimentFolder) -> list[str]:
    """Names of the finished trials of an experiment."""
    return [name for name, one in folder.outcomes().items() if one.status == "finished"]


def _run_orders(
    plan: ExperimentPlan, orders: Sequence[WorkOrder], place: int | TrialPlace, *, progress: bool
) -> None:
    """Run what is left of the experiment.

    Raises:
        Interrupted: a stop was requested.
        RunError: several trials in a row failed with the same error.
    """
    folder = plan.folder
    done = finished(folder)
    place = max(1, min(place, len(orders))) if isinstance(place, int) else place
    failed: list[Outcome] = []
    interrupted, count = False, 0
    try:
        # In this process each trial handles signals itself.
        signals = stop_on_signals() if place != 1 else nullcontext(lambda: False)
        watch = watching(folder.entry("trials"), len(orders), progress=progress)
        with signals as stopping, watch as ended:
            for outcome in outcomes(orders, place, stopping):
                count += 1
                folder.record(outcome)
                ended(outcome)
                interrupted = interrupted or outcome.status == "interrupted"
                failed = [*failed, outcome] if outcome.status == "failed" else []
            interrupted = interrupted or stopping()
    except KeyboardInterrupt:  # a second signal; every trial can be resumed from its checkpoint
        interrupted = True
    if interrupted:
        left = (
            len(orders)
            - count
            + sum(one.status == "interrupted" for one in folder.outcomes().values())
        )
        total = len(done) + len(orders)
        raise errors.experiment.interrupted(folder.path, plan.kind, max(0, total - left), total)
    if count < len(orders):
        raise errors.experiment.failed_alike(folder.path, plan.kind, cause(failed[-1]), len(failed))

"""``glue``: train on the tasks of the GLUE benchmark with several seeds; one page with all scores.

Each task is a ``repeat`` of its recipe (``benchmark_folder`` describes the files).
Every score is of GLUE's dev rows, which select nothing: the best epoch of a run is chosen on a
share of the training rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from warmstart import config_file, errors
from warmstart.config import RunConfig
from warmstart.config.overrides import Overrides, override_texts
from warmstart.data.reading.paths import given_path
from warmstart.data.reading.sources import lacks_glue
from warmstart.errors.counts import counted
from warmstart.experiments.benchmark_folder import BenchmarkFolder, read_object, write_object
from warmstart.experiments.experiment import Experiment, refuse_workers, resumed_experiment
from warmstart.experiments.experiment_folder import ExperimentFolder
from warmstart.experiments.glue_results import benchmark_results, score_mismatched
from warmstart.experiments.glue_submission import write_submission
from warmstart.experiments.glue_tasks import GLUE_TASKS, scored_splits
from warmstart.experiments.ray_workers import RayWorkers
from warmstart.experiments.repeat import KIND, chosen_seeds, repeat
from warmstart.experiments.trials import workspace
from warmstart.preparation.prepare import prepare
from warmstart.runs.safe_files import write_errors

FIXED = ("task", "data.train", "data.test", "data.label", "data.label_names")
"""Settings that make a task of GLUE what it is."""


@dataclass(frozen=True, slots=True)
class GluePlan:
    """What was asked for; the content of ``glue.json``.

    Args:
        tasks: the tasks to train on.
        overrides: settings that replace those of every recipe.
        seeds: as for ``repeat``.
        missing: tasks whose files are not in ``data.dir``, and the files that they need.
        folder: ``data.dir``; None if the rows are read from the Hub.
    """

    tasks: tuple[str, ...]
    overrides: tuple[str, ...]
    seeds: int | list[int]
    missing: Mapping[str, Sequence[str]]
    folder: str | None


@dataclass(frozen=True, slots=True)
class Glue:
    """A benchmark on disk whose results are written.

    Args:
        path: its folder.
    """

    path: Path

    @property
    def results(self) -> dict[str, Any]:
        """The content of ``results.json``; ``--json`` prints the same."""
        return read_object(BenchmarkFolder(self.path).results)

    @property
    def report(self) -> Path:
        """The path of ``glue.html``."""
        return BenchmarkFolder(self.path).page

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiment of each finished task."""
        tasks = self.results["tasks"].items()
        return {name: Experiment(self.path / name) for name, one in tasks if "experiment" in one}


def glue(
    tasks: Sequence[str] | None = None,
    overrides: Overrides = (),
    *,
    seeds: int | Sequence[int] = 5,
    workers: int | RayWorkers = 1,
    output: str | Path | None = None,
    submission: bool = False,
    progress: bool = True,
    on_task: Callable[[str], None] | None = None,
) -> Glue:
    """Train on tasks of GLUE with several seeds, and compare their scores with published ones.

    Args:
        tasks: their names, such as ``mrpc``; by default all nine, with ``data.dir`` those whose
            files are in the folder.
        overrides: settings that replace those of every recipe; ``data.dir`` is the folder of the
            GLUE download, without which rows are read from the Hub.
        seeds: as for ``repeat``.
        workers: number of processes that train at the same time, or a Ray cluster.
        output: the folder; by default a new one under ``runs/``.
        submission: whether the test rows are predicted for the GLUE server.
        progress: show live progress on stderr.
        on_task: called before each task with its name and its number.

    Raises:
        Interrupted: a stop was requested; see ``resume_glue``.
        WarmstartError: an error that the user can fix.
    """
    refuse_workers(workers)
    chosen = _chosen(tasks)
    texts = override_texts(overrides)
    for name in (text.partition("=")[0].strip() for text in texts):
        if name in FIXED:
            raise errors.glue.fixed(name)
    configs = {name: _config(name, texts) for name in chosen}
    folder = next(iter(configs.values())).data.dir
    missing = {} if folder is None else _missing_files(configs, folder)
    if missing and (tasks is not None or len(missing) == len(chosen)):
        raise errors.glue.files_missing(str(folder), missing, named=tasks is not None)
    there = {name: config for name, config in configs.items() if name not in missing}
    seeds = seeds if isinstance(seeds, int) else list(seeds)
    chosen_seeds(seeds, next(iter(there.values())).train.seed)
    path = given_path(output or f"runs/glue-{datetime.now():%Y%m%d-%H%M%S}", "output").absolute()
    place = BenchmarkFolder(path)
    place.refuse_unusable()
    for config in there.values():
        prepare(config, workspace=workspace())  # every fault of settings and data, before any work
    plan = GluePlan(tuple(there), tuple(_absolute(texts, configs)), seeds, missing, folder)
    with write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    write_object(place.plan, asdict(plan))
    return _carry_out(place, plan, _How(workers, submission, progress, on_task))


def resume_glue(
    path: str | Path,
    *,
    workers: int | RayWorkers = 1,
    submission: bool = False,
    progress: bool = True,
    on_task: Callable[[str], None] | None = None,
) -> Glue:
    """Continue an interrupted benchmark; tasks that are finished stay, others are resumed or begun.

    A finished benchmark gets its page again, and with ``submission`` the files for the server.

    Args:
        path: its folder.
        workers: as for ``glue``.
        submission: as for ``glue``.
        progress: as for ``glue``.
        on_task: as for ``glue``.

    Raises:
        RunError: there is no benchmark.
    """
    refuse_workers(workers)
    place = BenchmarkFolder(given_path(path, "path").absolute())
    if not place.plan.is_file():
        raise errors.glue.nothing_to_resume(place.place)
    content = read_object(place.plan)
    try:
        plan = GluePlan(**{name: content[name] for name in GluePlan.__dataclass_fields__})
    except KeyError as error:
        raise errors.glue.unreadable(place.plan, error) from error
    return _carry_out(place, plan, _How(workers, submission, progress, on_task))


def _chosen(tasks: Sequence[str] | None) -> list[str]:
    """The names of the tasks, checked."""
    chosen = list(GLUE_TASKS) if tasks is None else list(tasks)
    for name in chosen or [""]:
        if name not in GLUE_TASKS:
            raise errors.glue.unknown_task(name, GLUE_TASKS)
        if chosen.count(name) > 1:
            raise errors.glue.task_twice(name)
    return chosen


def _config(task: str, overrides: Sequence[str]) -> RunConfig:
    """The recipe of a task with these settings."""
    return config_file.resolve_paths(config_file.load(f"glue/{task}", overrides), Path.cwd())


def _absolute(overrides: Sequence[str], configs: Mapping[str, RunConfig]) -> list[str]:
    """The overrides with absolute paths, so that the benchmark can be resumed from anywhere."""
    config = next(iter(configs.values()))
    paths = {"data.dir": config.data.dir, "model.name": config.model.name}
    given = {text.partition("=")[0].strip() for text in overrides} & paths.keys()
    others = [text for text in overrides if text.partition("=")[0].strip() not in given]
    return [*others, *override_texts({name: paths[name] for name in sorted(given)})]


def _missing_files(configs: Mapping[str, RunConfig], folder: str) -> dict[str, list[str]]:
    """The files that tasks need for their scores and that the folder lacks."""
    missing: dict[str, list[str]] = {}
    for name, config in configs.items():
        sources = [config.data.train, config.data.validation, config.data.test]
        named = [source for source in sources if isinstance(source, str)]
        for part in scored_splits(name, named):
            if lacks_glue(part, folder):
                missing.setdefault(name, []).append(part.files[0][0])
    return missing


class _How(NamedTuple):
    """The arguments of ``glue`` that may differ when the benchmark is resumed."""

    workers: int | RayWorkers
    submission: bool
    progress: bool
    on_task: Callable[[str], None] | None


def _carry_out(folder: BenchmarkFolder, plan: GluePlan, how: _How) -> Glue:
    """Train what is left, and write the results.

    Raises:
        Interrupted: a stop was requested.
        RunError: no task could be finished, or another process works on the benchmark.
    """
    path = folder.place
    found: dict[str, Experiment] = {}
    failed: dict[str, str] = {}
    with folder.locked():
        for number, task in enumerate(plan.tasks, 1):
            if how.on_task is not None:
                how.on_task(f"{task} ({number} of {counted(len(plan.tasks), 'task')})")
            try:
                found[task] = _experiment(path / task, task, plan, how)
                if task == "mnli":
                    score_mismatched(found[task], plan.folder)
            except errors.Interrupted:
                done = len(found.keys() - {task})
                raise errors.glue.interrupted(path, task, done, len(plan.tasks)) from None
            except errors.WarmstartError as error:  # the other tasks continue
                found.pop(task, None)
                failed[task] = error.found
        if not found:
            raise errors.glue.all_tasks_failed(path, failed)
        files: dict[str, Any] | None = None
        if how.submission:
            files = write_submission(folder, found, plan.folder)
        elif folder.results.is_file():  # the files of an earlier command stay
            files = read_object(folder.results).get("submission")
        content = benchmark_results(folder, asdict(plan), found, failed, files)
        write_object(folder.results, content)
    return Glue(path)


def _experiment(path: Path, task: str, plan: GluePlan, how: _How) -> Experiment:
    """The experiment of a task: finished already, resumed, or new."""
    folder = ExperimentFolder(path)
    if folder.is_finished:
        return Experiment(path)
    if folder.is_experiment:
        return resumed_experiment(KIND, path, workers=how.workers, progress=how.progress)
    return repeat(
        f"glue/{task}",
        plan.overrides,
        seeds=plan.seeds,
        workers=how.workers,
        output=path,
        progress=how.progress,
    )

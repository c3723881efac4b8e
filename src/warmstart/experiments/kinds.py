"""All kinds of experiments, and how an interrupted one is resumed."""

from collections.abc import Mapping
from pathlib import Path

from warmstart.data.reading.paths import given_path
from warmstart.experiments import (
    cross_validation,
    learning_curve,
    nested_search,
    repeat,
    search,
)
from warmstart.experiments.experiment import Experiment, Kind, resumed_experiment
from warmstart.experiments.experiment_folder import ExperimentFolder
from warmstart.experiments.ray_workers import RayWorkers

KINDS: Mapping[str, Kind] = {
    "repeat": repeat.KIND,
    "cross-validate": cross_validation.KIND,
    "search": search.KIND,
    "learning-curve": learning_curve.KIND,
}
"""The kinds by the name of their command; a nested search has the command of ``search``."""


def kind_of(folder: ExperimentFolder) -> Kind:
    """The kind of an experiment.

    Args:
        folder: an experiment that began.
    """
    content = folder.read_json("experiment.json")
    return nested_search.KIND if content["options"].get("nested") else KINDS[content["kind"]]


def resume_experiment(
    path: str | Path, *, workers: int | RayWorkers = 1, progress: bool = True
) -> Experiment:
    """Continue an interrupted experiment: finished trials stay, the others are resumed or begun.

    Args:
        path: its folder.
        workers: number of processes that train at the same time, or a Ray cluster.
        progress: show live progress on stderr.

    Raises:
        RunError: there is no experiment, or it is finished.
    """
    kind = kind_of(ExperimentFolder.open(given_path(path, "path")))
    return resumed_experiment(kind, path, workers=workers, progress=progress)

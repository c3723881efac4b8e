"""Options of every command that runs several trials: how many at a time, and where."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from warmstart.experiments.ray_workers import RayWorkers

Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of trials at the same time. [1; on Ray as many as there is room for]",
    ),
]
Place = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Where trials run: on this machine, or on a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="Ray cluster; default: RAY_ADDRESS, else the one that runs here, else a new one.",
    ),
]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus-per-trial", metavar="N", help="CPUs and threads of a trial on Ray. [1]"),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        metavar="SHARE",
        help="GPU of a trial on Ray, 0 to 1; 0.25: four trials share one. [1 if there are any]",
    ),
]


def chosen_place(
    engine: Literal["local", "ray"],
    workers: int | None,
    address: str | None,
    cpus: int | None,
    gpus: float | None,
) -> "int | RayWorkers":
    """Where trials run.

    Args:
        engine: on this machine or on a cluster.
        workers: number of trials at the same time.
        address: of the cluster.
        cpus: of each trial.
        gpus: of each trial.

    Raises:
        UsageError: an option of a cluster is given for this machine.
    """
    from warmstart import errors
    from warmstart.experiments.ray_workers import RayWorkers

    if engine == "ray":
        return RayWorkers(workers, address, 1 if cpus is None else cpus, gpus)
    given = {"--address": address, "--cpus-per-trial": cpus, "--gpus-per-trial": gpus}
    if others := [option for option, value in given.items() if value is not None]:
        raise errors.cluster.only_on_ray(others)
    return 1 if workers is None else workers


def seeds_of(text: str) -> int | list[int]:
    """A number of seeds, or the seeds: ``5``, ``1,2,3``.

    Args:
        text: the value of ``--seeds``.

    Raises:
        UsageError: it is neither.
    """
    from warmstart import errors

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise errors.experiment.not_seeds(text)
    return int(parts[0]) if len(parts) == 1 else [int(part) for part in parts]

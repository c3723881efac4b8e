"""``warmstart repeat``: experiments of several runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from warmstart.cli.app import Json, Overwrite, Set
from warmstart.cli.output import result, show, with_interval

if TYPE_CHECKING:
    from warmstart.experiments.experiment import Experiment
    from warmstart.runs.titles import Titles

Config = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG.yaml|RECIPE|RUN",
        help="A config, a recipe, or a run directory; with --resume, the experiment's folder.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Experiment folder; default: runs/NAME-COMMAND-TIME."
    ),
]
Replace = Annotated[
    bool, typer.Option("--overwrite", help="Replace the experiment that already exists in DIR.")
]
Continue = Annotated[
    bool, typer.Option("--resume", help="Resume the interrupted experiment in this folder.")
]
Workers = Annotated[
    int, typer.Option(metavar="N", help="Number of processes that train at the same time.")
]


def repeat(
    config: Config,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|A,B,…", help="Number of seeds, or the seeds. [5]")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="all|initialization|order|dropout", help="What the seeds change. [all]"
        ),
    ] = None,
    sets: Set = None,
    workers: Workers = 1,
    output: Folder = None,
    overwrite: Overwrite = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Train with several seeds: mean, spread and interval of every score."""
    from warmstart import experiments

    given = {"--seeds": seeds, "--vary": vary, "--set": sets, "--output": output}
    if resume:
        _refuse_with_resume("repeat", config, {**given, "--overwrite": overwrite})
        found = experiments.resume_experiment(config, workers=workers)
    else:
        found = experiments.repeat(
            config_of(config),
            sets or (),
            seeds=seeds_of(seeds or "5"),
            vary=vary or "all",
            workers=workers,
            output=output,
            overwrite=overwrite,
        )
    _print(found, as_json=as_json)


def _refuse_with_resume(kind: str, path: str, given: Mapping[str, Any]) -> None:
    from warmstart import errors

    others = [option for option, value in given.items() if value]
    if others:
        raise errors.experiment.resume_with(Path(path), kind, others)

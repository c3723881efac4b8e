"""``warmstart repeat``, ``cross-validate``, ``search``, ``learning-curve``: several runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from warmstart.cli.app import Json, Set
from warmstart.cli.experiment_tables import mean_table, trials_table
from warmstart.cli.output import result, show
from warmstart.cli.trial_options import Address, Cpus, Gpus, Place, Workers, chosen_place, seeds_of

if TYPE_CHECKING:
    from warmstart.experiments.experiment import Experiment
    from warmstart.experiments.ray_workers import RayWorkers

Vary = Literal["all", "initialization", "order", "dropout"]
"""Same as ``warmstart.experiments.repeat.Vary``; not imported, to keep ``--help`` fast."""

Sampler = Literal["tpe", "gp", "random"]
Pruner = Literal["median", "hyperband", "none"]

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


def repeat(
    config: Config,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|A,B,…", help="Number of seeds, or the seeds. [5]")
    ] = None,
    vary: Annotated[Vary | None, typer.Option(help="What the seeds change. [all]")] = None,
    sets: Set = None,
    workers: Workers = None,
    engine: Place = "local",
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    output: Folder = None,
    overwrite: Replace = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Train with several seeds: mean, spread and interval of every score."""
    from warmstart.cli.train import config_path
    from warmstart.experiments.repeat import repeat as run

    place = chosen_place(engine, workers, address, cpus, gpus)
    given = {"--seeds": seeds, "--vary": vary, "--set": sets, "--output": output}
    if resume:
        found = _resumed("repeat", config, {**given, "--overwrite": overwrite}, place)
    else:
        found = run(
            config_path(config),
            sets or (),
            seeds=seeds_of("5" if seeds is None else seeds),
            vary=vary or "all",
            workers=place,
            output=output,
            overwrite=overwrite,
        )
    _print(found, as_json=as_json)


def cross_validate(
    config: Config,
    folds: Annotated[int | None, typer.Option(metavar="K", help="Number of folds. [5]")] = None,
    repeats: Annotated[
        int | None,
        typer.Option(metavar="R", help="Number of times that rows are divided into folds. [1]"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column whose equal values stay in one fold."),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Then train on all rows, for the model to use.")
    ] = False,
    sets: Set = None,
    workers: Workers = None,
    engine: Place = "local",
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    output: Folder = None,
    overwrite: Replace = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Predict every row by a model that was not trained on it: scores of all folds together."""
    from warmstart.cli.train import config_path
    from warmstart.experiments.cross_validation import cross_validate as run

    place = chosen_place(engine, workers, address, cpus, gpus)
    given: dict[str, Any] = {"--folds": folds, "--repeats": repeats, "--group": group}
    given["--final"] = final
    if resume:
        given |= {"--set": sets, "--output": output, "--overwrite": overwrite}
        found = _resumed("cross-validate", config, given, place)
    else:
        found = run(
            config_path(config),
            sets or (),
            folds=5 if folds is None else folds,
            repeats=1 if repeats is None else repeats,
            group=group,
            final=final,
            workers=place,
            output=output,
            overwrite=overwrite,
        )
    _print(found, as_json=as_json)


def search(
    config: Config,
    space: Annotated[
        str | None,
        typer.Option(metavar="FILE|NAME", help="SPACE.yaml, bert-paper or small-data."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Number of trials of the study. [20]")
    ] = None,
    sampler: Annotated[Sampler | None, typer.Option(help="How values are chosen. [tpe]")] = None,
    pruner: Annotated[
        Pruner | None, typer.Option(help="When a trial is stopped early. [median]")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FILE.log", help="Where the study is; default: in the experiment's folder."
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the study; default: the config's.")
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Add trials to a study that exists.")
    ] = False,
    nested: Annotated[
        int | None,
        typer.Option(metavar="K", help="Search in each of K folds, to score the search itself."),
    ] = None,
    sets: Set = None,
    workers: Workers = None,
    engine: Place = "local",
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    output: Folder = None,
    overwrite: Replace = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Search settings with Optuna; score the best on test rows that the search never used."""
    from warmstart import errors
    from warmstart.cli.train import config_path
    from warmstart.experiments.search import refuse_missing_optuna

    refuse_missing_optuna()
    place = chosen_place(engine, workers, address, cpus, gpus)
    chosen = {"space": space, "trials": trials, "sampler": sampler, "pruner": pruner}
    chosen |= {"storage": storage, "study": study, "join": join or None, "nested": nested}
    if resume:
        given = {f"--{name}": value for name, value in chosen.items()}
        others = {"--set": sets, "--output": output, "--overwrite": overwrite}
        found = _resumed("search", config, given | others, place)
    elif space is None:
        raise errors.search.which_space()
    else:
        options = {name: value for name, value in chosen.items() if value is not None}
        where: dict[str, Any] = {"workers": place, "output": output, "overwrite": overwrite}
        found = _searched(config_path(config), sets or (), options, where)
    _print(found, as_json=as_json)


def _searched(
    config: str, sets: Sequence[str], options: dict[str, Any], where: Mapping[str, Any]
) -> "Experiment":
    """Search, or with the option ``nested`` search in each fold."""
    from warmstart import errors
    from warmstart.experiments.nested_search import nested_search
    from warmstart.experiments.search import search as run

    if "nested" not in options:
        return run(config, sets, **options, **where)
    folds = options.pop("nested")
    if shared := [f"--{name}" for name in ("storage", "study", "join") if name in options]:
        raise errors.search.nested_with(shared)
    return nested_search(config, sets, folds=folds, **options, **where)


def learning_curve(
    config: Config,
    shares: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Shares of the training rows. [0.1,0.3,1]"),
    ] = None,
    sets: Set = None,
    workers: Workers = None,
    engine: Place = "local",
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    output: Folder = None,
    overwrite: Replace = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Train on more and more of the rows: would further labelled rows help?"""
    from warmstart.cli.train import config_path
    from warmstart.experiments.learning_curve import SHARES
    from warmstart.experiments.learning_curve import learning_curve as run

    place = chosen_place(engine, workers, address, cpus, gpus)
    given: dict[str, Any] = {"--shares": shares, "--set": sets, "--output": output}
    if resume:
        found = _resumed("learning-curve", config, {**given, "--overwrite": overwrite}, place)
    else:
        found = run(
            config_path(config),
            sets or (),
            shares=SHARES if shares is None else _shares(shares),
            workers=place,
            output=output,
            overwrite=overwrite,
        )
    _print(found, as_json=as_json)


def _shares(text: str) -> list[float]:
    """Shares with commas: ``0.1,0.3,1``."""
    from warmstart import errors

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise errors.experiment.not_shares([text]) from None


def _resumed(
    command: str, path: str, given: Mapping[str, Any], place: "int | RayWorkers"
) -> "Experiment":
    """Resume an experiment of this command; no option that it has already may be given."""
    from warmstart import errors
    from warmstart.experiments.experiment import resumed_experiment
    from warmstart.experiments.experiment_folder import ExperimentFolder
    from warmstart.experiments.kinds import kind_of

    others = [option for option, value in given.items() if value]
    if others:
        raise errors.experiment.resume_with(Path(path), command, others)
    folder = ExperimentFolder.open(Path(path).absolute())
    kind = kind_of(folder)
    if kind.command != command:
        raise errors.experiment.of_other_kind(folder.path, kind.command, command)
    return resumed_experiment(kind, path, workers=place, progress=True)


def _print(found: "Experiment", *, as_json: bool) -> None:
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.loaded_run import load_task
    from warmstart.runs.titles import Titles

    content = found.results
    titles = Titles.of(load_task(RunDirectory(found.runs[0].path))[1])
    show(trials_table(content, titles))
    for split, scores in content["scores"].items():
        rivals = content["baselines"].get(split, {})
        show(mean_table(f"{split}, {content['summary']}", scores, rivals, titles))
    show(*content["sentences"])
    text = f"experiment  {found.path}\nreport      {found.report}"
    for entry in ("best", "final"):
        if (path := found.path / entry).exists():
            text += f"\n{entry} run".ljust(13) + str(path)
    result(content, text, as_json=as_json)

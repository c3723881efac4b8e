"""``warmstart repeat`` and ``cross-validate``: experiments of several runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.table import Table

from warmstart.cli.app import Json, Set
from warmstart.cli.output import decimal, result, show, with_interval

if TYPE_CHECKING:
    from warmstart.experiments.experiment import Experiment
    from warmstart.runs.titles import Titles

Vary = Literal["all", "initialization", "order", "dropout"]
"""Same as ``warmstart.experiments.repeat.Vary``; not imported, to keep ``--help`` fast."""

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
    vary: Annotated[Vary | None, typer.Option(help="What the seeds change. [all]")] = None,
    sets: Set = None,
    workers: Workers = 1,
    output: Folder = None,
    overwrite: Replace = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Train with several seeds: mean, spread and interval of every score."""
    from warmstart.cli.train import config_path
    from warmstart.experiments.experiment import resumed_experiment
    from warmstart.experiments.repeat import KIND
    from warmstart.experiments.repeat import repeat as run

    given = {"--seeds": seeds, "--vary": vary, "--set": sets, "--output": output}
    if resume:
        _refuse_with_resume("repeat", config, {**given, "--overwrite": overwrite})
        found = resumed_experiment(KIND, config, workers=workers, progress=True)
    else:
        found = run(
            config_path(config),
            sets or (),
            seeds=_seeds("5" if seeds is None else seeds),
            vary=vary or "all",
            workers=workers,
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
    sets: Set = None,
    workers: Workers = 1,
    output: Folder = None,
    overwrite: Replace = False,
    resume: Continue = False,
    as_json: Json = False,
) -> None:
    """Predict every row by a model that was not trained on it: scores of all folds together."""
    from warmstart.cli.train import config_path
    from warmstart.experiments.cross_validation import KIND
    from warmstart.experiments.cross_validation import cross_validate as run
    from warmstart.experiments.experiment import resumed_experiment

    given: dict[str, Any] = {
        "--folds": folds,
        "--repeats": repeats,
        "--group": group,
        "--set": sets,
    }
    if resume:
        given |= {"--output": output, "--overwrite": overwrite}
        _refuse_with_resume("cross-validate", config, given)
        found = resumed_experiment(KIND, config, workers=workers, progress=True)
    else:
        found = run(
            config_path(config),
            sets or (),
            folds=5 if folds is None else folds,
            repeats=1 if repeats is None else repeats,
            group=group,
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


def _seeds(text: str) -> int | list[int]:
    """A number of seeds, or the seeds: ``5``, ``1,2,3``."""
    from warmstart import errors

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise errors.experiment.not_seeds(text)
    return int(parts[0]) if len(parts) == 1 else [int(part) for part in parts]


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
    if found.best.path.exists():
        text += f"\nbest run    {found.best.path}"
    result(content, text, as_json=as_json)


def trials_table(content: Mapping[str, Any], titles: "Titles") -> Table:
    """One row for each trial: its main score on every split, and how it ended.

    Args:
        content: the content of ``results.json``.
        titles: names of the metrics.
    """
    metric = content["metric"]
    every = [split for trial in content["trials"] for split in trial.get("scores", {})]
    splits = list(dict.fromkeys(every))
    table = Table(
        title=f"{titles.metric(metric)} of each run",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("run", overflow="fold")
    for split in splits:
        table.add_column(f"{split} [95 % interval]", justify="right", overflow="fold")
    table.add_column("best epoch", justify="right")
    table.add_column("", overflow="fold")
    for trial in content["trials"]:
        scores = [trial.get("scores", {}).get(split, {}).get(metric) for split in splits]
        notes = [trial["status"]] * (trial["status"] != "finished")
        notes += ["learned nothing"] * bool(trial.get("collapsed"))
        notes += ["best by validation"] * (trial["trial"] == content.get("best"))
        epoch = trial.get("best_epoch")
        table.add_row(
            trial["trial"],
            *("" if score is None else with_interval(score) for score in scores),
            "" if epoch is None else f"{round(epoch, 2):g}",
            ", ".join(notes),
        )
    return table


def mean_table(
    title: str, scores: Mapping[str, Any], baselines: Mapping[str, Any], titles: "Titles"
) -> Table:
    """Every metric over all runs: mean with interval, and standard deviation.

    Args:
        title: what the scores are of.
        scores: ``{metric: MeanScore}``.
        baselines: scores of the baselines, by name.
        titles: names of baselines, and what ``n`` counts.
    """
    n = next(iter(scores.values()))["n"] if scores else 0
    title = f"{title}, n = {n:,} {titles.unit}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    lower = any(not score["higher_is_better"] for score in scores.values())
    table.add_column("↓: lower is better" if lower else "", overflow="fold")
    table.add_column("score [95 % interval]", justify="right", overflow="fold")
    table.add_column("sd", justify="right")
    for baseline in baselines:
        name = titles.baseline_head(baseline).partition(" with ")[0]
        table.add_column(name, justify="right", max_width=12, overflow="fold")
    for name, score in scores.items():
        table.add_row(
            name.replace("_", " ") + ("" if score["higher_is_better"] else " ↓"),
            with_interval({**score, "value": score["mean"]}),
            decimal(score["deviation"]),
            *(decimal(found.get(name, {}).get("value")) for found in baselines.values()),
        )
    return table

"""``warmstart demo``, ``warmstart train`` and ``warmstart pretrain``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from warmstart.cli.app import Json, Output, Overwrite, Set
from warmstart.cli.output import result, scores_table, show

if TYPE_CHECKING:
    from warmstart.config import RunConfig
    from warmstart.run import Run


Resume = Annotated[bool, typer.Option("--resume", help="Go on with RUN.")]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print every setting as YAML and stop.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check everything, then stop.")]


def demo(output: Output = None, overwrite: Overwrite = False, as_json: Json = False) -> None:
    """The whole path on the bundled model and corpus, offline, in one command."""
    train(config="demo", output=output, overwrite=overwrite, as_json=as_json)


def train(
    config: Annotated[
        str | None,
        typer.Argument(metavar="[CONFIG.yaml|RECIPE|RUN]", help="What to train; RUN to repeat it."),
    ] = None,
    sets: Set = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    print_config: PrintConfig = False,
    dry_run: DryRun = False,
    task: Annotated[str | None, typer.Option(help="Instead of CONFIG: the task.")] = None,
    problem: Annotated[
        str | None, typer.Option(metavar="KIND", help="single-label, multi-label or regression.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Hub id or folder of a checkpoint.")] = None,
    train_file: Annotated[
        list[str] | None, typer.Option("--train", metavar="F", help="File to learn from.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="COL", help="Column with the text.")] = None,
    text_pair: Annotated[
        str | None, typer.Option(metavar="COL", help="Column with the second text of a pair.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COL", help="Column with the label.")] = None,
    validation: Annotated[str | None, typer.Option(metavar="F|SHARE")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", metavar="F")] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on your file and score it honestly."""
    from warmstart import api, errors
    from warmstart.config import config_file

    flags: dict[str, Any] = {
        "task": task, "problem": problem, "model": model, "train": train_file, "text": text,
        "text_pair": text_pair, "label": label, "validation": validation, "test": test,
    }  # fmt: skip
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    how = _How(overwrite, print_config, dry_run, as_json)
    if resume:
        _resume(config, output, sets, given, how)
        return
    if config is not None and given:
        raise errors.command.config_and_flags(config, given, "train")
    if config is None and not given:
        raise errors.command.nothing_to_train()
    settings = (
        config_file.load(config_path(config), sets or ())
        if config is not None
        else config_file.from_arguments(**given, overrides=sets or ())
    )
    api.refuse_other_verb(settings, pretraining=False)
    _train(settings, output or api.default_output(config or settings, settings), how)


def pretrain(
    config: Annotated[
        str | None,
        typer.Argument(metavar="CONFIG.yaml|RECIPE|RUN", help="What to train; RUN to repeat it."),
    ] = None,
    sets: Set = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    print_config: PrintConfig = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a new model from nothing: first its tokenizer on your rows, then the model."""
    from warmstart import api, errors
    from warmstart.config import config_file

    how = _How(overwrite, print_config, dry_run, as_json)
    if resume:
        _resume(config, output, sets, {}, how)
        return
    if config is None:
        raise errors.command.nothing_to_pretrain()
    settings = config_file.load(config_path(config), sets or ())
    api.refuse_other_verb(settings, pretraining=True)
    _train(settings, output or api.default_output(config, settings), how)


TRY = {
    "text-ranking": 'warmstart predict {run} --text "…" --text-pair "…"',
    "text-generation": 'warmstart generate {run} --prompt "…"',
}
"""What to do with a run of a task, where it is not ``PREDICT``."""

PREDICT = 'warmstart predict {run} --text "…"'


class _How(NamedTuple):
    """Options of both commands."""

    overwrite: bool
    print_config: bool
    dry_run: bool
    as_json: bool


def config_path(config: str) -> str:
    """``config``, or the ``config.yaml`` of the run directory that it is.

    Args:
        config: as typed. The name of a recipe is that recipe, whatever folders lie about.

    Raises:
        RunError: it is a folder, and no run was started there.
    """
    from warmstart.config import config_file
    from warmstart.runs.directory import RunDirectory

    if config in config_file.recipe_names() or not Path(config).is_dir():
        return config
    return str(RunDirectory.open(Path(config)).entry("config.yaml"))


def _train(settings: "RunConfig", path: Path, how: _How) -> None:
    from warmstart import api
    from warmstart.cli.findings import render
    from warmstart.config import config_file
    from warmstart.runs.directory import RunDirectory

    if how.print_config:
        result(settings.model_dump(), config_file.dump(settings).rstrip("\n"), as_json=how.as_json)
        return
    path = path.expanduser()
    RunDirectory(path).refuse_unusable(overwrite=how.overwrite)
    from warmstart.preparation.replaced_inputs import refuse_replaced_inputs

    with api.prepared_for(settings) as prepared:
        refuse_replaced_inputs(prepared, RunDirectory(path))
        show(render(prepared.findings))
        if how.dry_run:
            content = {"run": None, "status": "checked", "output": str(path)}
            result(content, f"ready: would train into {path}", as_json=how.as_json)
            return
        show(f"training {prepared.checkpoint.name} into {path}")
        run = api.train_prepared(prepared, path, overwrite=how.overwrite)
    _print_run(run, as_json=how.as_json)


def _resume(
    config: str | None,
    output: Path | None,
    sets: list[str] | None,
    flags: Mapping[str, Any],
    how: _How,
) -> None:
    """Go on with the run that ``config`` is, or ``output``; nothing else may be given."""
    from warmstart import api, errors

    path = config or output
    if path is None:
        raise errors.command.resume_what()
    given = {
        **flags,
        "overwrite": how.overwrite,
        "print-config": how.print_config,
        "dry-run": how.dry_run,
        "output": config and output,
    }
    beside = [f"--set {one}" for one in sets or ()]
    beside += [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if beside:
        raise errors.command.resume_with(path, beside)
    _print_run(api.resume(path), as_json=how.as_json)


def _print_run(run: "Run", *, as_json: bool) -> None:
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.events import events_of, read_events

    directory = RunDirectory(run.path)
    finish = events_of(read_events(directory.entry("events.jsonl")), "finish")[-1]
    content: dict[str, Any] = {
        "run": str(run.path),
        "status": finish["status"],
        "steps": finish["steps"],
        "seconds": round(finish["seconds"], 3),
        "scores": run.scores,
        "baselines": run.baselines,
    }
    for split, metrics in run.scores.items():
        beside = {name: splits[split] for name, splits in run.baselines.items()}
        show(scores_table(split, metrics, beside))
    text = (
        f"run     {run.path}\n"
        f"report  {directory.entry('report.html')}\n"
        f"try     {TRY.get(run.config.task, PREDICT).format(run=run.path)}"
    )
    result(content, text, as_json=as_json)

"""``warmstart demo``, ``warmstart train`` and ``warmstart pretrain``."""

import time
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from warmstart.cli.app import Json, Output, Overwrite, Set
from warmstart.cli.output import result, runnable, scores_table, show

if TYPE_CHECKING:
    from warmstart.config import RunConfig
    from warmstart.preparation.prepare import Prepared
    from warmstart.run import Run


Resume = Annotated[
    bool, typer.Option("--resume", help="Resume the interrupted RUN from its last checkpoint.")
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print all settings as YAML, then stop.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Check the data and the model, time a few steps (about half a minute), forecast time, "
        "memory and disk, then stop.",
    ),
]

# The options of `train` that replace a config.
Task = Annotated[
    str | None, typer.Option(help="Task to train; this and the next options replace CONFIG.")
]
Model = Annotated[str | None, typer.Option(help="Hub id or folder of the checkpoint to fine-tune.")]
TrainFiles = Annotated[
    list[str] | None, typer.Option("--train", metavar="F", help="Training file; may be repeated.")
]
Text = Annotated[str | None, typer.Option(metavar="COL", help="Column with the text.")]
TextPair = Annotated[
    str | None, typer.Option(metavar="COL", help="Column with the second text of a pair.")
]
Label = Annotated[str | None, typer.Option(metavar="COL", help="Column with the label.")]
Validation = Annotated[
    str | None,
    typer.Option(
        metavar="F|SHARE", help="Validation file, or share of the training rows to hold out."
    ),
]
TestFiles = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="F", help="Test file, scored once at the end; repeatable."),
]


Epochs = Annotated[
    int | None, typer.Option(metavar="N", help="Number of epochs; also with CONFIG.")
]
BatchSize = Annotated[int | None, typer.Option(metavar="N", help="Rows per batch.")]
LearningRate = Annotated[float | None, typer.Option(metavar="X", help="Peak learning rate.")]


def demo(output: Output = None, overwrite: Overwrite = False, as_json: Json = False) -> None:
    """Train, evaluate and report with the bundled model and corpus, without a network."""
    train(config="demo", output=output, overwrite=overwrite, as_json=as_json)


def train(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG.yaml|RECIPE|RUN|FILE]",
            help="A config, a recipe, a run directory to repeat or resume, or a training file.",
        ),
    ] = None,
    sets: Set = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    print_config: PrintConfig = False,
    dry_run: DryRun = False,
    task: Task = None,
    model: Model = None,
    train_file: TrainFiles = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    validation: Validation = None,
    test: TestFiles = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on your file and evaluate it on held-out rows."""
    from warmstart import api, config_file, errors
    from warmstart.cli.usage import advice_as_typed, options_for

    flags: dict[str, Any] = {
        "task": task, "model": model, "train": train_file, "text": text,
        "text_pair": text_pair, "label": label, "validation": validation, "test": test,
    }  # fmt: skip
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    # Unlike the options above, these also change a config.
    numbers = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    changed = {name: value for name, value in numbers.items() if value is not None}
    options = _Options(overwrite, print_config, dry_run, as_json)
    if resume:
        _resume(config, output, sets, given | changed, options)
        return
    given_sets, sets = sets or (), _with_numbers(sets or [], changed)
    typed = options_for([*flags, *changed])
    if config is not None and train_file is None and _is_data(config, given):
        typed["data.train"] = "warmstart train "
        config, given = None, {"train": [config], **given}
    if config is not None and given:
        raise errors.command.config_and_flags(config, given, "train")
    if config is None and not given:
        raise errors.command.nothing_to_train()
    with advice_as_typed(typed if config is None else options_for(changed), given_sets):
        settings = (
            config_file.load(config_path(config), sets)
            if config is not None
            else config_file.from_arguments(**given, overrides=sets)
        )
        api.refuse_other_verb(settings, pretraining=False)
        _train(settings, output or api.default_output(config or settings, settings), options)


def _with_numbers(sets: list[str], changed: Mapping[str, Any]) -> list[str]:
    """The values of ``--set``, with those of options such as ``--epochs``."""
    from warmstart import errors

    for name, value in changed.items():
        for one in sets:
            if one.partition("=")[0].strip() == f"train.{name}":
                option = f"--{name.replace('_', '-')} {value}"
                raise errors.command.given_twice(f"train.{name}", option, f"--set {one}")
    return [*(f"train.{name}={value}" for name, value in changed.items()), *sets]


def _is_data(source: str, flags: Mapping[str, Any]) -> bool:
    """Whether ``train SOURCE`` names a file or folder for training, as ``check SOURCE`` does.

    Args:
        source: as typed.
        flags: options such as ``--text``, which no config has.
    """
    from warmstart.config.recipe_files import recipe_names
    from warmstart.data.reading.paths import local_path
    from warmstart.data.reading.text_folders import is_data_folder

    suffix = PurePath(source.removesuffix(".gz").removesuffix(".xz")).suffix
    if suffix in (".yaml", ".yml") or source in recipe_names():
        return False
    if local_path(source).is_dir():
        return is_data_folder(local_path(source))
    return bool(flags) or suffix in (
        ".csv",
        ".tsv",
        ".tab",
        ".jsonl",
        ".ndjson",
        ".json",
        ".parquet",
        ".xlsx",
    )


def pretrain(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG.yaml|RECIPE|RUN",
            help="A config, a recipe, or a run directory to repeat or resume.",
        ),
    ] = None,
    sets: Set = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    print_config: PrintConfig = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pretrain a new model from scratch: first its tokenizer, then the model, on your rows."""
    from warmstart import api, config_file, errors

    options = _Options(overwrite, print_config, dry_run, as_json)
    if resume:
        _resume(config, output, sets, {}, options)
        return
    if config is None:
        raise errors.command.nothing_to_pretrain()
    settings = config_file.load(config_path(config), sets or ())
    api.refuse_other_verb(settings, pretraining=True)
    _train(settings, output or api.default_output(config, settings), options)


class _Options(NamedTuple):
    """Options that ``train`` and ``pretrain`` share."""

    overwrite: bool
    print_config: bool
    dry_run: bool
    as_json: bool


def config_path(config: str) -> str:
    """The path of a config; for a run directory, the path of its ``config.yaml``.

    Args:
        config: as typed. The name of a recipe always means the recipe, even if a folder with the
            same name exists.

    Raises:
        DataError: no file can have this name.
        RunError: it is a folder, but not a run directory.
    """
    from warmstart.config.recipe_files import recipe_names
    from warmstart.data.reading.paths import local_path
    from warmstart.runs.directory import RunDirectory

    if config in recipe_names() or not local_path(config).is_dir():
        return config
    return str(RunDirectory.open(Path(config)).entry("config.yaml"))


def _train(settings: "RunConfig", path: Path, options: _Options) -> None:
    from warmstart import api, config_file
    from warmstart.cli.findings import rendered_findings
    from warmstart.data.reading.paths import output_path
    from warmstart.runs.directory import RunDirectory

    if options.print_config:
        text = config_file.dump(settings).rstrip("\n")
        result(config_file.settings_read(settings), text, as_json=options.as_json)
        return
    began = time.perf_counter()
    path = output_path(path)
    RunDirectory(path).refuse_unusable(overwrite=options.overwrite)
    from warmstart.preparation.model_findings import with_model_findings
    from warmstart.preparation.replaced_inputs import refuse_replaced_inputs

    api.refuse_missing_packages(settings)
    with api.prepared_for(settings) as prepared:
        refuse_replaced_inputs(prepared, RunDirectory(path))
        if options.dry_run:
            show(rendered_findings(with_model_findings(prepared).findings))
            forecast = _forecast(prepared, path, time.perf_counter() - began)
            content = {"run": None, "status": "checked", "output": str(path), "forecast": forecast}
            result(content, f"ready to train; output would be {path}", as_json=options.as_json)
            return
        show(rendered_findings(prepared.findings))
        show(f"training {prepared.checkpoint.name}, output in {path}")
        run = api.train_prepared(prepared, path, overwrite=options.overwrite)
    _print_run(run, as_json=options.as_json)


def _forecast(prepared: "Prepared", path: Path, preparing: float) -> dict[str, Any] | None:
    """Print the forecast, or why there is none, and return its JSON."""
    from warmstart.training.forecast import forecast, why_no_forecast

    if (reason := why_no_forecast(prepared)) is not None:
        show(reason)
        return None
    show("timing a few steps for the forecast …")
    made = forecast(prepared, path, preparing=preparing)
    show(*made.in_words())
    return made.to_json()


def _resume(
    config: str | None,
    output: Path | None,
    sets: list[str] | None,
    flags: Mapping[str, Any],
    options: _Options,
) -> None:
    """Resume the run in ``config`` or ``output``; no other option may be given."""
    from warmstart import api, errors

    path = config or output
    if path is None:
        raise errors.command.resume_what()
    given = {
        **flags,
        "overwrite": options.overwrite,
        "print-config": options.print_config,
        "dry-run": options.dry_run,
        "output": config and output,
    }
    others = [f"--set {one}" for one in sets or ()]
    others += [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if others:
        raise errors.command.resume_with(path, others)
    _print_run(api.resume(path), as_json=options.as_json)


def _print_run(run: "Run", *, as_json: bool) -> None:
    from warmstart.data.checking.check import Findings
    from warmstart.runs.advice import advice
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.events import events_of, read_events
    from warmstart.runs.loaded_run import load_task
    from warmstart.runs.run_record import read_record
    from warmstart.runs.titles import Titles
    from warmstart.runs.words import shared_texts, verdict

    directory = RunDirectory(run.path)
    titles = Titles.of(load_task(directory)[1])
    findings = Findings.from_json(directory.read_json("data.json")["findings"])
    finish = events_of(read_events(directory.entry("events.jsonl")), "finish")[-1]
    content: dict[str, Any] = {
        "run": str(run.path),
        "status": finish["status"],
        "steps": finish["steps"],
        "seconds": round(finish["seconds"], 3),
        "scores": run.scores,
        "baselines": run.baselines,
    }
    record = read_record(run.path)
    for split, metrics in run.scores.items():
        baselines = {name: splits[split] for name, splits in run.baselines.items()}
        show(scores_table(split, metrics, baselines, titles))
        judged = record.evaluation is not None and record.evaluation.split == split
        # The verdict contains this sentence for the split by which the run is judged.
        if not judged and (leak := shared_texts(findings, split)):
            show(leak)
    show(verdict(record))
    proposed = advice(record)
    content["advice"] = None
    if proposed:
        show(" ".join(proposed.reasons))
        content["advice"] = {"reasons": proposed.reasons, "command": proposed.command or None}
    text = (
        f"run     {run.path}\n"
        f"report  {directory.entry('report.html')}\n"
        f"try     {runnable(run.usage.command.format(run=run.path))}"
    )
    if proposed and proposed.command:
        text += f"\nnext    {runnable(proposed.command)}"
    result(content, text, as_json=as_json)

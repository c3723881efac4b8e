"""The commands as functions, for scripts and notebooks.

    import warmstart
    run = warmstart.train({"data": {"train": "reviews.csv", "text": "review", "label": "stars"}})
    run.scores["validation"]["macro_f1"]
    run.predict(["Could not put it down."])

Every function takes and returns plain values (paths, mappings, strings). It raises
``WarmstartError`` for an error that the user can fix. Only the progress of a training is printed,
on stderr.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from warmstart import config_file, errors
from warmstart.config import ControlTokens, ExportConfig, RunConfig
from warmstart.config.overrides import Overrides, override_texts
from warmstart.config.recipe_files import recipe_names
from warmstart.data.reading.paths import given_path
from warmstart.run import Run
from warmstart.runs.directory import RunDirectory

if TYPE_CHECKING:
    from warmstart.models.checkpoints.description import Description
    from warmstart.preparation.prepare import Prepared
    from warmstart.runs.events import EventLog, Listener
    from warmstart.serving.writer import WriterName

ConfigSource = RunConfig | str | Path | Mapping[str, Any]
"""A config, the path of a config, the name of a recipe, or the settings as a mapping."""


def load(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        RunError: the folder does not exist or is not a run directory.
    """
    return Run(RunDirectory.open(given_path(path, "path")).path)


def check(config: ConfigSource, overrides: Overrides = ()) -> "Prepared":
    """Read and check everything a run needs, without loading weights.

    The findings in the data are in ``.findings`` of the result. They include what the run would
    keep of the checkpoint's head, if its weights are on disk.

    Args:
        config: what to train, and on which data; in a mapping, the data may be tables (pandas,
            polars, pyarrow, ``datasets.Dataset``) or lists of dicts.
        overrides: settings that replace the config's: ``["train.epochs=2"]`` or
            ``{"train.epochs": 2}``.

    Raises:
        WarmstartError: an error that would make the run fail.
    """
    with prepared_for(config_file.load(config, overrides)) as prepared:
        from warmstart.preparation.model_findings import with_model_findings

        return with_model_findings(prepared)


def train(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Fine-tune, keep the best model, score it and the baselines, write report and model card.

    Args:
        config: what to train, and on which data; in a mapping, the data may be tables (pandas,
            polars, pyarrow, ``datasets.Dataset``) or lists of dicts.
        overrides: settings that replace the config's: ``["train.epochs=2"]`` or
            ``{"train.epochs": 2}``.
        output: the run directory; by default a new folder under ``runs/``.
        overwrite: replace an earlier run in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested (Ctrl-C); everything is saved, see ``resume``.
        WarmstartError: an error that the user can fix.
    """
    settings = config_file.load(config, overrides)
    refuse_other_verb(settings, pretraining=False)
    return _train(config, settings, output, overwrite=overwrite, progress=progress)


def pretrain(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Learn a tokenizer from the training rows, initialise a new model randomly, and train it.

    The arguments and errors are those of ``train``; the config's group ``pretrain`` describes the
    new model. ``resume`` continues an interrupted run.
    """
    settings = config_file.load(config, overrides)
    refuse_other_verb(settings, pretraining=True)
    return _train(config, settings, output, overwrite=overwrite, progress=progress)


def _train(
    config: ConfigSource,
    settings: RunConfig,
    output: str | Path | None,
    *,
    overwrite: bool,
    progress: bool,
) -> Run:
    path = given_path(output, "output") if output is not None else default_output(config, settings)
    RunDirectory(path).refuse_unusable(overwrite=overwrite)
    with prepared_for(settings) as prepared:
        return train_prepared(prepared, path, overwrite=overwrite, progress=progress)


def resume(path: str | Path, *, progress: bool = True) -> Run:
    """Continue an interrupted run, with the same result as if it had never stopped.

    Args:
        path: its run directory.
        progress: show live progress on stderr.

    Raises:
        RunError: there is nothing to resume, the run is finished, or data, settings or versions
            changed.
    """
    from warmstart.runs.events import is_finished

    directory = RunDirectory.open(given_path(path, "path"))
    if is_finished(directory.entry("events.jsonl")):
        export = directory.read_config().export
        if directory.is_complete(exported=export.onnx):
            raise errors.run.already_finished(directory.path)
        from warmstart.training.train_run import tidy

        with _resumable(directory):
            with directory.locked():
                directory.settle()
                tidy(directory)
            return _completed(Run(directory.path), export)
    with directory.locked():  # refuse before the slow preparation if another process has the lock
        pass
    from warmstart.preparation.prepare import prepare
    from warmstart.preparation.row_ids import given_rows

    # `check` would create a new initial checkpoint for a pretraining run; this run already has one.
    prepared = prepare(directory.read_config(), rows=given_rows(directory))
    return train_prepared(prepared, directory.path, resuming=True, progress=progress)


@contextmanager
def prepared_for(settings: RunConfig) -> "Iterator[Prepared]":
    """The result of ``check``; the new checkpoint of a pretraining run exists only in the block.

    Args:
        settings: with or without a group ``pretrain``.

    Raises:
        WarmstartError: an error that would make the run fail.
    """
    from warmstart.preparation.prepare import prepare

    if settings.pretrain is None:
        yield prepare(settings)
        return
    with TemporaryDirectory(prefix="warmstart-") as folder:
        yield prepare(settings, start=Path(folder) / "start")


def train_prepared(
    prepared: "Prepared",
    path: Path,
    *,
    overwrite: bool = False,
    resuming: bool = False,
    progress: bool = True,
    listeners: "Sequence[Listener]" = (),
    stop_requested: Callable[[], bool] | None = None,
    splits: tuple[str, ...] | None = None,
) -> Run:
    """Train what ``check`` prepared; the second half of ``train`` and ``resume``.

    Args:
        prepared: read and checked.
        path: the run directory.
        overwrite: replace an earlier run in ``path``.
        resuming: continue from the newest checkpoint of ``path``.
        progress: show live progress on stderr.
        listeners: called with every event of the training.
        stop_requested: called after each step; if it returns True, the run is saved and stops. By
            default SIGINT and SIGTERM stop the run.
        splits: splits that are scored at the end; by default every split but ``train``.
    """
    from warmstart.evaluation.final_scoring import HELD_OUT
    from warmstart.runs.events import EventLog
    from warmstart.training.monitoring.listeners import listening
    from warmstart.training.train_run import train_run

    export = prepared.config.export
    refuse_missing_packages(prepared.config)
    watching = listening(path, prepared.config.train, progress=progress)
    with _resumable(RunDirectory(path)), watching as display:
        everyone = (*listeners, *display)
        train_run(
            prepared,
            path,
            resume=resuming,
            overwrite=overwrite,
            listeners=everyone,
            stop_requested=stop_requested,
            splits=HELD_OUT if splits is None else splits,
        )
        log = EventLog(RunDirectory(path).entry("events.jsonl"), everyone)
        return _completed(Run(path), export, log)


@contextmanager
def _resumable(directory: RunDirectory) -> "Iterator[None]":
    """Within the block, a full disk ends the run with the command that resumes it."""
    from warmstart.devices.processes import current

    try:
        yield
    except errors.RunError as error:
        full = isinstance(error.__cause__, Exception) and errors.run.is_disk_full(error.__cause__)
        if not full or not directory.is_run:
            raise
        raise errors.run.full_while_training(directory.path, error, current().count) from error


def refuse_missing_packages(settings: RunConfig) -> None:
    """Refuse settings that need a package that is not installed.

    Args:
        settings: of the run.

    Raises:
        WarmstartError: a package for TensorBoard or for the export is missing.
    """
    from warmstart.export.session import refuse_missing
    from warmstart.training.monitoring.listeners import refuse_missing_tensorboard

    refuse_missing_tensorboard(settings.train)
    if settings.export.onnx:
        refuse_missing("onnx", "onnxscript", "onnxruntime")


def _completed(run: Run, export: ExportConfig, log: "EventLog | None" = None) -> Run:
    """Write the report of a scored run, and its ONNX model if the settings request it.

    Args:
        run: a scored run.
        export: the settings of the export.
        log: gets a notice if the report cannot be written; None to raise the error.
    """
    from warmstart.runs.only_shown import only_shown
    from warmstart.training.stop import stop_on_signals, stops_at_once

    def stopped() -> errors.Interrupted:
        return errors.run.interrupted_after_training(run.path)

    with stop_on_signals() as stopping, stops_at_once(stopping, stopped):
        with nullcontext() if log is None else only_shown("report and model card", log.notice):
            run.report()
        if export.onnx:
            run.export(int8=export.int8, max_drop=export.max_drop)
    return run


def info(name: str | Path, labels: int | None = None, overrides: Overrides = ()) -> "Description":
    """Describe a model: configuration, parameters, memory; for a run or config also what trains.

    Args:
        name: a run directory, hub id, folder, or a bundled model, such as ``bundled/minilm-l6``; or
            a config or recipe, whose model is described as it would be trained.
        labels: number of classes of the head, only for a checkpoint that is not a run; 2 by
            default.
        overrides: only for a config: settings that replace its own.

    Raises:
        UsageError: ``labels`` or ``overrides`` are given for something that does not use them.
        ConfigError: the config is not usable.
        ModelError: there is no such checkpoint, or it lacks parts that the settings name.
        RunError: the run has no kept model yet.
    """
    from warmstart.models.checkpoints.description import describe, describe_training
    from warmstart.models.checkpoints.load import find, model_named
    from warmstart.models.tuning.trainable import parts_from_json
    from warmstart.runs.loaded_run import load_task, no_model, refuse_damaged_model
    from warmstart.tasks.capabilities import label_names_of

    is_yaml = given_path(name, "name").suffix in (".yaml", ".yml")
    if is_yaml or str(name) in recipe_names():
        from warmstart.preparation.auto import with_pooling, without_auto
        from warmstart.preparation.auto_model import AUTO
        from warmstart.preparation.prepare import refuse_unfit_parts
        from warmstart.tasks import task_type

        if labels is not None:
            raise errors.command.labels_of_what(name, labels, "config")
        settings = config_file.load(name, overrides)
        refuse_other_verb(settings, pretraining=False)
        if settings.model.name == AUTO:
            raise errors.checkpoint.auto_without_rows(str(name))
        checkpoint = find(settings.model, task_type(settings).head)
        settings, checkpoint, _ = with_pooling(settings, checkpoint)
        refuse_unfit_parts(settings.train, settings.task, checkpoint)
        return describe_training(checkpoint, without_auto(settings, checkpoint).train)
    if overrides:
        raise errors.command.settings_of_what(name, override_texts(overrides))
    model, directory = model_named(name), RunDirectory(Path(name))
    if directory.is_run and not directory.model.is_dir():
        no_model(directory)
    if not directory.is_run:
        return describe(find(model), labels=2 if labels is None else labels)
    if labels is not None:
        raise errors.command.labels_of_what(name, labels, "run")
    directory = RunDirectory.open(directory.path)
    _, task = load_task(directory)
    refuse_damaged_model(directory)
    description = describe(find(model_named(directory.model), task.head))
    trains = directory.read_json("environment.json").get("trains", [])
    # A head for numbers or scores has output names in config.json, but these are not labels.
    return replace(description, labels=label_names_of(task), trains=parts_from_json(trains))


def generate(
    name: str | Path,
    prompts: Iterable[str],
    *,
    engine: "WriterName | None" = None,
    on_text: Callable[[str], None] | None = None,
    control_tokens: ControlTokens | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Continue each prompt with a run's model or any decoder; see ``Run.generate``.

    Args:
        name: a run directory, hub id or folder.
        prompts: as for ``Run.generate``, like the other arguments.
        engine: ``torch`` or ``onnx``; by default ``onnx`` for a run that was exported, if ONNX
            Runtime is installed, and otherwise ``torch``.
        on_text: called with the text while it is generated.
        control_tokens: how the name of a control token in a prompt is read; by default as in the
            run's training, and as ``text`` for a model without a run.
        settings: replace the run's own settings, or the defaults.
    """
    from warmstart.serving.writer import open_writer

    writer = open_writer(name, engine)
    return [made.to_json() for made in writer.write(prompts, settings, on_text, control_tokens)]


def refuse_other_verb(settings: RunConfig, *, pretraining: bool) -> None:
    """Refuse ``train`` for a config that pretrains, and ``pretrain`` for one that fine-tunes.

    Args:
        settings: with or without a group ``pretrain``.
        pretraining: whether the command is ``pretrain``.

    Raises:
        ConfigError: the settings are for the other command.
    """
    if pretraining and settings.pretrain is None:
        raise errors.config.nothing_to_pretrain()
    if not pretraining and settings.pretrain is not None:
        raise errors.config.pretrain_with_train()


def default_output(config: ConfigSource, settings: RunConfig) -> Path:
    """A new folder under ``runs/``, named after the config and the time."""
    return Path("runs") / f"{name_of(config, settings)}-{datetime.now():%Y%m%d-%H%M%S}"


def name_of(config: ConfigSource, settings: RunConfig) -> str:
    """A short name of a config: that of its file, recipe or run directory, or its task."""
    if not isinstance(config, str | Path):
        return settings.task
    path = Path(str(config))
    return path.parent.name or path.stem if path.name == "config.yaml" else path.stem

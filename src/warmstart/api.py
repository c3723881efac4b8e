"""The verbs as functions: what the commands do, for scripts and notebooks.

    import warmstart
    run = warmstart.train({"data": {"train": "reviews.csv", "text": "review", "label": "stars"}})
    run.scores["validation"]["macro_f1"]
    run.predict(["Could not put it down."])

Every function takes and gives plain things (paths, mappings, strings) and raises ``WarmstartError``
for whatever a person can fix. Nothing is printed but the progress of a training, on stderr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart import config_file, errors
from warmstart.config import RunConfig
from warmstart.runs.directory import RunDirectory

if TYPE_CHECKING:
    import pyarrow as pa

    from warmstart.models.describe import Description
    from warmstart.serving.engines import Engine, EngineName
    from warmstart.serving.torch_engine import TorchEngine
    from warmstart.training.prepare import Prepared

ConfigSource = RunConfig | str | Path | Mapping[str, Any]
"""A config, the path of one, the name of a recipe, or the settings as a mapping."""

Metrics = dict[str, dict[str, Any]]
"""``{metric: {"value", "low", "high", "n", "higher_is_better"}}``."""


@dataclass(frozen=True)
class Run:
    """One training run on disk. The model is opened at its first use and stays open.

    Args:
        path: the run directory.
    """

    path: Path

    @property
    def config(self) -> RunConfig:
        """Every setting of the run."""
        return config_file.load(self.path / "config.yaml")

    @property
    def scores(self) -> dict[str, Metrics]:
        """Scores of the kept model: ``{split: {metric: {"value", "low", "high", "n"}}}``."""
        return {name: content["scores"] for name, content in self._evaluations().items()}

    @property
    def baselines(self) -> dict[str, dict[str, Metrics]]:
        """Scores of the models that cost nothing: ``{baseline: {split: {metric: …}}}``."""
        found: dict[str, dict[str, Metrics]] = {}
        for split, content in self._evaluations().items():
            for baseline, metrics in content["baselines"].items():
                found.setdefault(baseline, {})[split] = metrics
        return found

    def predict(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        *,
        engine: "EngineName | None" = None,
    ) -> list[dict[str, Any]]:
        """Answers for texts, in order: ``{"row", "label", "probabilities", "truncated"}`` each.

        Args:
            texts: none of them empty.
            text_pairs: the second text of each, for a run that was trained on pairs.
            engine: ``torch``, ``onnx`` or ``int8``; by default ``onnx`` once ``export`` wrote it.

        Raises:
            DataError: a text is empty, or second texts are missing or not wanted.
            ExportError: that ONNX model is not there, or was changed.
            RunError: the run kept no model yet.
        """
        from warmstart.serving.predictor import predict_texts

        opened = self._engine(engine)
        return [answer.to_json() for answer in predict_texts(opened, texts, text_pairs)]

    def predict_file(
        self,
        data: str | Sequence[str],
        overrides: Sequence[str] = (),
        *,
        engine: "EngineName | None" = None,
    ) -> "pa.Table":
        """Answers for every row of a file: row, file, line, text(s), prediction, probabilities.

        Args:
            data: the file(s), written like the training file.
            overrides: how they differ from it, e.g. ``["data.format=csv", "data.text=body"]``.
            engine: as for ``predict``.

        Raises:
            DataError: the file cannot be read or lacks the text column.
            ExportError: that ONNX model is not there, or was changed.
            RunError: the run kept no model yet.
        """
        from warmstart.serving.predictor import predict_file

        return predict_file(self._engine(engine), data, overrides)

    def evaluate(self, data: str | Sequence[str], overrides: Sequence[str] = ()) -> Metrics:
        """Score the kept model on labelled file(s), and keep the result in ``evaluation/``.

        Args:
            data: the file(s), written like the training file.
            overrides: how they differ from it, e.g. ``["data.format=csv", "data.label=y"]``.

        Raises:
            DataError: the file cannot be read, or holds a label never seen in training.
            RunError: the run kept no model yet.
        """
        from warmstart.serving.torch_engine import evaluate_file

        trained: TorchEngine = self._engine("torch")  # type: ignore[assignment]
        return evaluate_file(trained.run, data, overrides)

    def export(self, *, int8: bool = False, max_drop: float = 0.01) -> dict[str, Any]:
        """Write ``export/model.onnx``, verified against PyTorch; the content of ``parity.json``.

        Args:
            int8: also write ``model.int8.onnx``, with weights of 8 bits.
            max_drop: how much of the task's main metric that may cost.

        Raises:
            ExportError: packages are missing, the run is not finished, PyTorch cannot export its
                model, or the ONNX model does not answer as it does; an earlier export is kept.
            RunError: the run directory cannot be written.
        """
        from warmstart.export.run import export_run

        content = export_run(RunDirectory.open(self.path), int8=int8, max_drop=max_drop)
        for name in ("onnx", "int8"):
            self._engines.pop(name, None)
        return content

    def report(self) -> Path:
        """Write ``report.html`` and the model card anew from the run's files; the report's path."""
        from warmstart.report.html import write_report
        from warmstart.runs.card import write_card

        write_card(self.path)
        return write_report(self.path)

    @cached_property
    def _engines(self) -> "dict[str, Engine]":
        return {}

    def _engine(self, asked: "EngineName | None") -> "Engine":
        """The engine, opened at its first use."""
        from warmstart.serving.engines import engine_name, open_engine

        directory = RunDirectory.open(self.path)
        name = engine_name(directory, asked)
        if name not in self._engines:
            self._engines[name] = open_engine(directory, name)
        return self._engines[name]

    def _evaluations(self) -> dict[str, Any]:
        directory = RunDirectory(self.path)
        return {
            split: directory.read_json(f"evaluation/{split}/scores.json")
            for split in ("validation", "test")
            if (directory.evaluation(split) / "scores.json").exists()
        }


def load(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        RunError: the folder is missing or no run directory.
    """
    return Run(RunDirectory.open(Path(path)).path)


def check(config: ConfigSource, overrides: Sequence[str] = ()) -> "Prepared":
    """Read and check everything a run needs, short of loading weights; ``.findings`` says what.

    Args:
        config: what would be trained.
        overrides: settings that replace the config's, e.g. ``["train.epochs=2"]``.

    Raises:
        WarmstartError: whatever would make the run fail.
    """
    from warmstart.training.prepare import prepare

    return prepare(config_file.load(config, overrides))


def train(
    config: ConfigSource,
    overrides: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Fine-tune, keep the best model, score it beside baselines, write report and model card.

    Args:
        config: what to train on what.
        overrides: settings that replace the config's, e.g. ``["train.epochs=2"]``.
        output: the run directory; by default a new folder under ``runs/``.
        overwrite: replace an earlier run in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: asked to stop (Ctrl-C); everything is saved, see ``resume``.
        WarmstartError: anything a person can fix.
    """
    settings = config_file.load(config, overrides)
    path = Path(output) if output is not None else default_output(config, settings)
    RunDirectory(path).refuse_unusable(overwrite=overwrite)
    return train_prepared(check(settings), path, overwrite=overwrite, progress=progress)


def resume(path: str | Path, *, progress: bool = True) -> Run:
    """Go on with an interrupted run, to the same result as if it had never stopped.

    Args:
        path: its run directory.
        progress: show live progress on stderr.

    Raises:
        RunError: nothing to resume, already finished, or the data or versions changed.
    """
    directory = RunDirectory.open(Path(path))
    refuse_finished(directory)
    with directory.locked():  # by nobody else, before the work of preparing
        pass
    prepared = check(directory.path / "config.yaml")
    return train_prepared(prepared, directory.path, resuming=True, progress=progress)


def train_prepared(
    prepared: "Prepared",
    path: Path,
    *,
    overwrite: bool = False,
    resuming: bool = False,
    progress: bool = True,
) -> Run:
    """Train what ``check`` prepared; the second half of ``train`` and ``resume``.

    Args:
        prepared: read and checked.
        path: the run directory.
        overwrite: replace an earlier run in ``path``.
        resuming: go on from the newest checkpoint of ``path``.
        progress: show live progress on stderr.
    """
    from warmstart.training.listeners import listening
    from warmstart.training.run import train_run

    with listening(path, prepared.config.train, progress=progress) as listeners:
        train_run(prepared, path, resume=resuming, overwrite=overwrite, listeners=listeners)
    run = Run(path)
    run.report()
    return run


def info(name: str | Path, labels: int = 2) -> "Description":
    """Describe a run's model or a checkpoint: configuration, parameters, memory.

    Args:
        name: a run directory, hub id, folder, or ``bundled/minilm-l6``.
        labels: classes of the head of a checkpoint that is no run.

    Raises:
        ModelError: there is no such checkpoint.
        RunError: the run kept no model yet.
    """
    from warmstart.config import ModelConfig
    from warmstart.models.describe import describe
    from warmstart.models.load import find

    directory = RunDirectory(Path(name))
    if directory.is_run and not directory.model.is_dir():
        raise errors.run.no_model(directory.path)
    source = str(directory.model) if directory.is_run else str(name)
    return describe(find(ModelConfig(name=source)), labels=labels)


def refuse_finished(directory: RunDirectory) -> None:
    """Say that a finished run needs no resuming.

    Raises:
        RunError: the run is finished.
    """
    from warmstart.runs.events import events_of, read_events

    if events_of(read_events(directory.path / "events.jsonl"), "finish"):
        raise errors.run.already_finished(directory.path)


def default_output(config: ConfigSource, settings: RunConfig) -> Path:
    """A new folder under ``runs/``, named after the config or its task, and the time."""
    named = isinstance(config, str | Path)
    name = Path(str(config)).stem if named else settings.task
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"

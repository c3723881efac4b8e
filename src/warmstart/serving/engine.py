"""The inference engine: from a table of texts to predictions, with PyTorch or ONNX Runtime.

Everything that happens once is done when the engine is opened: load, choose device and precision,
choose packed or padded execution. Afterwards nothing changes, so any number of threads may use one
engine, and predicting one text takes little more time than its forward pass.

``onnx`` is the default for a run that was exported: its predictions were compared with PyTorch's,
and it needs neither torch nor Transformers. Where ONNX Runtime is not installed, PyTorch is used,
with a warning. The same rule selects the runtime of a decoder. ``int8`` is smaller and faster, but
its predictions differ slightly, so it is used only on request.
"""

import warnings
from dataclasses import dataclass
from typing import Literal, Protocol

from warmstart.config import RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.table import Table
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import is_unfinished
from warmstart.tasks.task import AnyTask, Predictions

EngineName = Literal["torch", "onnx", "int8"]


class Runner(Protocol):
    """An open model; safe to use from several threads."""

    def predictions(self, task: AnyTask, examples: Examples) -> Predictions:
        """Predictions for tokenised rows, in their order.

        Args:
            task: converts logits to predictions.
            examples: at least one row.
        """
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A trained model that is ready to predict; any number of threads may use it.

    Args:
        config: settings of the run.
        task: the run's task.
        tokenizer: the run's tokenizer; no call changes it.
        max_tokens: the model's maximum input length, special tokens included.
        runner: the open model.
        identity: that of the run, see ``RunDirectory.identity``.
    """

    config: RunConfig
    task: AnyTask
    tokenizer: Tokenizer
    max_tokens: int
    runner: Runner
    identity: str | None = None

    def predictions(self, task: AnyTask, table: Table) -> Predictions:
        """Predictions for the rows of a table, in their order.

        Args:
            task: the engine's task, or the same for a file whose columns have other names.
            table: clean rows, at least one.

        Raises:
            DataError: the task cannot predict a row (e.g. a text without a mask).
        """
        examples = task.encode(table, None, self.tokenizer, self.max_tokens)
        return self.runner.predictions(task, examples)


def engine_name(directory: RunDirectory) -> Literal["torch", "onnx"]:
    """The engine to use if none is named: ``onnx`` if the run was exported, otherwise ``torch``.

    Warns if the run was exported and ONNX Runtime cannot be used here: then it is ``torch``, unless
    this copy of the run has no weights for PyTorch.

    An incomplete ``export/`` still means ``onnx``, which then refuses it.

    Args:
        directory: the run directory.
    """
    if not directory.is_exported:
        return "torch"
    if not (directory.model / "model.safetensors").is_file() or _has_onnxruntime():
        return "onnx"
    warnings.warn(
        f"{directory.path} was exported to ONNX, but onnxruntime is not installed here: PyTorch is "
        "used instead. To use the export: pip install onnxruntime",
        stacklevel=4,
    )
    return "torch"


def _has_onnxruntime() -> bool:
    try:
        import onnxruntime  # noqa: F401
    except ImportError:  # not installed, or not for this machine
        return False
    return True


def warn_if_unfinished(directory: RunDirectory) -> None:
    """Warn that the model of a run may not be its final one.

    Args:
        directory: the run directory.
    """
    if is_unfinished(directory.entry("events.jsonl")):
        warnings.warn(
            f"{directory.path} is not finished: its best model so far is used. If it was "
            f"interrupted, finish it with: warmstart train {directory.path} --resume",
            stacklevel=4,
        )


def open_engine(directory: RunDirectory, name: EngineName) -> Engine:
    """Open a run's model; warns if the run is not finished.

    Args:
        directory: the run directory.
        name: name of the engine.

    Raises:
        ExportError: the ONNX model does not exist, was changed, or cannot run on this machine.
        RunError: the run has no kept model yet, or its directory is damaged.
    """
    if name == "torch":
        from warmstart.serving.torch_runner import open_torch  # loads torch, which onnx never does

        engine = open_torch(directory)
        warn_if_unfinished(directory)
        return engine
    from warmstart.serving.onnx_runner import open_onnx

    return open_onnx(directory, name)

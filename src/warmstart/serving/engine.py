"""The inference engine: from a table of texts to predictions, with PyTorch or ONNX Runtime.

Everything that happens once is done when the engine is opened: load, choose device and precision,
choose packed or padded execution. Afterwards nothing changes, so any number of threads may use one
engine, and predicting one text takes little more time than its forward pass.

``onnx`` needs neither torch nor Transformers and is the default for a run that was exported: its
predictions were compared with PyTorch's. ``int8`` is smaller and faster, but its predictions differ
slightly, so it is used only on request.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from warmstart.config import RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.table import Table
from warmstart.runs.directory import RunDirectory
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


def engine_name(directory: RunDirectory) -> EngineName:
    """The engine to use if none is named: ``onnx`` if the run was exported, otherwise ``torch``.

    An incomplete ``export/`` still means ``onnx``, which then refuses it: predictions never change
    silently from one engine to the other.

    Args:
        directory: the run directory.
    """
    return "onnx" if directory.is_exported else "torch"


def open_engine(directory: RunDirectory, name: EngineName) -> Engine:
    """Open a run's model.

    Args:
        directory: the run directory.
        name: name of the engine.

    Raises:
        ExportError: the ONNX model does not exist, was changed, or cannot run on this machine.
        RunError: the run has no kept model yet, or its directory is damaged.
    """
    if name == "torch":
        from warmstart.serving.torch_runner import open_torch  # loads torch, which onnx never does

        return open_torch(directory)
    from warmstart.serving.onnx_runner import open_onnx

    return open_onnx(directory, name)

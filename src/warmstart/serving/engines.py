"""What runs a trained model: PyTorch, or ONNX Runtime where the run was exported.

An engine turns tokenised rows into predictions; all that comes before and after is the same for
every engine. ``onnx`` is what a run answers with once it was exported: the same answers, with
neither torch nor Transformers to load. ``int8`` is its smaller, faster neighbour, whose answers are
not the same, so it is used only where it is asked for.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.export.session import FILES, PARITY, OnnxModel, sha256
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import RunTokenizer, load_task
from warmstart.tasks.task import AnyTask, Predictions

EngineName = Literal["torch", "onnx", "int8"]
NAMES: tuple[EngineName, ...] = get_args(EngineName)


class Engine(Protocol):
    """A model that is open."""

    @property
    def config(self) -> RunConfig:
        """The run's settings."""
        ...

    @property
    def task(self) -> AnyTask:
        """With what it learned."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's own."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest input."""
        ...

    def predictions(self, task: AnyTask, examples: Examples) -> Predictions:
        """The answers for tokenised rows, in their order.

        Args:
            task: the run's, or the same for columns of other names.
            examples: one row at least.
        """
        ...


@dataclass(frozen=True, slots=True)
class OnnxEngine:
    """ONNX Runtime on a file that was verified.

    Args:
        config: the run's settings.
        task: with what it learned.
        tokenizer: read without Transformers.
        max_tokens: longest input.
        model: the open file.
    """

    config: RunConfig
    task: AnyTask
    tokenizer: Tokenizer
    max_tokens: int
    model: OnnxModel

    @classmethod
    def open(cls, directory: RunDirectory, name: EngineName) -> "OnnxEngine":
        """Open a run's exported model, which must be the one that was verified.

        Args:
            directory: of the run.
            name: ``onnx`` or ``int8``.

        Raises:
            ExportError: it was never exported, its file was changed, or ONNX Runtime is missing.
            RunError: the run directory is damaged.
        """
        config, task = load_task(directory)
        path, parity = verified_file(directory, name)
        try:
            max_tokens: int = parity["max_tokens"]
            if name == "int8":
                _warn_of_overflow(parity["int8"]["reduce_range"])
        except (KeyError, TypeError) as error:
            raise errors.run.unreadable(directory.entry(PARITY), error) from error
        model = OnnxModel.open(path)
        tokenizer = RunTokenizer.open(directory, list(model.input_names))
        return cls(config, task, tokenizer, max_tokens, model)

    def predictions(self, task: AnyTask, examples: Examples) -> Predictions:
        """The answers for tokenised rows, in their order."""
        found: Predictions = task.predictions(self.model.logits(examples.tokens), examples)
        return found


def verified_file(directory: RunDirectory, name: EngineName) -> tuple[Path, dict[str, Any]]:
    """A run's exported model, which must be the one that was verified.

    Args:
        directory: of the run.
        name: ``onnx`` or ``int8``.

    Returns:
        The file, and the content of ``parity.json``.

    Raises:
        ExportError: it was never exported, or its file was changed.
        RunError: ``parity.json`` is damaged.
    """
    path = directory.entry("export") / FILES[name]
    if not path.is_file():
        raise errors.export.not_exported(directory.path, name, path.name)
    parity = directory.read_json(PARITY)
    try:
        hashes = {file: facts["sha256"] for file, facts in parity["files"].items()}
    except (KeyError, TypeError) as error:
        raise errors.run.unreadable(directory.entry(PARITY), error) from error
    for file in (path, path.with_name(f"{path.name}.data")):
        known = hashes.get(file.name)
        if file.is_file() != (known is not None) or (known and sha256(file) != known):
            raise errors.export.changed(file, directory.path)
    return path, parity


def _warn_of_overflow(reduce_range: bool) -> None:
    from warmstart.export.quantize import adds_in_32_bits

    if not reduce_range and not adds_in_32_bits():
        warnings.warn(
            "model.int8.onnx was made on a processor with VNNI; on this one its sums may overflow. "
            "Export it anew here, or use --engine onnx",
            stacklevel=2,
        )


def engine_name(directory: RunDirectory, asked: EngineName | None) -> EngineName:
    """The engine that answers: the one that was asked for, else ONNX Runtime where it can.

    Args:
        directory: of the run.
        asked: by the person.
    """
    if asked is not None:
        return asked
    return "onnx" if (directory.entry("export") / FILES["onnx"]).is_file() else "torch"


def open_engine(directory: RunDirectory, name: EngineName) -> Engine:
    """Open a run's model.

    Args:
        directory: of the run.
        name: of the engine.

    Raises:
        ExportError: the ONNX model is not there, was changed, or cannot be run here.
        RunError: no model was kept yet, or the run directory is damaged.
    """
    if name != "torch":
        return OnnxEngine.open(directory, name)
    from warmstart.runs.loaded_run import load_run
    from warmstart.serving.torch_engine import TorchEngine

    return TorchEngine(load_run(directory))

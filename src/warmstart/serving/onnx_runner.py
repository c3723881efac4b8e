"""ONNX Runtime as a runner of the engine, for the file that ``warmstart export`` verified.

Loads neither torch nor Transformers. ONNX Runtime allows any number of threads to call ``run`` of
one session (its documentation, "Thread management").
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.data.examples.batches import Examples
from warmstart.data.reading.fetch import sha256_of
from warmstart.export.session import FILES, PARITY, OnnxModel
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import WEIGHTS, RunTokenizer, load_task, refuse_damaged_model
from warmstart.runs.safe_files import read_replaceable
from warmstart.runs.stored import reading
from warmstart.serving.engine import Engine, EngineName
from warmstart.tasks.capabilities import Generates, label_names_of
from warmstart.tasks.task import AnyTask, Predictions


@dataclass(frozen=True, slots=True)
class OnnxRunner:
    """An exported model.

    Args:
        model: the open file.
    """

    model: OnnxModel

    def predictions(self, task: AnyTask, examples: Examples) -> Predictions:
        """Predictions for tokenised rows, in their order."""
        logits = self.model.logits_of(examples)
        labels = label_names_of(task)
        if labels and logits.shape[1] != len(labels):
            reason = f"it has {logits.shape[1]} outputs, and the run has {len(labels)} labels"
            raise errors.export.unusable_file(self.model.path, reason)
        if not np.isfinite(logits).all():
            raise errors.checkpoint.outputs_not_finite()
        found: Predictions = task.predictions(logits, examples)
        return found


def open_onnx(directory: RunDirectory, name: EngineName) -> Engine:
    """Open a run's exported model, after checking that it is still the verified file.

    Args:
        directory: the run directory.
        name: ``onnx`` or ``int8``.

    Raises:
        ExportError: it was never exported, its file was changed, or ONNX Runtime is missing.
        RunError: the run directory is damaged or was replaced, or the run generates text.
    """
    identity = directory.identity

    def read() -> Engine:
        with directory.holding(identity):
            return _open(directory, name, identity)

    return read_replaceable(directory.entry("export"), read)


def _open(directory: RunDirectory, name: EngineName, identity: str | None) -> Engine:
    config, task = load_task(directory)
    if isinstance(task, Generates):  # before its file is opened as that of a classifier
        raise errors.run.generates_instead(task.name, task.usage().command)
    path, parity = verified_file(directory, name)
    max_tokens: int = parity["max_tokens"]
    if name == "int8":
        with reading(directory.entry(PARITY)):
            _warn_of_overflow(parity["int8"]["reduce_range"])
    model = OnnxModel.open(path)
    tokenizer = RunTokenizer.open(directory, list(model.input_names))
    return Engine(config, task, tokenizer, max_tokens, OnnxRunner(model), identity)


def verified_file(directory: RunDirectory, name: EngineName) -> tuple[Path, dict[str, Any]]:
    """A run's exported model, after checking that it is still the verified file.

    Args:
        directory: the run directory.
        name: ``onnx`` or ``int8``.

    Returns:
        The file, and the content of ``parity.json``.

    Raises:
        ExportError: it was never exported, or its file or the run's model was changed.
        RunError: ``parity.json`` is damaged.
    """
    path = directory.entry("export") / FILES[name]
    if not path.is_file():
        raise errors.export.not_exported(directory.path, name, path.name)
    parity = directory.read_json(PARITY)
    hashes = {file: facts["sha256"] for file, facts in parity["files"].items()}
    for file in (path, path.with_name(f"{path.name}.data")):
        known = hashes.get(file.name)
        if file.is_file() != (known is not None) or (known and sha256_of(file) != known):
            raise errors.export.changed(file, directory.path)
    # A copy of the run for serving may leave out PyTorch's weights.
    weights = directory.model / WEIGHTS
    refuse_damaged_model(directory, without=[WEIGHTS])
    if weights.is_file() and sha256_of(weights) != parity["model_sha256"]:
        refuse_damaged_model(directory)
        raise errors.export.other_model(weights, directory.path)
    return path, parity


def _warn_of_overflow(reduce_range: bool) -> None:
    from warmstart.export.quantize import adds_in_32_bits

    if not reduce_range and not adds_in_32_bits():
        warnings.warn(
            "model.int8.onnx was made on a processor with VNNI; on this one its sums may overflow. "
            "Export it again here, or use --engine onnx",
            stacklevel=2,
        )

"""Save ``model/``, which ``from_pretrained`` and all later commands load, and ``adapter/``.

The files are first written to a temporary folder and then moved one by one. Only the weights differ
between two best models of a run, so a reader sees either the old or the new model and never a
mixture of both. A finished run has a manifest of them (``manifest``).
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from warmstart import errors
from warmstart.models.checkpoints.classifier_heads import last_layer
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.checkpoints.tokenizer_of_words import fit_tokenizer_to_words
from warmstart.models.tuning.adapters import save_adapter
from warmstart.runs.directory import RunDirectory
from warmstart.runs.manifest import MANIFEST, damage_in, write_manifest
from warmstart.runs.safe_files import flush_to_disk, temporary_path, write_errors, write_folder


def save_model_folder(
    run: RunDirectory,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    weights: dict[str, Tensor] | None = None,
    *,
    reads_words: bool = False,
) -> None:
    """Write or replace ``model/`` (config, ``model.safetensors``, tokenizer).

    Args:
        run: the run directory.
        model: the model, unwrapped (not wrapped by Accelerate or peft).
        tokenizer: the tokenizer; saved so that it truncates at ``max_tokens``, as in training.
        max_tokens: maximum input length in tokens.
        weights: name -> tensor; saved instead of the model's own weights.
        reads_words: whether the model was trained with a space before every word.

    Raises:
        RunError: the disk is full or the folder is not writable; an older ``model/`` is intact.
    """

    def write(folder: Path) -> None:
        tokenizer.model_max_length = max_tokens
        with quiet():
            model.save_pretrained(folder, state_dict=weights)
            tokenizer.save_pretrained(folder)
        if reads_words:
            fit_tokenizer_to_words(folder)

    _replace_folder(run.model, write)


def save_adapter_folder(
    run: RunDirectory, model: PreTrainedModel, config: Any, weights: dict[str, Tensor]
) -> None:
    """Write or replace ``adapter/``, which peft's ``PeftModel.from_pretrained`` loads.

    Args:
        run: the run directory.
        model: the model with adapters.
        config: the config of peft, from ``models.tuning.adapters.adapt``.
        weights: name -> tensor; saved instead of the model's own weights of these names.

    Raises:
        RunError: the disk is full or the folder is not writable; an older ``adapter/`` is intact.
    """
    _replace_folder(run.entry("adapter"), lambda to: save_adapter(model, config, to, weights))


HEAD_START = "head_start"
"""The folder with the last layer of the head before the first step, if it was fitted."""

HEAD_WEIGHTS = "head.safetensors"


def save_head_start(run: RunDirectory, model: PreTrainedModel, head: Head) -> None:
    """Write the last layer of a head that was fitted before the first step.

    Args:
        run: the run directory.
        model: the model with the fitted head.
        head: its head.

    Raises:
        RunError: the disk is full, or writing is not permitted.
    """
    _, names = last_layer(model, head)
    weights = {name: model.get_parameter(name).detach().cpu() for name in names}

    def fill(folder: Path) -> None:
        save_file(weights, folder / HEAD_WEIGHTS)
        write_manifest(folder)

    write_folder(run.entry(HEAD_START), fill)


def load_head_start(run: RunDirectory, model: PreTrainedModel) -> None:
    """Set the last layer of the head as ``save_head_start`` wrote it.

    Args:
        run: the run directory.
        model: the model with a new head, changed in place.

    Raises:
        RunError: a file is damaged.
    """
    folder = run.entry(HEAD_START)
    if (damage := damage_in(folder)) is not None:
        raise errors.run.unreadable(folder, damage)
    with torch.no_grad():
        for name, weight in load_file(folder / HEAD_WEIGHTS).items():
            model.get_parameter(name).copy_(weight)


def _replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Fill a temporary folder next to ``target``, then move its files there, weights last."""
    partial = temporary_path(target, "partial")
    try:
        with write_errors(target):
            write(partial)
            for file in partial.iterdir():
                flush_to_disk(file)
            target.mkdir(exist_ok=True)
            (target / MANIFEST).unlink(missing_ok=True)  # of the model that is replaced
            # The weights are moved last: until then, the folder contains the complete older model.
            for file in sorted(partial.iterdir(), key=lambda file: file.suffix == ".safetensors"):
                file.replace(target / file.name)
            flush_to_disk(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

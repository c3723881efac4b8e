"""The ``model/`` folder, which ``from_pretrained`` and every later command open; ``adapter/``.

Written whole beside its place and moved in file by file; between two best models only the weights
differ, so a reader sees the old model or the new one and never half of each.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from warmstart import errors
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.checkpoints.tokenizer_of_words import fit_tokenizer_to_words
from warmstart.models.tuning.adapters import save_adapter
from warmstart.runs.directory import RunDirectory, flush_to_disk


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
        model: unwrapped.
        tokenizer: the checkpoint's; saved to truncate at ``max_tokens`` as training did.
        max_tokens: longest input in tokens.
        weights: written in place of the model's own, by name.
        reads_words: whether the model was trained with a space before every word.

    Raises:
        RunError: no room, or no right to write; an older ``model/`` is intact.
    """

    def write(folder: Path) -> None:
        tokenizer.model_max_length = max_tokens
        with quiet():
            model.save_pretrained(folder, state_dict=weights)
            tokenizer.save_pretrained(folder)
        if reads_words:
            fit_tokenizer_to_words(folder)

    _replace_folder(run.model, write)


def save_adapter_folder(run: RunDirectory, model: PreTrainedModel, config: Any) -> None:
    """Write or replace ``adapter/``, which peft's ``PeftModel.from_pretrained`` opens.

    Args:
        run: the run directory.
        model: with adapters.
        config: peft's, from ``models.adapters.adapt``.

    Raises:
        RunError: no room, or no right to write; an older ``adapter/`` is intact.
    """
    _replace_folder(run.adapter, lambda folder: save_adapter(model, config, folder))


def _replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder beside ``target``, then move its files in, weights last."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        write(partial)
        for file in partial.iterdir():
            flush_to_disk(file)
        target.mkdir(exist_ok=True)
        # Weights last: until they arrive, the folder holds the older model, complete.
        for file in sorted(partial.iterdir(), key=lambda file: file.suffix == ".safetensors"):
            file.replace(target / file.name)
        flush_to_disk(target)
    except (OSError, SafetensorError) as error:
        raise errors.run.cannot_write(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)

"""The ``model/`` folder: what ``from_pretrained`` and every later command open.

Written whole beside its place and moved in file by file; between two best models only the weights
differ, so a reader sees the old model or the new one and never half of each.
"""

import shutil

from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from warmstart import errors
from warmstart.models.quiet import quiet
from warmstart.runs.directory import RunDirectory, flush_to_disk


def save_model_folder(
    run: RunDirectory,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write or replace ``model/`` (config, ``model.safetensors``, tokenizer).

    Args:
        run: the run directory.
        model: unwrapped.
        tokenizer: the checkpoint's; saved to truncate at ``max_tokens`` as training did.
        max_tokens: longest input in tokens.
        weights: written in place of the model's own, by name.

    Raises:
        RunError: no room, or no right to write; an older ``model/`` is intact.
    """
    partial = run.path / ".model.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        tokenizer.model_max_length = max_tokens
        with quiet():
            model.save_pretrained(partial, state_dict=weights)
            tokenizer.save_pretrained(partial)
        for file in partial.iterdir():
            flush_to_disk(file)
        run.model.mkdir(exist_ok=True)
        # Weights last: until they arrive, the folder holds the older model, complete.
        for file in sorted(partial.iterdir(), key=lambda file: file.suffix == ".safetensors"):
            file.replace(run.model / file.name)
        flush_to_disk(run.model)
    except (OSError, SafetensorError) as error:
        raise errors.run.cannot_write(run.model, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)

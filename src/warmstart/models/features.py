"""What the frozen part of a model makes of each row: computed once, kept on disk, read every epoch.

With ``train.freeze`` the first layers give the same hidden states for a row in every epoch, as they
run without dropout. So they run once: over all rows of a split, longest first, in evaluation mode.
What is kept is what the rest of the model begins with: of a whole frozen backbone the vector that
the head reads, one for each row; else the hidden states of every token.

The file is named after a hash of all that can change a number in it – frozen weights,
configuration, token ids, precision, versions – so that another run with the same rows and model, a
repeat or a trial of a search, finds it. It is memory-mapped: what a batch touches is in memory.

Source: Devlin et al. 2019, arXiv:1810.04805, section 5.3, "each token's representations are
computed once".
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from transformers import PreTrainedModel

from warmstart.data.batches import collate, evaluation_batches
from warmstart.data.encode import Computed, Examples
from warmstart.data.fetch import cache_folder
from warmstart.models.freezing import Frozen
from warmstart.models.packed import Packed

IN_MEMORY_BYTES = 2**20
"""Less than this is not worth a file."""

MOST_BYTES = 20 * 2**30
"""What the folder of features may hold; beyond it those unused longest are removed."""

Floats32 = np.ndarray[Any, np.dtype[np.float32]]


def with_features(
    examples: Examples,
    model: PreTrainedModel,
    packed: Packed,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
    batch_tokens: int,
) -> Examples:
    """The same rows with what the frozen part makes of them.

    Args:
        examples: of one split.
        model: on its device, frozen already.
        packed: what runs it.
        frozen: the part that is frozen.
        autocast: the precision it runs in.
        batch_tokens: tokens of a batch.

    Returns:
        A copy whose ``computed`` is memory-mapped from the cache folder, or in memory where it is
        small or the folder cannot be written.
    """
    count = len(examples) if frozen.backbone else len(examples.input_ids)
    shape = (count, model.config.hidden_size)

    def fill(values: Floats32) -> None:
        _compute(values, examples, model, packed, frozen, autocast, batch_tokens)

    if count * shape[1] * 4 < IN_MEMORY_BYTES:
        values = np.empty(shape, dtype=np.float32)
        fill(values)
    else:
        values = _cached(_key(examples, model, frozen, autocast), shape, fill)
    return replace(examples, computed=Computed(values, frozen.layers, frozen.backbone))


@torch.no_grad()
def _compute(
    values: Floats32,
    examples: Examples,
    model: torch.nn.Module,
    packed: Packed,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
    batch_tokens: int,
) -> None:
    """Fill ``values``, [N, H] of a backbone, else [T, H]."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    for positions in evaluation_batches(examples.lengths, batch_tokens):
        batch = collate(examples, positions).to(device)
        with autocast():
            found = packed.read(batch) if frozen.backbone else packed.states(batch, frozen.layers)
        made = found.float().cpu().numpy()
        if frozen.backbone:
            values[positions] = made
        else:
            for position, start, stop in zip(
                positions, batch.offsets, batch.offsets[1:], strict=False
            ):
                values[examples.offsets[position] : examples.offsets[position + 1]] = made[
                    start:stop
                ]
    model.train(was_training)


def _cached(key: str, shape: tuple[int, int], fill: Callable[[Floats32], None]) -> Floats32:
    """The array of this name from the cache folder, filled first where it is not there."""
    folder = cache_folder() / "features"
    path = folder / f"{key}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that train together want the same file: one fills it, the others wait.
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                partial = path.with_suffix(".partial")
                new = np.lib.format.open_memmap(partial, "w+", dtype=np.float32, shape=shape)
                fill(new)
                new.flush()
                partial.rename(path)
                _remove_oldest(folder, keep=path)
        path.touch()
        values: Floats32 = np.load(path, mmap_mode="r")
    except OSError:
        values = np.empty(shape, dtype=np.float32)
        fill(values)
    return values


def _remove_oldest(folder: Path, keep: Path) -> None:
    """Hold the folder to ``MOST_BYTES``."""
    files = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > MOST_BYTES and path != keep:
            path.unlink()


def _key(
    examples: Examples,
    model: PreTrainedModel,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
) -> str:
    """A hash of all that can change a number in the features."""
    with autocast():
        precision = torch.get_autocast_dtype(model.device.type)
        lower = torch.is_autocast_enabled(model.device.type)
    config = model.config.to_dict()
    facts = [frozen, precision if lower else "float32", model.device.type, sorted(config.items())]
    facts += [version(package) for package in ("torch", "transformers", "warmstart")]
    digest = hashlib.sha256(repr(facts).encode())
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().numpy().data)
    for array in (examples.input_ids, examples.offsets, examples.token_type_ids):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]

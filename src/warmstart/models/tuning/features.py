"""Features: the output of a model's frozen part for each row, computed once and cached on disk.

The frozen layers of ``train.freeze`` run without dropout, so their hidden states for a row are the
same in every epoch. They are computed once for all rows of a split, longest first, in evaluation
mode. The cached values are the inputs of the trained part: with a frozen backbone one vector per
row (the input of the head), otherwise the hidden states of every token.

The file name is a hash of everything that affects the values: frozen weights, configuration, token
ids, precision and versions. A later run with the same rows and model therefore uses the same file.
The file is memory-mapped, so only the rows of the current batch need memory.

Source: Devlin et al. 2019, arXiv:1810.04805, section 5.3, "each token's representations are
computed once".
"""

import hashlib
import os
import shutil
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

from warmstart.data.examples.batches import collate, evaluation_batches
from warmstart.data.examples.encode import Computed, Examples
from warmstart.data.reading.fetch import cache_folder
from warmstart.models.packed.packed_runner import Packed
from warmstart.models.tuning.freezing import Frozen

IN_MEMORY_BYTES = 2**20
"""Features smaller than this are kept in memory, not in a file."""

MAX_CACHE_BYTES = 20 * 2**30
"""Size limit of the features folder; above it the least recently used files are removed."""

Floats32 = np.ndarray[Any, np.dtype[np.float32]]


def with_features(
    examples: Examples,
    model: PreTrainedModel,
    packed: Packed,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
    batch_tokens: int,
) -> Examples:
    """Compute or load the features of a split, and attach them to its rows.

    Args:
        examples: the rows of one split.
        model: the model on its device, already frozen.
        packed: the packed runner of the model.
        frozen: the frozen part.
        autocast: the precision of the forward pass.
        batch_tokens: tokens per batch.

    Returns:
        A copy of ``examples`` whose ``computed`` is memory-mapped from the cache folder, or in
        memory if it is small.

    Raises:
        OSError: the cache folder cannot be written, or the disk is full.
    """
    count = len(examples) if frozen.backbone else len(examples.input_ids)
    shape = (count, model.config.hidden_size)  # [N, H] per row, or [T, H] per token

    def fill(values: Floats32) -> None:
        _compute(values, examples, model, packed, frozen, autocast, batch_tokens)

    if count * shape[1] * 4 < IN_MEMORY_BYTES:  # 4 bytes per float32
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
    """Fill ``values``: [N, H] for a frozen backbone, otherwise [T, H]."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    for positions in evaluation_batches(examples.lengths, batch_tokens):
        batch = collate(examples, positions).to(device)
        with autocast():
            states = packed.read(batch) if frozen.backbone else packed.states(batch, frozen.layers)
        computed = states.float().cpu().numpy()
        if frozen.backbone:
            values[positions] = computed  # [B, H]
        else:
            # [t, H] of the packed batch: copy the tokens of each row to their place in the split.
            for position, start, stop in zip(
                positions, batch.offsets, batch.offsets[1:], strict=False
            ):
                values[examples.offsets[position] : examples.offsets[position + 1]] = computed[
                    start:stop
                ]
    model.train(was_training)


def _cached(key: str, shape: tuple[int, int], fill: Callable[[Floats32], None]) -> Floats32:
    """The memory-mapped array of this name in the cache folder; computed if it does not exist.

    Raises:
        OSError: it cannot be written there.
    """
    folder = cache_folder() / "features"
    path = folder / f"{key}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    # Other runs and other ranks may need the same file: one of them computes it, the others wait.
    with FileLock(path.with_suffix(".lock")):
        values = _open(path)
        if values is None:
            _write(path, shape, fill)
            _remove_oldest(folder, keep=path)
            values = _open(path)
        assert values is not None
        os.utime(path)  # marks the file as recently used for `_remove_oldest`
    return values


def _open(path: Path) -> Floats32 | None:
    """Memory-map the array in a file; None if the file is missing or damaged."""
    try:
        values: Floats32 = np.load(path, mmap_mode="r")
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return values


def _write(path: Path, shape: tuple[int, int], fill: Callable[[Floats32], None]) -> None:
    """Fill a temporary file next to ``path`` and rename it; after a failure no file is left.

    Raises:
        OSError: the features are too large for the limit or the disk. This is checked first: when
            the disk becomes full, writing to a memory-mapped file kills the process (SIGBUS).
    """
    if shape[0] * shape[1] * 4 > MAX_CACHE_BYTES:
        raise OSError(f"they take more than {MAX_CACHE_BYTES // 2**30} GiB")
    partial = path.with_suffix(".partial")
    try:
        values = np.lib.format.open_memmap(partial, "w+", dtype=np.float32, shape=shape)
        if shutil.disk_usage(partial).free < values.nbytes:
            raise OSError(f"not enough disk space in {partial.parent}")
        fill(values)
        values.flush()
        del values
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _remove_oldest(folder: Path, keep: Path) -> None:
    """Remove the least recently used files until the folder has at most ``MAX_CACHE_BYTES``."""
    files = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > MAX_CACHE_BYTES and path != keep:
            path.unlink()


def _key(
    examples: Examples,
    model: PreTrainedModel,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
) -> str:
    """A hash of everything that affects the values of the features."""
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

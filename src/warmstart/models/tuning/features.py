"""Features: the outputs of a frozen part of the model, computed once and used in every epoch.

With ``train.freeze`` the first layers give the same hidden states for a row in every epoch, because
they run without dropout. So they run once: over all rows of a split, longest first, in evaluation
mode. The features are the inputs of the part that trains: the hidden states of every token, or, for
a frozen backbone whose head reads one vector per row, these vectors.

The file is named after a hash of everything that can change a number in it (frozen weights,
configuration, token ids, precision, versions), so that another run with the same rows and model, a
repeat or a trial of a search, finds it. It is memory-mapped: only the pages that a batch reads are
in memory.

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
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.data.examples.batches import Batch, Computed, Examples, collate
from warmstart.data.examples.ordering import evaluation_batches
from warmstart.data.reading.fetch import cache_folder, sha256_of
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.models.packed.packed_runner import PackedRunner
from warmstart.models.tuning.freezing import Frozen

IN_MEMORY_BYTES = 2**20
"""Features smaller than this are kept in memory, not in a file."""

MAX_CACHE_BYTES = 20 * 2**30
"""Size limit of the features folder; above it the least recently used files are removed."""

Floats32 = np.ndarray[Any, np.dtype[np.float32]]


def with_features(
    examples: Examples,
    model: PreTrainedModel,
    packed: PackedRunner,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
    batch_tokens: int,
    *,
    cached: bool = True,
) -> Examples:
    """The same rows with the outputs of the frozen part, from which the forward pass then starts.

    Args:
        examples: The rows of one split.
        model: On its device, already frozen.
        packed: Its runner; the head reads the first token of each row, or the tokens of ``asked``.
        frozen: The part that is frozen.
        autocast: The precision of the forward passes.
        batch_tokens: Number of tokens of a batch.
        cached: Whether large features are kept in a file; otherwise they are in memory.

    Returns:
        A copy whose ``computed`` is memory-mapped from the cache folder, or in memory if it is
        small.

    Raises:
        OSError: The cache folder cannot be written, or the disk is full.
    """
    windows, by_row = examples.as_windows(), _is_by_row(packed, frozen)
    shape = _shape(windows, model, by_row=by_row)

    def features_of(batch: Batch) -> Tensor:
        return packed.row_vectors(batch) if by_row else packed.states(batch, frozen.layers)

    def fill(values: Floats32) -> None:
        with evaluation_mode(model), autocast():
            compute_features(
                values, windows, features_of, model.device, batch_tokens, by_row=by_row
            )

    if not cached or shape[0] * shape[1] * 4 < IN_MEMORY_BYTES:  # 4 bytes per float32
        values = np.empty(shape, dtype=np.float32)
        fill(values)
    else:
        values = _cached(_key(windows, model, frozen, autocast, by_row=by_row), shape, fill)
    return replace(examples, computed=Computed(values, frozen.layers, by_row))


def has_features(
    examples: Examples,
    model: PreTrainedModel,
    packed: PackedRunner,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
) -> bool:
    """Whether an earlier run has left these features in the cache folder.

    Args:
        examples: As for ``with_features``, like the other arguments.
        model: On its device.
        packed: Its runner.
        frozen: The part that is frozen.
        autocast: The precision of the forward passes.
    """
    windows, by_row = examples.as_windows(), _is_by_row(packed, frozen)
    path = _path(_key(windows, model, frozen, autocast, by_row=by_row))
    return path.exists() and _hash_file(path).exists()


def _is_by_row(packed: PackedRunner, frozen: Frozen) -> bool:
    """Whether there is one vector for each row, otherwise one for each token."""
    return frozen.backbone and packed.reads == "first"


def _shape(windows: Examples, model: PreTrainedModel, *, by_row: bool) -> tuple[int, int]:
    """The shape of the features: [N, H] or [T, H]."""
    count = len(windows) if by_row else len(windows.tokens.input_ids)
    return count, model.config.hidden_size


@torch.no_grad()
def compute_features(
    values: Floats32,
    examples: Examples,
    features_of: Callable[[Batch], Tensor],
    device: torch.device,
    batch_tokens: int,
    *,
    by_row: bool,
) -> None:
    """Fill an array with one vector for each row, or for each token, the longest rows first.

    Args:
        values: Filled in place: [N, H] if there is one vector per row, otherwise [T, H].
        examples: N rows with T tokens.
        features_of: The vectors of a batch, in evaluation mode.
        device: Device of the model.
        batch_tokens: Number of tokens of a batch.
        by_row: Whether there is one vector per row.
    """
    for positions in evaluation_batches(examples.lengths, batch_tokens):
        batch = collate(examples, positions).to(device)
        tokens, _ = examples.tokens.places_of(positions)
        values[positions if by_row else tokens] = features_of(batch).float().cpu().numpy()


def _cached(key: str, shape: tuple[int, int], fill: Callable[[Floats32], None]) -> Floats32:
    """The memory-mapped array of this name in the cache folder; computed if it does not exist.

    Raises:
        OSError: it cannot be written there.
    """
    path = _path(key)
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    # Other runs and other ranks may need the same file: one of them computes it, the others wait.
    with FileLock(path.with_suffix(".lock")):
        values = _open(path, shape)
        if values is None:
            _write(path, shape, fill)
            _remove_oldest(folder, keep=path)
            values = _open(path, shape)
        if values is None:
            raise OSError(f"{path} cannot be read back as it was written")
        os.utime(path)  # marks the file as recently used for `_remove_oldest`
    return values


def _path(key: str) -> Path:
    """The file of the features with this key, in the cache folder."""
    return cache_folder() / "features" / f"{key}.npy"


def _open(path: Path, shape: tuple[int, int]) -> Floats32 | None:
    """Memory-map the array in a file; None if the file is missing, damaged or has another shape."""
    try:
        if _hash_file(path).read_text("ascii") != sha256_of(path):
            return None
        values: Floats32 = np.load(path, mmap_mode="r")
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return values if values.shape == shape and values.dtype == np.float32 else None


def _hash_file(path: Path) -> Path:
    """The file with the SHA-256 of a file of features; it is written first."""
    return path.with_suffix(".sha256")


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
        _hash_file(path).write_text(sha256_of(partial), "ascii")
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
            _hash_file(path).unlink(missing_ok=True)


def _key(
    examples: Examples,
    model: PreTrainedModel,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[object]],
    *,
    by_row: bool,
) -> str:
    """A hash of everything that can change a number in the features."""
    with autocast():
        precision = torch.get_autocast_dtype(model.device.type)
        lower = torch.is_autocast_enabled(model.device.type)
    config = model.config.to_dict()
    facts = [frozen, by_row, precision if lower else "float32", model.device.type]
    facts += [sorted(config.items())]
    facts += [version(package) for package in ("torch", "transformers", "warmstart")]
    digest = hashlib.sha256(repr(facts).encode())
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().numpy().data)
    rows = examples.tokens
    for array in (rows.input_ids, rows.offsets, rows.token_type_ids):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]

"""The files of a checkpoint, and what their names show without opening them.

Source: https://huggingface.co/docs/safetensors (the format and why it is preferred) and
https://huggingface.co/docs/transformers/big_models (``*.index.json`` of sharded weights).
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from warmstart import errors

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
INDEX = ".index.json"
"""Suffix of the index file, which maps each weight to its shard."""

VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
"""Tokenizer files; a checkpoint without any of them has no tokenizer."""

MODULES, POOLING = "modules.json", "1_Pooling/config.json"
"""The files of sentence-transformers that show how the hidden states were pooled."""

SMALL_FILES = (
    "config.json",
    "adapter_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *VOCABULARIES,
    SAFETENSORS + INDEX,
    PICKLE + INDEX,
    MODULES,
    POOLING,
)
"""All files that are read before the weights."""


def held_files(folder: Path) -> tuple[str, ...]:
    """Sorted names of the files in ``folder``, without sub-folders."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))


def weight_files(
    folder: Path, files: Collection[str], *, allow_pickle: bool
) -> tuple[str, ...] | None:
    """The names of the weight files, safetensors preferred; None if some or all are missing.

    Args:
        folder: folder with the index file, if there is one.
        files: names of all files of the checkpoint, in ``folder`` or on the hub.
        allow_pickle: whether ``pytorch_model.bin`` is accepted.

    Raises:
        ModelError: an index cannot be read.
    """
    for name in (SAFETENSORS, PICKLE) if allow_pickle else (SAFETENSORS,):
        if name in files:
            return (name,)
        if name + INDEX in files:
            shards = shard_files(folder / (name + INDEX))
            return shards if set(shards) <= set(files) else None
    return None


def shard_files(index: Path) -> tuple[str, ...]:
    """The sorted names of the shards in an index file.

    Args:
        index: path of ``model.safetensors.index.json``.

    Raises:
        ModelError: the file is not a valid index.
    """
    try:
        content = json.loads(index.read_text("utf-8"))
        _, shard_of = content["metadata"], content["weight_map"]  # Transformers requires both
        return tuple(sorted(set(shard_of.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.model.damaged_weights(index, f"not an index of weights ({error!r})") from error


def weight_shapes(paths: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight; empty if a file is a pickle or not downloaded yet.

    Args:
        paths: the weight files of one checkpoint.
    """
    from safetensors import safe_open

    if any(path.suffix != ".safetensors" or not path.exists() for path in paths):
        return {}
    shapes = {}
    for path in paths:
        with safe_open(path, framework="np") as file:
            names = file.keys()  # not a mapping: it cannot be iterated itself
            shapes.update({name: tuple(file.get_slice(name).get_shape()) for name in names})
    return shapes


def no_weights(name: str, folder: Path, files: Collection[str]) -> errors.ModelError:
    """The error that explains why ``weight_files`` returned None.

    Args:
        name: the checkpoint's name for the message.
        folder: as for ``weight_files``.
        files: as for ``weight_files``.
    """
    for index in (SAFETENSORS + INDEX, PICKLE + INDEX):
        if index in files and (missing := sorted({*shard_files(folder / index)} - {*files})):
            return errors.model.missing_shards(name, index, missing)
    for pickle in (PICKLE, PICKLE + INDEX):
        if pickle in files:
            return errors.model.pickle_only(name, pickle)
    return errors.model.no_weights(name, sorted(files))

"""Which files make a checkpoint, and what can be told from their names alone.

Source: https://huggingface.co/docs/safetensors (the format and why it is preferred) and
https://huggingface.co/docs/transformers/big_models (``*.index.json`` of sharded weights).
"""

import json
from collections.abc import Collection
from pathlib import Path

from warmstart import errors

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
INDEX = ".index.json"
"""Ending of the file that says which shard holds which weight."""

VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
"""A checkpoint without any of these has no tokenizer."""

SMALL_FILES = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *VOCABULARIES,
    SAFETENSORS + INDEX,
    PICKLE + INDEX,
)
"""All that is read before the weights."""


def held_files(folder: Path) -> tuple[str, ...]:
    """Names of the files in ``folder``, sorted; sub-folders are left out."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))


def weight_files(
    folder: Path, files: Collection[str], *, allow_pickle: bool
) -> tuple[str, ...] | None:
    """The files that hold the weights, safetensors first; ``None`` where some or all are missing.

    Args:
        folder: where an index, if there is one, can be read.
        files: names of the files the checkpoint has, in ``folder`` or on the hub.
        allow_pickle: whether ``pytorch_model.bin`` may serve.

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
    """The files of weights an index names, sorted.

    Args:
        index: ``model.safetensors.index.json``.

    Raises:
        ModelError: it is not what an index looks like.
    """
    try:
        content = json.loads(index.read_text("utf-8"))
        _, shard_of = content["metadata"], content["weight_map"]  # Transformers asks for both
        return tuple(sorted(set(shard_of.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.model.damaged_weights(index, f"no index of weights ({error!r})") from error


def no_weights(name: str, folder: Path, files: Collection[str]) -> errors.ModelError:
    """Why ``weight_files`` gave ``None``.

    Args:
        name: the checkpoint, for the message.
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

"""Check weights against ``config.json`` by the headers of their files, and that they are numbers.

The header of a safetensors file has the name, type and shape of every tensor. Nothing is allocated
for a configuration that describes a far larger model than the file contains.
"""

import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from warmstart import errors
from warmstart.models.checkpoints.configuration import Head, skeleton
from warmstart.models.checkpoints.weight_files import weight_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

TRAINED_TYPES = frozenset({"F64", "F32", "F16", "BF16"})
"""Types of weights that can be trained, under their names in safetensors."""


def refuse_unfit_weights(paths: Sequence[Path], config: "PreTrainedConfig", head: Head) -> None:
    """Raise if weight files cannot belong to a configuration, before any weight is read.

    Args:
        paths: the files, with valid headers; pickles are not checked.
        config: the configuration of the checkpoint.
        head: the head of the model.

    Raises:
        ModelError: the body of the model has more than twice as many numbers as the files, the
            files have layers that the model does not have, or weights are stored as whole numbers.
    """
    shapes = weight_shapes(paths)
    if not shapes:
        return
    empty = skeleton(config, head)
    asked = sum(parameter.numel() for parameter in empty.base_model.parameters())
    held = sum(map(prod, shapes.values()))
    # A new pooler or new positions can be missing; half of the model cannot.
    if asked > 2 * held:
        raise errors.checkpoint.larger_than_weights(str(paths[0].parent), asked, held)
    patterns = {_pattern(name) for name in _known(empty)}
    layers = [name for name in _not_used(shapes, empty) if _pattern(name) in patterns]
    if layers:
        raise errors.checkpoint.layers_not_used(str(paths[0].parent), layers)
    body = empty.base_model_prefix + "."
    names = {name for name, _ in empty.named_parameters()}
    names |= {name.removeprefix(body) for name in names}
    for path in paths:
        _refuse_whole_numbers(path, names)


def weights_not_used(paths: Sequence[Path], config: "PreTrainedConfig", head: Head) -> list[str]:
    """Names of weights of a checkpoint's body, without its prefix, that the model does not have.

    Heads for pretraining are dropped on purpose, and so is a pooler that the task does not need:
    they do not count.

    Args:
        paths: the files; the names in pickles are unknown.
        config: the configuration of the checkpoint.
        head: the head of the model.
    """
    return _not_used(weight_shapes(paths), skeleton(config, head))


def _not_used(shapes: Mapping[str, object], empty: "PreTrainedModel") -> list[str]:
    body = empty.base_model_prefix + "."
    within = [name for name in shapes if name.startswith(body)]
    known = _known(empty)
    # Checkpoints of 2019 name the numbers of a layer norm gamma and beta; Transformers reads both.
    renamed = {"gamma": "weight", "beta": "bias"}
    ignored = empty._keys_to_ignore_on_load_unexpected or ()
    unused = []
    for name in sorted(within or shapes):  # without the prefix, the file has only a body
        *path, last = name.removeprefix(body).split(".")
        inside = ".".join([*path, renamed.get(last, last)])
        if (
            inside not in known
            and "pooler" not in path
            and last not in ("position_ids", "masked_bias")  # buffers of older versions
            and not any(re.search(pattern, name) for pattern in ignored)
        ):
            unused.append(inside)
    return unused


def _known(empty: "PreTrainedModel") -> set[str]:
    """Names of the parameters and buffers of a model's body, without its prefix."""
    body = empty.base_model
    return {name for name, _ in (*body.named_parameters(), *body.named_buffers())}


def _pattern(name: str) -> str:
    """A name without the numbers of layers."""
    return re.sub(r"\b\d+\b", "*", name)


def _refuse_whole_numbers(path: Path, names: set[str]) -> None:
    """Raise if weights of these names have another type; buffers such as positions may have."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in names & {*file.keys()}}
    wrong = sorted(name for name, kind in kinds.items() if kind not in TRAINED_TYPES)
    if wrong:
        raise errors.checkpoint.unsuitable_weights(path, wrong, str(kinds[wrong[0]]))


def refuse_not_finite(path: Path, model: "PreTrainedModel") -> None:
    """Raise if a weight is NaN or infinite: then the outputs of the model are, too.

    Args:
        path: the file that the weights were read from, for the message.
        model: a model with its weights.

    Raises:
        ModelError: a weight is not a number.
    """
    for name, parameter in model.named_parameters():
        # A sum is fast; it can also overflow, so that only then every number is checked.
        if not parameter.sum().isfinite() and not parameter.isfinite().all():
            raise errors.checkpoint.weights_not_finite(path, name)

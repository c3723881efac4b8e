"""Check weights against ``config.json`` by the headers of their files, and that they are numbers.

The header of a safetensors file has the name, type and shape of every tensor. Nothing is allocated
for a configuration that describes a far larger model than the file contains.
"""

from collections.abc import Sequence
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
        ModelError: the body of the model has more than twice as many numbers as the files, or
            weights are stored as whole numbers.
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
    body = empty.base_model_prefix + "."
    names = {name for name, _ in empty.named_parameters()}
    names |= {name.removeprefix(body) for name in names}
    for path in paths:
        _refuse_whole_numbers(path, names)


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

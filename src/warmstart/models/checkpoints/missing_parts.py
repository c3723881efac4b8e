"""Find the parts of a model that its checkpoint lacks, by the names in its weight files."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from warmstart.errors.counts import counted
from warmstart.models.checkpoints.classifier_heads import head_in_words
from warmstart.models.checkpoints.config_json import read_content
from warmstart.models.checkpoints.configuration import (
    CLASSIFIERS,
    FILLS_MASKS,
    OF_PRETRAINING,
    skeleton,
)
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.models.checkpoints.weight_files import weight_shapes
from warmstart.models.checkpoints.weights_check import weights_not_used

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def new_parts(checkpoint: Checkpoint, config: "PreTrainedConfig") -> list[str]:
    """Notices about what a model and its checkpoint do not have in common.

    Args:
        checkpoint: Its weights are already on disk.
        config: The configuration of the model; its labels can differ from the checkpoint's.

    Returns:
        One sentence about the settings of ``config.json`` that are not used, and one about the
        weights that are not used, if there are any.
        For a classifier one sentence on what is kept of the checkpoint's head, if it has one. For a
        masked language model one about a new head, one about a dropped pooler, if they apply; none
        if the weights are pickles, whose names are unknown until they are opened.
    """
    _, ignored = read_content(checkpoint.name, checkpoint.folder)
    said = [f"{checkpoint.name}: config.json sets {', '.join(ignored)}, which is not used"] * bool(
        ignored
    )
    paths = checkpoint.weight_paths
    unused = weights_not_used(paths, checkpoint.config, checkpoint.head)
    if unused:
        weights = counted(len(unused), "weight")
        said.append(
            f"{checkpoint.name}: the model that config.json describes does not use {weights} of "
            f"the checkpoint, e.g. {unused[0]}"
        )
    if checkpoint.head in CLASSIFIERS:
        kept = head_in_words(checkpoint.name, checkpoint.config, config, checkpoint.head, paths)
        return said if kept is None else [*said, kept]
    names = weight_shapes(paths)
    if checkpoint.head not in OF_PRETRAINING or not names:
        return said
    model = skeleton(checkpoint.config, checkpoint.head)
    said += _new_heads(checkpoint, model, names)
    if checkpoint.head == "masked-lm" and any("pooler" in name.split(".") for name in names):
        said.append(
            f"{checkpoint.name} has a pooler, which fill-mask does not train and model/ does not "
            "contain: a classifier that starts from this run's model gets a new one"
        )
    return said


def _new_heads(
    checkpoint: Checkpoint, model: "PreTrainedModel", names: Collection[str]
) -> list[str]:
    """A sentence on each head of its pretraining that the checkpoint's weights lack."""
    head = {name for name, _ in model.named_children()} - {model.base_model_prefix}
    next_sentence = {name for name in names if "seq_relationship" in name.split(".")}
    said = []
    of_masks = (name.split(".")[0] in head for name in names if name not in next_sentence)
    if checkpoint.head in FILLS_MASKS and not any(of_masks):
        tied = "; its output layer is the word embedding" * bool(model.all_tied_weights_keys)
        said.append(f"{checkpoint.name} has no masked-language-model head: it starts new{tied}")
    if checkpoint.head != "masked-lm" and not next_sentence:
        said.append(f"{checkpoint.name} has no next-sentence head: it starts new")
    return said


def lacks_pooler(checkpoint: Checkpoint) -> bool:
    """Whether the model's pooler is new: the weights are known to have none, or it reads the mean.

    Args:
        checkpoint: Its weights are already on disk.
    """
    if checkpoint.averages:
        return True
    names = weight_shapes(checkpoint.weight_paths)
    return bool(names) and not any("pooler" in name.split(".") for name in names)

"""Describe a checkpoint: its configuration, every parameter with its shape, and its memory use.

This is the list that BERT tutorials print after loading a model (embeddings, first layer, output
head). It needs only ``config.json``: the model is built on the meta device, so weights are neither
read nor downloaded.

Units: parameters are counted as numbers; memory is in MiB (2**20 bytes), in float32.
"""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from warmstart.models.checkpoints.classifier_heads import head_before_labels
from warmstart.models.checkpoints.configuration import (
    CLASSIFIERS,
    longest_input,
    natural_head,
    skeleton,
    with_labels,
)
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.models.checkpoints.missing_parts import lacks_pooler
from warmstart.models.tuning.trainable import TrainedPart, choose_trained, trained_parts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from warmstart.config import TrainConfig

BYTES_PER_PARAMETER = 4
"""Size of a float32."""

ADAMW_COPIES = 4
"""Numbers in memory per trained parameter: weight, gradient, and AdamW's two moments."""

ESSENTIALS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)
"""Fields of ``config.json`` that give the size of a model, under their most common names."""

_LAYER = re.compile(r"^(.*?\.)(\d+)\.")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named parameter tensor."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that belong together: the embeddings, one layer, the output head."""

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def count(self) -> int:
        """Number of elements of all parameters."""
        return sum(prod(parameter.shape) for parameter in self.parameters)


@dataclass(frozen=True, slots=True)
class Description:
    """The description of one model.

    Args:
        name: The checkpoint, as the user wrote it.
        architecture: The class in Transformers.
        model_type: The family, as in ``config.json``.
        config: The most important settings of the configuration, by name.
        max_tokens: Longest input, special tokens included; None if unlimited.
        labels: Label names of a classification head, ``LABEL_0`` … if it is new; empty for other
            heads.
        groups: All parameters, in the order of the forward pass.
        trains: For a run or a config: every part, and how much of it trains.
        head: For a config: what a run can keep of the checkpoint's classification head; None if
            there is no such head, or if the weights are not on disk yet.
    """

    name: str
    architecture: str
    model_type: str
    config: Mapping[str, int]
    max_tokens: int | None
    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    trains: tuple[TrainedPart, ...] = ()
    head: str | None = None

    @property
    def named_parameters(self) -> int:
        """Number of parameter tensors: 201 in BERT-base with a classification head."""
        return sum(len(group.parameters) for group in self.groups)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(group.count for group in self.groups)

    @property
    def weights_mib(self) -> float:
        """Memory of the weights."""
        return self.parameters * BYTES_PER_PARAMETER / 2**20

    @property
    def training_mib(self) -> float:
        """Memory of training with AdamW without activations: weights, gradients, two moments.

        If ``trains`` is given, only the trained parameters have gradients and moments.
        """
        if not self.trains:
            return self.weights_mib * ADAMW_COPIES
        total = sum(part.parameters for part in self.trains)
        trained = sum(part.trained for part in self.trains)
        return (total + (ADAMW_COPIES - 1) * trained) * BYTES_PER_PARAMETER / 2**20

    def to_json(self) -> dict[str, Any]:
        """The output of ``warmstart info --json``."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "model_type": self.model_type,
            "config": dict(self.config),
            "max_tokens": self.max_tokens,
            "labels": list(self.labels),
            "named_parameters": self.named_parameters,
            "parameters": self.parameters,
            **({"trains": [part.to_json() for part in self.trains]} if self.trains else {}),
            **({"head": self.head} if self.head else {}),
            "memory_mib": {"weights": self.weights_mib, "adamw_training": self.training_mib},
            "groups": [
                {
                    "name": group.name,
                    "parameters": group.count,
                    "tensors": [
                        {"name": parameter.name, "shape": list(parameter.shape)}
                        for parameter in group.parameters
                    ],
                }
                for group in self.groups
            ],
        }


def describe(source: "Checkpoint | PreTrainedModel", labels: int = 2) -> Description:
    """Describe a checkpoint with the head that it is loaded with, or a loaded model.

    Args:
        source: A checkpoint, whose weights are not read; or a model.
        labels: Number of labels, if the checkpoint has no head of this kind yet.
    """
    if isinstance(source, Checkpoint):
        config, model = source.config, _skeleton_of(source, labels)
        name, max_tokens = source.name, source.max_positions
    else:
        config, model = source.config, source
        name, max_tokens = str(source.name_or_path), longest_input(config, natural_head(config))
    classifies = type(model).__name__.endswith(tuple(CLASSIFIERS.values()))
    names = (model.config.id2label or {}) if classifies else {}
    numbered = [(int(index), str(label)) for index, label in names.items()]
    values = {key: getattr(config, key, None) for key in ESSENTIALS}
    return Description(
        name=name,
        architecture=type(model).__name__,
        model_type=str(config.model_type),
        config={key: value for key, value in values.items() if isinstance(value, int)},
        max_tokens=max_tokens,
        labels=tuple(label for _, label in sorted(numbered)),
        groups=_groups([Parameter(n, tuple(p.shape)) for n, p in model.named_parameters()]),
    )


def describe_training(
    checkpoint: Checkpoint, config: "TrainConfig", labels: int = 2
) -> Description:
    """Describe a checkpoint with its head, and the part of it that these settings train.

    Args:
        checkpoint: Its weights are not read.
        config: Settings that fit the checkpoint.
        labels: Number of labels, if the checkpoint has no head of this kind yet.
    """
    model = deepcopy(_skeleton_of(checkpoint, labels))
    choose_trained(model, config, checkpoint.head, new_pooler=lacks_pooler(checkpoint))
    paths, kept = checkpoint.weight_paths, None
    if all(path.exists() for path in paths):
        kept = head_before_labels(checkpoint.name, checkpoint.config, checkpoint.head, paths)
    return replace(describe(checkpoint, labels), trains=trained_parts(model, config), head=kept)


def _skeleton_of(checkpoint: Checkpoint, labels: int) -> "PreTrainedModel":
    """The model without weights; a new classification head has placeholder labels."""
    config, ending = checkpoint.config, CLASSIFIERS.get(checkpoint.head)
    made_for = config.architectures or ()
    if ending is not None and not any(known.endswith(ending) for known in made_for):
        config = with_labels(config, [f"LABEL_{index}" for index in range(labels)])
    return skeleton(config, checkpoint.head)


def _groups(parameters: Sequence[Parameter]) -> tuple[Group, ...]:
    """Group parameters into the embeddings, each layer, and the output head.

    Model families name their layers differently (``encoder.layer.0.``, ``transformer.layer.0.``,
    ``layers.0.``), but all of them number the layers and define them after the embeddings and
    before the head.
    """
    prefix = next((match[1] for p in parameters if (match := _LAYER.match(p.name))), None)
    groups: dict[str, list[Parameter]] = {"embeddings": []}
    for parameter in parameters:
        match = _LAYER.match(parameter.name)
        if match and match[1] == prefix:
            group = f"layer {match[2]}"
        elif len(groups) == 1 or "embeddings" in parameter.name:
            group = "embeddings"
        else:
            group = "output head"
        groups.setdefault(group, []).append(parameter)
    return tuple(Group(name, tuple(members)) for name, members in groups.items())

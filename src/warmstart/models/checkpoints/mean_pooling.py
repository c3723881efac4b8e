"""Mean pooling: a classifier that reads the mean of all tokens instead of the first one.

Checkpoints for sentence embeddings were trained on the mean of their last hidden states; their
first token was never trained to stand for the text. The sequence classifiers of BERT, RoBERTa and
DistilBERT in Transformers read the first token. So one layer is added above the last one, whose
attention is uniform:

- its keys are 0, so all attention scores are equal, and the softmax over the tokens of a row (not
  over padding) gives each of T tokens the weight 1 / T;
- its values are the hidden states times √GAIN, and so is its output projection: the first token
  gets h + GAIN · mean(h), which its layer norm makes the normalised mean up to 1 / GAIN;
- its feed-forward part adds 0;
- the dense layer of the head, which has no meaning for a mean, passes it on: tanh(SLOPE · x) is
  close to SLOPE · x.

The model is still a plain Transformers model with one layer more, which every program reads. The
layer is trained like all others: the keys and the feed-forward part leave 0 with the first steps.
ModernBERT has a setting for the mean, so nothing is added there.

Letters: T tokens of a row, h their hidden states.

Source: Reimers and Gurevych 2019, arXiv:1908.10084, section 3 (mean pooling); the files
``modules.json`` and ``1_Pooling/config.json`` of sentence-transformers.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from warmstart import errors
from warmstart.models.checkpoints.configuration import CLASSIFIERS
from warmstart.models.checkpoints.weight_files import MODULES, POOLING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

Pooling = Literal["first", "mean"]
"""What a sequence classifier reads: the first token of a row, or the mean of all its tokens."""

GAIN = 1000.0
"""Weight of the mean relative to the first token's own hidden state."""

SLOPE = 0.3
"""Weight of the head's dense layer: small enough for a nearly linear tanh."""

SHIFT = 5.0
"""Bias of a dense layer before a ReLU, in units of SLOPE: normalised values above -5 pass."""


class _Names(NamedTuple):
    """Where a family keeps the modules of the added layer and of its head.

    Args:
        layers: list of layers, in the body.
        key: linear module of the keys, in a layer.
        value: that of the values.
        output: the output projection of the attention.
        feed_forward: the last linear module of the feed-forward part.
        dense: the dense layer of the head, in the model.
        shift: bias of the dense layer.
    """

    layers: str
    key: str
    value: str
    output: str
    feed_forward: str
    dense: str
    shift: float = 0.0


_BERT = _Names(
    "encoder.layer",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "output.dense",
    "bert.pooler.dense",
)
_ROBERTA = _BERT._replace(dense="classifier.dense")
_FAMILIES: Mapping[str, _Names] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _Names(
        "transformer.layer",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "ffn.lin2",
        "pre_classifier",
        SHIFT * SLOPE,  # before a ReLU
    ),
}
HAS_A_SETTING = frozenset({"modernbert"})
"""Model types whose configuration has ``classifier_pooling``."""

POOLED = frozenset(_FAMILIES) | HAS_A_SETTING
"""Model types for which the mean is available."""


def declared_pooling(folder: Path) -> Pooling | None:
    """What a checkpoint for sentence embeddings was trained with; None if its files do not tell.

    Args:
        folder: folder of the checkpoint.
    """
    try:
        if not (folder / MODULES).is_file():
            return None
        content = json.loads((folder / POOLING).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    mode = content.get("pooling_mode")  # since sentence-transformers 6
    if mode is None:
        flags = {name: on for name, on in content.items() if name.startswith("pooling_mode_")}
        mode = [name.removeprefix("pooling_mode_") for name, on in flags.items() if on is True]
    match mode:
        case "mean" | ["mean"] | ["mean_tokens"]:
            return "mean"
        case "cls" | ["cls"] | ["cls_token"]:
            return "first"
    return None


def _is_classifier(config: "PreTrainedConfig") -> bool:
    """Whether a checkpoint was saved with the head of a classifier."""
    endings = tuple(CLASSIFIERS.values())
    return any(name.endswith(endings) for name in config.architectures or ())


def chosen_pooling(checkpoint: "Checkpoint", *, adapters: bool) -> tuple[Pooling, str]:
    """What the head of a new classifier reads, and why.

    Args:
        checkpoint: where training starts.
        adapters: whether ``train.lora`` is set.
    """
    if _setting(checkpoint.config) == "mean":
        return "mean", "as its config.json says"
    if declared_pooling(checkpoint.folder) != "mean":
        return "first", ""
    obstacle = _no_mean(checkpoint, adapters=adapters)
    if obstacle is None:
        return "mean", "as the checkpoint was trained"
    return "first", f"not the mean, as the checkpoint was trained: {obstacle}"


def refuse_mean(checkpoint: "Checkpoint", *, adapters: bool) -> None:
    """Raise if the head cannot read the mean.

    Args:
        checkpoint: where training starts.
        adapters: whether ``train.lora`` is set.

    Raises:
        ModelError: it is already a classifier, is of another family, or gets adapters.
    """
    if (obstacle := _no_mean(checkpoint, adapters=adapters)) is not None:
        raise errors.checkpoint.no_mean_pooling(checkpoint.name, obstacle, sorted(POOLED))


def read_by_head(config: "PreTrainedConfig") -> Pooling:
    """What the head of a saved sequence classifier reads.

    Args:
        config: its configuration.
    """
    return "mean" if _setting(config) == "mean" else "first"


def _setting(config: "PreTrainedConfig") -> str | None:
    """``classifier_pooling`` of a family that has this setting; None for other families."""
    return config.classifier_pooling if config.model_type in HAS_A_SETTING else None


def _no_mean(checkpoint: "Checkpoint", *, adapters: bool) -> str | None:
    """Why the head of this model cannot read the mean; None if it can."""
    if _is_classifier(checkpoint.config):
        return "it already has a head, which reads the first token"
    if checkpoint.config.model_type not in POOLED:
        return f"it is not available for {checkpoint.config.model_type} models"
    if adapters and checkpoint.config.model_type not in HAS_A_SETTING:
        return "adapters (train.lora) belong to the checkpoint's own layers"
    return None


def with_first_token(config: "PreTrainedConfig") -> "PreTrainedConfig":
    """The configuration of the model that reads the first token.

    Args:
        config: of any checkpoint; it is not changed.
    """
    if _setting(config) in (None, "cls") or _is_classifier(config):
        return config
    config = copy.deepcopy(config)
    config.classifier_pooling = "cls"
    return config


def with_mean_pooling(config: "PreTrainedConfig") -> "PreTrainedConfig":
    """The configuration of the model that reads the mean: one layer more, or its own setting.

    Args:
        config: of a type in ``POOLED``; it is not changed.
    """
    config = copy.deepcopy(config)
    if config.model_type in HAS_A_SETTING:
        config.classifier_pooling = "mean"
    else:
        config.num_hidden_layers += 1
    return config


def added_weights(config: "PreTrainedConfig") -> str | None:
    """The beginning of the names of the added layer's weights, in the body; None without one.

    Args:
        config: from ``with_mean_pooling``.
    """
    if config.model_type in HAS_A_SETTING:
        return None
    return f"{_FAMILIES[config.model_type].layers}.{config.num_hidden_layers - 1}."


def average_tokens(model: "PreTrainedModel") -> None:
    """Set the weights of the added layer and of the head's dense layer, in place.

    Args:
        model: a sequence classifier of a configuration from ``with_mean_pooling``, whose last
            layer has new weights.
    """
    prefix = added_weights(model.config)
    if prefix is None:
        return
    names = _FAMILIES[model.config.model_type]
    layer = model.base_model.get_submodule(prefix.removesuffix("."))
    _scale(layer.get_submodule(names.key), 0.0)
    _scale(layer.get_submodule(names.value), GAIN**0.5)
    _scale(layer.get_submodule(names.output), GAIN**0.5)
    _scale(layer.get_submodule(names.feed_forward), 0.0)
    _scale(model.get_submodule(names.dense), SLOPE, names.shift)


def _scale(module: "nn.Module", factor: float, shift: float = 0.0) -> None:
    """Make a linear module compute ``factor`` · x + ``shift``; it need not be square for 0."""
    from torch import nn

    weight: Any = module.weight
    if factor == 0:
        nn.init.zeros_(weight)
    else:
        nn.init.eye_(weight)
        weight.data.mul_(factor)
    nn.init.constant_(module.bias, shift)  # type: ignore[arg-type]

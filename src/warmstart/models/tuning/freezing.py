"""Freezing: weights that are not trained.

``train.freeze`` is ``backbone`` (the whole base model: only the head is trained) or
``embeddings+layers:k`` (the embeddings and the first k layers). The frozen part runs without
dropout during training too. Its output for a row is then always the same and can be computed once
(``features``). Most tutorials keep dropout in frozen layers; without it, training has slightly less
noise.

Source: Devlin et al. 2019, arXiv:1810.04805, section 5.3 (the feature-based approach); Lee, Tang &
Lin 2019, arXiv:1911.03090 (freezing the lower layers).
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.modernbert.modeling_modernbert import ModernBertAttention

from warmstart import errors
from warmstart.errors.counts import counted
from warmstart.models.checkpoints.configuration import FILLS_MASKS, Head
from warmstart.models.packed.architectures import body_of, known_model_types

BACKBONE = "backbone"
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Frozen:
    """The frozen part of a model.

    Args:
        layers: number of frozen layers, from the first; the embeddings are frozen too.
        backbone: whether the whole base model is frozen, with all modules below the head.
    """

    layers: int
    backbone: bool

    def __str__(self) -> str:
        """A name of the frozen part, for use in a sentence."""
        if self.backbone:
            return "the backbone"
        return (
            f"the embeddings and {counted(self.layers, 'layer')}"
            if self.layers
            else "the embeddings"
        )


def frozen_part(setting: str, config: PreTrainedConfig, head: Head) -> Frozen:
    """The part of a model that ``train.freeze`` freezes.

    Args:
        setting: ``backbone`` or ``embeddings+layers:k``.
        config: the model's configuration.
        head: the head that the task needs.

    Raises:
        ModelError: the architecture is not supported, it does not have more than k layers, or
            nothing useful would be left to train.
    """
    encoders = known_model_types(causal=False)
    if config.model_type not in encoders:
        raise errors.transfer.cannot_freeze(config.model_type, encoders)
    if setting == BACKBONE:
        if head in FILLS_MASKS:
            raise errors.model.nothing_adapted(setting, config.num_hidden_layers)
        return Frozen(config.num_hidden_layers, backbone=True)
    digits = setting.rpartition(":")[2].lstrip("0") or "0"
    # Python does not read numbers of thousands of digits.
    if len(digits) > _MOST_DIGITS or int(digits) >= config.num_hidden_layers:
        raise errors.transfer.too_many_frozen_layers(setting, config.num_hidden_layers)
    layers = int(digits)
    return Frozen(layers, backbone=False)


def freeze(model: PreTrainedModel, frozen: Frozen, *, new_pooler: bool) -> None:
    """Freeze a part of a model in place: no gradients, no dropout.

    Args:
        model: A model of a type that ``frozen_part`` accepted.
        frozen: from ``frozen_part``.
        new_pooler: the checkpoint had no pooler, so the new, random pooler is not frozen.
    """
    body = body_of(model.config.model_type)
    assert body is not None, "frozen_part refuses unknown model types"
    parts: list[nn.Module] = [
        *body.embeddings(model),
        *body.layers(model)[: frozen.layers],
    ]
    if frozen.backbone:
        parts = [model.base_model]
    for part in parts:
        part.requires_grad_(False)
        for module in part.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            elif isinstance(module, ModernBertAttention):
                module.attention_dropout = 0.0  # passed to the attention function as a number
    for name, parameter in model.named_parameters():
        if new_pooler and "pooler" in name.split("."):
            parameter.requires_grad_(True)

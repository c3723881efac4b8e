"""Freezing: which weights do not train.

``train.freeze`` is ``backbone`` (the whole body: only the head trains) or ``embeddings+layers:k``
(the embeddings and the first k layers). What is frozen runs as in evaluation, without dropout,
while training too: its output is then the same every time, so it can be computed once
(``features``). Training without freezing keeps dropout everywhere, and so would most tutorials'
frozen bodies; the difference is a little less noise.

Source: Devlin et al. 2019, arXiv:1810.04805, section 5.3 (the feature-based approach); Lee, Tang &
Lin 2019, arXiv:1911.03090 (freezing the lower layers).
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.modernbert.modeling_modernbert import ModernBertAttention

from warmstart import errors
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.packed.architectures import body_of, known_model_types

BACKBONE = "backbone"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What of a model is frozen.

    Args:
        layers: so many of the encoder's first layers, and the embeddings below them.
        backbone: the whole body, with what stands between the last layer and the head.
    """

    layers: int
    backbone: bool

    def __str__(self) -> str:
        """As in a sentence."""
        if self.backbone:
            return "the backbone"
        return f"the embeddings and {self.layers} layers" if self.layers else "the embeddings"


def frozen_part(setting: str, config: PreTrainedConfig, head: Head) -> Frozen:
    """What ``train.freeze`` names, of a model of this configuration.

    Args:
        setting: ``backbone`` or ``embeddings+layers:k``.
        config: of the body.
        head: what the task puts on it.

    Raises:
        ModelError: the architecture is unknown here, has no more layers than are to be frozen, or
            nothing would be left of what is to be learned.
    """
    encoders = known_model_types(causal=False)
    if config.model_type not in encoders:
        raise errors.model.cannot_freeze(config.model_type, encoders)
    if setting == BACKBONE:
        if head == "masked-lm":
            raise errors.model.nothing_adapted(setting, config.num_hidden_layers)
        return Frozen(config.num_hidden_layers, backbone=True)
    layers = int(setting.rpartition(":")[2])
    if layers >= config.num_hidden_layers:
        raise errors.model.too_many_frozen_layers(setting, config.num_hidden_layers)
    return Frozen(layers, backbone=False)


def freeze(model: PreTrainedModel, frozen: Frozen, *, new_pooler: bool) -> None:
    """Freeze a part of a model in place: no gradients, no dropout.

    Args:
        model: Of a model type that ``frozen_part`` accepted.
        frozen: from ``frozen_part``.
        new_pooler: the checkpoint had no pooler; a random one is not frozen with the body.
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
                module.attention_dropout = 0.0
    for name, parameter in model.named_parameters():
        if new_pooler and "pooler" in name.split("."):
            parameter.requires_grad_(True)

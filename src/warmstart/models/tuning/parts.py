"""The parts of a model from bottom to top, and their learning rates.

Each part has a depth: 0 for the embeddings, 1 to L for the layers, L + 1 for everything above the
last layer (a final norm, the pooler, the head). A weight shared by two parts, such as an output
layer tied to the word embedding, belongs to the lower part.

With ``train.layer_decay`` d, the learning rate at depth i is the peak rate times d to the power
L + 1 - i: lower layers contain more general knowledge and should change less.
``train.head_learning_rate`` is the rate of depth L + 1 only, whose weights are usually new.

Source: Howard & Ruder 2018, arXiv:1801.06146, section 3.1 (discriminative fine-tuning); Clark et
al. 2020, arXiv:2003.10555, appendix B (layer-wise rate decay); the exponents are those of BEiT, Bao
et al. 2021, ``optim_factory.py``, ``get_num_layer_for_vit``.
"""

from torch import nn
from transformers import PreTrainedModel

from warmstart import errors
from warmstart.config import ResolvedTrainConfig, TrainConfig
from warmstart.models.packed.architectures import body_of, known_model_types

COUNTING_LAYERS = ("layer_decay", "head_learning_rate", "unfreeze_layers_per_epoch")
"""Settings of ``train`` that need a model type whose layers are known (``body_of``)."""


def refuse_unknown(config: TrainConfig, model_type: str) -> None:
    """Raise if a setting needs the layers of an architecture whose layers are not known.

    Args:
        config: the settings.
        model_type: as in ``config.json``.

    Raises:
        ModelError: a setting of ``COUNTING_LAYERS`` is used and the model type is not known.
    """
    for setting in COUNTING_LAYERS:
        if getattr(config, setting) is not None and body_of(model_type) is None:
            known = known_model_types()
            raise errors.transfer.unknown_layers(f"train.{setting}", model_type, known)


def modules_by_depth(model: PreTrainedModel) -> list[list[nn.Module]]:
    """The modules of depth 0 to L: the embeddings, then each layer.

    Args:
        model: Any model.

    Returns:
        An empty list if the layers of its model type are not known.
    """
    body = body_of(model.config.model_type)
    if body is None:
        return []
    return [body.embeddings(model), *([layer] for layer in body.layers(model))]


def depths(model: PreTrainedModel) -> dict[str, int]:
    """The depth of each named parameter, from 0 to L + 1.

    Args:
        model: A model whose layers are known; an adapter has the depth of the module that
            it adapts.
    """
    parts = modules_by_depth(model)
    depth_of: dict[int, int] = {}
    for depth, modules in enumerate(parts):
        for module in modules:
            for parameter in module.parameters():
                depth_of.setdefault(id(parameter), depth)  # a shared weight keeps the lower depth
    return {
        name: depth_of.get(id(parameter), len(parts))
        for name, parameter in model.named_parameters()
    }


def peak_rate(config: ResolvedTrainConfig, depth: int, top: int) -> float:
    """The peak learning rate of the part at a depth.

    Args:
        config: the settings.
        depth: depth of the part.
        top: depth of the topmost part, L + 1.

    >>> rates = {"learning_rate": 1e-3, "layer_decay": 0.5, "head_learning_rate": 1e-2}
    >>> config = ResolvedTrainConfig(epochs=1, batch_size=1, **rates)
    >>> [peak_rate(config, depth, top=3) for depth in range(4)]
    [0.000125, 0.00025, 0.0005, 0.01]
    """
    if depth == top and config.head_learning_rate is not None:
        return config.head_learning_rate
    decay = 1.0 if config.layer_decay is None else config.layer_decay
    return config.learning_rate * decay ** (top - depth)


def peak_rates(model: nn.Module, config: ResolvedTrainConfig) -> dict[str, float]:
    """The peak learning rate of each named parameter.

    Args:
        model: Any module; if rates differ, a ``PreTrainedModel`` whose layers are known.
        config: the settings.
    """
    if config.layer_decay is None and config.head_learning_rate is None:
        return {name: config.learning_rate for name, _ in model.named_parameters()}
    assert isinstance(model, PreTrainedModel)
    top = len(modules_by_depth(model))
    return {name: peak_rate(config, depth, top) for name, depth in depths(model).items()}


def lowest_trained(config: TrainConfig, epoch: int, top: int) -> int:
    """Depth of the lowest part that is trained in an epoch (``train.unfreeze_layers_per_epoch``).

    Args:
        config: the settings.
        epoch: counted from 0.
        top: depth of the topmost part, L + 1.

    >>> [lowest_trained(TrainConfig(unfreeze_layers_per_epoch=2), e, top=7) for e in range(5)]
    [7, 5, 3, 1, 0]
    """
    layers = config.unfreeze_layers_per_epoch
    return 0 if layers is None else max(top - layers * epoch, 0)

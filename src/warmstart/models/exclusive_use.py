"""Which models must be used by only one thread at a time.

In nearly every model of Transformers, a forward pass in evaluation mode does not change the model.
The exceptions are rotary positions whose frequencies depend on the length of the input: each
forward pass recomputes them in the module (``modeling_rope_utils.dynamic_rope_update``). Also, on a
GPU the activations of several forward passes might not fit into memory at the same time.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECOMPUTED = frozenset({"dynamic", "longrope"})
"""Values of ``rope_type`` with which a forward pass changes the module."""


def needs_exclusive_use(model: "PreTrainedModel") -> bool:
    """Whether threads must use a model one after the other.

    Args:
        model: on its device, in evaluation mode.
    """
    return model.device.type != "cpu" or bool(RECOMPUTED & _rope_types(model.config))


def _rope_types(config: Any) -> set[str]:
    """Every ``rope_type`` of a configuration; some models have one for each kind of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    of_layers = [value for value in parameters.values() if isinstance(value, dict)]
    return {str(one.get("rope_type")) for one in (parameters, *of_layers)}

"""Numbers learned in standard deviations from their mean, by a model that outputs the numbers.

A new head outputs numbers near 0, and its weights move in steps of the learning rate, so numbers in
the thousands are out of its reach. Therefore, in training, a hook multiplies the output z of the
head's last layer by the standard deviation of the training labels and adds their mean: the model
outputs numbers in the unit of the labels, and its weights learn z. When the model is saved, the two
numbers become part of the weights of the last layer, W·s and b·s + m. The saved model needs no
hook: Transformers and ONNX Runtime output the numbers.

A last layer without bias cannot contain a mean; it is only scaled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from warmstart.data.labels import shown_number
from warmstart.models.checkpoints.classifier_heads import last_layer

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.configuration import Head


@dataclass(frozen=True, slots=True)
class OutputScale:
    """The number that a model outputs is ``mean + deviation · z``.

    Args:
        mean: mean of the training labels.
        deviation: their standard deviation.
    """

    mean: float = 0.0
    deviation: float = 1.0

    def in_words(self) -> str:
        """A sentence about the training."""
        return (
            f"the labels are standardised in training (mean {shown_number(self.mean)}, standard "
            f"deviation {shown_number(self.deviation)}), and the loss is in squared standard "
            "deviations; predictions, scores and model/ have the unit of the labels"
        )


def scale_output(
    model: "PreTrainedModel", head: "Head", scale: OutputScale, *, trained: bool
) -> None:
    """Let a model learn z and output ``mean + deviation · z``.

    Args:
        model: a model with one output; changed in place.
        head: its head.
        scale: mean and deviation.
        trained: whether the last layer outputs numbers already: they stay the same. A new layer
            outputs numbers near the mean.
    """
    import torch

    layer, names = last_layer(model, head)
    mean = scale.mean if layer.bias is not None else 0.0
    if trained:
        with torch.no_grad():
            for name in names:
                shift = mean if name.endswith("bias") else 0.0
                weight = model.get_parameter(name)
                weight.copy_((weight.double() - shift) / scale.deviation)
    layer.register_forward_hook(partial(_scaled, mean=mean, deviation=scale.deviation))


def folded(
    model: "PreTrainedModel",
    head: "Head",
    scale: OutputScale,
    weights: "Mapping[str, Tensor] | None",
) -> "dict[str, Tensor]":
    """The weights to save, with which the model outputs the same numbers without the hook.

    Args:
        model: a model after ``scale_output``; it is not changed.
        head: its head.
        scale: mean and deviation.
        weights: its weights by name; None for its ``state_dict``.
    """
    found = dict(model.state_dict() if weights is None else weights)
    for name in last_layer(model, head)[1]:
        shift = scale.mean if name.endswith("bias") else 0.0
        found[name] = (found[name].double() * scale.deviation + shift).to(found[name].dtype)
    return found


def full_precision_output(model: "PreTrainedModel", head: "Head") -> None:
    """Let the last layer of a saved model compute in float32, also within autocast.

    In bfloat16, which has three significant digits, a year would be rounded to a multiple of 8.

    Args:
        model: a model with one output; changed in place.
        head: its head.
    """
    last_layer(model, head)[0].register_forward_hook(_in_float32)


def _scaled(_: "nn.Module", __: Any, output: "Tensor", *, mean: float, deviation: float) -> Any:
    return output.float() * deviation + mean


def _in_float32(layer: "nn.Linear", inputs: "tuple[Tensor, ...]", _: "Tensor") -> Any:
    """The output in float32 within autocast; None, which changes nothing, without it."""
    import torch

    device = inputs[0].device.type
    if not torch.is_autocast_enabled(device):
        return None
    with torch.autocast(device, enabled=False):
        return torch.nn.functional.linear(inputs[0].float(), layer.weight, layer.bias)

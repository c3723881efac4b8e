"""Replace modules of a model by others that have no weights of their own."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

Old = TypeVar("Old", bound=nn.Module)


def replace_modules(
    model: nn.Module, old: type[Old], replacement: Callable[[Old], nn.Module]
) -> None:
    """Replace each module of a type by another module; names and weights stay.

    Args:
        model: Changed in place.
        old: The type to replace, subclasses included.
        replacement: Maps an old module to its new module. The mode is copied, because a new module
            is in training mode, and dropout in a model in evaluation mode must stay off.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, old):
                setattr(parent, name, replacement(child).train(child.training))

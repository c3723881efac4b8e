"""Evaluation mode for the time of one block, also when the block raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off within the block, then restore the mode that the model had before.

    The mode is a flag on every module, so no other thread may use a model that is in training mode
    meanwhile. A model that is in evaluation mode already is left alone: any number of threads may
    use it.

    Args:
        model: Any module; its submodules have the same mode.
    """
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()

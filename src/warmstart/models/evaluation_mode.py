"""Evaluation mode for the time of one block, also when the block raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off within the block, then restore the mode that the model had before.

    The mode is a flag on the model, so no other thread may train or evaluate it meanwhile.

    Args:
        model: Any module.
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)

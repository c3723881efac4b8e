"""Evaluation mode within a block, also if the block raises an error."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off within the block, then restore the previous mode of each module.

    The mode is a flag on every module, so no other thread may use the model in the meantime, unless
    all its modules are already in evaluation mode: then nothing is changed and any number of
    threads may use it. The modes can differ: adapters that were just added to a loaded model are in
    training mode while the rest is not.

    Args:
        model: any module.
    """
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True

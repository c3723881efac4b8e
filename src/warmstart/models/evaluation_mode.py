"""Evaluation mode for the time of one block, also when the block raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off within the block, then restore the mode that each module had before.

    The mode is a flag on every module, so no other thread may use the model meanwhile, unless all
    its modules are in evaluation mode already: then nothing is changed and any number of threads
    may use it. The modules may differ: adapters that were just added to a loaded model are in
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

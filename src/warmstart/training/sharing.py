"""Data parallelism: split the rows of a step over the ranks, then sum the gradients.

Gradients are summed once per step, after the last backward pass. PyTorch's
``DistributedDataParallel`` starts the transfer during the backward pass to save time. But if one
rank runs out of memory in the middle, the other ranks wait forever. Here all ranks agree to repeat
the step instead. In addition, a rank without rows needs no backward pass, gradient accumulation
needs no extra transfer, and the model is not wrapped, so other code need not handle a wrapper.
"""

import numpy as np
import torch
from torch import nn

from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.ordering import share_rows
from warmstart.data.examples.tokens import Ints
from warmstart.devices.processes import Processes


def own_rows(
    processes: Processes,
    examples: Examples,
    positions: list[Ints],
    window: list[Batch],
    draw: Draw,
) -> list[Batch]:
    """This rank's share of each batch of a step, balanced by tokens.

    Args:
        processes: the ranks of the run.
        examples: the training split.
        positions: the row positions of each batch.
        window: the batches of the step.
        draw: seed and epoch that select the masked tokens, for fill-mask.

    Returns:
        One batch for each batch of which this rank has rows.
    """
    if processes.count == 1:
        return window
    own = []
    for rows, batch in zip(positions, window, strict=True):
        lengths = np.diff(batch.offsets)
        share = share_rows(lengths, processes.count, batch.targets.groups)[processes.index]
        if len(share):
            own.append(collate(examples, rows[share], draw))
    return own


def add_up(processes: Processes, model: nn.Module, loss: torch.Tensor) -> None:
    """Sum gradients and loss over all ranks, in place.

    Each rank has already divided by the number of labels of all ranks, so the sum is the mean.

    Args:
        processes: the ranks of the run.
        model: the model; a trained parameter without a gradient (a rank without rows) counts as 0.
        loss: this rank's part of the mean loss of the step.
    """
    if processes.count == 1:
        return
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    processes.sum([loss, *gradients])
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.grad = gradient

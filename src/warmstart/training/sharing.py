"""What several processes do differently in a step: each takes some rows, then they add up.

Gradients are added up once a step, after its last backward pass. PyTorch's
``DistributedDataParallel`` begins during that pass, to hide the time the transfer takes; but then a
process whose memory runs out in the middle leaves the others waiting, where here all agree to make
the step again. A process without rows needs no backward pass, accumulated batches cost no transfer
of their own, and the model is not wrapped: whatever runs it need not know of the others.
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
    """This process's share of each batch of a window, by tokens; no batch where it has no rows.

    Args:
        processes: those that share the rows.
        examples: the training split.
        positions: the rows of each batch.
        window: the batches themselves.
        draw: what their tokens are hidden for, where they are.
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
    """Add gradients and loss up over the processes, in place.

    Each was divided by the labels of all processes' rows already, so that the sum is the mean.

    Args:
        processes: those that share the rows.
        model: a parameter without a gradient, as in a process without rows, counts as zero.
        loss: this process's part of the window's mean.
    """
    if processes.count == 1:
        return
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    processes.sum([loss, *gradients])
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.grad = gradient

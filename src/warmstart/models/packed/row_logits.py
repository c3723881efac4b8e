"""The logits of rows that were cut into windows: the mean over the windows of each row.

Letters: B rows of a batch, V windows of these rows, C classes.
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from warmstart.data.examples.batches import Batch, split_batch

WINDOWS_AT_ONCE = 16
"""Number of windows in one forward pass; or the number of rows of the batch, if it is larger."""


def for_rows(run: Callable[[Any, Batch], Any]) -> Callable[[Any, Batch], Any]:
    """The same forward pass for rows, whether or not they were cut into windows.

    A batch may have far more windows than rows, and the activations of all of them may not fit into
    memory. So its windows run in several parts, and in training the activations of each part are
    computed a second time during the backward pass. Logits and gradients stay the same.

    Args:
        run: (model, batch) to the logits of whole rows.

    Returns:
        (model, batch) to the logits of rows, [B, C]; without windows, those of ``run``.

    Source: Chen et al. 2016, arXiv:1604.06174 (activation checkpointing).
    """

    def run_rows(model: Any, batch: Batch) -> Any:
        if batch.window_offsets is None:
            return run(model, batch)
        windows = batch.as_windows()
        count = ceil(len(windows) / max(WINDOWS_AT_ONCE, len(batch)))
        again = count > 1 and torch.is_grad_enabled()
        one = _computed_again(run) if again else run
        logits = torch.cat([one(model, part) for part in split_batch(windows, count)])  # [V, C]
        counts = torch.from_numpy(batch.window_counts).to(logits.device)  # [B]
        return torch.segment_reduce(logits.float(), "mean", lengths=counts)

    return run_rows


def _computed_again(run: Callable[[Any, Batch], Any]) -> Callable[[Any, Batch], Any]:
    """The same forward pass, whose activations are not kept until the backward pass."""

    def run_again(model: Any, batch: Batch) -> Any:
        def of_ids(ids: Tensor) -> Any:
            return run(model, replace(batch, input_ids=ids))

        # PyTorch restores the random numbers, and so the dropout, of the device of its arguments.
        return checkpoint(of_ids, batch.input_ids, use_reentrant=False)

    return run_again

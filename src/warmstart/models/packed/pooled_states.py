"""One vector for each row, from the hidden states of its tokens, packed or padded.

The result is that of a plain Transformers model with ``output_hidden_states=True`` whose hidden
states are pooled over the real tokens of each row, the special tokens included.

Letters: B rows, T tokens, H hidden width.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from warmstart.data.examples.batches import Batch
from warmstart.data.examples.tokens import Ints
from warmstart.models.checkpoints.mean_pooling import read_by_head
from warmstart.models.checkpoints.vector_pooling import VectorPooling
from warmstart.models.packed.forward import Forward, padded_states


def pooled_states(
    forward: Forward, pooling: VectorPooling, layer: int
) -> Callable[[Any, Batch], Tensor]:
    """(model, batch) to one vector for each row, float32 [B, H].

    Args:
        forward: How the model is run.
        pooling: Which tokens of a row stand for it.
        layer: Index into Transformers' ``hidden_states``, from 0.
    """
    packed = forward.packed

    def run(model: Any, batch: Batch) -> Tensor:
        if packed is None:
            return pooled(padded_states(model, batch, layer), batch.offsets, pooling)
        is_last = layer == model.config.num_hidden_layers
        if is_last and packed.reads == "first" and pooling == read_by_head(model.config):
            # The last layer then runs only for the tokens that are read.
            return packed.row_vectors(batch).float()
        return pooled(packed.hidden_states(batch, layer), batch.offsets, pooling)

    return run


def pooled(hidden: Tensor, offsets: Ints, pooling: VectorPooling) -> Tensor:
    """The vectors of rows, float32 [B, H].

    Args:
        hidden: Hidden states of all tokens, rows end to end, [T, H].
        offsets: Row i is tokens ``offsets[i]`` to ``offsets[i + 1] - 1``, int64 [B + 1].
        pooling: Which tokens of a row stand for it.

    >>> import numpy as np
    >>> hidden = torch.tensor([[1.0], [3.0], [5.0]])
    >>> pooled(hidden, np.array([0, 2, 3]), "mean").tolist()
    [[2.0], [5.0]]
    """
    bounds = torch.from_numpy(offsets).to(hidden.device)
    if pooling == "mean":
        return torch.segment_reduce(hidden.float(), "mean", lengths=bounds.diff())
    return hidden[bounds[:-1] if pooling == "first" else bounds[1:] - 1].float()

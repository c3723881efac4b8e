"""Training on the rows of the word embedding that the data read, and on no others.

A person's data read a part of a vocabulary: CoLA a fifth of BERT's 30,522 entries. The other rows
of the table would only lie in memory four times (weight, gradient, AdamW's two moments) and be
carried through every step. ``compact`` puts an embedding of the used rows in the table's place. Ids
stay those of the tokenizer: the embedding maps them itself, so positions that are counted from ids
(RoBERTa's), packed and padded batches, and evaluation see no difference.
``CompactVocabulary.weights`` gives the model's weights with the whole table again.

Why the result is the same. Let p be a number in a row of the table that no batch reads, and let
step t have learning rate a_t; AdamW has weight decay w and epsilon e > 0 (Loshchilov & Hutter 2019,
arXiv:1711.05101, algorithm 2).

1. The loss does not depend on p. The backward pass of an embedding starts from zeros and adds to
   the rows that were read: p's gradient is exactly 0, and clipping multiplies it by a number.
2. Both moments start at 0 and stay there, b · 0 + (1 − b) · 0 = 0, so that the gradient's part of
   the step is a_t · 0 / (√0 + e) = 0. What is left is the decay, p ← p · (1 − a_t w). It asks for p
   and the rates alone and can be made up for at any later time, factor by factor
   (``training.optimizer.decay_only``); one multiplication by their product would round differently.
3. A row that is read has the same values and the same gradient: the same summands in the same
   order. AdamW treats each number by itself. So every other weight makes the same step, and by
   induction all weights are the same, bit for bit, after any number of steps.
4. One thing looks at all rows together: the norm of the gradient. Rows of zeros add nothing to it,
   but it is summed in another order, so its last bit may differ. It acts on weights only where it
   clips; there they agree within rounding (1e-6 in the tests), elsewhere exactly. (Where rows are
   a multiple of 8 wide, as is usual, a CPU was seen to sum them to the same bits all the same.)

Step 1 asks that nothing but the embedding reads the table. An output layer that shares it, as in a
language model, reads every row at every step; ``whole_because`` then says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORTHWHILE_SHARE = 0.9
"""With more of its rows used than this, a table is left as it is."""

CHUNK = 2**20
"""Token ids looked at together: they may lie on a disk and be more than memory holds."""


class CompactEmbedding(nn.Module):
    """Some rows of an embedding, read by the ids of all; letters: V rows of the table, U used.

    Args:
        table: the whole embedding; left as it is.
        used: which rows to take, bool [V].
    """

    weight: nn.Parameter
    """The used rows in the table's order, [U, H]."""
    lookup: Tensor
    """For each id its row of ``weight``, or -1; int32 [V]. Saved with the weights: they belong
    together."""

    def __init__(self, table: nn.Embedding, used: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        super().__init__()
        rows = torch.from_numpy(np.flatnonzero(used))
        lookup = torch.full((table.num_embeddings,), -1, dtype=torch.int32)
        lookup[rows] = torch.arange(len(rows), dtype=torch.int32)
        self.weight = nn.Parameter(table.weight.detach()[rows])
        self.register_buffer("lookup", lookup)
        self.padding_idx = None if table.padding_idx is None else int(lookup[table.padding_idx])

    def forward(self, input_ids: Tensor) -> Tensor:
        """The vectors of these ids; an id that is not in the table is an IndexError."""
        # Neither look-up takes a negative index, as ``lookup[input_ids]`` would: -1 finds no row.
        rows = self.lookup.index_select(0, input_ids.flatten()).view(input_ids.shape)
        return functional.embedding(rows, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Shown where a model is printed."""
        return f"{len(self.weight)} of {len(self.lookup)} rows, {self.weight.shape[1]}"


@dataclass(slots=True)
class CompactVocabulary:
    """A model's compacted word embedding, and the table it was taken from.

    Args:
        name: the embedding's dotted name in the model.
        embedding: in the model; moves to its device and trains with it.
        table: the whole table, on the CPU, float32 [V, H]; used rows are as last saved, the others
            as ``steps`` steps leave them. As loaded from safetensors it is a map of the file and
            takes memory when it is first changed.
        steps: optimiser steps that the unused rows have behind them.
    """

    name: str
    embedding: CompactEmbedding
    table: Tensor
    steps: int = 0

    def __str__(self) -> str:
        """In a few words, for ``environment.json``."""
        return f"{len(self.embedding.weight):,} of {len(self.table):,} rows"

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's weights under Transformers' names, with the whole table as ``table`` has it.

        Args:
            model: that holds ``embedding``.
        """
        rows = (self.embedding.lookup >= 0).nonzero().flatten().cpu()
        self.table[rows] = self.embedding.weight.detach().cpu()
        weights = model.state_dict()
        weights[f"{self.name}.weight"] = self.table
        del weights[f"{self.name}.lookup"]
        return weights


def used_ids(
    arrays: Iterable[np.ndarray[Any, np.dtype[np.int32]]], size: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which ids occur, bool [``size``].

    Args:
        arrays: token ids, int32 [T] each; may be memory-mapped.
        size: V, more than any id.

    >>> used_ids([np.array([3, 1]), np.array([3])], size=5)
    array([False,  True, False,  True, False])
    """
    used = np.zeros(size, dtype=np.bool_)
    for array in arrays:
        for start in range(0, len(array), CHUNK):
            used[array[start : start + CHUNK]] = True
    return used


def whole_because(
    model: "PreTrainedModel", used: np.ndarray[Any, np.dtype[np.bool_]]
) -> str | None:
    """Why this model must keep, or had better keep, its whole table; None where it need not.

    Args:
        model: with its head.
        used: which ids its data hold, bool [V].
    """
    table = model.get_input_embeddings()
    if type(table) is not nn.Embedding or table.max_norm is not None or table.scale_grad_by_freq:
        return f"its {type(table).__name__} is more than a table"
    if not table.weight.requires_grad:
        return "its word embedding is not trained"
    holders = [p for _, p in model.named_parameters(remove_duplicate=False) if p is table.weight]
    if len(holders) > 1:
        return "its output layer shares the table"
    if used.sum() > WORTHWHILE_SHARE * len(used):
        return f"the data use {used.sum():,} of {len(used):,} rows"
    return None


def compact(
    model: "PreTrainedModel", used: np.ndarray[Any, np.dtype[np.bool_]]
) -> CompactVocabulary:
    """Replace the word embedding of ``model`` by one of the used rows.

    Args:
        model: on the CPU, float32; ``whole_because`` had nothing against it.
        used: which ids its data hold, bool [V]; what the model needs besides is added.
    """
    table = model.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    used = used.copy()
    # Padding is read too: where a row of a batch ends, whatever the mask then hides.
    used[[i for i in (model.config.pad_token_id or 0, table.padding_idx) if i is not None]] = True
    embedding = CompactEmbedding(table, used)
    name = next(name for name, module in model.named_modules() if module is table)
    model.set_input_embeddings(embedding)
    return CompactVocabulary(name, embedding, table.weight.detach())

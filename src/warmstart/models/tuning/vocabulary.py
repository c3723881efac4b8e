"""Compact vocabulary: train only those rows of the word embedding that the data use.

The data of a run use only a part of the vocabulary: CoLA uses a fifth of BERT's 30,522 tokens. The
other rows would take memory four times (weight, gradient, AdamW's two moments) and be updated at
every step. ``compact`` replaces the embedding table with an embedding of the used rows. Token ids
do not change: the embedding maps them to its rows itself, so code that depends on ids (RoBERTa's
positions, packed and padded batches, evaluation) needs no change. ``CompactVocabulary.weights``
returns the model's weights with the whole table.

Proof that the result is the same. Let p be a number in a row of the table that no batch uses. Let
step t have learning rate a_t, and let AdamW have weight decay w and epsilon e > 0 (Loshchilov &
Hutter 2019, arXiv:1711.05101, algorithm 2).

1. The loss does not depend on p. The backward pass of an embedding starts from zeros and adds to
   the used rows only. So p's gradient is exactly 0, also after clipping.
2. Both moments start at 0 and stay 0, since b · 0 + (1 − b) · 0 = 0. So the gradient term of the
   step is a_t · 0 / (√0 + e) = 0, and only the decay is left: p ← p · (1 − a_t w). It depends only
   on p and the rates, so it can be applied later, factor by factor
   (``training.optimizer.decay_only``). Multiplying by the product of all factors would round
   differently.
3. A used row has the same values and the same gradient: the same summands in the same order. AdamW
   updates each number independently. So all other weights are updated in the same way and, by
   induction, all weights are bit-identical after any number of steps.
4. Only the norm of the gradient depends on all rows together. Zero rows do not change it, but the
   order of summation differs, so its last bit may differ. The norm affects weights only when
   gradients are clipped; then the weights are equal within rounding (1e-6 in the tests), otherwise
   exactly. (If the hidden size is a multiple of 8, as usual, the norms were bit-identical on a
   CPU.)

Step 1 requires that only the embedding uses the table. A tied output layer, as in a language model,
uses every row at every step; ``whole_because`` reports this case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from warmstart.errors.counts import counted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORTHWHILE_SHARE = 0.9
"""A table is not compacted if more than this share of its rows is used."""

CHUNK = 2**20
"""Token ids processed at a time: they may be memory-mapped and larger than the memory."""


class CompactEmbedding(nn.Module):
    """An embedding with some rows of a table that still accepts the ids of the whole table.

    Letters: V rows of the table, U used rows, H hidden size.

    Args:
        table: the whole embedding; it is not changed.
        used: which rows to keep, bool [V].
    """

    weight: nn.Parameter
    """The used rows in the table's order, [U, H]."""
    lookup: Tensor
    """For each id its row in ``weight``, or -1; int32 [V]. A buffer, so that it is saved together
    with the weights."""

    def __init__(self, table: nn.Embedding, used: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        super().__init__()
        rows = torch.from_numpy(np.flatnonzero(used))
        lookup = torch.full((table.num_embeddings,), -1, dtype=torch.int32)
        lookup[rows] = torch.arange(len(rows), dtype=torch.int32)
        self.weight = nn.Parameter(table.weight.detach()[rows])
        self.register_buffer("lookup", lookup)
        self.padding_idx = None if table.padding_idx is None else int(lookup[table.padding_idx])

    def forward(self, input_ids: Tensor) -> Tensor:
        """The vectors of these ids, [..., H]; raises IndexError for an id without a row."""
        # `index_select` and `embedding` both reject negative indices, so -1 raises. Plain indexing
        # (`lookup[input_ids]`) would accept -1 and return the last row.
        rows = self.lookup.index_select(0, input_ids.flatten()).view(input_ids.shape)
        return functional.embedding(rows, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The text that ``print(model)`` shows."""
        return f"{len(self.weight)} of {len(self.lookup)} rows, {self.weight.shape[1]}"


@dataclass(slots=True)
class CompactVocabulary:
    """A model's compact word embedding, and the whole table from which it was made.

    Args:
        name: the embedding's dotted name in the model.
        embedding: the module in the model, which is moved and trained with it.
        table: the whole table, on the CPU, float32 [V, H]. Its used rows have the values of the
            last save, its unused rows those of step ``steps``. Loaded from safetensors, it is
            memory-mapped and uses memory only after its first change.
        steps: number of optimiser steps already applied to the unused rows.
    """

    name: str
    embedding: CompactEmbedding
    table: Tensor
    steps: int = 0

    def __str__(self) -> str:
        """Used and total rows, for ``environment.json``."""
        return f"{len(self.embedding.weight):,} of {counted(len(self.table), 'row')}"

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's weights under Transformers' names, with the whole table.

        The used rows of ``table`` are updated first; its unused rows are taken as they are.

        Args:
            model: the model that contains ``embedding``.
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
    """Mark the ids that occur, bool [V].

    Args:
        arrays: arrays of token ids, int32 [T]; they may be memory-mapped.
        size: V, larger than any id.

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
    """The reason why this model keeps its whole table; None if it can be compacted.

    Args:
        model: a model with its head.
        used: which ids the data contain, bool [V].
    """
    table = model.get_input_embeddings()
    if type(table) is not nn.Embedding or table.max_norm is not None or table.scale_grad_by_freq:
        return f"its {type(table).__name__} does more than look up rows"
    if not table.weight.requires_grad:
        return "its word embedding is not trained"
    uses = [p for _, p in model.named_parameters(remove_duplicate=False) if p is table.weight]
    if len(uses) > 1:
        return "its output layer shares the table"
    if used.sum() > WORTHWHILE_SHARE * len(used):
        return f"the data use {used.sum():,} of {counted(len(used), 'row')}"
    return None


def compact(
    model: "PreTrainedModel", used: np.ndarray[Any, np.dtype[np.bool_]]
) -> CompactVocabulary:
    """Replace the word embedding of ``model`` with an embedding of the used rows.

    Args:
        model: a float32 model on the CPU for which ``whole_because`` returned None.
        used: which ids the data contain, bool [V]; the padding ids are added.
    """
    table = model.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    used = used.copy()
    # A padded batch also looks up the padding id, although the attention mask hides it.
    used[[i for i in (model.config.pad_token_id or 0, table.padding_idx) if i is not None]] = True
    embedding = CompactEmbedding(table, used)
    name = next(name for name, module in model.named_modules() if module is table)
    model.set_input_embeddings(embedding)
    return CompactVocabulary(name, embedding, table.weight.detach())

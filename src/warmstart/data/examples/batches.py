"""Batches: which rows come together, in which order, and how they look as tensors.

The order of the rows is a pure function of (seed, epoch): it comes from a counter-based generator
made for that epoch and thrown away, never from a global one. A run can therefore be resumed at any
step by computing where it was, and nothing that happens between two steps can disturb the next.

A ``Batch`` is *packed*: real tokens only, rows end to end, with the offsets at which they start.
A model that wants a rectangle asks ``padded`` for one.

Letters: N rows of a split, B rows of a batch, T tokens of a batch, L its longest row.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", for counter-based
generators (numpy's ``Philox``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heapreplace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from warmstart.data.examples.encode import (
    NO_LABEL,
    NO_LIST,
    Bools,
    Computed,
    Examples,
    Ints,
    count_labels,
)
from warmstart.data.examples.masking import FIXED, Draw

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GROUPED_BATCHES = 50
"""Batches whose rows ``group_by_length`` sorts together, as in Transformers' ``Trainer``."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows, T tokens, packed.

    Args:
        input_ids: the rows' tokens end to end, int64 [T].
        offsets: row i is ``input_ids[offsets[i]:offsets[i + 1]]``; on the CPU, where shapes are
            decided, int64 [B + 1].
        labels: as those of ``Examples``, [B] or [B, C].
        rows: row ids, int64 [B].
        truncated: whether the row was cut to the model's length, bool [B].
        count: labels that enter the loss; known before the model runs, so that the loss of several
            batches can be divided once, by their sum.
        token_type_ids: which text of its pair each token is of, int64 [T]; None is 0 everywhere.
        computed: what the frozen part of the model makes of the rows: [T, H] or [B, H].
        targets: where tokens are learned, what is to be said at each token (the next one, or the
            one that is hidden), or ``NO_LABEL``, int64 [T]; ``count`` then counts these.
        text_bytes: UTF-8 bytes of the text that each row's targets spell, int64 [B].
        lists: the list that each row is in, where rows are compared with one another, int64 [B];
            ``count`` then counts lists. Rows of one list stand together.
    """

    input_ids: "Tensor"
    offsets: Ints
    labels: "Tensor"
    rows: Ints
    truncated: Bools
    count: int
    token_type_ids: "Tensor | None" = None
    computed: Computed | None = None
    targets: "Tensor | None" = None
    text_bytes: Ints | None = None
    lists: Ints | None = None
    asked: "Tensor | None" = None
    """Tokens that a token-level head classifies: indices into the batch's tokens, int64 [A]."""

    def __len__(self) -> int:
        """Number of rows, B."""
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """Number of real tokens, T."""
        return int(self.offsets[-1])

    def to(self, device: "torch.device") -> "Batch":
        """The same batch with its tensors on ``device``."""
        types, computed, targets = self.token_type_ids, self.computed, self.targets
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            token_type_ids=None if types is None else types.to(device, non_blocking=True),
            targets=None if targets is None else targets.to(device, non_blocking=True),
            computed=computed
            and computed._replace(values=computed.values.to(device, non_blocking=True)),
            asked=None if self.asked is None else self.asked.to(device, non_blocking=True),
        )

    def padded(self, pad_token_id: int) -> dict[str, "Tensor"]:
        """The rectangle a Transformers model takes.

        Args:
            pad_token_id: fills the end of short rows; the mask hides it.

        Returns:
            ``input_ids`` int64 [B, L] and ``attention_mask`` int64 [B, L] (1 at real tokens); and,
            where the batch has them, ``token_type_ids`` int64 [B, L] (0 where there is no token).
        """
        import torch

        lengths = torch.from_numpy(np.diff(self.offsets)).to(self.input_ids.device)
        width = int(np.diff(self.offsets).max())
        mask = torch.arange(width, device=lengths.device) < lengths[:, None]
        ids = torch.full(mask.shape, pad_token_id, dtype=torch.int64, device=lengths.device)
        ids[mask] = self.input_ids
        rectangle = {"input_ids": ids, "attention_mask": mask.long()}
        if self.token_type_ids is not None:
            rectangle["token_type_ids"] = torch.zeros_like(ids)
            rectangle["token_type_ids"][mask] = self.token_type_ids
        return rectangle


def collate(examples: Examples, positions: Ints, draw: Draw = FIXED) -> Batch:
    """The batch of the examples at these positions, in this order.

    Args:
        examples: one split.
        positions: indices into ``examples``, int64 [B].
        draw: what tokens are hidden for, where they are.
    """
    import torch

    tokens, offsets = examples.places_of(positions)
    types = examples.token_type_ids
    labels = examples.labels[positions]
    computed = examples.computed
    if computed is not None:
        values = computed.values[positions if computed.by_row else tokens]
        computed = computed._replace(values=torch.from_numpy(values))
    ids = examples.input_ids[tokens].astype(np.int64)
    targets, text_bytes = None, None
    lists = None if examples.lists is None else examples.lists[positions]
    if examples.predict_from is not None and examples.text_bytes is not None:
        if examples.masking is None:
            answers = next_tokens(ids, offsets, examples.predict_from[positions])
        else:
            ids, answers = hidden_tokens(examples, positions, draw)
        targets, text_bytes = torch.from_numpy(answers), examples.text_bytes[positions]
    return Batch(
        input_ids=torch.from_numpy(ids),
        offsets=offsets,
        labels=torch.from_numpy(labels),
        rows=examples.rows[positions],
        truncated=examples.full_lengths[positions] > np.diff(offsets),
        count=count_labels(labels if targets is None else answers, lists),
        token_type_ids=None if types is None else torch.from_numpy(types[tokens].astype(np.int64)),
        computed=computed,
        targets=targets,
        text_bytes=text_bytes,
        lists=lists,
    )


def next_tokens(ids: Ints, offsets: Ints, predict_from: Ints) -> Ints:
    """What is to be said at each token: the one after it in its row; else ``NO_LABEL``.

    Args:
        ids: the rows' tokens end to end, int64 [T].
        offsets: where rows begin and the last one ends, int64 [B + 1].
        predict_from: of each row, the place of the first token to be predicted, 1 at least [B].

    >>> next_tokens(np.array([7, 8, 9, 5, 6]), np.array([0, 3, 5]), np.array([2, 1]))
    array([-100,    9, -100,    6, -100])
    """
    row = np.repeat(np.arange(len(predict_from)), np.diff(offsets))
    place = np.arange(len(ids)) - offsets[row]
    targets = np.append(ids[1:], NO_LABEL)
    targets[place + 1 < predict_from[row]] = NO_LABEL
    targets[offsets[1:] - 1] = NO_LABEL
    return targets


def hidden_tokens(examples: Examples, positions: Ints, draw: Draw) -> tuple[Ints, Ints]:
    """Token ids with some of them hidden, and what is to be said at these; else ``NO_LABEL``.

    Args:
        examples: with ``masking``.
        positions: of the rows, int64 [B].
        draw: what tokens are hidden for.

    Returns:
        Both int64 [T].
    """
    assert examples.masking is not None
    rows = examples.to_mask(positions)
    chosen = examples.masking.choose(rows, draw)
    targets = np.full_like(rows.ids, NO_LABEL)
    targets[chosen] = rows.ids[chosen]
    return examples.masking.hide(rows, chosen, draw), targets


def split_batch(batch: Batch, pieces: int) -> list[Batch]:
    """Cut a batch into at most ``pieces`` batches of nearly equal row counts, in order.

    Rows of one list are not cut apart.
    """
    units = np.arange(len(batch) + 1)
    if batch.lists is not None:
        units = np.append(np.flatnonzero(np.diff(batch.lists, prepend=NO_LIST - 1)), len(batch))
    most = min(pieces, len(units) - 1)
    bounds = units[np.linspace(0, len(units) - 1, most + 1).astype(int)].tolist()
    return [_rows_between(batch, start, stop) for start, stop in pairwise(bounds)]


def _rows_between(batch: Batch, start: int, stop: int) -> Batch:
    first, last = batch.offsets[start], batch.offsets[stop]
    labels, types, computed = batch.labels[start:stop], batch.token_type_ids, batch.computed
    targets = None if batch.targets is None else batch.targets[first:last]
    lists = None if batch.lists is None else batch.lists[start:stop]
    answers = labels if targets is None else targets
    if computed is not None:
        rows = slice(start, stop) if computed.by_row else slice(first, last)
        computed = computed._replace(values=computed.values[rows])
    return Batch(
        input_ids=batch.input_ids[first:last],
        offsets=batch.offsets[start : stop + 1] - first,
        labels=labels,
        rows=batch.rows[start:stop],
        truncated=batch.truncated[start:stop],
        count=count_labels(answers.numpy(force=True), lists),
        token_type_ids=None if types is None else types[first:last],
        computed=computed,
        targets=targets,
        text_bytes=None if batch.text_bytes is None else batch.text_bytes[start:stop],
        lists=lists,
    )


def epoch_order(rows: int, seed: int, epoch: int) -> Ints:
    """A permutation of ``0 .. rows - 1`` that depends on nothing but its arguments.

    >>> epoch_order(5, seed=42, epoch=0).tolist() == epoch_order(5, seed=42, epoch=0).tolist()
    True
    """
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows)


def batches_of_lists(lists: Ints, batch_size: int, seed: int, epoch: int) -> list[Ints]:
    """Which rows make up each batch of one epoch, where a list of rows stays together.

    As many lists to a batch as make ``batch_size`` rows on average, so that the number of batches
    is the same in every epoch; at least one. Rows in no list teach nothing and are left out.

    Args:
        lists: as ``Examples.lists``, int64 [N].
        batch_size: rows per batch, on average.
        seed: of the run.
        epoch: counted from 0.

    >>> [rows.tolist() for rows in batches_of_lists(np.array([0, 0, NO_LIST, 1, 1]), 2, 42, 0)]
    [[3, 4], [0, 1]]
    """
    rows = np.argsort(lists, kind="stable")[np.count_nonzero(lists == NO_LIST) :]
    parts = np.split(rows, np.flatnonzero(np.diff(lists[rows])) + 1)
    order = epoch_order(len(parts), seed, epoch).tolist()
    width = lists_per_batch(lists, batch_size)
    batches = (order[start : start + width] for start in range(0, len(order), width))
    return [np.concatenate([parts[one] for one in batch]) for batch in batches]


def lists_per_batch(lists: Ints, batch_size: int) -> int:
    """How many lists make ``batch_size`` rows on average, at least one.

    Args:
        lists: as ``Examples.lists``, int64 [N].
        batch_size: rows per batch.
    """
    return max(1, round(batch_size * (int(lists.max()) + 1) / np.count_nonzero(lists != NO_LIST)))


def training_batches(
    lengths: Ints, batch_size: int, seed: int, epoch: int, *, group_by_length: bool
) -> list[Ints]:
    """Which rows make up each batch of one epoch; every row once, the last batch may be short.

    Args:
        lengths: tokens of each row, int64 [N].
        batch_size: rows per batch.
        seed: of the run.
        epoch: counted from 0.
        group_by_length: sort rows by length within stretches of ``GROUPED_BATCHES`` batches, then
            shuffle the batches: less padding, at the price of batches that are no longer a uniform
            sample.
    """
    order = epoch_order(len(lengths), seed, epoch)
    if not group_by_length:
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches = []
    stretch = GROUPED_BATCHES * batch_size
    for start in range(0, len(order), stretch):
        block = order[start : start + stretch]
        block = block[np.argsort(-lengths[block], kind="stable")]
        batches += [block[i : i + batch_size] for i in range(0, len(block), batch_size)]
    # The short batch is the last cut off, of the shortest rows; it is shuffled among the others.
    shuffled = epoch_order(len(batches), seed + 1, epoch)
    return [batches[i] for i in shuffled]


def share_rows(lengths: Ints, processes: int, lists: Ints | None = None) -> list[Ints]:
    """Share a batch's rows out so that every process gets nearly as many tokens.

    The longest row not given yet goes to whoever has the fewest tokens. No two shares end up
    further apart than the longest row is long; where there are fewer rows than processes, some
    shares are empty.

    Args:
        lengths: tokens of each row of the batch, int64 [B].
        processes: how many shares to make.
        lists: the list that each row is in, which goes to one process, int64 [B].

    Returns:
        For each process the positions of its rows in the batch, ascending; each int64.

    Source: Graham 1969, "Bounds on multiprocessing timing anomalies" (longest processing time
    first: at most 4/3 of the best possible largest share).

    >>> [share.tolist() for share in share_rows(np.array([3, 9, 4, 2]), processes=2)]
    [[1], [0, 2, 3]]
    """
    if lists is not None:
        _, unit = np.unique(lists, return_inverse=True)
        together = np.bincount(unit, weights=lengths).astype(np.int64)
        return [np.flatnonzero(np.isin(unit, share)) for share in share_rows(together, processes)]
    loads = [(0, process) for process in range(processes)]  # a heap as it stands
    shares: list[list[int]] = [[] for _ in loads]
    for row in np.argsort(-lengths, kind="stable").tolist():
        tokens, process = loads[0]
        shares[process].append(row)
        heapreplace(loads, (tokens + int(lengths[row]), process))
    return [np.sort(np.array(share, dtype=np.int64)) for share in shares]


def evaluation_batches(lengths: Ints, max_tokens: int, lists: Ints | None = None) -> Iterator[Ints]:
    """Batches for a pass without gradients: longest rows first, each rectangle within a budget.

    Args:
        lengths: tokens of each row, int64 [N].
        max_tokens: largest rectangle, rows times longest row; a single longer row stands alone.
        lists: as ``Examples.lists``; a list stays together whatever the budget, int64 [N].
    """
    if lists is not None:
        yield from _whole_lists(lengths, max_tokens, lists)
        return
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, max_tokens // int(lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def _whole_lists(lengths: Ints, max_tokens: int, lists: Ints) -> Iterator[Ints]:
    """``evaluation_batches`` of lists: that with the longest row first."""
    alone = np.flatnonzero(lists == NO_LIST)
    lists = lists.copy()
    lists[alone] = lists.max() + 1 + np.arange(len(alone))
    rows = np.argsort(lists, kind="stable")
    parts = np.split(rows, np.flatnonzero(np.diff(lists[rows])) + 1)
    longest = np.array([lengths[part].max() for part in parts])
    batch: list[Ints] = []
    count = width = 0
    for one in np.argsort(-longest, kind="stable").tolist():
        if batch and (count + len(parts[one])) * width > max_tokens:
            yield np.concatenate(batch)
            batch, count = [], 0
        width = width if batch else int(longest[one])
        batch.append(parts[one])
        count += len(parts[one])
    yield np.concatenate(batch)

"""Which rows are in a batch together, and in which order.

The order of the rows is a pure function of (seed, epoch): it comes from a counter-based random
generator keyed with both, never from a global one. A resumed run therefore needs no random state to
continue with the same rows.

Letters: N rows of a split, B rows of a batch.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
"""

from collections.abc import Iterator
from heapq import heapreplace

import numpy as np

from warmstart.data.examples.targets import NO_GROUP
from warmstart.data.examples.tokens import Ints

GROUPED_BATCHES = 50
"""Batches whose rows ``group_by_length`` sorts together, as in Transformers' ``Trainer``."""


def epoch_order(rows: int, seed: int, epoch: int) -> Ints:
    """A permutation of ``0 .. rows - 1`` that depends only on the arguments.

    >>> epoch_order(5, seed=42, epoch=0).tolist() == epoch_order(5, seed=42, epoch=0).tolist()
    True
    """
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows)


def batches_of_groups(groups: Ints, batch_size: int, seed: int, epoch: int) -> list[Ints]:
    """Rows of each batch of one epoch; the rows of a group stay together.

    Every batch has the same number of groups, which gives ``batch_size`` rows on average (at least
    one group), so that all epochs have the same number of batches. Rows without a group add nothing
    to the loss and are left out.

    Args:
        groups: as ``Targets.groups``, int64 [N].
        batch_size: rows per batch, on average.
        seed: seed of the run.
        epoch: counted from 0.

    >>> [rows.tolist() for rows in batches_of_groups(np.array([0, 0, NO_GROUP, 1, 1]), 2, 42, 0)]
    [[3, 4], [0, 1]]
    """
    rows = np.argsort(groups, kind="stable")[np.count_nonzero(groups == NO_GROUP) :]
    parts = np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)
    order = epoch_order(len(parts), seed, epoch).tolist()
    width = groups_per_batch(groups, batch_size)
    batches = (order[start : start + width] for start in range(0, len(order), width))
    return [np.concatenate([parts[one] for one in batch]) for batch in batches]


def groups_per_batch(groups: Ints, batch_size: int) -> int:
    """Number of groups that give ``batch_size`` rows on average, at least one.

    Args:
        groups: as ``Targets.groups``, int64 [N].
        batch_size: rows per batch.
    """
    rows = int(np.count_nonzero(groups != NO_GROUP))
    return max(1, round(batch_size * (int(groups.max()) + 1) / rows))


def training_batches(
    lengths: Ints, batch_size: int, seed: int, epoch: int, *, group_by_length: bool
) -> list[Ints]:
    """Rows of each batch of one epoch; each row occurs once, and the last batch may be short.

    Args:
        lengths: tokens of each row, int64 [N].
        batch_size: rows per batch.
        seed: seed of the run.
        epoch: counted from 0.
        group_by_length: sort rows by length within blocks of ``GROUPED_BATCHES`` batches, then
            shuffle the batches: less padding, but batches are no longer a uniform sample.
    """
    order = epoch_order(len(lengths), seed, epoch)
    if not group_by_length:
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches = []
    block_rows = GROUPED_BATCHES * batch_size
    for start in range(0, len(order), block_rows):
        block = order[start : start + block_rows]
        block = block[np.argsort(-lengths[block], kind="stable")]
        batches += [block[i : i + batch_size] for i in range(0, len(block), batch_size)]
    # The short batch has the shortest rows of the last block; it is shuffled with the others.
    shuffled = epoch_order(len(batches), seed + 1, epoch)
    return [batches[i] for i in shuffled]


def share_rows(lengths: Ints, processes: int, groups: Ints | None = None) -> list[Ints]:
    """Share the rows of a batch among processes so that each gets nearly the same number of tokens.

    The longest remaining row goes to the process with the fewest tokens. The shares then differ by
    no more than the longest row; with fewer rows than processes some shares are empty.

    Args:
        lengths: tokens of each row of the batch, int64 [B].
        processes: number of shares.
        groups: as ``Targets.groups``; a group goes to one process, int64 [B].

    Returns:
        For each process the positions of its rows in the batch, ascending, int64.

    Source: Graham 1969, "Bounds on multiprocessing timing anomalies" (longest processing time
    first: at most 4/3 of the best possible largest share).

    >>> [share.tolist() for share in share_rows(np.array([3, 9, 4, 2]), processes=2)]
    [[1], [0, 2, 3]]
    """
    if groups is not None:
        _, group = np.unique(groups, return_inverse=True)
        total = np.bincount(group, weights=lengths).astype(np.int64)
        return [np.flatnonzero(np.isin(group, share)) for share in share_rows(total, processes)]
    loads = [(0, process) for process in range(processes)]  # already a valid heap
    shares: list[list[int]] = [[] for _ in loads]
    for row in np.argsort(-lengths, kind="stable").tolist():
        tokens, process = loads[0]
        shares[process].append(row)
        heapreplace(loads, (tokens + int(lengths[row]), process))
    return [np.sort(np.array(share, dtype=np.int64)) for share in shares]


def evaluation_batches(
    lengths: Ints, max_tokens: int, groups: Ints | None = None
) -> Iterator[Ints]:
    """Batches for a pass without gradients: longest rows first, padded size within a budget.

    Args:
        lengths: tokens of each row, int64 [N].
        max_tokens: largest padded batch, rows times longest row; a longer row gets its own batch.
        groups: as ``Targets.groups``, int64 [N]; a group stays together even above the budget.
    """
    if groups is not None:
        yield from _batches_of_whole_groups(lengths, max_tokens, groups)
        return
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, max_tokens // int(lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def _batches_of_whole_groups(lengths: Ints, max_tokens: int, groups: Ints) -> Iterator[Ints]:
    """``evaluation_batches`` for groups, the one with the longest row first."""
    alone = np.flatnonzero(groups == NO_GROUP)
    groups = groups.copy()
    groups[alone] = groups.max() + 1 + np.arange(len(alone))
    rows = np.argsort(groups, kind="stable")
    parts = np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)
    longest = np.array([lengths[part].max() for part in parts])
    batch: list[Ints] = []
    count = width = 0
    for index in np.argsort(-longest, kind="stable").tolist():
        if batch and (count + len(parts[index])) * width > max_tokens:
            yield np.concatenate(batch)
            batch, count = [], 0
        width = width if batch else int(longest[index])
        batch.append(parts[index])
        count += len(parts[index])
    yield np.concatenate(batch)

"""Rows that are compared with one another stay together when a batch is cut."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resolved import resolved
from warmstart.data.examples.batches import Examples, collate, split_batch
from warmstart.data.examples.ordering import batches_of_groups, evaluation_batches, share_rows
from warmstart.data.examples.targets import NO_GROUP, ListTargets, RowTargets
from warmstart.data.examples.tokens import Tokens
from warmstart.preparation.plan import Plan

LISTS = st.lists(st.integers(1, 6), min_size=1, max_size=30)


def lists_of(sizes: list[int], mixed: bool) -> np.ndarray:
    lists = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(lists) if mixed else lists


def examples_of(lists: np.ndarray) -> Examples:
    rows = len(lists)
    lengths = 2 + np.arange(rows) * 7 % 11
    tokens = Tokens(
        input_ids=np.arange(lengths.sum(), dtype=np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        rows=np.arange(rows),
        full_lengths=lengths,
    )
    return Examples(tokens, ListTargets((np.arange(rows) % 3).astype(np.float32), lists))


def assert_whole(parts: list[np.ndarray], lists: np.ndarray) -> None:
    """Every row once, and every list in one part."""
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(lists)))
    for one in range(lists.max() + 1):
        assert sum((lists[part] == one).any() for part in parts) == 1


@given(LISTS, st.integers(1, 20), st.booleans())
def test_training_batches_keep_lists_whole(sizes: list[int], size: int, mixed: bool) -> None:
    lists = lists_of(sizes, mixed)
    batches = batches_of_groups(lists, size, seed=1, epoch=0)
    assert_whole(batches, lists)
    plan = Plan(np.ones(len(lists), dtype=np.int64), resolved(batch_size=size), lists)
    assert plan.steps_per_epoch == len(batches) == len(plan.epoch_windows(5))
    for batch in batches:
        # Rows of a list are adjacent, because pieces of a batch are cut between lists.
        assert (np.diff(lists[batch]) != 0).sum() == len(np.unique(lists[batch])) - 1


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lists = lists_of([2] * 40, mixed=False)
    one, again, next_epoch = (
        np.concatenate(batches_of_groups(lists, 8, seed=1, epoch=epoch)) for epoch in (0, 0, 1)
    )
    assert (one == again).all()
    assert (one != next_epoch).any()


@given(LISTS, st.integers(5, 60), st.booleans())
def test_evaluation_batches_keep_lists_whole(sizes: list[int], budget: int, mixed: bool) -> None:
    lists = lists_of(sizes, mixed)
    examples = examples_of(lists)
    batches = list(evaluation_batches(examples.lengths, budget, lists))
    assert_whole(batches, lists)
    for batch in batches:
        rectangle = len(batch) * examples.lengths[batch].max()
        assert rectangle <= budget or len(np.unique(lists[batch])) == 1


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_get_whole_lists(processes: int) -> None:
    lists = lists_of([3, 1, 4, 2, 2], mixed=True)
    lengths = examples_of(lists).lengths
    shares = share_rows(lengths, processes, lists)
    assert_whole(shares, lists)
    assert len(shares) == processes


@pytest.mark.parametrize("pieces", [1, 2, 3, 50])
def test_pieces_of_a_batch_are_whole_lists_and_their_counts_add_up(pieces: int) -> None:
    lists = lists_of([3, 1, 4, 2, 2], mixed=False)
    examples = examples_of(lists)
    batch = collate(examples, np.arange(12))
    parts = split_batch(batch, pieces)
    assert len(parts) == min(pieces, 5)
    assert_whole([part.rows for part in parts], lists)
    assert sum(part.count for part in parts) == batch.count == 5
    assert examples.count_of(np.arange(12)) == 5
    alone = replace(examples, targets=RowTargets(np.zeros(12, dtype=np.float32)))
    assert alone.count_of(np.arange(12)) == 12


def test_rows_in_no_list_are_scored_and_not_learned_from() -> None:
    lists = np.array([NO_GROUP, 0, NO_GROUP, 1, 0, NO_GROUP])
    assert np.sort(np.concatenate(batches_of_groups(lists, 2, 1, 0))).tolist() == [1, 3, 4]
    scored = list(evaluation_batches(np.full(6, 3), 6, lists))
    assert np.sort(np.concatenate(scored)).tolist() == list(range(6))
    batch = collate(examples_of(lists), np.arange(6))
    assert batch.count == 2
    # Rows without a list may be cut anywhere; they are not counted.
    parts = split_batch(collate(examples_of(lists), np.array([0, 2, 5, 1, 4])), 5)
    assert [part.count for part in parts] == [0, 1]

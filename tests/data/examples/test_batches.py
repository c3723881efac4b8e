"""Order, packing and padding of batches."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.examples.batches import Examples, collate, split_batch
from warmstart.data.examples.ordering import (
    epoch_order,
    evaluation_batches,
    share_rows,
    training_batches,
)
from warmstart.data.examples.targets import NoTargets, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokens import Tokens


def examples_of(lengths: list[int]) -> Examples:
    """Rows of these lengths; token ids are 1, 2, 3, …"""
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    count = len(lengths)
    tokens = Tokens(
        input_ids=np.arange(1, offsets[-1] + 1, dtype=np.int32),
        offsets=offsets,
        rows=np.arange(count, dtype=np.int64) + 100,
        full_lengths=np.array(lengths, dtype=np.int64) + (np.arange(count) % 3 == 0),
    )
    return Examples(tokens, RowTargets(np.arange(count, dtype=np.int64) % 2))


LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=60)


@given(lengths=LENGTHS, size=st.integers(1, 9), epoch=st.integers(0, 3), grouped=st.booleans())
def test_an_epoch_takes_every_row_once(
    lengths: list[int], size: int, epoch: int, grouped: bool
) -> None:
    batches = training_batches(np.array(lengths), size, 7, epoch, group_by_length=grouped)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    np.random.seed(0)
    first = epoch_order(1000, seed=1, epoch=2)
    np.random.seed(1)
    torch.manual_seed(5)
    assert (epoch_order(1000, seed=1, epoch=2) == first).all()
    assert (epoch_order(1000, seed=1, epoch=3) != first).any()
    assert (epoch_order(1000, seed=2, epoch=2) != first).any()


def test_grouping_by_length_pads_less() -> None:
    lengths = np.random.default_rng(0).integers(4, 60, size=3000)

    def padded(*, grouped: bool) -> int:
        batches = training_batches(lengths, 32, 0, 0, group_by_length=grouped)
        return sum(len(rows) * int(lengths[rows].max()) for rows in batches)

    assert padded(grouped=True) < 1.1 * lengths.sum() < 1.5 * lengths.sum() < padded(grouped=False)


def test_grouped_batches_come_in_another_order_in_every_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=64)

    def batches(seed: int, epoch: int) -> list[list[int]]:
        found = training_batches(lengths, 4, seed, epoch, group_by_length=True)
        return [rows.tolist() for rows in found]

    assert batches(0, 0) == batches(0, 0)
    assert batches(0, 0) != batches(0, 1)
    assert batches(0, 0) != batches(1, 0)
    # The rows of a block of 64 are sorted by length, and cut into the same batches every time.
    epochs = [batches(0, epoch) for epoch in range(3)]
    longest = [[int(lengths[rows].max()) for rows in epoch] for epoch in epochs]
    assert sorted(longest[0]) == sorted(longest[1]) == sorted(longest[2])
    orders = [*longest, sorted(longest[0]), sorted(longest[0], reverse=True)]
    assert len({tuple(order) for order in orders}) == 5, "batches are shuffled, anew in each epoch"


@given(lengths=LENGTHS, data=st.data())
def test_a_batch_holds_its_rows_end_to_end(lengths: list[int], data: st.DataObject) -> None:
    examples = examples_of(lengths)
    positions = data.draw(st.permutations(range(len(lengths))))
    batch = collate(examples, np.array(positions))
    labels = of_kind(batch.targets, RowBatchTargets).values
    for place, position in enumerate(positions):
        start, stop = batch.offsets[place], batch.offsets[place + 1]
        expected = examples.tokens.ids_of(position)
        assert batch.input_ids[start:stop].tolist() == expected.tolist()
        assert (batch.rows[place], int(labels[place])) == (100 + position, position % 2)
        assert batch.truncated[place] == (position % 3 == 0)
    assert batch.tokens == sum(lengths)


def test_padded_masks_exactly_what_is_not_a_token() -> None:
    padded = collate(examples_of([2, 4, 1]), np.array([0, 1, 2])).padded(pad_token_id=99)
    assert padded["input_ids"].tolist() == [[1, 2, 99, 99], [3, 4, 5, 6], [7, 99, 99, 99]]
    assert padded["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


@given(lengths=LENGTHS, pieces=st.integers(1, 9))
def test_type_ids_go_with_their_tokens(lengths: list[int], pieces: int) -> None:
    examples = examples_of(lengths)
    types = (examples.tokens.input_ids % 2).astype(np.int8)
    examples = replace(examples, tokens=replace(examples.tokens, token_type_ids=types))
    batch = collate(examples, np.arange(len(lengths))[::-1]).to(torch.device("cpu"))
    for part in split_batch(batch, pieces):
        assert part.token_type_ids is not None
        assert (part.token_type_ids == part.input_ids % 2).all()
        assert part.token_type_ids.dtype == torch.int64
        padded = part.padded(pad_token_id=4)
        assert (padded["token_type_ids"] == padded["input_ids"] % 2).all()


def test_without_type_ids_the_model_is_given_none() -> None:
    batch = collate(examples_of([2, 4]), np.arange(2))
    assert batch.token_type_ids is None
    assert batch.padded(0).keys() == {"input_ids", "attention_mask"}


@given(lengths=LENGTHS, pieces=st.integers(1, 70))
def test_pieces_are_the_batch(lengths: list[int], pieces: int) -> None:
    batch = collate(examples_of(lengths), np.arange(len(lengths)))
    parts = split_batch(batch, pieces)
    assert torch.cat([part.input_ids for part in parts]).tolist() == batch.input_ids.tolist()
    assert np.concatenate([part.rows for part in parts]).tolist() == batch.rows.tolist()
    assert sum(part.count for part in parts) == batch.count
    assert all(len(part) > 0 and part.offsets[0] == 0 for part in parts)
    assert len(parts) == min(pieces, len(lengths))


def test_rows_without_labels_are_not_counted() -> None:
    examples = examples_of([3, 3, 3])
    assert collate(examples, np.array([0, 2])).count == 2
    unlabelled = replace(examples, targets=NoTargets())
    assert collate(unlabelled, np.array([0, 2])).count == unlabelled.count_of(np.arange(3)) == 0
    assert [piece.count for piece in split_batch(collate(unlabelled, np.arange(3)), 2)] == [0, 0]


@given(lengths=LENGTHS, budget=st.integers(1, 200))
def test_evaluation_rectangles_stay_in_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(evaluation_batches(np.array(lengths), budget))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    widths = np.array(lengths)
    assert all(len(rows) == 1 or len(rows) * widths[rows].max() <= budget for rows in batches)


@given(lengths=LENGTHS, processes=st.integers(1, 9))
def test_shares_are_the_batch_in_order_and_even_in_tokens(
    lengths: list[int], processes: int
) -> None:
    tokens = np.array(lengths)
    shares = share_rows(tokens, processes)
    assert len(shares) == processes
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(lengths)))
    assert all((np.diff(share) > 0).all() for share in shares)
    loads = [int(tokens[share].sum()) for share in shares]
    assert max(loads) - min(loads) <= max(lengths)
    # At most the mean plus a part of the longest row, times the processes to compare whole numbers.
    assert max(loads) * processes <= sum(lengths) + max(lengths) * (processes - 1)


def test_tokens_are_shared_out_and_not_rows() -> None:
    long_and_short = np.array([500, 10, 10, 10, 10, 10])
    assert [share.tolist() for share in share_rows(long_and_short, 2)] == [[0], [1, 2, 3, 4, 5]]


def test_with_fewer_rows_than_processes_the_rest_get_none() -> None:
    assert [share.tolist() for share in share_rows(np.array([4, 7]), 4)] == [[1], [0], [], []]

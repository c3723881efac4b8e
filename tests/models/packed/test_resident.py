"""Batches filled up to a shape: every planned batch fits one, and filling up has no effect."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.flash_on_cpu import flash_kernels
from tests.models.packed.pairs import (
    assert_same_gradients,
    loss_of,
    packed_runner,
    twice,
)
from tests.tiny import ARCHITECTURES
from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.data.examples.targets import NO_LABEL, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokens import Ints, Tokens
from warmstart.models.packed.resident import (
    MAX_SHAPES,
    BatchShape,
    Resident,
    resident_bytes,
    shapes_for,
    smallest_shape,
)

CPU = torch.device("cpu")


def rows_of(lengths: list[int], *, types: bool = False) -> Examples:
    """Rows in which every token id is unique, counted from 1."""
    tokens = sum(lengths)
    rows = Tokens(
        input_ids=np.arange(1, tokens + 1, dtype=np.int32),
        offsets=np.cumsum([0, *lengths]),
        rows=np.arange(len(lengths)),
        full_lengths=np.array(lengths),
        token_type_ids=(np.arange(tokens) % 2).astype(np.int8) if types else None,
    )
    return Examples(rows, RowTargets(np.arange(len(lengths)) % 3))


def labels_of(batch: Batch) -> list[int]:
    values: list[int] = of_kind(batch.targets, RowBatchTargets).values.tolist()
    return values


batches = st.lists(
    st.lists(st.integers(1, 600), min_size=1, max_size=8), min_size=1, max_size=40
).map(lambda rows: (np.array([sum(r) for r in rows]), np.array([len(r) for r in rows]), rows))


@given(batches)
def test_every_batch_fits_a_shape(drawn: tuple[Ints, Ints, list[list[int]]]) -> None:
    totals, sizes, rows = drawn
    longest = max(map(max, rows))
    shapes = shapes_for(totals, sizes, longest)
    assert 0 < len(shapes) <= MAX_SHAPES
    assert [shape.tokens for shape in shapes] == sorted({shape.tokens for shape in shapes})
    assert {shape.rows for shape in shapes} == {sizes.max() + 1}
    for total, size in zip(totals.tolist(), sizes.tolist(), strict=True):
        shape = smallest_shape(shapes, total, size)
        assert shape is not None
        assert shape.tokens % 8 == 0
        # Single tokens for the missing rows, then one row with the remaining tokens.
        left = shape.tokens - total - (shape.rows - size - 1)
        assert 1 <= left <= shape.longest
        assert longest <= shape.longest


def test_what_no_shape_holds_is_said_to_fit_none() -> None:
    shapes = [BatchShape(64, 5, 30), BatchShape(96, 5, 32)]
    assert smallest_shape(shapes, 63, 4) == shapes[0]
    assert smallest_shape(shapes, 64, 4) == shapes[1]
    assert smallest_shape(shapes, 96, 4) is None
    assert smallest_shape(shapes, 5, 5) is None


def test_few_shapes_fill_little() -> None:
    """Batches of 32 rows with the lengths of CoLA's sentences: about 11 tokens, up to 40."""
    draw = np.random.default_rng(0)
    totals = draw.gamma(6.0, 1.9, size=(268, 32)).astype(int).clip(3, 45).sum(axis=1)
    rows = np.full(268, 32)

    def filling(shapes: list[BatchShape]) -> float:
        budgets = [smallest_shape(shapes, total, 32) for total in totals.tolist()]
        return sum(shape.tokens for shape in budgets if shape) / totals.sum() - 1

    chosen = shapes_for(totals, rows, 45)
    one = chosen[-1:]
    assert filling(chosen) < 0.03
    assert filling(one) > 0.12


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=12),
    st.booleans(),
    st.integers(0, 50),
    st.data(),
)
def test_a_batch_is_gathered_as_it_would_be_collated(
    lengths: list[int], types: bool, room: int, data: st.DataObject
) -> None:
    examples = rows_of(lengths, types=types)
    rows = np.array(data.draw(st.permutations(range(len(lengths)))))[
        : data.draw(st.integers(1, 12))
    ]
    expected, missing = collate(examples, rows), data.draw(st.integers(1, 4))
    total = expected.tokens
    shape = BatchShape(total + missing + room, len(rows) + missing, total + room)
    resident = Resident(examples, pad_token_id=0, device=CPU)
    batch, packing = resident.batch(resident.numbers(rows, shape), shape)

    assert batch.input_ids[:total].equal(expected.input_ids)
    assert batch.input_ids[total:].eq(0).all()
    assert len(batch.input_ids) == shape.tokens
    assert labels_of(batch) == [*labels_of(expected), *[NO_LABEL] * missing]
    if types:
        assert batch.token_type_ids is not None
        assert expected.token_type_ids is not None
        assert batch.token_type_ids[:total].equal(expected.token_type_ids)
    sizes = [*np.diff(expected.offsets), *[1] * (missing - 1), room + 1]
    assert packing.bounds.dtype == torch.int32
    assert packing.bounds.tolist() == [0, *np.cumsum(sizes)]
    assert packing.first.tolist() == packing.bounds[:-1].tolist()
    assert packing.row.tolist() == np.repeat(np.arange(len(sizes)), sizes).tolist()
    places = np.concatenate([np.arange(size) for size in np.diff(expected.offsets)])
    assert packing.positions[0].tolist() == [*places, *[0] * (shape.tokens - total)]


def test_the_memory_it_takes_is_known() -> None:
    examples = rows_of([3, 5, 7], types=True)
    held = [value for value in vars(Resident(examples, 0, CPU)).values() if torch.is_tensor(value)]
    # The stand-in: one token, one row.
    assert sum(x.nbytes for x in held) == resident_bytes(examples) + 4 + 1 + 3 * 8


@pytest.mark.parametrize(
    ("architecture", "config"),
    [*((name, {}) for name in ARCHITECTURES), ("modernbert", {"classifier_pooling": "mean"})],
)
def test_loss_and_gradients_are_those_of_the_plain_batch(
    tmp_path: Path, architecture: str, config: dict[str, Any]
) -> None:
    pair = twice(tmp_path, architecture, **config)
    rows = np.arange(len(pair.examples))
    batch = collate(pair.examples, rows)
    # More tokens to fill than a row can have: the last stand-in is longer than the position table.
    shape = BatchShape(batch.tokens + 300, len(rows) + 2, 300)
    resident = Resident(pair.examples, pair.pad_token_id, CPU)
    filled, packing = resident.batch(resident.numbers(rows, shape), shape)

    expected = packed_runner(pair.plain).logits(pair.plain, batch)
    with flash_kernels():
        found = packed_runner(pair.packed).logits(pair.packed, filled, packing)
        assert found.shape == (len(rows) + 2, expected.shape[1])
        assert (expected - found[: len(rows)]).abs().max() < 2e-5 * expected.abs().max()
        loss_of(expected, batch).backward()
        loss_of(found, filled).backward()
    assert_same_gradients(pair)

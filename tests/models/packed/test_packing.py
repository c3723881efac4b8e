"""The layout of a packed batch: every token has a slot, and the rectangles are the cheapest."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from warmstart.models.packed.dropout import Noise
from warmstart.models.packed.packing import COST_OF_RECTANGLE, pack, rows_of_similar_length

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)
CPU = torch.device("cpu")


def offsets_of(lengths: list[int]) -> np.ndarray:
    return np.cumsum([0, *lengths])


@given(lengths=LENGTHS, heads=st.integers(1, 3))
def test_what_is_gathered_into_rectangles_comes_back_in_place(
    lengths: list[int], heads: int
) -> None:
    packing = pack(offsets_of(lengths), heads, Noise(), CPU)
    states = torch.arange(sum(lengths) * heads)
    assert states[packing.tokens.gather][packing.tokens.scatter].equal(states)
    firsts = torch.arange(len(lengths) * heads)
    assert firsts[packing.firsts.gather][packing.firsts.scatter].equal(firsts)


@given(lengths=LENGTHS)
def test_a_row_of_a_rectangle_is_one_row_of_the_batch(lengths: list[int]) -> None:
    packing = pack(offsets_of(lengths), 1, Noise(), CPU)
    place, found = 0, []
    for rectangle in packing.rectangles:
        area = rectangle.rows * rectangle.width
        tokens = packing.tokens.gather[place : place + area].view(rectangle.rows, -1)
        real = torch.ones_like(tokens) if rectangle.real is None else rectangle.real[:, 0, 0]
        for row, is_real in zip(tokens, real, strict=True):
            kept = row[is_real == 1]
            (index,) = packing.row[kept].unique().tolist()
            assert kept.tolist() == list(range(int(packing.first[index]), int(kept[-1]) + 1))
            assert len(kept) == lengths[index]
            found.append(index)
        place += area
    assert sorted(found) == list(range(len(lengths)))
    filling = packing.tokens.gather.numel() - sum(lengths)
    assert packing.tokens.padding.numel() == filling


@given(lengths=LENGTHS)
def test_no_other_cut_into_two_costs_less(lengths: list[int]) -> None:
    array = np.array(lengths)
    ordered = np.sort(array)

    def cost(groups: list[np.ndarray]) -> int:
        return sum(len(group) * int(group.max()) + COST_OF_RECTANGLE for group in groups)

    chosen = cost([array[rows] for rows in rows_of_similar_length(array, most=2)])
    others = [cost([ordered])] + [
        cost([ordered[:cut], ordered[cut:]]) for cut in range(1, len(ordered))
    ]
    assert chosen == min(others)


def test_positions_and_rows() -> None:
    packing = pack(offsets_of([2, 3]), 2, Noise(), CPU)
    assert packing.positions.tolist() == [[0, 1, 0, 1, 2]]
    assert packing.row.tolist() == [0, 0, 1, 1, 1]
    assert packing.first.tolist() == [0, 2]
    assert packing.bounds.tolist() == [0, 2, 5]
    assert packing.bounds.dtype == torch.int32
    assert packing.longest == 3

"""Where each token of a packed batch goes when attention wants rectangles.

A batch is T tokens end to end. Attention alone must not cross from one row into the next, and on a
device without kernels for rows of unequal length that takes rectangles: ``R`` rows by ``W`` tokens,
short rows filled up. Rows of like length share a rectangle, so little is filled; how many
rectangles there are is chosen to make their area plus the cost of handling each one least.

Everything here is index arithmetic on the host, done once a batch and used by every layer.

Letters: B rows, T tokens, h heads, R rows and W width of a rectangle; S all slots of all
rectangles, a slot being one token of one head.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from warmstart.data.examples.tokens import Ints
from warmstart.models.packed.dropout import Noise

MAX_RECTANGLES = 4
"""Each is a dozen small kernels a layer, forward and back."""

COST_OF_RECTANGLE = 150
"""What these kernels cost beside their work, in tokens of area; a round figure."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """R rows of at most W tokens.

    Args:
        rows: R.
        width: W.
        real: 1 at tokens, 0 at filling, float32 [R, 1, 1, W]; None where nothing is filled.
    """

    rows: int
    width: int
    real: Tensor | None


@dataclass(frozen=True, slots=True)
class Slots:
    """Between tokens and rectangles: of all tokens, or of every row's first one.

    Args:
        gather: for each slot, which (token, head) it holds; filling holds any, int64 [S].
        scatter: for each (token, head), its slot, int64 [T * h].
        filling: the slots that hold no token, int64.
        widths: of each rectangle: its W, or 1.
    """

    gather: Tensor
    scatter: Tensor
    filling: Tensor
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """The layout of one batch.

    Args:
        rectangles: of like length each; every row is in one. None at all where attention takes the
            rows as they are (``without_rectangles``).
        tokens: slots of all tokens.
        firsts: slots of every row's first token.
        positions: place of each token in its row, from 0, int64 [1, T].
        row: which row each token is of, int64 [T].
        first: index of every row's first token, int64 [B].
        bounds: ``offsets`` for kernels that take rows of unequal length, int32 [B + 1].
        longest: tokens of the longest row.
        heads: h.
        noise: random bits for dropout.
        causal: whether a token sees none that come after it in its row.
    """

    rectangles: tuple[Rectangle, ...]
    tokens: Slots
    firsts: Slots
    positions: Tensor
    row: Tensor
    first: Tensor
    bounds: Tensor
    longest: int
    heads: int
    noise: Noise
    causal: bool = False


def without_rectangles(
    positions: Tensor,
    row: Tensor,
    first: Tensor,
    bounds: Tensor,
    longest: int,
    *,
    causal: bool = False,
) -> Packing:
    """The layout for attention that takes rows of unequal length as they are.

    Args:
        positions: place of each token in its row, from 0, int64 [1, T].
        row: which row each token is of, int64 [T].
        first: index of every row's first token, int64 [B].
        bounds: where each row starts and the last one ends, int32 [B + 1].
        longest: tokens of the longest row, or more.
        causal: whether a token sees none that come after it.
    """
    none = torch.empty(0, dtype=torch.int64, device=row.device)
    slots = Slots(none, none, none, ())
    return Packing((), slots, slots, positions, row, first, bounds, longest, 0, Noise(), causal)


def pack(
    offsets: Ints,
    heads: int,
    noise: Noise,
    device: torch.device,
    *,
    rectangles: bool = True,
    causal: bool = False,
) -> Packing:
    """Lay a batch out.

    Args:
        offsets: row i is tokens ``offsets[i]`` to ``offsets[i + 1]``, int64 [B + 1].
        heads: attention heads of the model.
        noise: random bits for dropout.
        device: where the model is.
        rectangles: whether attention needs them.
        causal: whether a token sees none that come after it.
    """
    lengths = np.diff(offsets)
    row = np.repeat(np.arange(len(lengths)), lengths)
    plain = without_rectangles(
        positions=torch.from_numpy(np.arange(offsets[-1]) - offsets[row])[None].to(device),
        row=torch.from_numpy(row).to(device),
        first=torch.from_numpy(offsets[:-1]).to(device),
        bounds=torch.from_numpy(offsets.astype(np.int32)).to(device),
        longest=int(lengths.max()),
        causal=causal,
    )
    if not rectangles:
        return plain
    groups = rows_of_like_length(lengths, most=MAX_RECTANGLES if device.type == "cpu" else 1)
    starts, widths = offsets[:-1], [int(lengths[group].max()) for group in groups]
    found, grids = [], []
    for group, width in zip(groups, widths, strict=True):
        column = np.arange(width)
        filled = column >= lengths[group][:, None]
        grids.append(np.where(filled, -1, starts[group][:, None] + column))
        real = None
        # What fills a row comes after all its tokens: where attention looks back, none sees it.
        if filled.any() and not causal:
            real = torch.from_numpy(~filled).float()[:, None, None, :].to(device)
        found.append(Rectangle(len(group), width, real))
    rows = [group[:, None] for group in groups]
    return replace(
        plain,
        rectangles=tuple(found),
        tokens=_slots(grids, heads, device),
        firsts=_slots(rows, heads, device),
        heads=heads,
        noise=noise,
    )


def rows_of_like_length(lengths: Ints, most: int) -> list[Ints]:
    """Share rows out to at most ``most`` rectangles so that area and handling cost least.

    Sorted by length, the rows of a rectangle are neighbours; where to cut is found by dynamic
    programming over the distinct lengths.

    Args:
        lengths: tokens of each row, int64 [B].
        most: rectangles.

    Returns:
        For each rectangle its rows, shortest rectangle first.

    >>> [group.tolist() for group in rows_of_like_length(np.array([9, 400, 9, 399]), most=4)]
    [[0, 2], [3, 1]]
    """
    order = np.argsort(lengths, kind="stable")
    widths, counts = np.unique(lengths, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])
    if most == 1 or len(widths) == 1:
        return [order]
    # area[i, j]: of one rectangle for the distinct lengths from i to j.
    area = np.triu((before[1:][None, :] - before[:-1][:, None]) * widths[None, :])
    cost = np.where(np.tri(len(widths), k=-1, dtype=bool), np.inf, area + COST_OF_RECTANGLE)
    least, cuts = cost[0], [np.zeros(len(widths), dtype=np.int64)]
    totals = [least[-1]]
    for _ in range(1, min(most, len(widths))):
        # The last rectangle begins at i; what comes before it is already laid out best.
        candidates = np.concatenate([[np.inf], least[:-1]])[:, None] + cost
        cuts.append(candidates.argmin(axis=0))
        least = candidates.min(axis=0)
        totals.append(least[-1])
    bounds, end = [len(widths)], len(widths)
    for step in reversed(cuts[: int(np.argmin(totals)) + 1]):
        end = int(step[end - 1])
        bounds.append(end)
    bounds = before[bounds[::-1]].tolist()
    return [order[start:stop] for start, stop in pairwise(bounds)]


def _slots(grids: list[Ints], heads: int, device: torch.device) -> Slots:
    """Slots of rectangles [R, W] of token indices, -1 where a rectangle is filled up."""
    head = np.arange(heads)[None, :, None]
    slots = np.concatenate(
        [np.where(grid[:, None] < 0, -1, grid[:, None] * heads + head).ravel() for grid in grids]
    )
    real = np.flatnonzero(slots >= 0)
    scatter = np.empty(len(real), dtype=np.int64)
    scatter[slots[real]] = real
    return Slots(
        gather=torch.from_numpy(np.maximum(slots, 0)).to(device),
        scatter=torch.from_numpy(scatter).to(device),
        filling=torch.from_numpy(np.flatnonzero(slots < 0)).to(device),
        widths=tuple(grid.shape[1] for grid in grids),
    )

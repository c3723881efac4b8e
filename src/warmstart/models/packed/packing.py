"""The layout of a packed batch: which token belongs to which row, and rectangles for attention.

A batch is T tokens, rows end to end. Only attention must not cross from one row into the next. On a
device without a kernel for rows of unequal length it runs on rectangles: ``R`` rows by ``W``
tokens, with padding after short rows. Rows of similar length share a rectangle, so there is little
padding. The number of rectangles minimises their total area plus a fixed cost of each.

All of this is index arithmetic on the host, done once per batch and used by every layer.

Letters: B rows, T tokens, h heads, R rows and W width of a rectangle. A *slot* is one position of
one head in a rectangle; S is the number of slots of all rectangles.

An example with one head: rows of 2 and 3 tokens, ``offsets`` = [0, 2, 5], T = 5. One rectangle with
R = 2 and W = 3 holds both:

    tokens         0 1 | 2 3 4
    rectangle      [[0, 1, -], [2, 3, 4]]     "-" is padding
    gather  [S]    [0, 1, 0, 2, 3, 4]         padding may hold any token; here token 0
    scatter [T]    [0, 1, 3, 4, 5]            the slot of each token
    padding        [2]
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from warmstart.data.examples.tokens import Ints
from warmstart.models.packed.dropout import Noise

MAX_RECTANGLES = 4
"""Most rectangles on a CPU. Each costs a dozen small kernels per layer, forward and backward."""

COST_OF_RECTANGLE = 150
"""The fixed cost of these kernels, in tokens of area; an estimate."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """R rows of at most W tokens.

    Args:
        rows: R.
        width: W.
        real: 1 at tokens, 0 at padding, float32 [R, 1, 1, W]; None if attention needs no mask.
    """

    rows: int
    width: int
    real: Tensor | None


@dataclass(frozen=True, slots=True)
class Slots:
    """The two index maps between tokens and slots, for all tokens or for first tokens only.

    Args:
        gather: The index of (token, head), ``token * h + head``, in each slot; int64 [S].
        scatter: The slot of each (token, head), int64 [T * h].
        padding: The slots without a token, int64.
        widths: Width of each rectangle: W, or 1 for first tokens.
    """

    gather: Tensor
    scatter: Tensor
    padding: Tensor
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """The layout of one batch.

    Args:
        rectangles: Every row is in one of them. Empty if attention runs on rows of unequal length
            (``without_rectangles``).
        tokens: Slots of all tokens.
        firsts: Slots of the first token of each row.
        positions: Position of each token in its row, from 0, int64 [1, T].
        row: Row of each token, int64 [T].
        first: Index of the first token of each row, int64 [B].
        bounds: ``offsets`` for kernels that run on rows of unequal length, int32 [B + 1].
        longest: Number of tokens of the longest row.
        heads: h.
        noise: Random bits for dropout.
        causal: Whether a token attends only to itself and to earlier tokens of its row.
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
    """The layout for attention that runs on rows of unequal length.

    Args:
        positions: Position of each token in its row, from 0, int64 [1, T].
        row: Row of each token, int64 [T].
        first: Index of the first token of each row, int64 [B].
        bounds: Start of each row, and the end of the last one, int32 [B + 1].
        longest: Number of tokens of the longest row, or more.
        causal: Whether a token attends only to itself and to earlier tokens of its row.
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
    """Compute the layout of a batch.

    Args:
        offsets: Row i is tokens ``offsets[i]`` to ``offsets[i + 1] - 1``, int64 [B + 1].
        heads: Attention heads of the model, h.
        noise: Random bits for dropout.
        device: Device of the model.
        rectangles: Whether attention needs them.
        causal: Whether a token attends only to itself and to earlier tokens of its row.
    """
    lengths = np.diff(offsets)
    row = np.repeat(np.arange(len(lengths)), lengths)  # [T]
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
    groups = rows_of_similar_length(lengths, most=MAX_RECTANGLES if device.type == "cpu" else 1)
    starts, widths = offsets[:-1], [int(lengths[group].max()) for group in groups]
    found, grids = [], []
    for group, width in zip(groups, widths, strict=True):
        column = np.arange(width)
        padding = column >= lengths[group][:, None]  # [R, W]
        grids.append(np.where(padding, -1, starts[group][:, None] + column))
        real = None
        # Padding follows all tokens of its row: causal attention never reaches it.
        if padding.any() and not causal:
            real = torch.from_numpy(~padding).float()[:, None, None, :].to(device)  # [R, 1, 1, W]
        found.append(Rectangle(len(group), width, real))
    rows = [group[:, None] for group in groups]  # [R, 1]: rectangles of one token per row
    return replace(
        plain,
        rectangles=tuple(found),
        tokens=_slots(grids, heads, device),
        firsts=_slots(rows, heads, device),
        heads=heads,
        noise=noise,
    )


def rows_of_similar_length(lengths: Ints, most: int) -> list[Ints]:
    """Distribute rows over rectangles at the lowest cost: their area plus a fixed cost of each.

    The rows of a rectangle are neighbours in the order of length. Dynamic programming over the
    distinct lengths finds the best places to cut this order.

    Args:
        lengths: Tokens of each row, int64 [B].
        most: Largest number of rectangles.

    Returns:
        The rows of each rectangle, the shortest rectangle first.

    >>> [group.tolist() for group in rows_of_similar_length(np.array([9, 400, 9, 399]), most=4)]
    [[0, 2], [3, 1]]
    """
    order = np.argsort(lengths, kind="stable")
    widths, counts = np.unique(lengths, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])
    if most == 1 or len(widths) == 1:
        return [order]
    # area[i, j]: area of one rectangle for the rows with the distinct lengths i to j.
    area = np.triu((before[1:][None, :] - before[:-1][:, None]) * widths[None, :])
    cost = np.where(np.tri(len(widths), k=-1, dtype=bool), np.inf, area + COST_OF_RECTANGLE)
    least, cuts = cost[0], [np.zeros(len(widths), dtype=np.int64)]
    totals = [least[-1]]
    for _ in range(1, min(most, len(widths))):
        # candidates[i, j]: the last rectangle covers lengths i to j; lengths before i are already
        # distributed at the least cost, with one rectangle fewer.
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
    """Slots of rectangles, from their token indices [R, W], with -1 for padding."""
    head = np.arange(heads)[None, :, None]  # [1, h, 1]
    # [R, W] to [R, h, W], flattened: all heads of a row before the next row.
    slots = np.concatenate(
        [np.where(grid[:, None] < 0, -1, grid[:, None] * heads + head).ravel() for grid in grids]
    )
    real = np.flatnonzero(slots >= 0)
    scatter = np.empty(len(real), dtype=np.int64)
    scatter[slots[real]] = real
    return Slots(
        gather=torch.from_numpy(np.maximum(slots, 0)).to(device),
        scatter=torch.from_numpy(scatter).to(device),
        padding=torch.from_numpy(np.flatnonzero(slots < 0)).to(device),
        widths=tuple(grid.shape[1] for grid in grids),
    )

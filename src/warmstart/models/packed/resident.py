"""Training rows that stay on the device, and batches of one shape made of them there.

A CUDA graph replays the same kernels on the same addresses, so a batch that it reads must have a
shape known before its rows are. ``Shape`` is that: a budget of T tokens and a number of rows. What
a batch lacks is filled up by *stand-ins*: rows of one pad token without a label, the last of them
as long as need be. Attention does not cross rows and a row without a label has no loss, so neither
loss nor gradient knows of them.

Nothing of a batch but its row numbers comes from the host: tokens, bounds, positions and labels
are gathered where the rows are, by kernels of static shape.

Letters: N rows of the split, T tokens and R rows of a batch, stand-ins included.

Source: PyTorch documentation, "CUDA semantics", section "CUDA Graphs", constraints (no dynamic
shapes, no work on the host).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import NO_LABEL, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokens import Ints
from warmstart.models.packed.packing import Packing, rows_of_like_length, without_rectangles

MAX_SHAPES = 8
"""Each is captured before training, and keeps a graph of a few thousand kernels."""

DISTINCT_BUDGETS = 512
"""Budgets that are told apart when the best few are chosen."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What batches have in common that one graph serves.

    Args:
        tokens: T, a multiple of 8, as the matrix units of a GPU like it.
        rows: R, one more than the rows of a full batch.
        longest: no row is longer, stand-ins included.
    """

    tokens: int
    rows: int
    longest: int

    def holds(self, tokens: int, rows: int) -> bool:
        """Whether a batch of so many real tokens and rows can be filled up to this shape."""
        return rows < self.rows and tokens + self.rows - rows <= self.tokens


def shapes_for(totals: Ints, rows: Ints, longest: int) -> list[Shape]:
    """Few shapes that hold all of some batches, with the least filling.

    Args:
        totals: real tokens of each batch, int64 [K].
        rows: rows of each batch, int64 [K].
        longest: tokens of the longest row.

    Returns:
        At most ``MAX_SHAPES``, the smallest first.

    >>> shapes = shapes_for(np.array([90, 600, 98, 590]), np.array([8, 8, 8, 8]), longest=100)
    >>> [shape.tokens for shape in shapes]
    [104, 608]
    """
    most = int(rows.max())
    needs = totals + most + 1 - rows
    unit = 8 * -(-int(needs.max()) // (8 * DISTINCT_BUDGETS))
    budgets = -(-needs // unit) * unit
    chosen = [int(budgets[group].max()) for group in rows_of_like_length(budgets, MAX_SHAPES)]
    # The last stand-in takes what a batch is short of; one that fits a smaller shape goes there.
    gaps = np.diff([0, *chosen]).tolist()
    return [
        Shape(budget, most + 1, max(longest, gap)) for budget, gap in zip(chosen, gaps, strict=True)
    ]


def smallest_shape(shapes: Sequence[Shape], tokens: int, rows: int) -> Shape | None:
    """The first of ``shapes`` that holds a batch of so many real tokens and rows."""
    return next((shape for shape in shapes if shape.holds(tokens, rows)), None)


def resident_bytes(examples: Examples) -> int:
    """Memory that ``Resident`` takes on the device."""
    rows = examples.tokens
    types = rows.token_type_ids
    tokens = rows.input_ids.nbytes + (0 if types is None else types.nbytes)
    return tokens + 3 * rows.rows.nbytes


class Resident:
    """A split on the device; row N is the stand-in.

    Args:
        examples: the split.
        pad_token_id: what stand-ins are made of.
        device: where the model is.
    """

    def __init__(self, examples: Examples, pad_token_id: int, device: torch.device) -> None:
        def there(values: np.ndarray, last: int) -> Tensor:
            return torch.from_numpy(np.append(values, values.dtype.type(last))).to(device)

        tokens, types = examples.tokens, examples.tokens.token_type_ids
        labels = of_kind(examples.targets, RowTargets).values
        self.stand_in = len(examples)
        # Offsets end with N: where the stand-in's one token lies.
        self._starts = torch.from_numpy(tokens.offsets).to(device)
        self._lengths = there(tokens.lengths, 1)
        self._labels = there(labels, NO_LABEL)
        self._ids = there(tokens.input_ids, pad_token_id)
        self._types = None if types is None else there(types, 0)

    def numbers(self, rows: Ints, shape: Shape) -> Tensor:
        """Row numbers on the host, stand-ins behind them: int64 [R].

        Args:
            rows: positions in the split, at most R - 1 of them.
            shape: holds them.
        """
        missing = shape.rows - len(rows)
        return torch.from_numpy(np.pad(rows, (0, missing), constant_values=self.stand_in))

    def batch(self, numbers: Tensor, shape: Shape) -> tuple[Batch, Packing]:
        """The batch of these rows, and its layout, by kernels that wait for nothing.

        Args:
            numbers: as ``numbers`` makes them, on the device.
            shape: holds them.

        Returns:
            A batch with all that a model and a loss read; what only the host reads of one
            (``offsets``, ``rows``, ``truncated``, ``count``) stays empty, because it would be that
            of the batch at hand when a graph was captured.
        """
        ends = self._lengths[numbers].cumsum(0)
        total = ends.new_full((1,), shape.tokens)
        bounds = torch.cat([ends.new_zeros(1), ends[:-1], total])
        place = torch.arange(shape.tokens, device=numbers.device)
        row = torch.searchsorted(bounds[1:], place, right=True)
        # All tokens of a stand-in are its first: the longest may be longer than a model can read.
        positions = (place - bounds[row]) * (numbers != self.stand_in)[row]
        tokens = self._starts[numbers][row] + positions
        batch = Batch(
            input_ids=self._ids[tokens].long(),
            offsets=np.empty(0, dtype=np.int64),
            rows=np.empty(0, dtype=np.int64),
            truncated=np.empty(0, dtype=np.bool_),
            targets=RowBatchTargets(self._labels[numbers], count=0),
            token_type_ids=None if self._types is None else self._types[tokens].long(),
        )
        packing = without_rectangles(positions[None], row, bounds[:-1], bounds.int(), shape.longest)
        return batch, packing

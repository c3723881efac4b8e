"""Training rows that stay on the device, and batches of fixed shapes that are gathered there.

A CUDA graph replays the same kernels on the same addresses, so the shape of a batch must be known
before its rows are. ``BatchShape`` is such a shape: a budget of T tokens and a number of rows. What
a batch lacks is filled with *stand-ins*: rows of pad tokens without a label, each one token long
except the last, which is as long as necessary. Attention does not cross rows, and a row without a
label has no loss, so stand-ins change neither loss nor gradient.

Only the row numbers of a batch come from the host. Tokens, bounds, positions and labels are
gathered on the device, by kernels of static shape.

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
from warmstart.models.packed.packing import Packing, rows_of_similar_length, without_rectangles

MAX_SHAPES = 8
"""Largest number of shapes; each is captured before training."""

DISTINCT_BUDGETS = 512
"""Largest number of different budgets among which the best few are chosen."""


@dataclass(frozen=True, slots=True)
class BatchShape:
    """The shape of the batches that one graph runs.

    Args:
        tokens: T, a multiple of 8, for which the matrix units of GPUs are fastest.
        rows: R, one more than the rows of a full batch.
        longest: Largest length of a row in tokens, stand-ins included.
    """

    tokens: int
    rows: int
    longest: int

    def holds(self, tokens: int, rows: int) -> bool:
        """Whether a batch of this many real tokens and rows can be filled up to this shape."""
        return rows < self.rows and tokens + self.rows - rows <= self.tokens


def shapes_for(totals: Ints, rows: Ints, longest: int) -> list[BatchShape]:
    """Choose a few shapes that fit all given batches with the fewest stand-in tokens.

    Args:
        totals: Number of real tokens of each batch, int64 [K].
        rows: Number of rows of each batch, int64 [K].
        longest: Number of tokens of the longest row.

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
    chosen = [int(budgets[group].max()) for group in rows_of_similar_length(budgets, MAX_SHAPES)]
    # The last stand-in is at most as long as the gap to the next smaller shape: a batch that lacks
    # more tokens fits that one.
    gaps = np.diff([0, *chosen]).tolist()
    return [
        BatchShape(budget, most + 1, max(longest, gap))
        for budget, gap in zip(chosen, gaps, strict=True)
    ]


def smallest_shape(shapes: Sequence[BatchShape], tokens: int, rows: int) -> BatchShape | None:
    """The first of ``shapes`` that fits a batch of this many real tokens and rows."""
    return next((shape for shape in shapes if shape.holds(tokens, rows)), None)


def resident_bytes(examples: Examples) -> int:
    """Memory in bytes that ``Resident`` needs on the device."""
    rows = examples.tokens
    types = rows.token_type_ids
    tokens = rows.input_ids.nbytes + (0 if types is None else types.nbytes)
    return tokens + 3 * rows.rows.nbytes


class Resident:
    """A split on the device; row N is the stand-in.

    Args:
        examples: The split.
        pad_token_id: The token of stand-ins.
        device: Device of the model.
    """

    def __init__(self, examples: Examples, pad_token_id: int, device: torch.device) -> None:
        def there(values: np.ndarray, last: int) -> Tensor:
            return torch.from_numpy(np.append(values, values.dtype.type(last))).to(device)

        tokens, types = examples.tokens, examples.tokens.token_type_ids
        labels = of_kind(examples.targets, RowTargets).values
        self.stand_in = len(examples)
        # [N + 1]: the last offset is where the token of the stand-in is appended.
        self._starts = torch.from_numpy(tokens.offsets).to(device)
        self._lengths = there(tokens.lengths, 1)
        self._labels = there(labels, NO_LABEL)
        self._ids = there(tokens.input_ids, pad_token_id)
        self._types = None if types is None else there(types, 0)

    def numbers(self, rows: Ints, shape: BatchShape) -> Tensor:
        """Row numbers on the host, followed by stand-ins: int64 [R].

        Args:
            rows: Positions in the split, at most R - 1.
            shape: A shape that fits them.
        """
        missing = shape.rows - len(rows)
        return torch.from_numpy(np.pad(rows, (0, missing), constant_values=self.stand_in))

    def batch(self, numbers: Tensor, shape: BatchShape) -> tuple[Batch, Packing]:
        """The batch of these rows, and its layout, without any synchronisation with the host.

        Args:
            numbers: From ``numbers``, on the device.
            shape: A shape that fits them.

        Returns:
            A batch with the fields that a model and a loss use. The fields that only the host uses
            (``offsets``, ``rows``, ``truncated``, ``count``) are empty: a replay could not update
            them.
        """
        ends = self._lengths[numbers].cumsum(0)
        total = ends.new_full((1,), shape.tokens)
        bounds = torch.cat([ends.new_zeros(1), ends[:-1], total])
        place = torch.arange(shape.tokens, device=numbers.device)
        row = torch.searchsorted(bounds[1:], place, right=True)
        # All tokens of a stand-in are at position 0: it may be longer than the position table.
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

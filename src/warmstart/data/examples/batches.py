"""Examples (tokens and targets of a split) and batches of them, as tensors.

A batch is *packed*: it contains only real tokens, its rows end to end, and the offset of each row.
If a model needs padding, ``Batch.padded`` adds it. In this example there are three texts of 4, 3
and 5 tokens; the second and the third form a batch:

>>> import numpy as np
>>> from warmstart.data.examples.targets import RowTargets
>>> tokens = Tokens(
...     input_ids=np.array([101, 5, 6, 102, 101, 7, 102, 101, 8, 9, 9, 102], dtype=np.int32),
...     offsets=np.array([0, 4, 7, 12]),
...     rows=np.array([0, 1, 2]),
...     full_lengths=np.array([4, 3, 5]),
... )
>>> examples = Examples(tokens, RowTargets(np.array([1, 0, 1])))
>>> batch = collate(examples, np.array([1, 2]))
>>> batch.input_ids.tolist()  # [T]: the rows end to end
[101, 7, 102, 101, 8, 9, 9, 102]
>>> batch.offsets.tolist()  # [B + 1]: row 0 is tokens 0 to 3, row 1 is tokens 3 to 8
[0, 3, 8]
>>> batch.targets.values.tolist(), batch.count  # [B], and the number of labels in the loss
([0, 1], 2)
>>> batch.padded(pad_token_id=0)["input_ids"].tolist()  # [B, L]
[[101, 7, 102, 0, 0], [101, 8, 9, 9, 102]]

Letters: N rows of a split, B rows of a batch, T tokens, L padded length, H hidden width.

Source: Krell et al. 2021, arXiv:2107.02027 (packing without cross-contamination).
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from warmstart.data.examples.masking import FIXED, Draw
from warmstart.data.examples.targets import BatchTargets, NoBatchTargets, NoTargets, Targets
from warmstart.data.examples.tokens import Bools, Ints, Tokens, window_bounds

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Computed(NamedTuple):
    """Outputs of the frozen part of a model, computed once (``models.tuning.features``)."""

    values: Any
    """float32: the hidden states of all tokens end to end, [T, H], or one vector for each row (or
    window), [N, H]. In ``Examples`` a numpy array, possibly memory-mapped; in a ``Batch`` a
    tensor."""
    layers: int
    """Number of layers that were run."""
    by_row: bool
    """Whether there is one vector for each row (or window)."""


class Sampled(Protocol):
    """Rows whose tokens are put together anew in every epoch of training."""

    @property
    def input_ids(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Every token id that the rows of an epoch can have, int32."""
        ...

    def examples(self, draw: Draw) -> "Examples":
        """The N rows of an epoch, in the same order.

        Args:
            draw: seed and epoch.
        """
        ...


@dataclass(frozen=True, slots=True)
class Examples:
    """The tokenised rows of one split and their targets.

    Args:
        tokens: the N rows.
        targets: their targets, in the same order.
        computed: outputs of the frozen part of the model, if they were computed before.
        notes: what tokenising changed, for the findings, one sentence each.
        sampled: makes the rows of each epoch; None if all epochs have the same rows. The rows
            themselves are then those of an evaluation.
    """

    tokens: Tokens
    targets: Targets
    computed: Computed | None = None
    notes: tuple[str, ...] = ()
    sampled: Sampled | None = None

    def of_epoch(self, draw: Draw) -> "Examples":
        """The rows of an epoch of training; the same object if all epochs have the same rows.

        Args:
            draw: seed and epoch.
        """
        return self if self.sampled is None else self.sampled.examples(draw)

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.tokens)

    @property
    def rows(self) -> Ints:
        """Row ids, int64 [N]."""
        return self.tokens.rows

    @property
    def offsets(self) -> Ints:
        """Row i is tokens ``offsets[i]`` to ``offsets[i + 1]``, int64 [N + 1]."""
        return self.tokens.offsets

    @property
    def lengths(self) -> Ints:
        """Number of tokens of each row that the model gets, int64 [N]."""
        return self.tokens.lengths

    @property
    def truncated(self) -> Bools:
        """Whether the model gets only the beginning of each row, bool [N]."""
        return self.tokens.truncated

    def count_of(self, positions: Ints, draw: Draw = FIXED) -> int:
        """Number of labels that enter the loss, in the rows at these positions.

        Args:
            positions: positions of the rows, int64 [B].
            draw: seed and epoch, for targets that are sampled again in every epoch.
        """
        return self.targets.count(self.tokens, positions, draw)

    def as_windows(self) -> "Examples":
        """A row for each window, to be predicted; the same object if no row is cut."""
        if self.tokens.window_offsets is None:
            return self
        return Examples(self.tokens.as_windows(), NoTargets())

    @property
    def document_lengths(self) -> Ints:
        """Number of tokens of each table row without truncation, all its pieces together, [D]."""
        return self.targets.document_lengths(self.tokens)


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows, T tokens, packed.

    Args:
        input_ids: the rows' tokens end to end, int64 [T].
        offsets: row i is ``input_ids[offsets[i]:offsets[i + 1]]``, int64 [B + 1]; on the CPU,
            because shapes are computed there.
        rows: row ids, int64 [B].
        truncated: whether each row was truncated to the maximum length, bool [B].
        targets: the targets of these rows.
        token_type_ids: which text of its pair each token belongs to, int64 [T]; None means 0.
        computed: outputs of the frozen part of the model: [T, H], [B, H], or [V, H] with windows.
        window_offsets: as in ``Tokens``, int64 [V + 1]; None if no row is cut into windows.
    """

    input_ids: "Tensor"
    offsets: Ints
    rows: Ints
    truncated: Bools
    targets: BatchTargets
    token_type_ids: "Tensor | None" = None
    computed: Computed | None = None
    window_offsets: Ints | None = None

    def __len__(self) -> int:
        """Number of rows, B."""
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """Number of real tokens, T."""
        return int(self.offsets[-1])

    @property
    def count(self) -> int:
        """Number of labels that enter the loss."""
        return self.targets.count

    @property
    def asked(self) -> "Tensor | None":
        """Indices of the tokens that the head reads, int64 [A]; None if it reads rows."""
        return self.targets.asked

    @property
    def window_counts(self) -> Ints:
        """Number of windows of each row, int64 [B]; 1 for a row that is not cut."""
        return np.diff(window_bounds(self.offsets, self.window_offsets))

    def as_windows(self) -> "Batch":
        """A batch with a row for each window, to be predicted; the same object without windows."""
        if self.window_offsets is None:
            return self
        return replace(
            self,
            offsets=self.window_offsets,
            rows=np.repeat(self.rows, self.window_counts),
            truncated=np.repeat(self.truncated, self.window_counts),
            targets=NoBatchTargets(),
            window_offsets=None,
        )

    def to(self, device: "torch.device") -> "Batch":
        """The same batch with its tensors on ``device``."""
        types, computed = self.token_type_ids, self.computed
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=True),
            targets=self.targets.to(device),
            token_type_ids=None if types is None else types.to(device, non_blocking=True),
            computed=computed
            and computed._replace(values=computed.values.to(device, non_blocking=True)),
        )

    def padded(self, pad_token_id: int) -> dict[str, "Tensor"]:
        """The padded tensors for a Transformers model.

        Args:
            pad_token_id: fills short rows; the attention mask hides it.

        Returns:
            ``input_ids`` int64 [B, L], ``attention_mask`` int64 [B, L] (1 at real tokens), and, if
            the batch has them, ``token_type_ids`` int64 [B, L] (0 in padding).
        """
        import torch

        lengths = torch.from_numpy(np.diff(self.offsets)).to(self.input_ids.device)
        width = int(np.diff(self.offsets).max())
        mask = torch.arange(width, device=lengths.device) < lengths[:, None]  # bool [B, L]
        ids = torch.full(mask.shape, pad_token_id, dtype=torch.int64, device=lengths.device)
        ids[mask] = self.input_ids  # real tokens in row order: [T] into [B, L]
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        if self.token_type_ids is not None:
            inputs["token_type_ids"] = torch.zeros_like(ids)
            inputs["token_type_ids"][mask] = self.token_type_ids
        return inputs


def collate(examples: Examples, positions: Ints, draw: Draw = FIXED) -> Batch:
    """The batch of the examples at these positions, in this order.

    Args:
        examples: one split.
        positions: positions of the rows, int64 [B].
        draw: seed and epoch, for targets that are sampled again in every epoch.
    """
    import torch

    tokens = examples.tokens
    places, offsets = tokens.places_of(positions)
    ids, targets = examples.targets.collate(tokens, positions, draw)
    types, computed = tokens.token_type_ids, examples.computed
    windows, window_offsets = tokens.windows_of(positions)
    if computed is not None:
        values = computed.values[windows if computed.by_row else places]
        computed = computed._replace(values=torch.from_numpy(values))
    return Batch(
        input_ids=torch.from_numpy(ids),
        offsets=offsets,
        rows=tokens.rows[positions],
        truncated=tokens.full_lengths[positions] > np.diff(offsets),
        targets=targets,
        token_type_ids=None if types is None else torch.from_numpy(types[places].astype(np.int64)),
        computed=computed,
        window_offsets=window_offsets,
    )


def split_batch(batch: Batch, pieces: int) -> list[Batch]:
    """Cut a batch into at most ``pieces`` batches of nearly equal row counts, in order.

    Rows of one group stay in one piece.
    """
    groups = batch.targets.groups
    bounds = np.arange(len(batch) + 1)
    if groups is not None:
        # A cut is possible only between rows of different groups.
        changes = np.flatnonzero(np.diff(groups)) + 1
        bounds = np.concatenate([[0], changes, [len(batch)]])
    most = min(pieces, len(bounds) - 1)
    chosen = bounds[np.linspace(0, len(bounds) - 1, most + 1).astype(int)].tolist()
    return [_rows_between(batch, start, stop) for start, stop in pairwise(chosen)]


def _rows_between(batch: Batch, start: int, stop: int) -> Batch:
    """The rows from ``start`` to ``stop - 1`` as a batch."""
    rows, offsets, cuts = slice(start, stop), batch.offsets, batch.window_offsets
    tokens = slice(offsets[start], offsets[stop])
    first, last = window_bounds(offsets, cuts)[[start, stop]].tolist()
    types, computed = batch.token_type_ids, batch.computed
    if computed is not None:
        chosen = slice(first, last) if computed.by_row else tokens
        computed = computed._replace(values=computed.values[chosen])
    return Batch(
        input_ids=batch.input_ids[tokens],
        offsets=offsets[start : stop + 1] - offsets[start],
        rows=batch.rows[rows],
        truncated=batch.truncated[rows],
        targets=batch.targets.piece(rows, offsets),
        token_type_ids=None if types is None else types[tokens],
        computed=computed,
        window_offsets=None if cuts is None else cuts[first : last + 1] - offsets[start],
    )

"""The targets of rows: one class for each kind of targets, and one for its form in a batch.

``Examples`` are tokens plus targets. A kind of targets defines how it becomes tensors
(``collate``), how many labels of some rows enter the loss (``count``), and which rows must stay in
one batch (``groups``). Its form in a batch can be moved to a device and cut into pieces. So the
loop, the batches and the evaluation do not depend on what is learned.

The kinds for rows are here, those for tokens and words in ``token_targets``, the one for both in
``masked_pairs``; a task may define its own in its own file.

=================  ==========================================  ============================
kind               learned from each row                       in a batch
=================  ==========================================  ============================
``NoTargets``      nothing: rows to predict                    ``NoBatchTargets``
``RowTargets``     a class, a number, or C labels              ``RowBatchTargets``
``ListTargets``    a grade; rows of a list are compared        ``RowBatchTargets``
``NextTokens``     the token after each token                  ``TokenBatchTargets``
``HiddenTokens``   the tokens behind masks                     ``TokenBatchTargets``
``MaskedPairs``    these, and the label of a pair              ``MaskedPairBatchTargets``
``WordTags``       a class for the first token of each word    ``WordBatchTargets``
=================  ==========================================  ============================

Letters: N rows, B rows of a batch, T tokens, A tokens that the head reads, C classes.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np

from warmstart.data.examples.masking import Draw
from warmstart.data.examples.tokens import Ints, Tokens

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NO_LABEL = -100
"""Target of a token or row that does not enter the loss; the default ``ignore_index`` of
``torch.nn.functional.cross_entropy``."""

NO_GROUP = -1
"""Group number of a row that is not compared with any other and adds nothing to the loss."""


class BatchTargets(Protocol):
    """The targets of B rows, as tensors."""

    @property
    def count(self) -> int:
        """Number of labels that enter the loss.

        Known before the model runs, so that the loss of several batches is divided once, by the sum
        of their counts.
        """
        ...

    @property
    def asked(self) -> "Tensor | None":
        """Indices of the tokens that the head reads, int64 [A]; None if it reads rows."""
        ...

    @property
    def groups(self) -> Ints | None:
        """As ``Targets.groups``, int64 [B]."""
        ...

    def to(self, device: "torch.device") -> Self:
        """The same targets on ``device``."""
        ...

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive rows of the batch.

        Args:
            rows: which rows.
            offsets: the offsets of the whole batch: row i is tokens ``offsets[i]`` to
                ``offsets[i + 1] - 1``, int64 [B + 1].
        """
        ...


class Targets(Protocol):
    """The targets of the N rows of one split, in their order."""

    @property
    def groups(self) -> Ints | None:
        """A group number for each row, int64 [N]; None if rows are independent.

        Rows with the same number stay in one batch, one process and one piece; ``NO_GROUP`` marks
        rows that add nothing to the loss.
        """
        ...

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of labels that enter the loss, in the rows at these positions.

        Args:
            tokens: the rows.
            positions: positions of the rows, int64 [B].
            draw: seed and epoch, for targets that are sampled again in every epoch.
        """
        ...

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, BatchTargets]:
        """The token ids for the model, int64 [T], and the targets of these rows.

        Args:
            tokens: the rows.
            positions: positions of the rows, int64 [B].
            draw: seed and epoch, for targets that are sampled again in every epoch.
        """
        ...

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each table row without truncation, int64 [D].

        The rows of one document are added up; tokens repeated between them count once.
        """
        ...


Kind = TypeVar("Kind")


def of_kind(targets: Targets | BatchTargets, kind: type[Kind]) -> Kind:
    """Check that targets have the kind that a task's loss or scores need, and return them.

    Raises:
        TypeError: they have another kind; the batch was made for another task.
    """
    if not isinstance(targets, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(targets).__name__}")
    return targets


def plain_ids(tokens: Tokens, positions: Ints) -> Ints:
    """Token ids of some rows end to end, without masking, int64 [T]."""
    return tokens.input_ids[tokens.places_of(positions)[0]].astype(np.int64)


@dataclass(frozen=True, slots=True)
class NoBatchTargets:
    """Rows of a batch that are only predicted."""

    count: int = 0
    asked: "Tensor | None" = None
    groups: Ints | None = None

    def to(self, device: "torch.device") -> Self:
        """The same."""
        return self

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The same."""
        return self


@dataclass(frozen=True, slots=True)
class NoTargets:
    """Rows that are only predicted."""

    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """0: no label enters the loss."""
        return 0

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, NoBatchTargets]:
        """The token ids unchanged, and no targets."""
        return plain_ids(tokens, positions), NoBatchTargets()

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each row without truncation."""
        return tokens.full_lengths


@dataclass(frozen=True, slots=True)
class RowBatchTargets:
    """Targets of B rows.

    Args:
        values: int64 [B], float32 [B], or float32 [B, C].
        count: number of labels that enter the loss; for lists, the number of lists.
        groups: the list of each row, int64 [B]; None if each row is learned alone.
    """

    values: "Tensor"
    count: int
    groups: Ints | None = None
    asked: "Tensor | None" = None

    def to(self, device: "torch.device") -> Self:
        """The same targets with ``values`` on ``device``."""
        return replace(self, values=self.values.to(device, non_blocking=True))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive rows."""
        values = self.values[rows]
        if self.groups is None:
            return replace(self, values=values, count=values.numel())
        groups = self.groups[rows]
        return replace(self, values=values, count=count_lists(groups), groups=groups)


@dataclass(frozen=True, slots=True)
class RowTargets:
    """One target for each row.

    Args:
        values: index of the class, int64 [N]; a number, float32 [N]; or, for C labels, 1 if the
            label applies and 0 if not, float32 [N, C].
    """

    values: np.ndarray[Any, np.dtype[Any]]
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """The number of rows, or of rows times C labels."""
        return int(self.values[positions].size)

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, RowBatchTargets]:
        """The token ids unchanged, and one target for each row."""
        import torch

        values = self.values[positions]
        batch = RowBatchTargets(torch.from_numpy(values), int(values.size))
        return plain_ids(tokens, positions), batch

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each row without truncation."""
        return tokens.full_lengths


@dataclass(frozen=True, slots=True)
class ListTargets:
    """A grade for each row, learned by comparing the rows of a list (a query's documents).

    Args:
        values: relevance grade, float32 [N].
        groups: the list of each row, numbered from 0, int64 [N]; ``NO_GROUP`` if all rows of a list
            have the same grade.
    """

    values: np.ndarray[Any, np.dtype[np.float32]]
    groups: Ints

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of lists whose rows have different grades."""
        return count_lists(self.groups[positions])

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, RowBatchTargets]:
        """The token ids unchanged, and a grade and a list number for each row."""
        import torch

        groups = self.groups[positions]
        values = torch.from_numpy(self.values[positions])
        batch = RowBatchTargets(values, count_lists(groups), groups)
        return plain_ids(tokens, positions), batch

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each row without truncation."""
        return tokens.full_lengths


def count_lists(groups: Ints) -> int:
    """Number of distinct lists among some rows, without ``NO_GROUP``.

    >>> count_lists(np.array([7, 7, NO_GROUP, 2]))
    2
    """
    return len(np.unique(groups[groups != NO_GROUP]))

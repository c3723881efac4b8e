"""Targets of question answering: the first and the last token of the answer in each window.

Each window is a row of the examples. The head reads every token of it; the targets are positions in
the window. Position 0 (CLS) is the target of a window without the answer.

Letters: N questions, K contexts, V windows, B windows of a batch, T tokens.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from warmstart.data.answers.contexts import Contexts
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.targets import NO_LABEL, plain_ids
from warmstart.data.examples.token_targets import lengths_of_documents
from warmstart.data.examples.tokens import Ints, Tokens

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """The contexts of N questions and the places of their tokens.

    Args:
        rows: row ids, int64 [N].
        contexts: the contexts.
        starts: first character of each token of all K contexts, in its context, without white
            space, int32.
        ends: the index after its last character, int32.
    """

    rows: Ints
    contexts: Contexts
    starts: np.ndarray[Any, np.dtype[np.int32]]
    ends: np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class ContextWindows:
    """Which part of its context each of V windows has.

    Args:
        questions: position of its question, from 0 to N - 1, int64 [V].
        first: index of its first context token among those of all contexts, int64 [V].
        begins: position of that token in the window, int64 [V].
        counts: number of its context tokens, int64 [V].
    """

    questions: Ints
    first: Ints
    begins: Ints
    counts: Ints

    def taken(self, positions: Ints | slice) -> "ContextWindows":
        """Some windows.

        Args:
            positions: positions of the windows, or a slice of them.
        """
        return ContextWindows(
            self.questions[positions],
            self.first[positions],
            self.begins[positions],
            self.counts[positions],
        )


@dataclass(frozen=True, slots=True)
class AnswerBatchTargets:
    """The targets of B windows.

    Args:
        asked: every token of the batch, int64 [T].
        values: position of the answer's first and last token in each window, 0 for a window without
            the answer, or ``NO_LABEL``, int64 [B, 2].
        windows: the windows.
        source: contexts and their tokens.
        count: number of windows with targets.
    """

    asked: "Tensor"
    values: "Tensor"
    windows: ContextWindows
    source: QuestionTokens
    count: int
    groups: Ints | None = None

    def to(self, device: "torch.device") -> Self:
        """The same targets with their tensors on ``device``."""
        asked = self.asked.to(device, non_blocking=True)
        return replace(self, asked=asked, values=self.values.to(device, non_blocking=True))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive windows."""
        values = self.values[rows]
        return replace(
            self,
            asked=self.asked[: int(offsets[rows.stop] - offsets[rows.start])],
            values=values,
            windows=self.windows.taken(rows),
            count=int((values[:, 0] != NO_LABEL).sum()),
        )


@dataclass(frozen=True, slots=True)
class AnswerTargets:
    """The targets of V windows.

    Args:
        values: as in ``AnswerBatchTargets``, int64 [V, 2].
        windows: the windows.
        source: contexts and their tokens.
        repeated: number of tokens of each window that the window before it has already, int64 [V].
    """

    values: Ints
    windows: ContextWindows
    source: QuestionTokens
    repeated: Ints
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of windows with targets."""
        return int(np.count_nonzero(self.values[positions, 0] != NO_LABEL))

    def collate(
        self, tokens: Tokens, positions: Ints, draw: Draw
    ) -> tuple[Ints, AnswerBatchTargets]:
        """The token ids unchanged, and the targets of these windows."""
        import torch

        ids, values = plain_ids(tokens, positions), self.values[positions]
        batch = AnswerBatchTargets(
            asked=torch.arange(len(ids)),
            values=torch.from_numpy(values),
            windows=self.windows.taken(positions),
            source=self.source,
            count=int(np.count_nonzero(values[:, 0] != NO_LABEL)),
        )
        return ids, batch

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each question with its context, all its windows together, [N]."""
        return lengths_of_documents(tokens, self.repeated)

    def read_tokens(self, tokens: Tokens, positions: Ints) -> tuple[Ints, Ints, Ints]:
        """Every token of these windows; see ``ReadsTokens``."""
        places, offsets = tokens.places_of(positions)
        counts = np.diff(offsets)
        return places, np.arange(len(places)) - np.repeat(offsets[:-1], counts), counts

    def taken(self, positions: Ints) -> "AnswerTargets":
        """A copy with only these windows, in this order.

        Args:
            positions: positions of the windows, int64 [B].
        """
        return AnswerTargets(
            self.values[positions],
            self.windows.taken(positions),
            self.source,
            self.repeated[positions],
        )

"""Targets of BERT's pretraining: the tokens behind masks, and the label of each pair of segments.

The loss of a batch is divided by the number of its masked tokens, as in fill-mask. The loss of the
labels is therefore multiplied by the mean number of masked tokens in a row, so that both losses
have the same weight, as in BERT. This number is the same for all batches of an epoch: the sum over
batches does not depend on how the rows are distributed over them.

Letters: N rows, B rows of a batch, T tokens.

Source: Devlin et al. 2019, arXiv:1810.04805, appendix A.2: "the sum of the mean masked LM
likelihood and the mean next sentence prediction likelihood".
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from warmstart.data.examples.masking import FIXED, Draw, Masking
from warmstart.data.examples.targets import RowBatchTargets, RowTargets
from warmstart.data.examples.token_targets import HiddenTokens, TokenBatchTargets
from warmstart.data.examples.tokens import Bools, Ints, Tokens

if TYPE_CHECKING:
    import torch

_SAMPLE = 1000
"""Number of rows from which the mean number of masked tokens is computed."""


@dataclass(frozen=True, slots=True)
class MaskedPairBatchTargets:
    """Targets of B pairs.

    Args:
        tokens: the tokens behind masks.
        labels: the label of each pair, int64 [B].
        label_weight: factor of the loss of the labels.
    """

    tokens: TokenBatchTargets
    labels: RowBatchTargets
    label_weight: float
    asked: "torch.Tensor | None" = None
    groups: Ints | None = None

    @property
    def count(self) -> int:
        """Number of masked tokens."""
        return self.tokens.count

    def to(self, device: "torch.device") -> Self:
        """The same targets on ``device``."""
        return replace(self, tokens=self.tokens.to(device), labels=self.labels.to(device))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The targets of consecutive rows."""
        tokens, labels = self.tokens.piece(rows, offsets), self.labels.piece(rows, offsets)
        return replace(self, tokens=tokens, labels=labels)


@dataclass(frozen=True, slots=True)
class MaskedPairs:
    """The tokens behind masks and the labels of N pairs.

    Args:
        hidden: the tokens behind masks.
        labels: the label of each pair, int64 [N].
        label_weight: factor of the loss of the labels.
    """

    hidden: HiddenTokens
    labels: RowTargets
    label_weight: float
    groups: Ints | None = None

    @classmethod
    def of(cls, tokens: Tokens, classes: Ints, begins_word: Bools | None, masking: Masking) -> Self:
        """The targets of tokenised pairs.

        Args:
            tokens: the N pairs.
            classes: their labels, int64 [N].
            begins_word: whether each token begins a word, bool [T]; None to mask single tokens.
            masking: how tokens are selected and replaced.
        """
        zeros = np.zeros(len(tokens), np.int64)
        # The first token is special; the bytes of the text are not used.
        hidden = HiddenTokens(zeros + 1, zeros, masking, begins_word)
        some = np.unique(np.linspace(0, len(tokens) - 1, _SAMPLE).astype(np.int64))
        weight = hidden.count(tokens, some, FIXED) / len(some)
        return cls(hidden, RowTargets(classes), weight)

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """Number of tokens that are masked for this seed and epoch."""
        return self.hidden.count(tokens, positions, draw)

    def collate(
        self, tokens: Tokens, positions: Ints, draw: Draw
    ) -> tuple[Ints, MaskedPairBatchTargets]:
        """The token ids after masking; the original ids of the masked tokens, and the labels."""
        ids, hidden = self.hidden.collate(tokens, positions, draw)
        _, labels = self.labels.collate(tokens, positions, draw)
        return ids, MaskedPairBatchTargets(hidden, labels, self.label_weight)

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each pair without truncation."""
        return tokens.full_lengths

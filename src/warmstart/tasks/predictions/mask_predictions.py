"""The most probable tokens behind the masks of texts.

Letters: N texts, B texts of a batch, T tokens, A masks, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from warmstart.data.examples.masking import Draw
from warmstart.data.examples.targets import of_kind, plain_ids
from warmstart.data.examples.tokens import Bools, Ints, Tokens
from warmstart.tasks.predictions.row_order import joined_rows

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from warmstart.models.packed.token_logits import TokenLogits
    from warmstart.tasks.task import PredictedRows

MOST_PROBABLE = 5
"""Number of tokens that are reported for each mask."""


@dataclass(frozen=True, slots=True)
class MaskBatchTargets:
    """The positions of the masks of a batch.

    Args:
        masks: whether each token is a mask, bool [T].
        tokenizer: decodes the predicted tokens.
    """

    masks: "Tensor"
    tokenizer: Any
    count: int = 0
    asked: "Tensor | None" = None
    groups: Ints | None = None

    def to(self, device: "torch.device") -> Self:
        """The same targets with ``masks`` on ``device``."""
        return replace(self, masks=self.masks.to(device))

    def piece(self, rows: slice, offsets: Ints) -> Self:
        """The masks of consecutive rows."""
        return replace(self, masks=self.masks[offsets[rows.start] : offsets[rows.stop]])


@dataclass(frozen=True, slots=True)
class MaskPlaces:
    """Texts whose masks are to be filled: a kind of targets without labels.

    Args:
        mask_id: id of the mask token.
        tokenizer: decodes the predicted tokens.
    """

    mask_id: int
    tokenizer: Any
    groups: Ints | None = None

    def count(self, tokens: Tokens, positions: Ints, draw: Draw) -> int:
        """0: there are no labels."""
        return 0

    def collate(self, tokens: Tokens, positions: Ints, draw: Draw) -> tuple[Ints, MaskBatchTargets]:
        """The token ids unchanged, and the positions of the masks."""
        import torch

        ids = plain_ids(tokens, positions)
        return ids, MaskBatchTargets(torch.from_numpy(ids == self.mask_id), self.tokenizer)

    def document_lengths(self, tokens: Tokens) -> Ints:
        """Number of tokens of each row without truncation."""
        return tokens.full_lengths


@dataclass(frozen=True, slots=True)
class MaskPrediction:
    """The most probable tokens for the masks of one text."""

    row: int
    """Row id in its table."""
    masks: tuple[tuple[tuple[str, float], ...], ...]
    """For each mask, in order, tokens with their probabilities, the most probable first."""
    truncated: bool
    """Whether the model got only the beginning of the text; no mask is after that."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "masks": [[{"token", "probability"}, …], …], "truncated"}``."""
        masks = [
            [{"token": token, "probability": share} for token, share in mask] for mask in self.masks
        ]
        return {"row": self.row, "masks": masks, "truncated": self.truncated}

    def shown(self) -> str:
        """One line for each mask."""
        return "\n".join(
            "  ".join(f"{token} {share:.3f}" for token, share in mask) for mask in self.masks
        )


@dataclass(frozen=True, slots=True)
class MaskPredictions:
    """The most probable tokens for the masks of N texts.

    Args:
        masks: for each text its masks, each with its most probable tokens.
        rows: row ids, int64 [N].
        truncated: whether the model got only the beginning of each text, bool [N].
    """

    masks: tuple[tuple[tuple[tuple[str, float], ...], ...], ...]
    rows: Ints
    truncated: Bools

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order; see ``Predictions.joined``."""
        masks = [text for part in parts for text in part.masks]
        in_order = tuple(masks[index] for index in np.argsort(positions))
        return replace(joined_rows(parts, positions), masks=in_order)

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """``tokens`` and ``probabilities``: for each mask a list; and ``truncated``."""
        kind = pa.list_(pa.list_(pa.string()))
        numbers = pa.list_(pa.list_(pa.float64()))
        return {
            "tokens": pa.array([[[t for t, _ in m] for m in text] for text in self.masks], kind),
            "probabilities": pa.array(
                [[[share for _, share in m] for m in text] for text in self.masks], numbers
            ),
            "truncated": pa.array(self.truncated),
        }

    def __len__(self) -> int:
        """Number of texts, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> MaskPrediction:
        """The prediction at position ``index``."""
        row, truncated = int(self.rows[index]), bool(self.truncated[index])
        return MaskPrediction(row, self.masks[index], truncated)

    def __iter__(self) -> Iterator[MaskPrediction]:
        """Every prediction, one object at a time."""
        return map(self.__getitem__, range(len(self)))


def most_probable(logits: "TokenLogits", batch: "PredictedRows") -> MaskPredictions:
    """The most probable tokens at the masks of a batch.

    Args:
        logits: logits of the batch's T tokens.
        batch: a batch with ``MaskBatchTargets``.
    """
    targets = of_kind(batch.targets, MaskBatchTargets)
    # In float64, like the probabilities of labels; [A, V].
    shares = logits.at(targets.masks).double().softmax(-1)
    best = shares.topk(min(MOST_PROBABLE, shares.shape[-1]))
    tokens = [[targets.tokenizer.decode([token]).strip() for token in ids] for ids in best.indices]
    masks = [
        tuple(zip(*mask, strict=True)) for mask in zip(tokens, best.values.tolist(), strict=True)
    ]
    # Number of masks before each row of the batch, [B + 1].
    before = np.concatenate([[0], targets.masks.cumsum(0).cpu().numpy()])[batch.offsets].tolist()
    texts = tuple(tuple(masks[start:stop]) for start, stop in pairwise(before))
    return MaskPredictions(texts, batch.rows, batch.truncated)

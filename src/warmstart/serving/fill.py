"""Texts with masks in, the likeliest tokens for each mask out.

Letters: N masks of a batch, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from warmstart import errors
from warmstart.data.examples.batches import collate, evaluation_batches
from warmstart.data.examples.encode import NO_LABEL, encode
from warmstart.evaluation.evaluate import MAX_TOKENS_PER_BATCH
from warmstart.models.packed.forward import padded_forward
from warmstart.runs.loaded_run import LoadedRun
from warmstart.serving.predictor import refuse_unusable
from warmstart.serving.torch_engine import accelerator_for

LIKELIEST = 5
"""Tokens that are told of each mask."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What may stand behind the masks of one text."""

    row: int
    """Its place among the texts."""
    masks: tuple[tuple[tuple[str, float], ...], ...]
    """For each mask, in order, the likeliest tokens with their probabilities, likeliest first."""
    truncated: bool
    """Whether the model saw only the beginning of the text, and no mask after that."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "masks": [[{"token", "probability"}, …], …], "truncated"}``."""
        masks = [
            [{"token": token, "probability": share} for token, share in mask] for mask in self.masks
        ]
        return {"row": self.row, "masks": masks, "truncated": self.truncated}


@torch.no_grad()
def fill_masks(run: LoadedRun, texts: Sequence[str]) -> list[Filled]:
    """The likeliest tokens for each mask of each text, in order.

    Args:
        run: of the task ``fill-mask``.
        texts: each with the tokenizer's mask token (``[MASK]``, ``<mask>``), once or several times.

    Raises:
        DataError: a text is empty, no text, or has no mask; texts come as a single string.
    """
    refuse_unusable(texts, "text")
    tokenizer: Any = run.tokenizer
    for number, text in enumerate(texts, start=1):
        if tokenizer.mask_token not in text:
            which = f"text {number} of {len(texts)}"
            raise errors.data.no_mask(which, text, tokenizer.mask_token)
    if not texts:
        return []
    rows = np.arange(len(texts))
    none = np.full(len(texts), NO_LABEL)
    examples = encode(tokenizer, [list(texts)], none, rows, run.max_tokens)
    device = accelerator_for(run).device
    forward = padded_forward(run.model, run.task.head)
    found: dict[int, Filled] = {}
    budget = MAX_TOKENS_PER_BATCH.get(device.type, 8192)
    for positions in evaluation_batches(examples.lengths, budget):
        batch = collate(examples, positions).to(device)
        masks = batch.input_ids == tokenizer.mask_token_id
        # In float64, as the probabilities of labels are.
        shares = forward.run(run.model, batch).at(masks).double().softmax(-1)
        best = shares.topk(min(LIKELIEST, shares.shape[-1]))
        words = [[tokenizer.decode([token]).strip() for token in one] for one in best.indices]
        told = [
            tuple(zip(*one, strict=True)) for one in zip(words, best.values.tolist(), strict=True)
        ]
        upto = np.concatenate([[0], masks.cumsum(0).cpu().numpy()])[batch.offsets].tolist()
        for place, (position, here) in enumerate(
            zip(positions.tolist(), pairwise(upto), strict=True)
        ):
            masks_of = tuple(told[slice(*here)])
            found[position] = Filled(position, masks_of, bool(batch.truncated[place]))
    return [found[row] for row in range(len(texts))]

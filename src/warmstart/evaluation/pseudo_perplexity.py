"""Pseudo-perplexity: each token hidden alone, and asked for with all others in sight.

A row of n tokens takes n passes, so few rows are asked, chosen evenly over the split, and of a long
row few of its tokens, evenly again: about ``ROWS`` x ``ROW_TOKENS`` tokens pass through the model,
however long documents are. Computed at the end of a run, and not while it trains.

Letters: N rows asked, B passes of a row (one hidden token each), L its tokens.

Source: Salazar et al. 2020, "Masked language model scoring", arXiv:1910.14659, section 2.3.
"""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from warmstart.data.examples.batches import Batch
from warmstart.data.examples.encode import NO_LABEL, Examples, Ints
from warmstart.devices.processes import ALONE, Processes
from warmstart.metrics.language_metrics import PSEUDO_PERPLEXITY, ratios
from warmstart.metrics.scores import Score
from warmstart.models.packed.forward import Forward

ROWS = 64
"""Documents that are asked, of longer ones their first rows."""

ROW_TOKENS = 2048
"""Tokens that pass through the model for one row, passes times length; one pass at least."""


@torch.no_grad()
def pseudo_perplexity(
    model: Any,
    forward: Forward,
    examples: Examples,
    accelerator: Accelerator,
    processes: Processes = ALONE,
) -> Score:
    """Pseudo-perplexity of at most ``ROWS`` documents, with its interval over them.

    Args:
        model: on its device; its training mode is put back afterwards.
        forward: how to run it.
        examples: tokenised documents with ``masking``; one at least.
        accelerator: gives device and precision.
        processes: those that share the work; all of them call this, and all get the score.
    """
    was_training = model.training
    model.eval()
    documents = np.unique(examples.rows, return_index=True)[1]
    asked = documents[np.unique(np.linspace(0, len(documents) - 1, ROWS).astype(np.int64))]
    found: list[tuple[int, float, int]] = []
    for position in asked[processes.index :: processes.count].tolist():
        batch = one_hidden_each(examples, position).to(accelerator.device)
        with accelerator.autocast():
            logits = forward.run(model, batch)
        nats, _ = logits.losses(batch.targets)
        found.append((position, float(nats.double().sum()), batch.count))
    model.train(was_training)
    everything = sorted(row for part in processes.gather(found) for row in part)
    _, nats_of, tokens_of = zip(*everything, strict=True)
    sums = {"nats": np.array(nats_of), "tokens": np.array(tokens_of)}
    return ratios([PSEUDO_PERPLEXITY], sums).metrics[PSEUDO_PERPLEXITY.name]


def one_hidden_each(examples: Examples, position: int) -> Batch:
    """One row as a batch, again and again, each time with another token hidden.

    Args:
        examples: with ``masking``.
        position: of the row.
    """
    assert examples.masking is not None
    ids = examples[position].input_ids.astype(np.int64)
    places: Ints = np.flatnonzero(examples.masking.askable[ids])
    most = max(ROW_TOKENS // len(ids), 1)
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
    passes = np.arange(len(places))
    hidden, targets = np.tile(ids, (len(places), 1)), np.full((len(places), len(ids)), NO_LABEL)
    targets[passes, places] = ids[places]
    hidden[passes, places] = examples.masking.mask_id
    return Batch(
        input_ids=torch.from_numpy(hidden.ravel()),
        offsets=np.arange(len(places) + 1) * len(ids),
        labels=torch.full((len(places),), NO_LABEL),
        rows=np.full(len(places), examples.rows[position]),
        truncated=np.zeros(len(places), dtype=np.bool_),
        count=len(places),
        targets=torch.from_numpy(targets.ravel()),
    )

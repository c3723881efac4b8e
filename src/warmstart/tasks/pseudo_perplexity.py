"""Pseudo-perplexity: each token is hidden alone and predicted from all the others.

A row of n tokens needs n forward passes. Therefore only some rows, evenly spaced over the split,
are scored, and in a long row only some tokens, again evenly spaced: at most ``ROW_TOKENS``
tokens of a row pass through the model for documents of any length. Computed at the end of a run.

Letters: N rows scored, B passes of a row (one hidden token each), L its tokens.

Source: Salazar et al. 2020, "Masked language model scoring", arXiv:1910.14659, section 2.3.
"""

from typing import Any

import numpy as np
import torch

from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import NO_LABEL, of_kind
from warmstart.data.examples.token_targets import HiddenTokens, TokenBatchTargets
from warmstart.data.examples.tokens import Ints
from warmstart.devices.place import DeviceAndPrecision
from warmstart.devices.processes import ALONE, Processes
from warmstart.metrics.language_metrics import PSEUDO_PERPLEXITY, ratios
from warmstart.metrics.scores import Score
from warmstart.models.packed.forward import Forward

ROW_TOKENS = 2048
"""Tokens that pass through the model for one row: passes times length; at least one pass."""


@torch.no_grad()
def pseudo_perplexity(
    model: Any,
    forward: Forward,
    examples: Examples,
    place: DeviceAndPrecision,
    processes: Processes = ALONE,
    *,
    most_rows: int,
) -> Score:
    """Pseudo-perplexity of at most ``most_rows`` documents, with its interval over them.

    Args:
        model: on its device, in evaluation mode.
        forward: how the model is run.
        examples: at least one tokenised document, with ``HiddenTokens``.
        place: device and precision.
        processes: the processes that share the work; all of them call this and get the same score.
        most_rows: number of scored documents, evenly spaced; of a document that has several rows,
            the first is scored.
    """
    documents = np.unique(examples.rows, return_index=True)[1]
    scored = documents[np.unique(np.linspace(0, len(documents) - 1, most_rows).astype(np.int64))]
    own: list[tuple[int, float, int]] = []  # position, nats, tokens
    for position in scored[processes.index :: processes.count].tolist():
        batch = one_hidden_each(examples, position).to(place.device)
        with place.autocast():
            logits = forward.run(model, batch)
        nats, _ = logits.losses(of_kind(batch.targets, TokenBatchTargets).ids)
        own.append((position, float(nats.double().sum()), batch.count))
    # In row order, so that the sums do not depend on which process scored which row.
    everything = sorted(row for part in processes.gather(own) for row in part)
    _, nats_of, tokens_of = zip(*everything, strict=True)
    sums = {"nats": np.array(nats_of), "tokens": np.array(tokens_of)}
    return ratios([PSEUDO_PERPLEXITY], sums).metrics[PSEUDO_PERPLEXITY.name]


def one_hidden_each(examples: Examples, position: int) -> Batch:
    """Copies of one row as a batch, each with a different hidden token.

    Args:
        examples: examples with ``HiddenTokens``.
        position: position of the row.
    """
    masking = of_kind(examples.targets, HiddenTokens).masking
    ids = examples.tokens.ids_of(position).astype(np.int64)  # [L]
    places: Ints = np.flatnonzero(masking.askable[ids])
    most = max(ROW_TOKENS // len(ids), 1)
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
    passes = np.arange(len(places))
    hidden = np.tile(ids, (len(places), 1))  # [B, L]
    targets = np.full((len(places), len(ids)), NO_LABEL)
    targets[passes, places] = ids[places]
    hidden[passes, places] = masking.mask_id
    none = np.zeros(len(places), dtype=np.int64)
    return Batch(
        input_ids=torch.from_numpy(hidden.ravel()),
        offsets=np.arange(len(places) + 1) * len(ids),
        rows=np.full(len(places), examples.rows[position]),
        truncated=np.zeros(len(places), dtype=np.bool_),
        targets=TokenBatchTargets(torch.from_numpy(targets.ravel()), none, len(places)),
    )

"""How well a language model predicts documents: loss, perplexity, bits per byte.

All three are one ratio: nats spent on a split's documents, over their tokens or over the bytes of
their text. Loss and perplexity depend on how a tokenizer cuts text; bits per byte do not, and are
what models with different vocabularies can be compared by. The token that ends a document is
predicted like any other and counts among the nats and tokens; it spells no byte.

Intervals are over documents, which is what was sampled: tokens of one document are not independent.

Letters: D documents.

Source: Jurafsky & Martin 2025, Speech and Language Processing, section 3.3 (perplexity); Gao et al.
2020 (The Pile), arXiv:2101.00027, section 3.1 (bits per byte).
"""

import math

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    Ints,
    deal_units,
    percentile_interval,
    resampled_sums,
    sums_per_unit,
)
from warmstart.metrics.scores import Metric, Score, Scores

LOSS = Metric("loss", higher_is_better=False, title="Loss (nats/token)")
PERPLEXITY = Metric("perplexity", higher_is_better=False, title="Perplexity")
BITS_PER_BYTE = Metric("bits_per_byte", higher_is_better=False, title="Bits per byte")

LANGUAGE_METRICS = (BITS_PER_BYTE, LOSS, PERPLEXITY)
"""The main one first."""


def language_scores(nats: Floats, tokens: Ints, text_bytes: Ints) -> Scores:
    """Loss, perplexity and bits per byte of documents, with 95 % intervals over them.

    Args:
        nats: cross-entropy of each document, summed over its tokens, float64 [D].
        tokens: predicted in each, int64 [D].
        text_bytes: UTF-8 bytes that these tokens spell, int64 [D].

    >>> found = language_scores(np.array([8.0, 4.0]), np.array([4, 2]), np.array([10, 5]))
    >>> round(found.metrics["loss"].value, 3), round(found.metrics["bits_per_byte"].value, 3)
    (2.0, 1.154)
    """
    sums = _sums(nats, tokens, text_bytes)
    total, resampled = sums.sum(axis=0, keepdims=True), resampled_sums(sums)
    n = len(nats)
    metrics = {}
    for metric in LANGUAGE_METRICS:
        value = float(_value(metric, total)[0])
        low, high = percentile_interval(_value(metric, resampled)) if n > 1 else (None, None)
        known = None if math.isnan(value) else value
        metrics[metric.name] = Score(known, low, high, n, metric.higher_is_better)
    details = {"documents": n, "tokens": int(tokens.sum()), "bytes": int(text_bytes.sum())}
    return Scores(metrics, details)


def _sums(nats: Floats, tokens: Ints, text_bytes: Ints) -> Floats:
    """Each unit's nats, tokens and bytes, [U, 3]."""
    units = deal_units(len(nats))
    columns = np.zeros(len(nats), dtype=np.int64)
    return np.hstack(
        [
            sums_per_unit(units, columns, 1, values.astype(np.float64))
            for values in (nats, tokens, text_bytes)
        ]
    )


def _value(metric: Metric, sums: Floats) -> Floats:
    """A metric of each row of sums, [R]; NaN where nothing was predicted, or no byte spelt."""
    nats, tokens, text_bytes = sums.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if metric is BITS_PER_BYTE:
            found = nats / math.log(2) / text_bytes
        elif metric is PERPLEXITY:
            found = np.exp(nats / tokens)
        else:
            found = nats / tokens
    return np.where(np.isfinite(found), found, np.nan)

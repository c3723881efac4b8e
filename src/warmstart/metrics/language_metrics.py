"""How well a language model predicts documents: loss, perplexity, bits per byte, accuracy.

All are ratios: nats spent on a split's documents, over their tokens or over the bytes of
their text. Loss and perplexity depend on how a tokenizer cuts text; bits per byte do not, and are
what models with different vocabularies can be compared by. The token that ends a document is
predicted like any other and counts among the nats and tokens; it spells no byte.

Of a model that fills masks, tokens are those that were hidden: some of a row at once for the loss
and the accuracy, one at a time for *pseudo-perplexity*, which asks for each of them with all others
in sight and so for as many passes as a row has tokens.

Intervals are over documents, which is what was sampled: tokens of one document are not independent.

Letters: D documents.

Source: Jurafsky & Martin 2025, Speech and Language Processing, section 3.3 (perplexity); Gao et al.
2020 (The Pile), arXiv:2101.00027, section 3.1 (bits per byte); Salazar et al. 2020,
arXiv:1910.14659, section 2.3 (pseudo-perplexity).
"""

import math
from collections.abc import Mapping, Sequence

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

MASKED_ACCURACY = Metric("accuracy", higher_is_better=True, title="Accuracy")
PSEUDO_PERPLEXITY = Metric("pseudo_perplexity", higher_is_better=False, title="Pseudo-perplexity")

LANGUAGE_METRICS = (BITS_PER_BYTE, LOSS, PERPLEXITY)
"""Of a model that writes, the main one first."""

MASKED_METRICS = (LOSS, MASKED_ACCURACY)
"""Of a model that fills masks, the main one first."""

Sums = Mapping[str, Floats | Ints]
"""By name what was summed over the predicted tokens of each document, [D]."""


def language_scores(sums: Sums) -> Scores:
    """Bits per byte, loss and perplexity of documents, with 95 % intervals over them.

    Args:
        sums: ``nats``, ``tokens`` and ``bytes`` (UTF-8, of the text that these tokens spell).

    >>> found = language_scores(
    ...     {"nats": np.array([8.0, 4.0]), "tokens": np.array([4, 2]), "bytes": np.array([10, 5])}
    ... )
    >>> round(found.metrics["loss"].value, 3), round(found.metrics["bits_per_byte"].value, 3)
    (2.0, 1.154)
    """
    return ratios(LANGUAGE_METRICS, sums)


def masked_scores(sums: Sums) -> Scores:
    """Loss and accuracy at hidden tokens, with 95 % intervals over documents.

    Args:
        sums: ``nats``, ``tokens`` and ``correct`` (tokens that were found the likeliest).

    >>> found = masked_scores(
    ...     {"nats": np.array([8.0, 4.0]), "tokens": np.array([4, 2]), "correct": np.array([1, 2])}
    ... )
    >>> found.metrics["accuracy"].value
    0.5
    """
    return ratios(MASKED_METRICS, sums)


def ratios(metrics: Sequence[Metric], sums: Sums) -> Scores:
    """Metrics of documents, with 95 % intervals over them.

    Args:
        metrics: of this module.
        sums: what they are ratios of.
    """
    n = len(sums["tokens"])
    names, units = list(sums), deal_units(n)
    columns = np.zeros(n, dtype=np.int64)
    parts = np.hstack(
        [sums_per_unit(units, columns, 1, sums[name].astype(np.float64)) for name in names]
    )
    total = dict(zip(names, parts.sum(axis=0, keepdims=True).T, strict=True))
    resampled = dict(zip(names, resampled_sums(parts).T, strict=True))
    scores = {}
    for metric in metrics:
        value = float(_value(metric, total)[0])
        low, high = percentile_interval(_value(metric, resampled)) if n > 1 else (None, None)
        known = None if math.isnan(value) else value
        scores[metric.name] = Score(known, low, high, n, metric.higher_is_better)
    counts = {name: int(sums[name].sum()) for name in names if name != "nats"}
    return Scores(scores, {"documents": n, **counts})


def _value(metric: Metric, sums: Mapping[str, Floats]) -> Floats:
    """A metric of each set of sums, [R]; NaN where nothing was predicted, or no byte spelt."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if metric is BITS_PER_BYTE:
            found = sums["nats"] / math.log(2) / sums["bytes"]
        elif metric is MASKED_ACCURACY:
            found = sums["correct"] / sums["tokens"]
        elif metric is LOSS:
            found = sums["nats"] / sums["tokens"]
        else:
            found = np.exp(sums["nats"] / sums["tokens"])
    return np.where(np.isfinite(found), found, np.nan)

"""Scores of language models: loss, perplexity, bits per byte and accuracy.

All metrics are ratios: the total loss in nats on the documents of a split, divided by their number
of tokens or by the number of bytes of their text. Loss and perplexity depend on the tokenizer. Bits
per byte do not; use them to compare models with different vocabularies. The end-of-text token is
predicted like any other token and counts in the nats and tokens, but has no bytes.

For a masked language model, the tokens are the masked tokens. For loss and accuracy, some tokens of
a row are masked at once. For *pseudo-perplexity*, each token is masked separately, which needs as
many forward passes as the row has tokens.

Intervals are over documents, because the tokens of one document are not independent.

D: documents.

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
    UnitSums,
    assign_units,
    scores_of_sums,
    values_per_unit,
)
from warmstart.metrics.scores import Metric, Scores

LOSS = Metric("loss", higher_is_better=False, title="Loss (nats/token)")
PERPLEXITY = Metric("perplexity", higher_is_better=False, title="Perplexity")
BITS_PER_BYTE = Metric("bits_per_byte", higher_is_better=False, title="Bits per byte")

MASKED_ACCURACY = Metric("accuracy", higher_is_better=True, title="Accuracy")
PSEUDO_PERPLEXITY = Metric("pseudo_perplexity", higher_is_better=False, title="Pseudo-perplexity")

LANGUAGE_METRICS = (BITS_PER_BYTE, LOSS, PERPLEXITY)
"""Metrics of a causal language model, the main metric first."""

MASKED_METRICS = (LOSS, MASKED_ACCURACY)
"""Metrics of a masked language model, the main metric first."""

Sums = Mapping[str, Floats | Ints]
"""Name -> sums over the predicted tokens of each document [D]."""


def language_scores(sums: Sums) -> Scores:
    """Bits per byte, loss and perplexity, with 95 % intervals over documents.

    Args:
        sums: ``nats``, ``tokens`` and ``bytes`` (UTF-8 bytes of the text of these tokens).

    >>> scores = language_scores(
    ...     {"nats": np.array([8.0, 4.0]), "tokens": np.array([4, 2]), "bytes": np.array([10, 5])}
    ... )
    >>> round(scores.metrics["loss"].value, 3), round(scores.metrics["bits_per_byte"].value, 3)
    (2.0, 1.154)
    """
    return ratios(LANGUAGE_METRICS, sums)


def masked_scores(sums: Sums) -> Scores:
    """Loss and accuracy on masked tokens, with 95 % intervals over documents.

    Args:
        sums: ``nats``, ``tokens`` and ``correct`` (number of correctly predicted tokens).

    >>> scores = masked_scores(
    ...     {"nats": np.array([8.0, 4.0]), "tokens": np.array([4, 2]), "correct": np.array([1, 2])}
    ... )
    >>> scores.metrics["accuracy"].value
    0.5
    """
    return ratios(MASKED_METRICS, sums)


def ratios(metrics: Sequence[Metric], sums: Sums) -> Scores:
    """Metrics with 95 % intervals over documents.

    Args:
        metrics: metrics of this module.
        sums: the sums that these metrics need.
    """
    counts = {name: int(sums[name].sum()) for name in sums if name != "nats"}
    found = ratio_sums(metrics, sums)
    return Scores(scores_of_sums(metrics, found), {"documents": found.n, **counts})


def ratio_sums(metrics: Sequence[Metric], sums: Sums) -> UnitSums:
    """The sums of each unit of documents from which the metrics follow, a column for each sum.

    Args:
        metrics: metrics of this module.
        sums: the sums that these metrics need.
    """
    n = len(sums["tokens"])

    def statistics(totals: Floats) -> dict[str, Floats]:
        named = dict(zip(sums, totals.T, strict=True))
        return {metric.name: _value(metric, named) for metric in metrics}

    return UnitSums(values_per_unit(sums.values(), assign_units(n)), statistics, n)


def _value(metric: Metric, sums: Mapping[str, Floats]) -> Floats:
    """The metric for each row of sums [R]; NaN if there are no predicted tokens or no bytes."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if metric is BITS_PER_BYTE:
            values = sums["nats"] / math.log(2) / sums["bytes"]
        elif metric is MASKED_ACCURACY:
            values = sums["correct"] / sums["tokens"]
        elif metric is LOSS:
            values = sums["nats"] / sums["tokens"]
        else:
            values = np.exp(sums["nats"] / sums["tokens"])
    return np.where(np.isfinite(values), values, np.nan)

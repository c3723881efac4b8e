"""Scores of BERT's pretraining: masked words and next sentences, each with its own mean.

``loss`` is the sum of the two losses, as in the paper: nats per masked token plus nats per pair.
All metrics follow from sums over documents, over which their intervals are.

D: documents.

Source: Devlin et al. 2019, arXiv:1810.04805, appendix A.2.
"""

from collections.abc import Mapping

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

PRETRAINING_METRICS = (
    Metric("loss", higher_is_better=False, title="Loss (sum of both, nats)"),
    Metric("masked_loss", higher_is_better=False, title="Masked words: loss (nats/token)"),
    Metric("masked_accuracy", higher_is_better=True, title="Masked words: accuracy"),
    Metric("next_sentence_loss", higher_is_better=False, title="Next sentence: loss (nats/pair)"),
    Metric("next_sentence_accuracy", higher_is_better=True, title="Next sentence: accuracy"),
)
"""Metrics of BERT's pretraining, the main metric first."""

SUMS = ("nats", "correct", "tokens", "pair_nats", "pair_correct", "pairs")
"""The sums from which they follow: over masked tokens, and over pairs."""


def pretraining_scores(sums: Mapping[str, Floats | Ints], documents: Ints) -> Scores:
    """Every metric with its 95 % interval over documents.

    Args:
        sums: for each name in ``SUMS``, the sum over each row, [N].
        documents: the document of each row, a number from 0, int64 [N].

    >>> sums = {"nats": [8.0, 4.0], "correct": [1, 2], "tokens": [4, 2]}
    >>> sums |= {"pair_nats": [0.5, 1.5], "pair_correct": [1, 0], "pairs": [1, 1]}
    >>> scores = pretraining_scores({k: np.array(v) for k, v in sums.items()}, np.array([0, 1]))
    >>> {name: score.value for name, score in scores.metrics.items() if "loss" in name}
    {'loss': 3.0, 'masked_loss': 2.0, 'next_sentence_loss': 1.0}
    """
    found = pretraining_sums(sums, documents)
    counts = {name: int(np.sum(sums[name])) for name in ("tokens", "pairs")}
    details = {"documents": found.n, **counts}
    return Scores(scores_of_sums(PRETRAINING_METRICS, found), details)


def pretraining_sums(sums: Mapping[str, Floats | Ints], documents: Ints) -> UnitSums:
    """The sums of each unit of documents, a column for each name in ``SUMS``.

    Args:
        sums: as for ``pretraining_scores``.
        documents: as for ``pretraining_scores``.
    """
    n = int(documents.max(initial=-1)) + 1
    values = values_per_unit([sums[name] for name in SUMS], assign_units(n)[documents])
    return UnitSums(values, _metrics, n)


def _metrics(totals: Floats) -> dict[str, Floats]:
    """All metrics from rows of sums [R, 6]; NaN where undefined."""
    nats, correct, tokens, pair_nats, pair_correct, pairs = totals.T
    with np.errstate(divide="ignore", invalid="ignore"):
        masked, of_pairs = nats / tokens, pair_nats / pairs
        values = (masked + of_pairs, masked, correct / tokens, of_pairs, pair_correct / pairs)
    return {
        metric.name: np.where(np.isfinite(value), value, np.nan)
        for metric, value in zip(PRETRAINING_METRICS, values, strict=True)
    }

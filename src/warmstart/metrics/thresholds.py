"""The threshold of a classifier of two classes, or of one label, that is best on given rows.

Accuracy asks for the likelier class; a correlation or F1 on uneven classes is mostly higher with
another threshold. It is chosen on the validation rows, so the score *there* is a little too good;
the test score is not.

Letters: N rows, T thresholds.

Source: Lipton, Elkan & Naryanaswamy 2014, arXiv:1402.1892 (the best threshold for F1).
"""

import numpy as np

from warmstart.metrics.classification_metrics import matthews_correlation
from warmstart.metrics.intervals import Floats, Ints

THRESHOLD_METRICS = ("matthews_correlation", "accuracy", "macro_f1", "weighted_f1")
"""Metrics that a threshold moves."""


def best_threshold(shares: Floats, targets: Ints, metric: str) -> float:
    """From which probability on to answer the second class.

    Args:
        shares: probability of the second class, float64 [N].
        targets: the true class of each row, 0 or 1, int64 [N].
        metric: of ``THRESHOLD_METRICS``, or ``f1``, that of the second class.

    Returns:
        Of equally good thresholds that nearest one half; one half where no metric is defined.

    >>> best_threshold(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1]), "accuracy")
    0.25
    """
    found = np.unique(shares)
    thresholds = np.append((found[1:] + found[:-1]) / 2, 0.5)
    first, second = (np.sort(shares[targets == index]) for index in (0, 1))
    values = _metric(thresholds, first, second, metric)
    if np.isnan(values).all():
        return 0.5
    best = thresholds[values == np.nanmax(values)]
    return float(best[np.abs(best - 0.5).argmin()])


def _metric(thresholds: Floats, of_first: Floats, of_second: Floats, metric: str) -> Floats:
    """The metric at each threshold, float64 [T], from each true class's sorted probabilities."""
    true = np.tile([len(of_first), len(of_second)], (len(thresholds), 1)).astype(np.float64)
    kept = np.searchsorted(of_first, thresholds).astype(np.float64)
    missed = np.searchsorted(of_second, thresholds).astype(np.float64)
    hits = np.stack([kept, true[:, 1] - missed], axis=1)
    predicted = np.stack([kept + missed, true.sum(axis=1) - kept - missed], axis=1)
    if metric == "matthews_correlation":
        return matthews_correlation(true, predicted, hits)
    if metric == "accuracy":
        return np.asarray(hits.sum(axis=1) / true.sum(axis=1))
    with np.errstate(invalid="ignore"):  # a class that is neither there nor answered
        f1 = 2 * hits / (true + predicted)
    if metric == "f1":
        return np.asarray(f1[:, 1])
    weights = true if metric == "weighted_f1" else np.ones_like(true)
    return np.asarray((f1 * weights).sum(axis=1) / weights.sum(axis=1))

"""Choose the best decision threshold of a binary classifier, or of one label, on given rows.

For accuracy, predicting the more likely class is best. With imbalanced classes, Matthews
correlation and F1 are usually higher with another threshold. It is chosen on the validation rows,
so the validation score is slightly too high; the test score is not affected.

N: rows. T: thresholds.

Source: Lipton, Elkan & Naryanaswamy 2014, arXiv:1402.1892 (the best threshold for F1).
"""

import numpy as np

from warmstart.metrics.classification_metrics import matthews_correlation
from warmstart.metrics.intervals import Floats, Ints

THRESHOLD_METRICS = ("matthews_correlation", "accuracy", "f1", "macro_f1", "weighted_f1")
"""Metrics that depend on the threshold."""


def best_threshold(shares: Floats, targets: Ints, metric: str) -> float:
    """The probability from which on the second class should be predicted.

    Args:
        shares: probability of the second class, float64 [N].
        targets: class of each row, 0 or 1, int64 [N].
        metric: one of ``THRESHOLD_METRICS``; ``f1`` is the F1 of the second class.

    Returns:
        The best threshold; in a tie, the one closest to 0.5; 0.5 if the metric is undefined for
        all thresholds.

    >>> best_threshold(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1]), "accuracy")
    0.25
    """
    distinct = np.unique(shares)
    # Candidates: the midpoints between neighbouring probabilities, and 0.5.
    thresholds = np.append((distinct[1:] + distinct[:-1]) / 2, 0.5)
    first, second = (np.sort(shares[targets == index]) for index in (0, 1))
    values = _metric(thresholds, first, second, metric)
    if np.isnan(values).all():
        return 0.5
    best = thresholds[values == np.nanmax(values)]
    return float(best[np.abs(best - 0.5).argmin()])


def _metric(thresholds: Floats, of_first: Floats, of_second: Floats, metric: str) -> Floats:
    """The metric for each threshold [T], from the sorted probabilities of each class's rows."""
    true = np.tile([len(of_first), len(of_second)], (len(thresholds), 1)).astype(np.float64)
    # Rows below the threshold, for which the first class is predicted.
    true_negatives = np.searchsorted(of_first, thresholds).astype(np.float64)
    false_negatives = np.searchsorted(of_second, thresholds).astype(np.float64)
    hits = np.stack([true_negatives, true[:, 1] - false_negatives], axis=1)
    negatives = true_negatives + false_negatives
    predicted = np.stack([negatives, true.sum(axis=1) - negatives], axis=1)
    if metric == "matthews_correlation":
        return matthews_correlation(true, predicted, hits)
    if metric == "accuracy":
        return np.asarray(hits.sum(axis=1) / true.sum(axis=1))
    with np.errstate(invalid="ignore"):  # a class that is neither a target nor a prediction
        f1 = 2 * hits / (true + predicted)
    if metric == "f1":
        return np.asarray(f1[:, 1])
    weights = true if metric == "weighted_f1" else np.ones_like(true)
    return np.asarray((f1 * weights).sum(axis=1) / weights.sum(axis=1))

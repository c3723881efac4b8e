"""Scores of a multi-label classifier.

As in ``classification_metrics``, all metrics are functions of sums over rows, so the same function
computes the value and 1,000 bootstrap resamples.

Macro F1 is the mean over all labels that are a target or a prediction of some row. Micro F1 counts
the predictions of all labels together. Subset accuracy is the share of rows whose labels are all
correct. Log-loss is in nats per row and label. Mean average precision ranks the rows by the
probability of a label; it is the mean of this average precision over all labels that some row has,
and the only metric that needs no threshold. A metric that is undefined on the given rows is
``None``.

N: rows. C: labels. R: rows of sums. U: units (see ``intervals``).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    UnitSums,
    assign_units,
    defined,
    scores_of_sums,
    values_per_unit,
)
from warmstart.metrics.scores import Metric, Scores

METRICS = (
    Metric("macro_f1", True, "Macro F1"),
    Metric("micro_f1", True, "Micro F1"),
    Metric("mean_average_precision", True, "Mean average precision"),
    Metric("subset_accuracy", True, "Subset accuracy"),
    Metric("log_loss", False, "Log-loss"),
)
NEEDS_PROBABILITIES = frozenset({"mean_average_precision", "log_loss"})
"""Metrics for which the predicted labels are not enough."""

Bools = np.ndarray[Any, np.dtype[np.bool_]]


def label_set_scores(
    probabilities: Floats,
    targets: Bools,
    predicted: Bools,
    names: Sequence[str],
    thresholds: Sequence[float],
) -> Scores:
    """All metrics with their 95 % intervals over rows.

    ``details`` contains ``labels``, ``per_class`` (precision, recall, F1, support and threshold of
    each label) and ``rows_without_labels``.

    Args:
        probabilities: probability of each label for each row, float64 [N, C].
        targets: which labels each row has, bool [N, C].
        predicted: which labels are predicted for each row, bool [N, C].
        names: the C label names.
        thresholds: the smallest probability with which each label is predicted, C numbers.

    Returns:
        The metrics, macro F1 first.

    >>> targets = np.array([[True, False], [True, True]])
    >>> shares = np.array([[0.9, 0.2], [0.8, 0.4]])
    >>> scores = label_set_scores(shares, targets, shares >= 0.5, ["rude", "spam"], [0.5, 0.5])
    >>> scores.metrics["macro_f1"].value, scores.metrics["subset_accuracy"].value
    (0.5, 0.5)
    """
    scores = scores_of_sums(METRICS, label_set_sums(probabilities, targets, predicted))
    details = {
        "labels": list(names),
        "per_class": _per_label(targets, predicted, names, thresholds),
        "rows_without_labels": int((~targets.any(axis=1)).sum()),
    }
    return Scores(scores, details)


def label_set_sums(probabilities: Floats, targets: Bools, predicted: Bools) -> UnitSums:
    """The sums of each unit from which all metrics follow, [U, 4 C + 3].

    Columns in this order: for each label, the rows that have it, the rows for which it is
    predicted, and the rows for which it is predicted correctly; the parts of each label's average
    precision; the number of rows, the rows with all labels correct, and the log-loss.

    Args:
        probabilities: probability of each label for each row, float64 [N, C].
        targets: which labels each row has, bool [N, C].
        predicted: which labels are predicted for each row, bool [N, C].
    """
    rows, classes = targets.shape
    hits = targets & predicted
    parts = [precision_parts(*one) for one in zip(probabilities.T, targets.T, strict=True)]
    values = [*targets.T, *predicted.T, *hits.T, *parts, np.ones(rows)]
    values += [(targets == predicted).all(axis=1), _row_log_loss(probabilities, targets)]
    sums = values_per_unit(values, assign_units(rows))
    return UnitSums(sums, partial(_metrics, classes=classes), rows)


def precision_parts(scores: Floats, inside: Bools) -> Floats:
    """Contribution of each row to the average precision of a label, float64 [N].

    The sum of the contributions, divided by the number of rows with the label, is the average
    precision: the mean, over the rows with the label, of the precision among all rows with an equal
    or higher score. A contribution consists of the row's own precision and of the row's effect on
    the precision of other rows. Resampling the contributions therefore gives the resampled average
    precision to first order, with sums and without ranks.

    Args:
        scores: probability of the label, float64 [N].
        inside: whether the row has the label, bool [N].

    Source: Hampel 1974, JASA 69(346) (influence curve, here of the average precision).
    """
    order = np.argsort(-scores, kind="stable")
    ranked, labelled = scores[order], inside[order].astype(np.float64)
    # In a tie, all rows get the rank of the last of them.
    last = np.searchsorted(-ranked, -ranked, "right") - 1
    rank = last + 1.0
    precision = np.cumsum(labelled)[last] / rank
    # Sums of 1 / rank and of precision / rank over the labelled rows with an equal or lower score.
    first = np.searchsorted(-ranked, -ranked, "left")
    below, weighted = (
        np.cumsum((labelled * one)[::-1])[::-1][first] for one in (1 / rank, precision / rank)
    )
    parts = np.empty(len(scores))
    parts[order] = labelled * precision + labelled * below - weighted
    return parts


def _metrics(sums: Floats, classes: int) -> dict[str, Floats]:
    """All metrics from rows of sums, float64 [R] each; NaN if undefined.

    Args:
        sums: sums of the columns of ``label_set_sums``, float64 [R, ...].
        classes: number of labels, C.
    """
    true, predicted, hits, parts, rest = np.split(sums, np.arange(1, 5) * classes, axis=1)
    rows, correct, loss = rest.T
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * hits / (true + predicted)
        precision = np.clip(parts / true, 0, 1)
        return {
            "macro_f1": _mean(f1),
            "micro_f1": 2 * hits.sum(axis=1) / (true + predicted).sum(axis=1),
            "mean_average_precision": _mean(precision),
            "subset_accuracy": correct / rows,
            "log_loss": loss / rows / classes,
        }


def _mean(values: Floats) -> Floats:
    """The mean of each row without NaN values, float64 [R]; NaN if all are NaN."""
    return np.asarray(np.nansum(values, axis=1) / np.sum(~np.isnan(values), axis=1))


def _row_log_loss(probabilities: Floats, targets: Bools) -> Floats:
    """Negative log-probability of the targets, summed over labels, in nats, float64 [N].

    Probabilities are clipped at the epsilon of float64, as in ``classification_metrics``.
    """
    of_target = np.where(targets, probabilities, 1 - probabilities)
    return np.asarray(-np.log(np.clip(of_target, np.finfo(np.float64).eps, 1)).sum(axis=1))


def _per_label(
    targets: Bools, predictions: Bools, names: Sequence[str], thresholds: Sequence[float]
) -> list[dict[str, Any]]:
    """Precision, recall, F1, support, threshold of each label; ``None`` for a ratio of no rows."""
    hits = (targets & predictions).sum(axis=0)
    true, predicted = targets.sum(axis=0), predictions.sum(axis=0)
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = hits / predicted, hits / true, 2 * hits / (true + predicted)
    return [
        {
            "label": name,
            "precision": defined(precision[index]),
            "recall": defined(recall[index]),
            "f1": defined(f1[index]),
            "support": int(true[index]),
            "threshold": float(thresholds[index]),
        }
        for index, name in enumerate(names)
    ]

"""Scores of a classifier that gives a row any number of labels.

As in ``labels``, every metric is a function of sums over rows, so the value and its 1,000 bootstrap
resamples come from one function.

Macro F1 is the mean over labels that a row has or is given, micro F1 takes all answers together,
subset accuracy asks for all labels of a row to be right, and log-loss is in nats for each row and
label. Mean average precision is the mean over labels, of those that a row has, of the average
precision of ranking the rows by the label's probability; it alone asks for no threshold. Whatever
is not defined on the rows at hand is ``None``.

Letters: N rows, C labels, R rows of sums.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    deal_units,
    percentile_interval,
    resampled_sums,
    sums_per_unit,
)
from warmstart.metrics.scores import Metric, Score, Scores

METRICS = (
    Metric("macro_f1", True, "Macro F1"),
    Metric("micro_f1", True, "Micro F1"),
    Metric("mean_average_precision", True, "Mean average precision"),
    Metric("subset_accuracy", True, "Subset accuracy"),
    Metric("log_loss", False, "Log-loss"),
)

Bools = np.ndarray[Any, np.dtype[np.bool_]]


def label_set_scores(
    probabilities: Floats,
    targets: Bools,
    answered: Bools,
    names: Sequence[str],
    thresholds: Sequence[float],
) -> Scores:
    """Every metric with its 95 % interval over rows.

    ``details`` holds ``labels``, ``per_class`` (precision, recall, F1, support and threshold of
    each label) and ``rows_without_labels``.

    Args:
        probabilities: of each label for each row, float64 [N, C].
        targets: which labels each row has, bool [N, C].
        answered: which it is given, bool [N, C].
        names: of the labels, C.
        thresholds: from which probability on each label is given, C.

    Returns:
        The metrics, macro F1 first.

    >>> targets = np.array([[True, False], [True, True]])
    >>> sure = np.array([[0.9, 0.2], [0.8, 0.4]])
    >>> found = label_set_scores(sure, targets, sure >= 0.5, ["rude", "spam"], [0.5, 0.5])
    >>> found.metrics["macro_f1"].value, found.metrics["subset_accuracy"].value
    (0.5, 0.5)
    """
    classes = len(names)
    sums = _unit_sums(probabilities, targets, answered)
    values = _metrics(sums.sum(axis=0, keepdims=True), classes)
    resampled = _metrics(resampled_sums(sums), classes)
    found = {}
    for metric in METRICS:
        value, low, high = _defined(values[metric.name][0]), None, None
        if value is not None:
            low, high = percentile_interval(resampled[metric.name])
        found[metric.name] = Score(value, low, high, len(targets), metric.higher_is_better)
    details = {
        "labels": list(names),
        "per_class": _per_label(targets, answered, names, thresholds),
        "rows_without_labels": int((~targets.any(axis=1)).sum()),
    }
    return Scores(found, details)


def paired_difference(
    first: tuple[Floats, Bools], second: tuple[Floats, Bools], targets: Bools, metric: str
) -> tuple[float | None, float | None, float | None]:
    """How much higher ``first`` scores than ``second`` on the same rows, with its 95 % interval.

    Args:
        first: probabilities and answers of one classifier, [N, C] each.
        second: of the other.
        targets: which labels each row has, bool [N, C].
        metric: its name.

    Returns:
        Difference, low and high; ``None`` where undefined.
    """
    sums = np.hstack([_unit_sums(shares, targets, given) for shares, given in (first, second)])
    totals = np.vstack([sums.sum(axis=0, keepdims=True), resampled_sums(sums)])
    one, other = (_metrics(half, targets.shape[1])[metric] for half in np.hsplit(totals, 2))
    return _defined((one - other)[0]), *percentile_interval((one - other)[1:])


def _unit_sums(probabilities: Floats, targets: Bools, answered: Bools) -> Floats:
    """What ``_metrics`` needs, summed over each unit's rows, float64 [U, 4 C + 3].

    In this order: rows that have each label, that are given it, that are given it rightly; parts of
    its average precision; the rows, those wholly right, and their log-loss.
    """
    units = deal_units(len(targets))
    column = np.zeros(len(targets), dtype=np.int64)
    hits = targets & answered
    parts = [precision_parts(*one) for one in zip(probabilities.T, targets.T, strict=True)]
    values = [*targets.T, *answered.T, *hits.T, *parts, np.ones(len(targets))]
    values += [(targets == answered).all(axis=1), _row_log_loss(probabilities, targets)]
    return np.hstack([sums_per_unit(units, column, 1, np.asarray(v, np.float64)) for v in values])


def precision_parts(scores: Floats, inside: Bools) -> Floats:
    """Each row's part in the average precision of a label, float64 [N].

    Their sum, over the number of rows inside, is the average precision: the mean over these rows of
    the precision among rows that score as high or higher. Resampled, they give it to first order:
    beside a row's own precision its part holds what the row does to the precision of the others, so
    that sums stand in for ranks.

    Args:
        scores: probability of the label, float64 [N].
        inside: whether the row has it, bool [N].

    Source: Hampel 1974, JASA 69(346) (influence curve, here of the average precision).
    """
    order = np.argsort(-scores, kind="stable")
    ranked, there = scores[order], inside[order].astype(np.float64)
    # Rows that score alike count together: the rank of each is that of the last of them.
    last = np.searchsorted(-ranked, -ranked, "right") - 1
    rank = last + 1.0
    precision = np.cumsum(there)[last] / rank
    # Over the rows inside that score as low or lower: sums of 1 / rank and of precision / rank.
    first = np.searchsorted(-ranked, -ranked, "left")
    below, weighed = (
        np.cumsum((there * one)[::-1])[::-1][first] for one in (1 / rank, precision / rank)
    )
    parts = np.empty(len(scores))
    parts[order] = there * precision + there * below - weighed
    return parts


def _metrics(sums: Floats, classes: int) -> dict[str, Floats]:
    """Every metric from each row of sums, float64 [R] each; NaN where undefined.

    Args:
        sums: totals of the columns of ``_unit_sums``, float64 [R, ...].
        classes: how many labels there are, C.
    """
    true, given, hits, parts, rest = np.split(sums, np.arange(1, 5) * classes, axis=1)
    rows, right, loss = rest.T
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * hits / (true + given)
        precision = np.clip(parts / true, 0, 1)
        return {
            "macro_f1": _mean(f1),
            "micro_f1": 2 * hits.sum(axis=1) / (true + given).sum(axis=1),
            "mean_average_precision": _mean(precision),
            "subset_accuracy": right / rows,
            "log_loss": loss / rows / classes,
        }


def _mean(values: Floats) -> Floats:
    """The mean of each row over what is defined, NaN where nothing is, float64 [R]."""
    return np.asarray(np.nansum(values, axis=1) / np.sum(~np.isnan(values), axis=1))


def _row_log_loss(probabilities: Floats, targets: Bools) -> Floats:
    """Minus the logarithm of each answer's probability, summed over labels, in nats, float64 [N].

    A probability below float64's epsilon counts as epsilon, as in ``labels``.
    """
    right = np.where(targets, probabilities, 1 - probabilities)
    return np.asarray(-np.log(np.clip(right, np.finfo(np.float64).eps, 1)).sum(axis=1))


def _per_label(
    targets: Bools, answered: Bools, names: Sequence[str], thresholds: Sequence[float]
) -> list[dict[str, Any]]:
    """Precision, recall, F1, support and threshold of each label; ``None`` for a share of none."""
    hits, true, given = (found.sum(axis=0) for found in (targets & answered, targets, answered))
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = hits / given, hits / true, 2 * hits / (true + given)
    return [
        {
            "label": name,
            "precision": _defined(precision[index]),
            "recall": _defined(recall[index]),
            "f1": _defined(f1[index]),
            "support": int(true[index]),
            "threshold": float(thresholds[index]),
        }
        for index, name in enumerate(names)
    ]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

"""Scores of a single-label classifier, from class probabilities and targets.

All metrics are functions of sums over rows. The same function, ``_metrics``, therefore
computes the value on the split (from one row of sums) and on 1,000 bootstrap resamples (from 1,000
rows of sums). ``intervals`` explains why the cost is bounded, even for millions of rows.

The predicted class is the most likely class (the first one in a tie), unless a threshold decides.
Log-loss is in nats per row; all other metrics are shares or correlations. A metric that is not
defined on the given rows is ``None``: Matthews correlation and ROC-AUC if all targets are equal,
ROC-AUC if a class does not occur, and the F1 of a class that is neither a target nor predicted.
Intervals use the resamples in which the metric is defined.

N: rows. C: classes. K: calibration bins. R: rows of sums. U: units (see ``intervals``).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    Ints,
    UnitSums,
    assign_units,
    defined,
    resampled_sums,
    score,
    sums_per_unit,
)
from warmstart.metrics.scores import Metric, Scores

F1_OF_SECOND = "f1"
"""F1 of the second of two labels, which is the positive class in most data sets (1 of 0 and 1)."""

METRICS = (
    Metric("matthews_correlation", True, "Matthews correlation"),
    Metric("accuracy", True, "Accuracy"),
    Metric(F1_OF_SECOND, True, "F1 of the second label"),
    Metric("macro_f1", True, "Macro F1"),
    Metric("weighted_f1", True, "Weighted F1"),
    Metric("roc_auc", True, "ROC-AUC"),
    Metric("log_loss", False, "Log-loss"),
    Metric("expected_calibration_error", False, "Expected calibration error"),
)
NEEDS_PROBABILITIES = frozenset({"roc_auc", "log_loss", "expected_calibration_error"})
"""Metrics for which the predicted classes are not enough."""
CALIBRATION_BINS = 15
BATCH_ROWS = 32
"""Batch size for ``matthews_per_batch``, as in the CoLA tutorials that plot this figure."""

MAX_BATCHES = 2_000
"""Maximum number of batches in ``matthews_per_batch``; a figure cannot show more."""


def metrics_for(classes: int) -> tuple[Metric, ...]:
    """The metrics of a classifier, the main metric first.

    The main metric is Matthews correlation for two classes, else macro F1. The F1 of the second
    class is only reported for two.

    Args:
        classes: number of classes, C.

    >>> metrics_for(2)[0].name, metrics_for(3)[0].name
    ('matthews_correlation', 'macro_f1')
    """
    main = "matthews_correlation" if classes == 2 else "macro_f1"
    known = [one for one in METRICS if classes == 2 or one.name != F1_OF_SECOND]
    return tuple(sorted(known, key=lambda metric: metric.name != main))


def classification_scores(
    probabilities: Floats,
    targets: Ints,
    names: Sequence[str],
    *,
    intervals: bool,
    predicted: Ints | None = None,
    groups: Ints | None = None,
) -> Scores:
    """Score a classifier's probabilities against the targets.

    ``details`` contains ``labels``; ``confusion_matrix`` (rows: targets, columns: predictions);
    ``per_class`` (precision, recall, F1, support); ``calibration`` (bins of the confidence); and
    ``matthews_per_batch`` for consecutive batches of ``batch_rows`` rows.

    Args:
        probabilities: class probabilities of each row, finite; each row sums to 1, float64 [N, C].
        targets: class index of each row, int64 [N].
        names: the C class names.
        intervals: whether to compute 95 % intervals, which takes longer.
        predicted: predicted class of each row, if it is not always the most likely, int64 [N].
        groups: for rows that are not independent, the group of each (its document), a number from
            0; intervals and n are then over groups, int64 [N].

    Returns:
        The metrics in the order of ``metrics_for(C)``, each on all N rows.

    >>> sure = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    >>> scores = classification_scores(sure, np.array([0, 1, 1, 1]), ["no", "yes"], intervals=False)
    >>> scores.metrics["accuracy"].value, scores.details["confusion_matrix"]
    (0.75, [[1, 0], [1, 2]])
    """
    classes = probabilities.shape[1]
    if predicted is None:
        predicted = probabilities.argmax(axis=1)
    sums = classification_sums(probabilities, targets, predicted, groups)
    values = sums.statistics(sums.values.sum(axis=0, keepdims=True))
    resamples = intervals and len(sums.values) > 1
    resampled = dict(sums.statistics(resampled_sums(sums.values))) if resamples else {}
    if resampled:
        # Sampling noise makes every calibration gap larger. The value itself has this bias, and
        # each resample has it twice. Without this shift, the whole interval could be above the
        # value.
        name = "expected_calibration_error"
        shift = values[name] - resampled[name].mean()
        resampled[name] = np.maximum(resampled[name] + shift, 0)
    scores = {
        metric.name: score(metric, values[metric.name], resampled.get(metric.name), sums.n)
        for metric in metrics_for(classes)
    }
    return Scores(scores, _details(probabilities, targets, predicted, names))


def matthews_correlation(true: Floats, predicted: Floats, hits: Floats) -> Floats:
    """Matthews correlation for C classes (Gorodkin's R_K), float64 [R]; the usual one if C = 2.

    NaN if all targets are equal, because the correlation is then undefined. Zero, as in
    scikit-learn, if only the predictions are all equal. This happens early in training, and with
    zero these evaluations can be compared with later ones.

    Args:
        true: number of rows of each target class, float64 [R, C].
        predicted: number of rows of each predicted class, float64 [R, C].
        hits: number of correctly predicted rows of each class, float64 [R, C].

    Source: Gorodkin 2004, Computational Biology and Chemistry 28(5-6), "Comparing two K-category
    assignments by a K-category correlation coefficient".
    """
    rows = true.sum(axis=1)
    covariance = hits.sum(axis=1) * rows - (true * predicted).sum(axis=1)
    true_variance = rows**2 - (true**2).sum(axis=1)
    predicted_variance = rows**2 - (predicted**2).sum(axis=1)
    scale = np.sqrt(true_variance * predicted_variance)
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.where(true_variance > 0, correlation, np.nan)


def classification_sums(
    probabilities: Floats, targets: Ints, predicted: Ints, groups: Ints | None = None
) -> UnitSums:
    """The sums of each unit from which all metrics follow, [U, 3 C + K + 1 + 2 S].

    Columns in this order: rows of each target class, rows of each predicted class, correctly
    predicted rows of each class; calibration gap of each bin; log-loss; and for each of the S
    classes with a ROC curve, the placements of the rows outside and inside of the class.

    Args:
        probabilities: class probabilities of each row, float64 [N, C].
        targets: class index of each row, int64 [N].
        predicted: predicted class of each row, int64 [N].
        groups: as for ``classification_scores``.
    """
    rows, classes = probabilities.shape
    n = rows if groups is None else int(groups.max(initial=-1)) + 1
    units = assign_units(n) if groups is None else assign_units(n)[groups]
    confidence = probabilities[np.arange(rows), predicted]
    hit = predicted == targets
    one_column = np.zeros(rows, dtype=np.int64)
    parts = [
        sums_per_unit(units, targets, classes),
        sums_per_unit(units, predicted, classes),
        sums_per_unit(units, targets, classes, hit.astype(np.float64)),
        sums_per_unit(units, _bins(confidence), CALIBRATION_BINS, confidence - hit),
        sums_per_unit(units, one_column, 1, row_log_loss(probabilities, targets)),
    ]
    for index in _curves(classes):
        inside = targets == index
        placements = _placements(probabilities[:, index], inside)
        parts.append(sums_per_unit(units, inside.astype(np.int64), 2, placements))
    return UnitSums(np.hstack(parts), partial(_metrics, classes=classes), n)


def _metrics(sums: Floats, classes: int) -> dict[str, Floats]:
    """All metrics from rows of sums, float64 [R] each; NaN if undefined.

    Args:
        sums: sums of the columns of ``classification_sums``, float64 [R, ...].
        classes: number of classes, C.
    """
    widths = [classes, classes, classes, CALIBRATION_BINS, 1]
    true, predicted, hits, gaps, loss, placements = np.split(sums, np.cumsum(widths), axis=1)
    rows = true.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * hits / (true + predicted)
        outside = np.stack([rows - true[:, index] for index in _curves(classes)], axis=1)
        inside = np.stack([true[:, index] for index in _curves(classes)], axis=1)
        area = placements[:, 0::2] / outside + placements[:, 1::2] / inside
        return {
            "matthews_correlation": matthews_correlation(true, predicted, hits),
            "accuracy": hits.sum(axis=1) / rows,
            **({F1_OF_SECOND: f1[:, 1]} if classes == 2 else {}),
            "macro_f1": np.nansum(f1, axis=1) / np.sum(~np.isnan(f1), axis=1),
            "weighted_f1": np.nansum(f1 * true, axis=1) / rows,
            "roc_auc": np.clip(area.mean(axis=1), 0, 1),
            "log_loss": loss[:, 0] / rows,
            "expected_calibration_error": np.abs(gaps).sum(axis=1) / rows,
        }


def _curves(classes: int) -> range:
    """The classes with a ROC curve: each class against the rest; of two, only the second."""
    return range(1, 2) if classes == 2 else range(classes)


def _placements(scores: Floats, inside: np.ndarray[Any, np.dtype[np.bool_]]) -> Floats:
    """Contribution of each row to the area under the ROC curve, float64 [N]; NaN if undefined.

    The *placement* of a row is the share of rows on the other side (outside or inside of the class)
    against which it is ranked correctly; a tie counts one half. The mean placement of either side
    is the area A. The bootstrap uses A* = mean(outside) + mean(inside) - A, which is correct to
    first order and needs only sums, no ranks. A is already subtracted from the placements outside.

    Args:
        scores: probability of the class, float64 [N].
        inside: whether the target of the row is the class, bool [N].

    Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44(3) (placements as components of A).
    """
    if inside.all() or not inside.any():
        return np.full(len(scores), np.nan)
    order = np.argsort(scores)
    in_class, rest = order[inside[order]], order[~inside[order]]
    placements = np.empty(len(scores))
    placements[in_class] = _share_below(scores[in_class], scores[rest])
    area = placements[in_class].mean()
    placements[rest] = 1 - _share_below(scores[rest], scores[in_class]) - area
    return placements


def _share_below(scores: Floats, others: Floats) -> Floats:
    """For each score, the share of ``others`` (sorted) below it; ties count one half."""
    ends = np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")
    return np.asarray(ends / (2 * len(others)))


def row_log_loss(probabilities: Floats, targets: Ints) -> Floats:
    """Negative logarithm of the probability of each row's target, in nats, float64 [N].

    Probabilities are clipped at the epsilon of float64, as in ``sklearn.metrics.log_loss``: the
    loss of one row is at most 36.04 nats.

    Args:
        probabilities: class probabilities of each row, float64 [N, C].
        targets: class index of each row, int64 [N].
    """
    of_target = probabilities[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.clip(of_target, np.finfo(np.float64).eps, 1)))


def _bins(confidence: Floats) -> Ints:
    """Calibration bin of each row, int64 [N]: bin k is (k / K, (k + 1) / K]."""
    upper_edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    return np.searchsorted(upper_edges, confidence, "left").astype(np.int64, copy=False)


def _details(
    probabilities: Floats, targets: Ints, predicted: Ints, names: Sequence[str]
) -> dict[str, Any]:
    """Additional values for the report, as JSON values."""
    classes = len(names)
    confidence = probabilities[np.arange(len(targets)), predicted]
    cells = np.bincount(targets * classes + predicted, minlength=classes**2)
    confusion = cells.reshape(classes, classes)
    return {
        "labels": [str(name) for name in names],
        "confusion_matrix": confusion.tolist(),
        "per_class": _per_class(confusion, names),
        "calibration": _calibration(confidence, predicted == targets),
        "matthews_per_batch": _matthews_per_batch(predicted, targets, classes),
        "batch_rows": BATCH_ROWS,
    }


def _per_class(confusion: Ints, names: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each class; ``None`` for a ratio of zero rows."""
    hits, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = hits / predicted, hits / true, 2 * hits / (true + predicted)
    return [
        {
            "label": str(name),
            "precision": defined(precision[index]),
            "recall": defined(recall[index]),
            "f1": defined(f1[index]),
            "support": int(true[index]),
        }
        for index, name in enumerate(names)
    ]


def _calibration(
    confidence: Floats, hit: np.ndarray[Any, np.dtype[np.bool_]]
) -> list[dict[str, Any]]:
    """Mean confidence and accuracy of K bins of equal width; ``None`` for an empty bin.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2 (reliability diagrams; ECE, equation 3).
    """
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        confidences = np.bincount(bins, confidence, CALIBRATION_BINS) / counts
        accuracies = np.bincount(bins, hit, CALIBRATION_BINS) / counts
    return [
        {
            "low": index / CALIBRATION_BINS,
            "high": (index + 1) / CALIBRATION_BINS,
            "n": int(counts[index]),
            "confidence": defined(confidences[index]),
            "accuracy": defined(accuracies[index]),
        }
        for index in range(CALIBRATION_BINS)
    ]


def _matthews_per_batch(predicted: Ints, targets: Ints, classes: int) -> list[float | None]:
    """Matthews correlation of the first ``MAX_BATCHES`` batches of rows in file order.

    ``None`` for a batch whose targets are all equal. The last batch can be shorter.
    """
    predicted, targets = (column[: BATCH_ROWS * MAX_BATCHES] for column in (predicted, targets))
    batches = np.arange(len(targets)) // BATCH_ROWS
    hit = (predicted == targets).astype(np.float64)
    correlations = matthews_correlation(
        sums_per_unit(batches, targets, classes),
        sums_per_unit(batches, predicted, classes),
        sums_per_unit(batches, targets, classes, hit),
    )
    return [defined(value) for value in correlations]

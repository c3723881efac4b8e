"""Several labels per row, compared with scikit-learn's scores, with intervals from sums."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss

from warmstart.metrics.intervals import Floats, paired_difference
from warmstart.metrics.label_set_metrics import (
    METRICS,
    Bools,
    label_set_scores,
    label_set_sums,
    precision_parts,
)

NAMES = ["rude", "spam", "threat"]


def made_up(rows: int, seed: int = 0) -> tuple[Floats, Bools]:
    random = np.random.default_rng(seed)
    targets = random.random((rows, 3)) < [0.4, 0.2, 0.05]
    logits = random.normal(0, 1, (rows, 3)) + 1.5 * targets - 0.7
    return (1 / (1 + np.exp(-logits))).round(2), targets  # with ties


def test_metrics_are_scikit_learns() -> None:
    shares, targets = made_up(300)
    answered = shares >= 0.5
    scores = label_set_scores(shares, targets, answered, NAMES, [0.5] * 3)
    each = [average_precision_score(targets[:, i], shares[:, i]) for i in range(3)]
    expected = {
        "macro_f1": f1_score(targets, answered, average="macro"),
        "micro_f1": f1_score(targets, answered, average="micro"),
        "mean_average_precision": np.mean(each),
        "subset_accuracy": accuracy_score(targets, answered),
        "log_loss": np.mean([log_loss(targets[:, i], shares[:, i]) for i in range(3)]),
    }
    assert list(scores.metrics) == [metric.name for metric in METRICS]
    for name, score in scores.metrics.items():
        assert score.value == pytest.approx(expected[name], rel=1e-9), name
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low < score.value < score.high
    assert scores.details["rows_without_labels"] == int((~targets.any(axis=1)).sum())
    (_, spam, _) = scores.details["per_class"]
    assert spam["support"] == int(targets[:, 1].sum())
    assert spam["f1"] == pytest.approx(f1_score(targets[:, 1], answered[:, 1]))
    assert spam["threshold"] == 0.5


def test_sums_of_parts_follow_the_average_precision_of_a_resample() -> None:
    """To first order: over resamples both change in the same direction, by the same amount."""
    shares, targets = made_up(500)
    scores, inside = shares[:, 0], targets[:, 0]
    parts = precision_parts(scores, inside)
    whole = average_precision_score(inside, scores)
    assert parts.sum() / inside.sum() == pytest.approx(whole)
    random = np.random.default_rng(3)
    drawn = [random.integers(500, size=500) for _ in range(400)]
    exact = np.array([average_precision_score(inside[rows], scores[rows]) for rows in drawn])
    summed = np.array([parts[rows].sum() / inside[rows].sum() for rows in drawn])
    assert np.corrcoef(exact, summed)[0, 1] > 0.98
    assert summed.std() == pytest.approx(exact.std(), rel=0.1)


def test_a_label_that_no_row_has_is_left_out_and_none_at_all_is_undefined() -> None:
    shares, targets = made_up(100)
    targets = targets.copy()
    targets[:, 2] = False
    answered = (shares >= 0.5) & [True, True, False]
    both = label_set_scores(shares, targets, answered, NAMES, [0.5] * 3).metrics
    two = label_set_scores(shares[:, :2], targets[:, :2], answered[:, :2], NAMES[:2], [0.5] * 2)
    for name in ("macro_f1", "micro_f1", "mean_average_precision", "subset_accuracy"):
        assert both[name].value == pytest.approx(two.metrics[name].value)
    nothing = np.zeros_like(targets)
    empty = label_set_scores(shares, nothing, nothing, NAMES, [0.5] * 3).metrics
    for name in ("macro_f1", "micro_f1", "mean_average_precision"):
        assert (empty[name].value, empty[name].low) == (None, None)
    assert empty["subset_accuracy"].value == 1


def test_a_paired_difference_has_the_sign_of_the_better_one() -> None:
    shares, targets = made_up(200)
    given = shares >= 0.5
    worse = given.copy()
    worse[::10] = ~worse[::10]
    sums = [label_set_sums(shares, targets, predicted) for predicted in (given, worse)]
    difference, low, high = paired_difference(*sums, "subset_accuracy")
    assert difference is not None
    assert low is not None
    assert high is not None
    assert low <= difference <= high
    assert difference > 0
    assert paired_difference(*sums, "mean_average_precision") == (0, 0, 0)

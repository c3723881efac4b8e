"""A classifier's scores: compared with scikit-learn, by hand, and undefined scores."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from warmstart.metrics import classification_metrics as labels
from warmstart.metrics.classification_metrics import (
    METRICS,
    classification_scores,
    classification_sums,
    metrics_for,
)
from warmstart.metrics.intervals import MAX_UNITS, Floats, Ints, paired_difference
from warmstart.metrics.scores import Scores

NAMES = [metric.name for metric in METRICS]


def simulated(
    rows: int, classes: int, *, skill: float = 1.0, levels: int | None = None, seed: int = 0
) -> tuple[Floats, Ints]:
    """Softmax probabilities that lean towards the true class; few ``levels`` make many ties."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(classes, size=rows)
    logits = generator.normal(size=(rows, classes))
    logits[np.arange(rows), targets] += skill
    if levels is not None:
        logits = np.round(logits * levels) / levels
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), targets


def scored(probabilities: Floats, targets: Ints, *, intervals: bool = False) -> Scores:
    names = [f"class {index}" for index in range(probabilities.shape[1])]
    return classification_scores(probabilities, targets, names, intervals=intervals)


def values(scores: Scores) -> dict[str, float | None]:
    return {name: score.value for name, score in scores.metrics.items()}


def calibration_error_by_hand(probabilities: Floats, targets: Ints) -> float:
    """Expected calibration error, bin by bin, as defined by Guo et al. 2017."""
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    error = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            accuracy = (predicted == targets)[inside].mean()
            error += inside.mean() * abs(accuracy - confidence[inside].mean())
    return error


def test_the_main_metric_comes_first() -> None:
    assert [metric.name for metric in metrics_for(2)] == NAMES
    assert metrics_for(3)[0].name == "macro_f1"
    assert {*METRICS} - {*metrics_for(3)} == {METRICS[NAMES.index("f1")]}
    assert list(scored(*simulated(20, 3)).metrics) == [metric.name for metric in metrics_for(3)]


@settings(max_examples=60)
@given(
    rows=st.integers(2, 60),
    classes=st.integers(2, 5),
    skill=st.floats(-1, 4),
    levels=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 10_000),
)
def test_values_agree_with_scikit_learn(
    rows: int, classes: int, skill: float, levels: int | None, seed: int
) -> None:
    probabilities, targets = simulated(rows, classes, skill=skill, levels=levels, seed=seed)
    predicted, present = probabilities.argmax(axis=1), np.unique(targets)
    found = values(scored(probabilities, targets))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(targets, predicted))
    for average in ("macro", "weighted"):
        expected = sklearn_metrics.f1_score(targets, predicted, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    if classes == 2:
        of_second = sklearn_metrics.f1_score(targets, predicted, zero_division=np.nan)
        assert found["f1"] == (None if np.isnan(of_second) else pytest.approx(of_second))
    every_class = list(range(classes))
    assert found["log_loss"] == pytest.approx(
        sklearn_metrics.log_loss(targets, probabilities, labels=every_class)
    )
    assert found["expected_calibration_error"] == pytest.approx(
        calibration_error_by_hand(probabilities, targets)
    )
    if len(present) > 1:
        expected = sklearn_metrics.matthews_corrcoef(targets, predicted)
        assert found["matthews_correlation"] == pytest.approx(expected)
    else:
        assert found["matthews_correlation"] is None
    if len(present) == classes:
        shares = probabilities[:, 1] if classes == 2 else probabilities
        expected = sklearn_metrics.roc_auc_score(targets, shares, multi_class="ovr")
        assert found["roc_auc"] == pytest.approx(expected)
    else:
        assert found["roc_auc"] is None


def test_a_case_worked_by_hand() -> None:
    """Two of three "yes" are correct, one of two "no": tp 2, fn 1, tn 1, fp 1."""
    yes = np.array([0.9, 0.8, 0.4, 0.6, 0.1])
    scores = scored(np.column_stack([1 - yes, yes]), np.array([1, 1, 1, 0, 0]))
    found = values(scores)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["matthews_correlation"] == pytest.approx((2 * 1 - 1 * 1) / 6)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 1 / 2) / 5)
    assert found["roc_auc"] == pytest.approx(5 / 6)  # only the pair (0.4 yes, 0.6 no) is wrong
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.4, 0.9]).mean())
    # 0.9 twice in one bin, both right; 0.8 right; 0.6 twice in one bin, both wrong.
    expected = (2 * 0.1 + 0.2 + 2 * 0.6) / 5
    assert found["expected_calibration_error"] == pytest.approx(expected)
    assert scores.details["confusion_matrix"] == [[1, 1], [1, 2]]
    assert scores.details["per_class"][1] == {
        "label": "class 1",
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "support": 3,
    }


def test_one_true_class_leaves_matthews_and_roc_undefined_not_zero() -> None:
    probabilities, _ = simulated(40, 2)
    scores = scored(probabilities, np.zeros(40, dtype=np.int64), intervals=True)
    for name in ("matthews_correlation", "roc_auc"):
        score = scores.metrics[name]
        assert (score.value, score.low, score.high, score.n) == (None, None, None, 40)
    assert all(scores.metrics[name].low is not None for name in ("accuracy", "log_loss"))


def test_constant_predictions_of_two_true_classes_correlate_zero() -> None:
    constant = np.tile([0.3, 0.7], (10, 1))
    score = scored(constant, np.arange(10) % 2, intervals=True).metrics["matthews_correlation"]
    assert (score.value, score.low, score.high) == (0.0, 0.0, 0.0)


def test_a_class_that_is_missing_leaves_the_multi_class_roc_undefined() -> None:
    probabilities, targets = simulated(50, 3)
    scores = scored(probabilities, targets % 2, intervals=True)
    assert scores.metrics["roc_auc"].value is None
    assert scores.metrics["matthews_correlation"].value is not None
    assert scores.details["per_class"][2]["recall"] is None


def test_no_rows_means_no_values() -> None:
    nothing = scored(np.empty((0, 2)), np.empty(0, dtype=np.int64), intervals=True)
    assert set(values(nothing).values()) == {None}
    assert {score.n for score in nothing.metrics.values()} == {0}


def test_a_single_row_can_be_scored() -> None:
    scores = scored(np.array([[0.25, 0.75]]), np.array([1]), intervals=True)
    accuracy = scores.metrics["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.high) == (1.0, None, None)
    assert scores.metrics["matthews_correlation"].value is None


def test_certainty_costs_at_most_36_nats_a_row() -> None:
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    found = values(scored(certain, np.array([0, 1])))
    assert found["log_loss"] == pytest.approx(-np.log(np.finfo(np.float64).eps) / 2)
    assert found["log_loss"] == pytest.approx(36.04 / 2, abs=0.01)


@given(classes=st.integers(2, 4), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_neither_the_order_of_rows_nor_that_of_classes_changes_a_value(
    classes: int, seed: int
) -> None:
    probabilities, targets = simulated(30, classes, seed=seed)
    expected = values(scored(probabilities, targets))
    generator = np.random.default_rng(seed)
    rows, order = generator.permutation(30), generator.permutation(classes)
    renamed = values(scored(probabilities[rows][:, order], np.argsort(order)[targets[rows]]))
    if classes == 2 and order[0] == 1:  # of two classes, this is the F1 of the second
        del renamed["f1"], expected["f1"]
    assert renamed == pytest.approx(expected)


def test_roc_auc_depends_on_the_ranks_alone() -> None:
    probabilities, targets = simulated(200, 2)
    odds = (probabilities[:, 1] / probabilities[:, 0]) ** 3 * 50
    distorted = np.column_stack([1 / (1 + odds), odds / (1 + odds)])
    before, after = scored(probabilities, targets), scored(distorted, targets)
    assert after.metrics["roc_auc"].value == pytest.approx(before.metrics["roc_auc"].value)
    assert after.metrics["log_loss"].value != pytest.approx(before.metrics["log_loss"].value)


@pytest.mark.parametrize("classes", [2, 4])
def test_every_interval_holds_its_value_and_is_the_same_every_time(classes: int) -> None:
    probabilities, targets = simulated(300, classes)
    first, second = (scored(probabilities, targets, intervals=True) for _ in range(2))
    assert first == second
    for name, score in first.metrics.items():
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low < score.value < score.high, name
    without = scored(probabilities, targets)
    assert values(without) == values(first)
    assert all(score.low is None and score.high is None for score in without.metrics.values())


def test_intervals_agree_with_resampling_rows_and_scoring_them_anew() -> None:
    """The bootstrap's definition compared with sums, up to the noise of 1,000 resamples each."""
    probabilities, targets = simulated(250, 3, seed=7)
    found = scored(probabilities, targets, intervals=True).metrics
    generator = np.random.default_rng(8)
    resamples = [generator.integers(250, size=250) for _ in range(1000)]
    again = [values(scored(probabilities[rows], targets[rows])) for rows in resamples]
    for name in found.keys() - {"expected_calibration_error"}:
        low, high = np.percentile([float(value[name] or 0) for value in again], [2.5, 97.5])
        width = high - low
        assert found[name].low == pytest.approx(low, abs=0.1 * width), name
        assert found[name].high == pytest.approx(high, abs=0.1 * width), name


def test_the_calibration_interval_of_a_calibrated_model_is_around_its_value() -> None:
    """Resampling alone would give an interval above the value, because it adds noise."""
    generator = np.random.default_rng(9)
    yes = generator.uniform(size=400)
    probabilities = np.column_stack([1 - yes, yes])
    targets = (generator.uniform(size=400) < yes).astype(np.int64)
    score = scored(probabilities, targets, intervals=True).metrics["expected_calibration_error"]
    assert score.low is not None
    assert score.value is not None
    assert score.high is not None
    assert 0 <= score.low < score.value < score.high < 2 * score.value


def test_intervals_hold_the_true_value_95_times_in_100() -> None:
    """The two logits differ by a normal variable, mean ±1 and variance 2, so the truth is known."""
    truth = {"accuracy": 0.76025, "matthews_correlation": 0.5205, "roc_auc": 0.84134}
    covered = dict.fromkeys(truth, 0)
    for seed in range(150):
        scores = scored(*simulated(200, 2, seed=seed), intervals=True)
        for name in truth:
            low, high = scores.metrics[name].low, scores.metrics[name].high
            assert low is not None
            assert high is not None
            covered[name] += low <= truth[name] <= high
    assert all(134 <= times <= 149 for times in covered.values()), covered


def test_many_rows_in_file_order_of_their_class_give_the_interval_of_rows() -> None:
    rows = 3 * MAX_UNITS
    probabilities, targets = simulated(rows, 2)
    order = np.argsort(targets, kind="stable")
    score = scored(probabilities[order], targets[order], intervals=True).metrics["accuracy"]
    assert score.value is not None
    assert score.low is not None
    assert score.high is not None
    expected = 2 * 1.96 * np.sqrt(score.value * (1 - score.value) / rows)
    assert score.high - score.low == pytest.approx(expected, rel=0.1)


def test_calibration_bins_split_the_rows_and_keep_their_edges() -> None:
    yes = np.array([1.0, 0.0, 0.5, 0.6, 0.61])
    scores = scored(np.column_stack([1 - yes, yes]), np.array([1, 1, 0, 1, 0]))
    bins: list[dict[str, Any]] = scores.details["calibration"]
    assert len(bins) == 15
    assert [part["n"] for part in bins] == [0] * 7 + [1, 1, 1] + [0] * 4 + [2]
    assert bins[8]["high"] == 0.6  # the upper edge belongs to the bin
    assert bins[8]["confidence"] == 0.6
    assert bins[14]["accuracy"] == 0.5
    assert bins[0]["accuracy"] is None
    assert bins[0]["confidence"] is None


def test_matthews_of_a_batch_is_undefined_where_its_true_classes_are_all_one() -> None:
    targets = np.concatenate([np.zeros(32), np.arange(32) % 2, np.arange(5) % 2]).astype(np.int64)
    yes = np.full(69, 0.2)
    yes[32:64] = np.where(targets[32:64] == 1, 0.9, 0.1)
    details = scored(np.column_stack([1 - yes, yes]), targets).details
    assert details["batch_rows"] == 32
    assert details["matthews_per_batch"] == [None, 1.0, 0.0]


def test_matthews_per_batch_agrees_with_scikit_learn_in_file_order() -> None:
    probabilities, targets = simulated(100, 3)
    found = scored(probabilities, targets).details["matthews_per_batch"]
    expected = [
        sklearn_metrics.matthews_corrcoef(
            targets[start : start + 32], probabilities[start : start + 32].argmax(axis=1)
        )
        for start in range(0, 100, 32)
    ]
    assert found == pytest.approx(expected)


def test_matthews_per_batch_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_BATCHES", 2)
    assert len(scored(*simulated(100, 2)).details["matthews_per_batch"]) == 2


def test_details_are_json_whatever_the_names_are() -> None:
    probabilities, targets = simulated(10, 2)
    names: list[Any] = [0, np.str_("一")]
    details = classification_scores(probabilities, targets, names, intervals=False).details
    content = json.loads(json.dumps(dict(details), allow_nan=False))
    assert content == details
    assert content["labels"] == ["0", "一"]
    assert [part["label"] for part in content["per_class"]] == ["0", "一"]


def test_confusion_has_the_true_class_in_rows_and_the_first_of_equals_is_predicted() -> None:
    undecided = np.full((4, 3), 1 / 3)
    details = scored(undecided, np.array([0, 2, 2, 1])).details
    assert details["confusion_matrix"] == [[1, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert details["per_class"][1]["precision"] is None
    assert details["per_class"][1]["f1"] == 0.0


def test_a_difference_is_of_the_scores_and_its_interval_pairs_the_rows() -> None:
    """Two classifiers with the same errors: the paired interval is much narrower than theirs."""
    generator = np.random.default_rng(1)
    targets = generator.integers(0, 2, 400)
    right = np.where(generator.random(400) < 0.8, targets, 1 - targets)
    other = right.copy()
    other[:8] = 1 - other[:8]
    first, second = (np.eye(2)[rows] * 0.8 + 0.1 for rows in (right, other))
    for metric in ("accuracy", "matthews_correlation", "log_loss"):
        both = [
            classification_scores(p, targets, ["a", "b"], intervals=True).metrics[metric]
            for p in (first, second)
        ]
        sums = (classification_sums(p, targets, p.argmax(axis=1)) for p in (first, second))
        value, low, high = paired_difference(*sums, metric)
        assert both[0].value is not None
        assert both[1].value is not None
        assert value == pytest.approx(both[0].value - both[1].value)
        assert low is not None
        assert high is not None
        assert both[0].low is not None
        assert both[0].high is not None
        assert low <= value <= high
        assert high - low < 0.6 * (both[0].high - both[0].low)
    same = classification_sums(first, targets, right)
    assert paired_difference(same, same, "accuracy") == (0, 0, 0)
    one_class = classification_sums(first, 0 * targets, right)
    assert paired_difference(one_class, one_class, "roc_auc") == (None, None, None)


def test_intervals_of_groups_are_over_groups() -> None:
    """Rows that only repeat the row of their group add nothing to what is known."""
    probabilities, targets = simulated(80, 2)
    names = ["a", "b"]
    once = classification_scores(probabilities, targets, names, intervals=True)
    twice = np.repeat(np.arange(80), 3)
    given = {"targets": targets[twice], "names": names, "intervals": True}
    grouped = classification_scores(probabilities[twice], **given, groups=twice).metrics
    loose = classification_scores(probabilities[twice], **given).metrics
    for name, score in once.metrics.items():
        assert grouped[name].n == 80
        assert loose[name].n == 240
        assert grouped[name].value == pytest.approx(score.value)
        assert grouped[name].low == pytest.approx(score.low, abs=1e-9)
        assert grouped[name].high == pytest.approx(score.high, abs=1e-9)
    assert loose["accuracy"].high - loose["accuracy"].low < 0.7 * (
        grouped["accuracy"].high - grouped["accuracy"].low
    )

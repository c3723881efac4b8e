"""The best threshold compared with an exhaustive search with scikit-learn's metrics."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tests.quick import slow_except
from warmstart.metrics.thresholds import THRESHOLD_METRICS, best_threshold

SKLEARN = {
    "matthews_correlation": matthews_corrcoef,
    "accuracy": accuracy_score,
    "f1": lambda true, said: f1_score(true, said, zero_division=0),
    "macro_f1": lambda true, said: f1_score(true, said, average="macro", zero_division=0),
    "weighted_f1": lambda true, said: f1_score(true, said, average="weighted", zero_division=0),
}


@pytest.mark.parametrize("metric", THRESHOLD_METRICS)
@pytest.mark.parametrize("seed", slow_except(range(4), 0, 1))
def test_no_threshold_is_better(metric: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    targets = (draw.random(60) < 0.2).astype(np.int64)
    shares = np.clip(0.2 * targets + draw.random(60) * 0.5, 0, 1).round(2)
    value = SKLEARN[metric]
    chosen = value(targets, (shares >= best_threshold(shares, targets, metric)).astype(int))
    for threshold in np.append(shares, shares + 1e-9):
        assert value(targets, (shares >= threshold).astype(int)) <= chosen + 1e-12


def test_of_equally_good_ones_the_nearest_to_one_half() -> None:
    shares, targets = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert best_threshold(shares, targets, "accuracy") == 0.5


def test_with_one_class_there_is_nothing_to_choose() -> None:
    assert best_threshold(np.array([0.1, 0.2]), np.array([1, 1]), "matthews_correlation") == 0.5

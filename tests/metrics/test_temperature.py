"""The fitted temperature compared with one that is known, and with all others."""

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.quick import slow_except
from warmstart.metrics.classification_metrics import classification_scores
from warmstart.metrics.intervals import Floats, Ints
from warmstart.metrics.temperature import (
    HIGHEST,
    LOWEST,
    fit_temperature,
    with_uncalibrated,
)


def drawn(seed: int, rows: int, classes: int, temperature: float) -> tuple[Floats, Ints]:
    """Logits that are ``temperature`` times too large for the classes drawn from them."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (rows, classes))
    # The largest of logits with Gumbel noise is a draw from their softmax.
    targets = (logits + draw.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * temperature, targets


def log_loss(logits: Floats, targets: Ints, temperature: float) -> float:
    shares = log_softmax(logits / temperature, axis=1)
    return float(-shares[np.arange(len(targets)), targets].mean())


@pytest.mark.parametrize(("classes", "temperature"), [(2, 0.4), (2, 2.5), (5, 1.0), (20, 3.0)])
def test_a_known_temperature_is_recovered(classes: int, temperature: float) -> None:
    fit = fit_temperature(*drawn(0, 20_000, classes, temperature))
    assert fit.temperature == pytest.approx(temperature, rel=0.04)


@pytest.mark.parametrize("seed", slow_except(range(6), 0, 1))
def test_no_temperature_is_better(seed: int) -> None:
    logits, targets = drawn(seed, 60, 3, 0.5 + seed)
    fit = fit_temperature(logits, targets)
    assert fit.before == pytest.approx(log_loss(logits, targets, 1.0), abs=1e-12)
    assert fit.after == pytest.approx(log_loss(logits, targets, fit.temperature), abs=1e-12)
    for other in (
        1.0,
        *np.geomspace(LOWEST, HIGHEST, 200),
        *fit.temperature + np.array([-1, 1]) / 1e3,
    ):
        assert fit.after <= log_loss(logits, targets, other) + 1e-12


def test_rows_that_are_all_right_have_no_best_temperature() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 0.1], [1.0, 1.0]])
    fit = fit_temperature(logits, np.array([0, 1, 0]))
    assert (fit.temperature, fit.all_right) == (1.0, True)
    assert fit.after == fit.before == pytest.approx(log_loss(logits, np.array([0, 1, 0]), 1.0))
    assert "predicts every validation row correctly" in fit.in_words()


@pytest.mark.parametrize(
    ("wrong", "size", "temperature", "said"),
    [
        (1, 1e-3, LOWEST, "0.05, the lowest that is tried, fitted on the validation rows"),
        (90, 5.0, HIGHEST, "20, the highest that is tried, fitted on the validation rows"),
        (10, 5.0, 5 / np.log(9), "2.28, fitted on the validation rows: their log-loss is 0.5067"),
    ],
)
def test_a_temperature_has_limits_that_its_sentence_names(
    wrong: int, size: float, temperature: float, said: str
) -> None:
    logits = np.tile([size, 0.0], (100, 1))
    fit = fit_temperature(logits, (np.arange(100) < wrong).astype(np.int64))
    assert fit.temperature == pytest.approx(temperature)
    assert fit.after <= fit.before
    assert fit.in_words().startswith(f"temperature {said}")


def test_rows_of_one_class_and_extreme_logits_are_no_problem() -> None:
    fit = fit_temperature(
        np.array([[800.0, 0.0], [700.0, 0.0], [0.0, 40.0]]), np.zeros(3, np.int64)
    )
    assert fit.temperature == HIGHEST
    assert np.isfinite([fit.before, fit.after]).all()


def test_the_scores_without_the_temperature_are_kept_in_the_details() -> None:
    logits, targets = drawn(1, 300, 2, 3.0)
    shares = [np.exp(log_softmax(one, axis=1)) for one in (logits / 3, logits)]
    after, before = (
        classification_scores(one, targets, ["no", "yes"], intervals=True) for one in shares
    )
    found = with_uncalibrated(after, before, 3.0)
    assert found.metrics == after.metrics
    kept = found.details["uncalibrated"]
    assert kept["temperature"] == 3.0
    assert kept["calibration"] == before.details["calibration"] != after.details["calibration"]
    assert list(kept["scores"]) == ["log_loss", "expected_calibration_error"]
    for name, score in kept["scores"].items():
        assert score == before.metrics[name].to_json()
        assert after.metrics[name].better_than(before.metrics[name])
        assert score["n"] == 300
        assert score["low"] <= score["value"] <= score["high"]

"""Fit the temperature of a classifier on given rows, and show what it changes.

A network trained on few rows is often too confident. Temperature scaling divides the logits by one
number T > 0 before the softmax: above 1 the probabilities are less extreme, below 1 more. T is the
one with the lowest log-loss on the validation rows. The order of a row's probabilities stays the
same, and so do its label and every metric of labels.

The log-loss is convex in 1 / T, so there is one best T. It does not exist if every row is predicted
correctly: the log-loss then falls until T is 0. T is then 1, which changes nothing.

T is chosen on the validation rows, so their log-loss is slightly too low; that of the test rows is
not affected.

N: rows. C: classes.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 4.2.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from warmstart.metrics.intervals import Floats, Ints
from warmstart.metrics.scores import Scores

LOWEST, HIGHEST = 0.05, 20.0
"""Smallest and largest temperature."""

CALIBRATED = ("log_loss", "expected_calibration_error")
"""Metrics that a temperature improves."""


class TemperatureFit(NamedTuple):
    """The best temperature on some rows."""

    temperature: float
    before: float
    """Mean log-loss of these rows without the temperature, in nats."""
    after: float
    """The same with it."""
    all_right: bool
    """Whether every row is predicted correctly, so that there is no best temperature."""

    def in_words(self) -> str:
        """A sentence about the fit, for a notice."""
        if self.all_right:
            return (
                "temperature 1: the model predicts every validation row correctly, so that no "
                "temperature is the best one; the probabilities stay as they are"
            )
        limits = {LOWEST: ", the lowest that is tried", HIGHEST: ", the highest that is tried"}
        return (
            f"temperature {self.temperature:.3g}{limits.get(self.temperature, '')}, fitted on the "
            f"validation rows: their log-loss is {self.before:.4f} without it and "
            f"{self.after:.4f} with it"
        )


def fit_temperature(logits: Floats, targets: Ints) -> TemperatureFit:
    """The temperature with the lowest log-loss.

    Args:
        logits: finite numbers of which a softmax gives the probabilities of each row, such as the
            logarithms of these probabilities, float64 [N, C].
        targets: class of each row, int64 [N].

    >>> logits = np.log([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    >>> fit = fit_temperature(logits, np.array([0, 0, 1]))
    >>> round(fit.temperature, 3), round(fit.before, 3), round(fit.after, 3)
    (3.17, 0.838, 0.637)
    """
    from scipy.optimize import brentq

    # The largest logit of a row becomes 0, so that no exponential overflows.
    logits = logits - logits.max(axis=1, keepdims=True)
    of_target = logits[np.arange(len(targets)), targets]
    before = _log_loss(logits, of_target, 1.0)
    if (of_target == 0).all():
        return TemperatureFit(1.0, before, before, all_right=True)

    def slope(inverse: float) -> float:
        """Derivative of the log-loss by the inverse temperature; it never falls."""
        shares = np.exp(logits * inverse)
        means = (shares * logits).sum(axis=1) / shares.sum(axis=1)
        return float((means - of_target).mean())

    if slope(1 / HIGHEST) >= 0:
        temperature = HIGHEST
    elif slope(1 / LOWEST) <= 0:
        temperature = LOWEST
    else:
        temperature = 1 / float(brentq(slope, 1 / HIGHEST, 1 / LOWEST, xtol=1e-12))
    after = _log_loss(logits, of_target, temperature)
    return TemperatureFit(temperature, before, after, all_right=False)


def _log_loss(logits: Floats, of_target: Floats, temperature: float) -> float:
    sums = np.log(np.exp(logits / temperature).sum(axis=1))
    return float((sums - of_target / temperature).mean())


def with_uncalibrated(scores: Scores, before: Scores, temperature: float) -> Scores:
    """The scores, with those of the same model without its temperature in the details.

    The detail ``uncalibrated`` has the ``temperature``; ``scores``, of the metrics in
    ``CALIBRATED``; and ``calibration`` (bins of the confidence), if ``before`` has it.

    Args:
        scores: scores with the temperature.
        before: scores of the same rows without it.
        temperature: T.
    """
    found: dict[str, Any] = {
        "temperature": temperature,
        "scores": {
            name: score for name, score in before.metrics_json().items() if name in CALIBRATED
        },
    }
    if "calibration" in before.details:
        found["calibration"] = before.details["calibration"]
    return replace(scores, details={**scores.details, "uncalibrated": found})

"""Comparisons of two sides: against exact calculations, and what seeds can and cannot do."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from warmstart.metrics.classification_metrics import classification_sums
from warmstart.metrics.intervals import Floats, UnitSums, paired_difference
from warmstart.metrics.paired_tests import (
    Comparison,
    Verdict,
    compare_sides,
    decide,
    holm,
    mcnemar,
    side_value,
)


def right(values: Floats) -> UnitSums:
    """The share of right rows, from [N] zeros and ones."""
    sums = np.stack([values, np.ones_like(values)], axis=1)
    return UnitSums(sums, lambda totals: {"share": totals[:, 0] / totals[:, 1]}, len(values))


def made_up(rows: int, shares: tuple[float, ...], seed: int = 0) -> list[UnitSums]:
    generator = np.random.default_rng(seed)
    return [right((generator.random(rows) < share) * 1.0) for share in shares]


def exact_p(one: Floats, other: Floats) -> float:
    """The p-value over all exchanges of rows."""
    gained = one - other
    sums = [abs((np.array(signs) * gained).sum()) for signs in product([1, -1], repeat=len(one))]
    return float(np.mean(np.array(sums) >= abs(gained.sum())))


def test_the_permutation_test_is_the_exact_one_up_to_chance() -> None:
    generator = np.random.default_rng(3)
    one, other = generator.normal(0.5, 1, 12), generator.normal(0, 1, 12)
    found = compare_sides([right(one)], [right(other)], "share")
    assert found.p == pytest.approx(exact_p(one, other), abs=0.015)
    assert 0.02 < exact_p(one, other) < 0.98
    assert found.difference == pytest.approx((one - other).mean())


def test_one_run_each_has_the_interval_of_a_paired_difference() -> None:
    one, other = made_up(300, (0.8, 0.7))
    found = compare_sides([one], [other], "share")
    assert found[:3] == pytest.approx(paired_difference(one, other, "share"))
    back = compare_sides([other], [one], "share")
    assert back.difference == pytest.approx(-0.0 - found.difference)
    assert back.p == found.p


def test_equal_predictions_never_differ() -> None:
    (one,) = made_up(50, (0.7,))
    assert compare_sides([one], [one], "share") == (0, 0, 0, 1.0)


def test_a_metric_that_is_undefined_decides_nothing() -> None:
    shares, none = np.full((20, 2), 0.5), np.zeros(20, dtype=int)
    sums = classification_sums(shares, none, none)
    found = compare_sides([sums], [sums], "matthews_correlation")
    assert found == (None, None, None, None)
    assert decide(found, None, 0.01, 20, higher_is_better=True) == Verdict("not decided")


def test_copies_of_a_run_as_seeds_change_nothing() -> None:
    """The mean of equal runs is the run: more seeds are not more rows."""
    one, other = made_up(120, (0.75, 0.65))
    alone = compare_sides([one], [other], "share")
    for first, second in ((5, 5), (5, 1)):
        copied = compare_sides([one] * first, [other] * second, "share")
        assert copied == pytest.approx(alone)
    assert side_value([one] * 3, "share") == pytest.approx(side_value([one], "share"))


def test_seeds_are_averaged_for_each_row() -> None:
    first = made_up(200, (0.8, 0.8, 0.8))
    mean = right(np.mean([run.values[:, 0] for run in first], axis=0))
    second = made_up(200, (0.7, 0.7), seed=1)
    other = right(np.mean([run.values[:, 0] for run in second], axis=0))
    found, expected = compare_sides(first, second, "share"), compare_sides([mean], [other], "share")
    assert found[:3] == pytest.approx(expected[:3])
    assert found.p == pytest.approx(expected.p, abs=0.001)


def test_mcnemar_is_a_binomial_test_of_the_rows_on_which_they_differ() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.random((2, 100)) < 0.7
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    found = mcnemar(one, other)
    assert found == (only_one, only_other, binomtest(only_one, only_one + only_other).pvalue)
    assert mcnemar(one, one) == (0, 0, 1.0)


def test_holm_is_at_most_bonferroni_and_keeps_the_order() -> None:
    values = [0.2, 0.001, 0.03, 0.04]
    assert holm(values) == pytest.approx([0.2, 0.004, 0.09, 0.09])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.02, 0.06, 0.01, "better"),
        (-0.06, -0.02, 0.01, "worse"),
        (0.001, 0.009, 0.01, "better, but less than the margin"),
        (-0.009, 0.001, 0.2, "equivalent"),
        (-0.02, 0.05, 0.3, "not decided"),
        (0.001, 0.05, 0.06, "not decided"),  # the interval alone is not enough
        (-0.001, 0.05, 0.04, "not decided"),  # nor is the p-value
    ],
)
def test_the_verdict_needs_interval_and_test(
    low: float, high: float, p: float, expected: str
) -> None:
    found = Comparison((low + high) / 2, low, high, p)
    assert decide(found, p, 0.01, 400, higher_is_better=True).words == expected
    mirrored = {"better": "worse", "worse": "better"}
    head, comma, rest = expected.partition(",")
    turned = decide(found, p, 0.01, 400, higher_is_better=False).words
    assert turned == mirrored.get(head, head) + comma + rest


def test_the_needed_rows_would_decide() -> None:
    """With that many rows of the same kind, the interval leaves out zero."""
    generator = np.random.default_rng(5)

    def sides(rows: int) -> list[UnitSums]:
        return [right((generator.random(rows) < share) * 1.0) for share in (0.80, 0.76)]

    few = compare_sides(*([side] for side in sides(200)), "share")
    verdict = decide(few, few.p, 0.001, 200, higher_is_better=True)
    assert verdict.words == "not decided"
    assert verdict.units_needed is not None
    half = (few.high - few.low) / 2
    assert verdict.units_needed == pytest.approx(200 * (half / abs(few.difference)) ** 2, rel=0.1)

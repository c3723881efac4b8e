"""The bootstrap: its weights, its coverage, and units in place of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.metrics.intervals import (
    MAX_UNITS,
    RESAMPLES,
    Floats,
    assign_units,
    percentile_interval,
    resampled_sums,
    sums_per_unit,
)


def means_resampled(values: Floats) -> Floats:
    """The mean in every resample, computed as a ratio of sums."""
    units, zeros = assign_units(len(values)), np.zeros(len(values), dtype=np.int64)
    sums = [sums_per_unit(units, zeros, 1, column) for column in (values, None)]
    totals = resampled_sums(np.hstack(sums))
    return np.asarray(totals[:, 0] / totals[:, 1])


def test_up_to_the_limit_every_row_is_its_own_unit() -> None:
    np.testing.assert_array_equal(assign_units(MAX_UNITS), np.arange(MAX_UNITS))
    assert assign_units(0).size == 0


def test_beyond_the_limit_units_are_equal_in_size_and_not_in_file_order() -> None:
    units = assign_units(3 * MAX_UNITS + 1)
    sizes = np.bincount(units)
    assert len(sizes) == MAX_UNITS
    assert sorted(set(sizes.tolist())) == [3, 4]
    assert np.abs(np.corrcoef(units, np.arange(len(units)))[0, 1]) < 0.05


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(-9, 9)), min_size=1))
def test_sums_per_unit_agree_with_a_plain_loop(rows: list[tuple[int, int, int]]) -> None:
    units, columns, values = np.array(rows, dtype=np.int64).T
    expected = np.zeros((units.max() + 1, 3))
    for unit, column, value in rows:
        expected[unit, column] += value
    found = sums_per_unit(units, columns, 3, values.astype(np.float64))
    np.testing.assert_array_equal(found, expected)


def test_a_resample_draws_as_many_units_as_there_are() -> None:
    totals = resampled_sums(np.eye(7))
    assert totals.shape == (RESAMPLES, 7)
    np.testing.assert_array_equal(totals.sum(axis=1), 7.0)
    np.testing.assert_array_equal(totals, totals.round())
    # The count of a unit is binomial, 7 draws with probability 1/7: mean 1, variance 6/7.
    assert totals.mean() == 1.0
    assert totals.var() == pytest.approx(6 / 7, rel=0.05)
    assert len(np.unique(totals, axis=0)) > 0.4 * RESAMPLES


def test_the_same_values_always_give_the_same_interval() -> None:
    values = np.random.default_rng(3).normal(size=200)
    first, second = (percentile_interval(means_resampled(values)) for _ in range(2))
    assert first == second


def test_the_interval_covers_the_true_mean_95_times_in_100() -> None:
    generator = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        low, high = percentile_interval(means_resampled(generator.exponential(size=150)))
        assert low is not None
        assert high is not None
        covered += low <= 1.0 <= high
    assert 180 <= covered <= 199


@pytest.mark.parametrize("rows", [MAX_UNITS, 5 * MAX_UNITS])
def test_units_give_the_standard_error_of_rows_even_where_a_file_is_sorted(rows: int) -> None:
    values = np.sort(np.random.default_rng(5).exponential(size=rows))
    spread = means_resampled(values).std()
    assert spread == pytest.approx(values.std() / np.sqrt(rows), rel=0.08)


def test_undefined_resamples_are_left_out() -> None:
    defined = np.arange(101.0)
    mixed = np.concatenate([[np.nan] * 50, defined])
    assert percentile_interval(mixed) == percentile_interval(defined) == (2.5, 97.5)
    assert percentile_interval(np.full(5, np.nan)) == (None, None)

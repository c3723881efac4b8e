"""Schedules rise, peak once at the warm-up's end, fall, and never reach 0."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resolved import resolved
from warmstart.errors import ConfigError
from warmstart.preparation.schedule import schedule_for


@given(
    total=st.integers(1, 60),
    data=st.data(),
    shape=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_shape(total: int, data: st.DataObject, shape: str) -> None:
    warmup = data.draw(st.integers(0, total - 1))
    share_at = schedule_for(resolved(schedule=shape, warmup_steps=warmup), total)
    shares = [share_at(step) for step in range(total)]
    assert all(0 < share <= 1 for share in shares)
    assert shares[warmup] == 1
    assert shares[: warmup + 1] == sorted(shares[: warmup + 1])
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True)


def test_a_tenth_is_warmed_up_by_default() -> None:
    share_at = schedule_for(resolved(), 100)
    assert [step for step in range(100) if share_at(step) == 1] == [10]


def test_a_share_is_of_all_steps() -> None:
    assert schedule_for(resolved(warmup_share=0.5), 40)(20) == 1


def test_a_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="warm-up of 40 steps in a run of 40"):
        schedule_for(resolved(warmup_steps=40), 40)

"""How much of a long text is read twice."""

import pytest

from warmstart.data.examples.overlap import DEFAULT, overlap_of
from warmstart.errors import ConfigError


@pytest.mark.parametrize(
    ("max_tokens", "framing", "largest"), [(64, 0, 32), (64, 2, 31), (7, 0, 3), (4, 2, 1)]
)
def test_a_row_adds_as_much_as_it_repeats(max_tokens: int, framing: int, largest: int) -> None:
    assert overlap_of(largest, max_tokens, framing) == largest
    with pytest.raises(ConfigError, match=f"overlap_tokens is {largest + 1}, ") as caught:
        overlap_of(largest + 1, max_tokens, framing)
    assert caught.value.expected.startswith(f"from 0 to {largest} tokens")
    assert caught.value.do.startswith("remove data.overlap_tokens for the default; or --set model")
    enough = int(caught.value.do.rpartition("=")[2])
    assert overlap_of(largest + 1, enough, framing) == largest + 1
    with pytest.raises(ConfigError):
        overlap_of(largest + 1, enough - 1, framing)


@pytest.mark.parametrize(
    ("max_tokens", "expected"), [(512, DEFAULT), (66, DEFAULT), (65, 31), (20, 9), (3, 0)]
)
def test_the_default_adapts_to_short_rows(max_tokens: int, expected: int) -> None:
    assert overlap_of(None, max_tokens, framing=2) == expected


def test_a_decoder_needs_a_token_before_the_first_that_it_predicts() -> None:
    with pytest.raises(ConfigError) as caught:
        overlap_of(0, 64, framing=0, least=1)
    assert caught.value.do == "--set data.overlap_tokens=1"
    assert overlap_of(1, 64, framing=0, least=1) == 1
    assert overlap_of(0, 64, framing=2) == 0


def test_where_no_overlap_fits_the_advice_is_a_longer_row() -> None:
    with pytest.raises(ConfigError) as caught:
        overlap_of(1, 1, framing=0, least=1)
    assert caught.value.do == "--set model.max_tokens=2"
    assert overlap_of(1, 2, framing=0, least=1) == 1

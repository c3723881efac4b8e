"""Parameters of tests that are too many for the quick suite: some are quick, the others slow.

``make test`` runs the quick ones, ``make test-slow`` the others.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.tiny import ARCHITECTURES


def slow_except(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``, marked as ``slow`` except those in ``quick``.

    Args:
        values: all parameters, in order.
        quick: those of them that are not marked.
    """
    values = list(values)
    assert all(value in values for value in quick), quick
    return [
        value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values
    ]


EACH_ARCHITECTURE = slow_except(ARCHITECTURES, "bert", "modernbert")
"""BERT, and ModernBERT, which differs most from it, are quick."""

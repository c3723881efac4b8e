"""For the contract tests: rewritten assertions in the helpers, and a terminal of 80 columns."""

import pytest

from tests.cli.conftest import TERMINAL

pytest.register_assert_rewrite("tests.contract.battery", "tests.contract.expectations")


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TERMINAL:
        monkeypatch.delenv(name, raising=False)

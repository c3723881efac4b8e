"""What every test gets: no network, and the real data sets where this machine has them.

Without a network means: the Hub's libraries are told so before anything imports them, and Python
is watched for look-ups and connections that leave the machine. An attempt is refused *and* fails
the test that made it, since a library may swallow the refusal.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# The models are tiny and test files run side by side: a second thread would only get in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(
    os.environ.get("WARMSTART_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
)
"""Real data sets, too large for the repository: beside it, or where the variable says."""

LOCAL_HOSTS = frozenset({"", "0.0.0.0", "127.0.0.1", "::", "::1", "localhost"})

_attempts: list[str] = []
"""Addresses beyond this machine that were asked for since the current test began."""


class LeftTheMachine(OSError):
    """A test tried to reach another machine."""


def _watch_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what leaves the machine. Audit events: Python's library reference, *Audit events*."""
    match event, arguments:
        case "socket.connect" | "socket.sendto", (_, (str() as host, *_)):
            pass
        case "socket.getaddrinfo" | "socket.gethostbyname", (str() as host, *_):
            pass
        case _:
            return
    if host not in LOCAL_HOSTS:
        _attempts.append(f"{event} {host}")
        raise LeftTheMachine(f"{event} {host}: tests reach no other machine")


sys.addaudithook(_watch_network)


@pytest.fixture(autouse=True)
def _offline() -> Iterator[None]:
    """Fail the test if anything it ran tried to leave the machine."""
    _attempts.clear()
    yield
    assert not _attempts, f"reached for other machines: {', '.join(_attempts)}"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A function from a name such as ``cola/in_domain_train.tsv`` to its path.

    Where the file is absent the test is skipped, or fails if WARMSTART_REQUIRE_SHARED=1 says that
    this machine must have it.
    """

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            if os.environ.get("WARMSTART_REQUIRE_SHARED") == "1":
                pytest.fail(f"{path} is missing and WARMSTART_REQUIRE_SHARED=1")
            pytest.skip(f"needs shared data: {name}")
        return path

    return find

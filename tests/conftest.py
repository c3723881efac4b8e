"""For every test: no network, and the real data sets if this machine has them.

The Hub's libraries are told to work offline before anything imports them, and name look-ups and
connections that leave the machine are detected. An attempt is refused *and* fails the test that
made it, because a library may ignore the refusal.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# The models are tiny and test files run in parallel: more threads would only be slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Commands that are printed begin with the program that was started: pytest is not `warmstart`.
sys.argv[0] = "pytest"

# By default, Hypothesis fails an example that takes more than 200 ms.
settings.register_profile("warmstart", deadline=None)
settings.load_profile("warmstart")

SHARED = Path(
    os.environ.get("WARMSTART_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
)
"""Real data sets, too large for the repository: next to it, or in the folder of the variable."""

LOCAL_HOSTS = frozenset({"", "0.0.0.0", "127.0.0.1", "::", "::1", "localhost"})

_attempts: list[str] = []
"""Addresses outside of this machine that were requested since the current test began."""


class LeftTheMachine(OSError):
    """A test tried to reach another machine."""


def _watch_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse calls that leave the machine. Source: Python's library reference, *Audit events*."""
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


def pytest_collection() -> None:
    """Modules that are imported are not garbage: it is not searched for among them."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From now on, garbage is searched for less often, and only among what the tests create."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(autouse=True)
def _offline() -> Iterator[None]:
    """Fail the test if anything in it tried to leave the machine."""
    _attempts.clear()
    yield
    assert not _attempts, f"reached for other machines: {', '.join(_attempts)}"


@pytest.fixture(scope="session", autouse=True)
def _traced_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An export takes a second instead of eight once its architecture was traced."""
    from tests import traced_once

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "traced"
    with pytest.MonkeyPatch.context() as patch:
        traced_once.use(patch, folder)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A function from a name such as ``cola/in_domain_train.tsv`` to its path.

    If the file does not exist, the test is skipped, or it fails if WARMSTART_REQUIRE_SHARED=1 says
    that this machine must have it.
    """

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            if os.environ.get("WARMSTART_REQUIRE_SHARED") == "1":
                pytest.fail(f"{path} is missing and WARMSTART_REQUIRE_SHARED=1")
            pytest.skip(f"needs shared data: {name}")
        return path

    return find

"""Tests of the network guard in conftest.py."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import conftest


@pytest.mark.parametrize(
    "leave",
    [
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
        lambda: socket.getaddrinfo("example.com", 443),
        lambda: socket.gethostbyname("example.com"),
    ],
    ids=["connect", "getaddrinfo", "gethostbyname"],
)
def test_leaving_the_machine_is_refused_and_noted(leave: Callable[[], object]) -> None:
    with pytest.raises(OSError, match="tests reach no other machine"):
        leave()
    assert len(conftest._attempts) == 1
    conftest._attempts.clear()  # this attempt was intended


def test_the_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()[:2], timeout=5).close()
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()
    assert not conftest._attempts


def test_the_hub_is_offline() -> None:
    from huggingface_hub import constants

    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert constants.HF_HUB_OFFLINE


def test_shared_data_is_found_skipped_or_demanded(
    shared_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tsv").write_text("a\n")
    monkeypatch.setattr(conftest, "SHARED", tmp_path)
    assert shared_data("a.tsv") == tmp_path / "a.tsv"

    monkeypatch.delenv("WARMSTART_REQUIRE_SHARED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="b.tsv"):
        shared_data("b.tsv")

    monkeypatch.setenv("WARMSTART_REQUIRE_SHARED", "1")
    with pytest.raises(pytest.fail.Exception, match="b.tsv"):
        shared_data("b.tsv")

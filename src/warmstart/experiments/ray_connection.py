"""Connect this process to a Ray cluster, or start one on this machine.

Source: Ray documentation, ``ray.init``.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from threading import current_thread, main_thread
from typing import Any

from warmstart import errors

LOWEST = (2, 50)
"""The oldest version of Ray that is used."""

CONNECT_SECONDS = 5
"""Time for a cluster to answer; Ray itself would try for minutes."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory of a cluster that is started here; trials exchange files."""


def refuse_old_ray() -> None:
    """Raise an error if Ray is not installed or too old.

    Raises:
        RunError: likewise.
    """
    try:
        found = version("ray")
    except PackageNotFoundError:
        raise errors.cluster.ray_missing() from None
    if tuple(int(part) for part in found.split(".")[:2]) < LOWEST:
        raise errors.cluster.ray_too_old(found, ".".join(map(str, LOWEST)))


def refuse_silent(given: str | None) -> None:
    """Raise an error if nothing answers at an address.

    Args:
        given: as for ``connection``.

    Raises:
        UsageError: the address has another form.
        RunError: nothing answers.
    """
    address = _address(given)
    if address in (None, "auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise errors.cluster.not_an_address(address)
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise errors.cluster.unreachable(address, str(error)) from error


@contextmanager
def connection(given: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one, for the block. A caller who is connected stays so.

    Args:
        given: ``HOST:PORT``, ``auto`` or ``local``; None for the address in RAY_ADDRESS, else the
            cluster that runs on this machine, else a new one.

    Raises:
        RunError: there is no cluster.
        UsageError: an address is given, but the caller is connected.
    """
    import ray

    if ray.is_initialized():
        if given is not None:
            raise errors.cluster.connected_already(given)
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        _connect(_address(given))
        yield
    finally:
        ray.shutdown()
        if current_thread() is main_thread():  # Ray has set a handler of its own
            signal.signal(signal.SIGTERM, before)


def _address(given: str | None) -> str | None:
    return given or os.environ.get("RAY_ADDRESS") or None


def _connect(address: str | None) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address != "local":
        try:
            ray.init(address or "auto", **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            if address is not None:
                raise errors.cluster.unreachable(address, last_line(error)) from error
        else:
            return
    alone = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    ray.init("local", **quiet, **alone)


def last_line(error: Exception) -> str:
    """The last line of the message of an error, which names the cause.

    Args:
        error: of Ray.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

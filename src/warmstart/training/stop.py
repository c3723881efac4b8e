"""Stopping: what SIGINT and SIGTERM do while a run trains, and while it is scored afterwards.

While it trains (``stop_requested``) the loop finishes its step, saves, and prints how to resume.
Afterwards (``stops_at_once``) there is nothing to save: the work ends at once, and a resume does it
again. A second signal does what signals do by default. Outside the main thread (a notebook server,
a test runner) Python installs no handlers; there the loop simply runs to its end.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Within the block, signals are noted; the value says whether one has come."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def note(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, note)
    try:
        yield asked.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def stops_at_once(
    asked: Callable[[], bool], interrupted: Callable[[], Exception]
) -> Iterator[None]:
    """Within the block a signal ends the work at once.

    Args:
        asked: whether a stop was requested before; then the block is not entered.
        interrupted: the error that the block then raises.

    Raises:
        Exception: ``interrupted()``, after a signal.
    """
    if asked():
        raise interrupted()
    try:
        with _raising():
            yield
    except KeyboardInterrupt:
        raise interrupted() from None


@contextmanager
def _raising() -> Iterator[None]:
    """Within the block SIGTERM raises ``KeyboardInterrupt``, as SIGINT does by default."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        for number in previous:
            signal.signal(number, leave)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

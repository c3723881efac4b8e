"""The effect of SIGINT and SIGTERM while a run is training, and while it is scored afterwards.

While a run is training (``stop_on_signals``) the loop finishes its step, saves a checkpoint, and
prints how to resume. Afterwards (``stops_at_once``) there is nothing to save: the work ends
immediately, and a resumed run does it again. A second signal has its usual effect. Python can only
install signal handlers in the main thread; in other threads (a notebook server, a test runner)
signals do not stop the run.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Catch signals in the ``with`` block; the yielded function returns True after a signal."""
    # A plain value, not an `Event`: a second signal may arrive while the handler of the first one
    # runs, and would wait for ever for the lock of the `Event`.
    requested = False

    def asked() -> bool:
        return requested

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal requested
        requested = True
        for number, handler in previous.items():  # a second signal is not caught
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def stops_at_once(
    asked: Callable[[], bool], interrupted: Callable[[], Exception]
) -> Iterator[None]:
    """Within the block a signal ends the work immediately.

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

"""Stop on a signal: after SIGINT or SIGTERM the loop finishes its step and saves a checkpoint.

A second signal has its usual effect. Python can only install signal handlers in the main thread; in
other threads (a notebook server, a test runner) signals do not stop the loop.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Catch signals inside the ``with`` block; the yielded function tells whether one arrived."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(_number: int, _frame: FrameType | None) -> None:
        requested.set()
        for number, handler in previous.items():  # a second signal is not caught
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield requested.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

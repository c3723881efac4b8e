"""Silence the log messages and progress bars of Transformers and the hub client.

Their messages are either expected (a new head is "newly initialized") or checked by the caller and
raised as errors. The log levels are global. With several threads inside ``quiet``, the first one to
enter changes them and the last one to leave restores them. If each thread restored the levels that
it found, the levels set by another thread's block could remain.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

_lock = Lock()
_inside = {"logs": 0, "bars": 0}
"""Number of active blocks that silence each of them."""
_restore: dict[str, Callable[[], object]] = {}
"""Restores the state before the first block."""


@contextmanager
def quiet(*, bars: bool = False) -> Iterator[None]:
    """Hide log messages below errors, and progress bars, inside the ``with`` block.

    Args:
        bars: keep the user's setting of progress bars, for long downloads.
    """
    with ExitStack() as stack:
        stack.enter_context(_shared("logs", _silence_logs))
        if not bars:
            stack.enter_context(_shared("bars", _silence_bars))
        yield


@contextmanager
def _shared(what: str, silence: Callable[[], Callable[[], object]]) -> Iterator[None]:
    """Silence one output until the last thread leaves the block."""
    with _lock:
        if not _inside[what]:
            _restore[what] = silence()
        _inside[what] += 1
    try:
        yield
    finally:
        with _lock:
            _inside[what] -= 1
            if not _inside[what]:
                _restore.pop(what)()


def _silence_logs() -> Callable[[], object]:
    """Log nothing below errors; return a function that restores the levels."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity(), hub_logging.get_verbosity()

    def set_levels(of_transformers: int, of_hub: int) -> None:
        transformers_logging.set_verbosity(of_transformers)
        hub_logging.set_verbosity(of_hub)

    set_levels(logging.ERROR, logging.ERROR)
    return lambda: set_levels(*before)


def _silence_bars() -> Callable[[], object]:
    """Show no progress bars, also of the hub client; return a function that restores them."""
    from transformers.utils import logging as transformers_logging

    if not transformers_logging.is_progress_bar_enabled():
        return lambda: None
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers_logging.enable_progress_bar

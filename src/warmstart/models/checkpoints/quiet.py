"""Silence the log messages and progress bars of Transformers and the hub client.

Their messages are either expected (a new head is "newly initialized") or checked by the caller and
raised as errors. The log levels are global, so they are restored afterwards.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, bars: bool = False) -> Iterator[None]:
    """Hide log messages below errors, and progress bars, inside the ``with`` block.

    Args:
        bars: keep the user's setting of progress bars, for long downloads.
    """
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    levels = transformers_logging.get_verbosity(), hub_logging.get_verbosity()
    silence_bars = not bars and transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    hub_logging.set_verbosity(logging.ERROR)
    if silence_bars:  # this also hides the hub client's bars
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(levels[0])
        hub_logging.set_verbosity(levels[1])
        if silence_bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

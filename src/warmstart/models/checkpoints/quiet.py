"""Silence around calls into Transformers and the hub client, which print reports and progress bars.

What they would say is either expected (a new head is "newly initialized") or is checked by the
caller and raised as an error. Their settings are global, so they are put back afterwards.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, bars: bool = False) -> Iterator[None]:
    """No log lines below errors, and no progress bars, inside the block.

    Args:
        bars: leave progress bars as the person has them, for long downloads.
    """
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    levels = transformers_logging.get_verbosity(), hub_logging.get_verbosity()
    silence_bars = not bars and transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    hub_logging.set_verbosity(logging.ERROR)
    if silence_bars:  # the hub client's as well
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(levels[0])
        hub_logging.set_verbosity(levels[1])
        if silence_bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

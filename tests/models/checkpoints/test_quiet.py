"""Silence, also with several threads, ends with the previous log levels."""

import logging

from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as transformers_logging

from warmstart.models.checkpoints.quiet import quiet


def levels() -> tuple[int, int, bool]:
    return (
        transformers_logging.get_verbosity(),
        hub_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )


def test_blocks_that_overlap_restore_the_levels() -> None:
    """Two threads enter and leave: the first to enter leaves first."""
    before = levels()
    first, second, third = quiet(), quiet(), quiet(bars=True)
    first.__enter__()
    assert levels() == (logging.ERROR, logging.ERROR, False)
    second.__enter__()
    third.__enter__()
    first.__exit__(None, None, None)
    assert levels() == (logging.ERROR, logging.ERROR, False)
    second.__exit__(None, None, None)
    assert levels() == (logging.ERROR, logging.ERROR, before[2])
    third.__exit__(None, None, None)
    assert levels() == before

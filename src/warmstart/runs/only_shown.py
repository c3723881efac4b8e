"""Skip, with a notice, what is only for show: it must never end a run.

Samples, baselines, the report and the model card are shown next to the trained model. If one of
them cannot be made, the model and its scores are kept, and a notice says what is missing and why.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from warmstart import errors


@contextmanager
def only_shown(what: str, notice: Callable[[str], None]) -> Iterator[None]:
    """A block whose errors become a notice; a requested stop still ends the run.

    Args:
        what: what the block makes, for the notice: ``the samples``.
        notice: called with the sentence if the block fails.

    >>> with only_shown("the samples", print):
    ...     raise ValueError("no room")
    the samples were left out: ValueError: no room
    """
    try:
        yield
    except errors.Interrupted:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, errors.WarmstartError):
            reason = error.found
        notice(f"{what} were left out: {reason}")

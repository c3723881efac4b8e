"""Values that are opened at their first use and stay open, safe from threads.

In the whole process only one model is opened at a time, also for different runs: while Transformers
loads a model, it replaces PyTorch's initialisation functions and default dtype, which are global,
and restores what it found (``transformers.initialization.guard_torch_init_functions``). Two threads
that do this at the same time could leave the wrong ones in place.
"""

from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar

T = TypeVar("T")

_opening = RLock()
"""Locked while a value is opened; reentrant, because opening one value may open another."""


class OpenOnce(Generic[T]):
    """Values by name, each opened once.

    While one thread opens a value, other threads that need to open one wait. A copy, also in
    another process, has no open values.
    """

    def __init__(self) -> None:
        self._values: dict[str, T] = {}

    def get(self, name: str, open_value: Callable[[], T]) -> T:
        """The value of that name, opened if it is not open yet.

        Args:
            name: name of the value.
            open_value: opens it. If it raises an error, the next call tries again.
        """
        # Looked up without the lock: a value is complete before it is put into the dictionary, and
        # a lookup in a dictionary is atomic.
        found = self._values.get(name)
        if found is None:
            with _opening:
                found = self._values.get(name)  # another thread may have opened it by now
                if found is None:
                    found = self._values[name] = open_value()
        return found

    def forget(self, *names: str) -> None:
        """Close these values; they are opened again at their next use.

        Args:
            names: names of values that may or may not be open.
        """
        with _opening:
            for name in names:
                self._values.pop(name, None)

    def __reduce__(self) -> tuple[type["OpenOnce[T]"], tuple[()]]:
        """Copy and pickle without the open values."""
        return type(self), ()

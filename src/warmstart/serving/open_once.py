"""Values that are opened at their first use and stay open, safe from threads.

Only one model is opened at a time in the whole process, also for different runs: while Transformers
loads a model it replaces PyTorch's initialisation functions and default dtype, which are global,
and puts back what it found (``transformers.initialization.guard_torch_init_functions``). Two
threads that do so at the same time could leave the wrong ones in place.
"""

from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar

T = TypeVar("T")

_opening = RLock()
"""Held while a value is opened; reentrant, because opening one value may open another."""


class OpenOnce(Generic[T]):
    """Open values by name.

    While one thread opens a value, other threads that need to open one wait. A copy, or the object
    in another process, has nothing open.
    """

    def __init__(self) -> None:
        self._values: dict[str, T] = {}

    def get(self, name: str, open_value: Callable[[], T]) -> T:
        """The value of that name, opened if it is not open yet.

        Args:
            name: of the value.
            open_value: opens it. If it raises, the next call tries again.
        """
        # Looked up without the lock: a value is complete before it is put into the dictionary, and
        # a lookup in a dictionary is atomic.
        found = self._values.get(name)
        if found is None:
            with _opening:
                found = self._values.get(name)  # another thread may have opened it meanwhile
                if found is None:
                    found = self._values[name] = open_value()
        return found

    def forget(self, *names: str) -> None:
        """Open these again at their next use.

        Args:
            names: open or not.
        """
        with _opening:
            for name in names:
                self._values.pop(name, None)

    def __reduce__(self) -> tuple[type["OpenOnce[T]"], tuple[()]]:
        """Copied and pickled without what is open."""
        return type(self), ()

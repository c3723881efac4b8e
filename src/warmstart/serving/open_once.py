"""Values that are opened at their first use and stay open, safe from threads."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenOnce(Generic[T]):
    """Open values by name.

    While one thread opens a value, other threads that need to open one wait. A copy, or the object
    in another process, has nothing open.
    """

    def __init__(self) -> None:
        self._lock = Lock()
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
            with self._lock:
                found = self._values.get(name)  # another thread may have opened it meanwhile
                if found is None:
                    found = self._values[name] = open_value()
        return found

    def forget(self, *names: str) -> None:
        """Open these again at their next use.

        Args:
            names: open or not.
        """
        with self._lock:
            for name in names:
                self._values.pop(name, None)

    def __reduce__(self) -> tuple[type["OpenOnce[T]"], tuple[()]]:
        """Copied and pickled without what is open."""
        return type(self), ()

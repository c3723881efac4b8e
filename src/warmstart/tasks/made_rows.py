"""What tasks can do that make their rows themselves, from documents.

Protocols like those in ``capabilities``.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from warmstart.data.table import Table


@runtime_checkable
class SetsDefaults(Protocol):
    """Some settings have a default of their own for this task."""

    @staticmethod
    def defaults() -> Mapping[str, str]:
        """The default by the name of the setting in the group ``data``."""
        ...


@runtime_checkable
class DrawsRows(Protocol):
    """The rows of a split are completed by drawing from the same split."""

    def drawn(self, table: Table) -> Table:
        """The rows as they are evaluated.

        Args:
            table: the clean rows of one split.

        Raises:
            DataError: there is nothing to draw from.
        """
        ...

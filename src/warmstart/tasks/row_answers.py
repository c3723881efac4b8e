"""What some tasks can do with one prediction for each row, when runs are compared.

Protocols like those in ``capabilities``.
"""

from typing import Any, ClassVar, Protocol, runtime_checkable

from warmstart.data.examples.tokens import Bools
from warmstart.data.table import Table


@runtime_checkable
class JudgesRows(Protocol):
    """The prediction for a row is right or wrong, as McNemar's test needs it."""

    def right(self, predictions: Any, labels: Any) -> Bools:
        """Whether the prediction for each row is right, bool [N]."""
        ...


@runtime_checkable
class ReadsAnswers(Protocol):
    """One value for each row is a prediction, so that those of other programs can be scored."""

    needs_more: ClassVar[frozenset[str]]
    """Names of the metrics that need more than this value: probabilities."""

    def answers(self, table: Table, column: str) -> Any:
        """The predictions in a column of a file, N rows.

        Args:
            table: the rows of the file.
            column: has the label, the list of labels, or the number of each row.

        Raises:
            DataError: the column is missing, or has a value that cannot be a prediction.
        """
        ...

"""The shape of every error: what was found, what was expected, what to try.

Kept apart from the texts so that the texts can import it; ``warmstart.errors`` draws the tree.
"""


class WarmstartError(Exception):
    """Base of all errors the person can fix; ``str(error)`` is the whole message to print.

    Args:
        found: what is there now, with file and line where a row is at fault.
        expected: what would have been right.
        do: the next thing to type or change, in the person's own setting names.

    >>> print(WarmstartError("a.csv is empty", "a header and at least one row", "check the path"))
    a.csv is empty
      expected: a header and at least one row
      try:      check the path
    """

    def __init__(self, found: str, expected: str, do: str) -> None:
        super().__init__(found, expected, do)
        self.found, self.expected, self.do = found, expected, do

    def __str__(self) -> str:
        """The three parts, one a line."""
        return f"{self.found}\n  expected: {self.expected}\n  try:      {self.do}"


class ConfigError(WarmstartError):
    """A setting is unknown, malformed, or contradicts another."""


class UsageError(WarmstartError):
    """A command was typed in a way that says nothing it could do. Exit code 2."""


class DataError(WarmstartError):
    """The person's file cannot be used as the task needs it."""


class ModelError(WarmstartError):
    """A checkpoint is missing, unsafe to open, or does not fit the task."""


class RunError(WarmstartError):
    """A run directory is missing, locked, half written, or cannot be written."""


class ExportError(WarmstartError):
    """A model has no ONNX form, the form is not exact, or its file is not there."""


class Interrupted(WarmstartError):
    """The person (or the machine) asked the run to stop; everything is saved. Exit code 130."""

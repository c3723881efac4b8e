"""The error classes. Every message has three parts: what was found, what was expected, what to try.

The classes are in their own module so that the modules with the messages can import them.
``warmstart.errors`` shows the class hierarchy.
"""


class WarmstartError(Exception):
    """Base class of all errors that the user can fix; ``str(error)`` is the full message.

    Args:
        found: the problem; includes file and line if a data row is wrong.
        expected: what would have been correct.
        do: what to type or change next, with the real names of the settings.

    >>> print(WarmstartError("a.csv is empty", "a header and at least one row", "check the path"))
    a.csv is empty
      expected: a header and at least one row
      try:      check the path
    """

    def __init__(self, found: str, expected: str, do: str) -> None:
        super().__init__(found, expected, do)
        self.found, self.expected, self.do = found, expected, do

    def __str__(self) -> str:
        """The three parts, one per line."""
        return f"{self.found}\n  expected: {self.expected}\n  try:      {self.do}"


class ConfigError(WarmstartError):
    """A setting is unknown, malformed, or contradicts another."""


class UsageError(WarmstartError):
    """A command has wrong or missing arguments. Exit code 2."""


class DataError(WarmstartError):
    """A file, text or label of the user cannot be used for the task."""


class ModelError(WarmstartError):
    """A checkpoint is missing, unsafe to open, or does not fit the task."""


class RunError(WarmstartError):
    """A run directory is missing, locked, incomplete, or not writable."""


class ExportError(WarmstartError):
    """A model cannot be exported to ONNX, its outputs differ, or the exported file is missing."""


class Interrupted(WarmstartError):
    """The user or the system asked the run to stop; its state is saved. Exit code 130."""

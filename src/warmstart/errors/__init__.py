"""Every failure a person can cause, each worded in three parts: found / expected / try.

A caller catches ``WarmstartError`` for "the person can fix it" and lets everything else crash with
its traceback, because anything else is our bug. The texts live in this package and nowhere else,
one file for each thing that can be at fault, so that they can be read in one sitting and each has a
test that reaches it and reads its advice::

    from warmstart import errors
    raise errors.data.missing_column("labels", have, path="a.csv", setting="data.label")

WarmstartError
├── ConfigError   a setting is unknown, malformed, or contradicts another       errors.config,
│                                                                               .transfer
├── DataError     what the person gave cannot be used as the task needs it      errors.data, .files,
│                                                                               .labels, .prompt
├── ModelError    a checkpoint is missing, unsafe, or does not fit its task     errors.model
├── RunError      a run directory is missing, locked, half written, or full     errors.run
├── ExportError   a model has no ONNX form, or none that answers as it does     errors.export
├── UsageError    a command was typed in a way that says nothing it could do    errors.command
└── Interrupted   the run was asked to stop, and is saved                       errors.run
"""

from warmstart.errors import (
    command,
    config,
    data,
    export,
    files,
    labels,
    model,
    prompt,
    run,
    tags,
    transfer,
)
from warmstart.errors.base import (
    ConfigError,
    DataError,
    ExportError,
    Interrupted,
    ModelError,
    RunError,
    UsageError,
    WarmstartError,
)

__all__ = [
    "ConfigError",
    "DataError",
    "ExportError",
    "Interrupted",
    "ModelError",
    "RunError",
    "UsageError",
    "WarmstartError",
    "command",
    "config",
    "data",
    "export",
    "files",
    "labels",
    "model",
    "prompt",
    "run",
    "tags",
    "transfer",
]

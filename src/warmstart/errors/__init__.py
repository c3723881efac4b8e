"""Every error that a user can cause. Each message has three parts: found / expected / try.

Catch ``WarmstartError`` to handle the errors that the user can fix. Any other exception is a bug in
warmstart and should crash with its traceback. All messages are in this package, one module per
subject, so that they are easy to review together. Each message has a test that triggers it and
checks its advice::

    from warmstart import errors
    raise errors.data.missing_column("labels", have, path="a.csv", setting="data.label")

WarmstartError
├── ConfigError   a setting is unknown, malformed, or contradicts another       errors.config,
│                                                                               .arguments,
│                                                                               .transfer,
│                                                                               .vectors
├── DataError     a file, text or label cannot be used for the task             errors.data, .files,
│                                                                               .arguments,
│                                                                               .folders, .glue,
│                                                                               .json_files,
│                                                                               .labels, .prompt,
│                                                                               .python_tables,
│                                                                               .splits,
│                                                                               .spreadsheets,
│                                                                               .tags,
│                                                                               .unlearnable,
│                                                                               .vectors
├── ModelError    a checkpoint is missing, unsafe, or does not fit the task     errors.model,
│                                                                               .checkpoint
├── RunError      a run directory is missing, locked, damaged, or not writable  errors.run,
│                                                                               .cluster,
│                                                                               .comparison,
│                                                                               .launch
├── ExportError   a model cannot be exported to ONNX, or its outputs differ     errors.export
├── UsageError    a command has wrong or missing arguments                      errors.command,
│                                                                               .comparison
└── Interrupted   the run was stopped by request; its state is saved            errors.run
"""

from warmstart.errors import (
    answers,
    arguments,
    checkpoint,
    cluster,
    command,
    comparison,
    config,
    data,
    delimited,
    experiment,
    export,
    files,
    folders,
    glue,
    json_files,
    labels,
    launch,
    model,
    prompt,
    python_tables,
    run,
    search,
    splits,
    spreadsheets,
    tags,
    transfer,
    unlearnable,
    vectors,
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
    "answers",
    "arguments",
    "checkpoint",
    "cluster",
    "command",
    "comparison",
    "config",
    "data",
    "delimited",
    "experiment",
    "export",
    "files",
    "folders",
    "glue",
    "json_files",
    "labels",
    "launch",
    "model",
    "prompt",
    "python_tables",
    "run",
    "search",
    "splits",
    "spreadsheets",
    "tags",
    "transfer",
    "unlearnable",
    "vectors",
]

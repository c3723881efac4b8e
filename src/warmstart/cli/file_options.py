"""The options of ``predict`` and ``embed``: texts, or a file and a file for the results."""

from pathlib import Path
from typing import Annotated

import typer

Text = Annotated[
    list[str] | None,
    typer.Option("--text", metavar="TEXT", help="A text; may be repeated."),
]
TextPair = Annotated[
    list[str] | None,
    typer.Option("--text-pair", metavar="TEXT", help="Second text, one for each --text."),
]
Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="F", help="File of texts; may be repeated; -: stdin."),
]
OverwriteFile = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output file if it exists.")
]
KeepColumns = Annotated[
    bool, typer.Option("--keep-columns", help="Add the other columns of the file to the output.")
]

_OUTPUTS = {"predict": "predictions.csv", "embed": "vectors.parquet"}
"""The name of a possible output file, for messages."""


def refuse_options_without_effect(
    command: str,
    data: list[str] | None,
    output: Path | None,
    sets: list[str] | None,
    *,
    overwrite: bool,
    keep_columns: bool,
    as_json: bool,
) -> None:
    """Refuse options that would be ignored.

    Args:
        command: ``predict`` or ``embed``.
        data: the files.
        output: the file for the results.
        sets: settings that describe the files.
        overwrite: whether an existing file is replaced.
        keep_columns: whether the other columns of the files are wanted.
        as_json: whether the result is printed as JSON.

    Raises:
        UsageError: an option has no effect.
    """
    from warmstart import errors

    of_files = {
        f"--set {sets[0]}" if sets else "--set": bool(sets),
        f"--output {output}": output is not None,
        "--keep-columns": keep_columns,
        "--overwrite": overwrite,
    }
    for option, given in of_files.items():
        if given and not data:
            raise errors.command.only_with_data(option, command)
    if overwrite and output is None:
        raise errors.command.nothing_to_overwrite(command, _OUTPUTS[command])
    if keep_columns and output is None and not as_json:
        raise errors.command.only_for_rows("--keep-columns", command, _OUTPUTS[command])

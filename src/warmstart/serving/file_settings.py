"""The settings for a file that is predicted or evaluated: those of the run, with changes.

The settings of the run describe its training files. For a file in another format, those that
describe a format (``data.delimiter``, ``data.encoding``, …) say nothing, and are not used. What is
given for the file itself is used, or refused.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

from warmstart import config_file, errors
from warmstart.config import FORMAT_SETTINGS, DataConfig, RunConfig
from warmstart.config.config_faults import GROUPS, SETTINGS
from warmstart.data.reading.formats import refuse_unread_settings
from warmstart.data.reading.sources import STDIN, format_of_name, read
from warmstart.data.table import Table

LABEL_SETTINGS = frozenset(
    {
        "data.label",
        "data.label_columns",
        "data.tag_scheme",
        "data.answers",
        "data.answer_start",
    }
)
"""Settings that describe the labels of a file, which predictions do not need."""

FILE_SETTINGS = LABEL_SETTINGS | {
    "data.format",
    "data.delimiter",
    "data.columns",
    "data.quoting",
    "data.encoding",
    "data.text",
    "data.text_pair",
    "data.prompt",
    "data.words",
    "data.tags",
    "data.spans",
    "data.label_separator",
    "data.group",
    "data.ragged",
    "data.missing",
    "data.dir",
}
"""Settings that describe the format of a file; only these can differ from the training file's."""

Source = str | os.PathLike[str]
"""A file, as for ``data.train``."""


def sources(source: Source | Sequence[Source]) -> list[str]:
    """One file or several, as a list."""
    found = [source] if isinstance(source, str | os.PathLike) else source
    return [os.fspath(one) for one in found]


def given_settings(overrides: Sequence[str]) -> list[str]:
    """The names of the settings that are given for a file, such as ``data.format``."""
    return [text.partition("=")[0].strip() for text in overrides]


def file_config(
    config: RunConfig,
    overrides: Sequence[str],
    source: Source | Sequence[Source] = (),
    *,
    labelled: bool = True,
) -> RunConfig:
    """The settings for new file(s): those of the training files, except for overrides.

    Args:
        config: settings of the run.
        overrides: settings that differ, each like ``data.format=csv``.
        source: the file(s).
        labelled: whether the labels of the file(s) are read.

    Raises:
        ConfigError: an override is not a setting for reading files, or not for these.
    """
    allowed = FILE_SETTINGS if labelled else FILE_SETTINGS - LABEL_SETTINGS
    given = given_settings(overrides)
    for name in given:
        # A group, such as `train={epochs: 9}`, would change settings that are not for files.
        if name in LABEL_SETTINGS - allowed:
            raise errors.command.labels_not_read(name)
        if (name in SETTINGS or name in GROUPS) and name not in FILE_SETTINGS:
            raise errors.config.fixed_by_training(name, sorted(allowed))
    # The file is looked up in the working directory, not in the folder of the training files.
    dropped = {"data.dir", *_of_other_formats(config, overrides, source)}
    content = config.model_dump(exclude_unset=True)
    data = content["data"]
    content["data"] = {name: data[name] for name in data if f"data.{name}" not in dropped}
    found = config_file.load(content, overrides)
    if (found.data.text_pair is None) != (config.data.text_pair is None):
        raise errors.config.fixed_by_training(
            "data.text_pair", sorted(allowed - {"data.text_pair"})
        )
    return found


def read_files(
    source: Source | Sequence[Source],
    data: DataConfig,
    overrides: Sequence[str],
    *,
    every_line: bool = False,
) -> Table:
    """The rows of file(s) that are predicted or evaluated.

    Args:
        source: the file(s).
        data: the settings from ``file_config``.
        overrides: the settings that were given for these files.
        every_line: as for ``read``.

    Raises:
        ConfigError: a setting that was given is read for none of the files.
        DataError: a file cannot be read.
    """
    table = read(sources(source), data, "--data", every_line=every_line)
    given = given_settings(overrides)
    fields = DataConfig.model_fields
    unasked = {
        name: fields[name].default
        for name in ("format", *FORMAT_SETTINGS)
        if f"data.{name}" not in given
    }
    refuse_unread_settings(data.model_copy(update=unasked), table.files)
    if "data.group" in given and data.group is not None:
        table.column(data.group, "data.group")  # fails if there is no such column
    is_plain = all(file.format == "text" and not file.documents for file in table.files)
    if is_plain and data.text_pair is None:
        # The only column of a plain text is the text, whatever the column has been in training.
        if "data.text" in given:
            raise errors.files.text_has_no_columns(table.files[0].path, data.text)
        return replace(table, columns=table.columns.rename_columns([data.text]))
    return table


def _of_other_formats(
    config: RunConfig, overrides: Sequence[str], source: Source | Sequence[Source]
) -> list[str]:
    """The settings that describe the format of the training files, if these files have another."""
    data, given = config.data, given_settings(overrides)
    of_run = [name for source in data.sources.values() for name in sources(source)]
    by_name = {format_of_name(name) for name in of_run}
    new = {format_of_name(name) for name in sources(source)}
    dropped: list[str] = []
    trained = by_name if data.format == "auto" else {data.format}
    if "data.format" in given:
        new = {text.partition("=")[2].strip() for text in overrides if _names_format(text)}
    elif data.format != "auto":
        # It was given because of the names of the training files.
        if new <= by_name | {None} and STDIN not in sources(source):
            new = {data.format}
        else:
            dropped.append("data.format")
    differs = None not in trained | new and not {*map(_kind, trained)} & {*map(_kind, new)}
    for name, readers in FORMAT_SETTINGS.items():
        unread = None not in new and not new & {*readers}
        if f"data.{name}" not in given and (differs or unread):
            dropped.append(f"data.{name}")
    return dropped


def _names_format(override: str) -> bool:
    return given_settings([override]) == ["data.format"]


def _kind(file_format: str | None) -> str | None:
    """The format; CSV and TSV count as one, because only their delimiters differ."""
    return "csv" if file_format == "tsv" else file_format

"""The stages of preparation: read, split, learn, encode. Each can be called alone.

A run goes through all four. Experiments start many runs over one file. They share a ``Workspace``,
which keeps the results of the stages by content: a file is read once for all runs of a process, and
a split is tokenised once for all runs with the same rows and data settings.
"""

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.config.file_formats import NO_ROWS
from warmstart.data.checking.duplicates import equal_texts
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokens import Ints
from warmstart.data.reading.formats import refuse_unread_settings
from warmstart.data.reading.sources import file_states, read
from warmstart.data.split import hold_out, refuse_same_file, sample_rows
from warmstart.data.table import Table
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.preparation.row_ids import tables_of_rows
from warmstart.tasks import task_type
from warmstart.tasks.capabilities import KeepsGroups, Stratifies
from warmstart.tasks.made_rows import DrawsRows
from warmstart.tasks.task import AnyTask, Split

READING = (
    "dir",
    "format",
    "delimiter",
    "columns",
    "quoting",
    "encoding",
    "text",
    "text_pair",
    "label",
    "label_columns",
    "prompt",
    "group",
    "segment_characters",
    "words",
    "tags",
    "spans",
    "answers",
    "answer_start",
    "ragged",
    "missing",
)
"""Settings of ``data`` that affect what is read from a file and which rows are usable."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Results of the stages, keyed by what they depend on; shared by the runs of one process."""

    _kept: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value kept under ``key``; it is computed if there is none.

        Args:
            key: everything that the value depends on.
            compute: called without arguments.
        """
        if key not in self._kept:
            self._kept[key] = compute()
        value: Value = self._kept[key]
        return value


@dataclass(frozen=True, slots=True)
class Sources:
    """The usable rows of each setting that names files.

    Args:
        tables: by split (``train``, ``validation``, ``test``), for the splits that name files.
        dropped: for each, the number of rows left out for each reason.
    """

    tables: Mapping[str, Table]
    dropped: Mapping[str, Mapping[str, int]]


def read_sources(config: RunConfig, workspace: Workspace | None = None) -> Sources:
    """Read the files that the config names and leave out unusable rows.

    Args:
        config: names the files and describes their format.
        workspace: shared with other runs.

    Raises:
        DataError: a file cannot be read, rows are incomplete, or one file is used for two splits.
    """
    data, task = config.data, task_type(config)
    tables: dict[str, Table] = {}
    dropped: dict[str, Mapping[str, int]] = {}
    how = tuple(_hashable(getattr(data, name)) for name in READING)
    for name, source in data.sources.items():

        def cleaned(source: str | list[str] = source, name: str = name) -> Any:
            table = read(source, data, f"data.{name}")
            return *task.clean(data, table, labelled=True), table

        key = ("read", config.task, name, _hashable(source), how, file_states(source, data))
        tables[name], dropped[name], _ = (workspace or Workspace()).once(key, cleaned)
    refuse_unread_settings(data, (file for table in tables.values() for file in table.files))
    refuse_same_file(tables, allow=data.allow_same_file)
    return Sources(tables, dropped)


def split_tables(
    config: RunConfig, sources: Sources, rows: Mapping[str, Ints] | None = None
) -> dict[str, Table]:
    """The table of each split, in the order train, validation, test.

    Args:
        config: contains the share of the training rows to hold out, if no file is named.
        sources: result of ``read_sources``.
        rows: row ids of ``data.train`` for each split, instead of a share; a split that is not
            named here keeps its own file.

    Raises:
        ConfigError: the row ids and ``data.limit`` decide about the training rows.
        DataError: a split would be empty, the row ids are not usable, or rows with the same text
            cannot be kept together because the row ids decide.
    """
    data, task = config.data, task_type(config)
    tables = dict(sources.tables)
    if rows is not None:
        if data.limit is not None:
            raise errors.splits.limit_of_given_rows(data.limit)
        if data.duplicates == "together":
            raise errors.splits.rows_and_together()
        needed = ["train"] if data.validation == NO_ROWS else ["train", "validation"]
        tables |= tables_of_rows(tables, rows, needed)
    elif isinstance(data.validation, float):
        strata = None
        if data.stratify and issubclass(task, Stratifies):
            strata = task.strata(data, tables["train"])
        tables["train"], tables["validation"] = hold_out(
            tables["train"],
            data.validation,
            data.split_seed,
            strata=strata,
            group_by=group_column(config),
            same=equal_texts(tables["train"], data) if data.duplicates == "together" else None,
        )
    return {name: tables[name] for name in ("train", "validation", "test") if name in tables}


def limited(config: RunConfig, tables: Mapping[str, Table]) -> dict[str, Table]:
    """The splits with only a sample of the training rows, if ``data.limit`` is set.

    Rows that a task compares with each other stay together.

    Args:
        config: the number of training rows to use.
        tables: table of each split.

    Raises:
        ConfigError: ``data.limit`` has no effect, or is too small.
    """
    data, task, train = config.data, task_type(config), tables["train"]
    if data.limit is None:
        return dict(tables)
    if data.limit >= len(train):
        raise errors.splits.limit_without_effect(data.limit, len(train))
    strata = None
    if data.stratify and issubclass(task, Stratifies):
        strata = task.strata(data, train, parts=1)
    group = task.group(data) if issubclass(task, KeepsGroups) else None
    part = sample_rows(train, data.limit, data.split_seed, strata=strata, group_by=group)
    return {**tables, "train": part}


def group_column(config: RunConfig) -> str | None:
    """The column whose rows stay together in a split; None if rows are independent.

    Args:
        config: settings of the run.
    """
    task = task_type(config)
    return task.group(config.data) if issubclass(task, KeepsGroups) else config.data.group


def learn(config: RunConfig, tables: Mapping[str, Table]) -> tuple[AnyTask, dict[str, Split]]:
    """The task with the facts from the training split, and the labels of every split.

    Args:
        config: settings of the run.
        tables: table of each split.

    Raises:
        DataError: labels cannot be learned, or do not occur in training.
    """
    task = task_type(config).learn(config, tables["train"])
    return task, {name: split_of(task, table) for name, table in tables.items()}


def split_of(task: AnyTask, table: Table) -> Split:
    """The rows of a split and their labels.

    Args:
        task: what is learned.
        table: the clean rows of the split.

    Raises:
        DataError: labels cannot be learned, or rows cannot be completed.
    """
    if isinstance(task, DrawsRows):
        table = task.drawn(table)
    return Split(table, task.labels(table))


def encode(
    task: AnyTask,
    splits: Mapping[str, Split],
    checkpoint: Checkpoint,
    max_tokens: int,
    workspace: Workspace | None = None,
) -> dict[str, Examples]:
    """Tokenise every split.

    Args:
        task: what is learned.
        splits: rows and labels.
        checkpoint: contains the tokenizer.
        max_tokens: longest input in tokens.
        workspace: shared with other runs.
    """
    tokenizer = checkpoint.tokenizer
    # Besides the vocabulary: normalisation, and which tokens begin, end and mask a text.
    parts = [
        tokenizer.backend_tokenizer.to_str(),
        repr(sorted(tokenizer.special_tokens_map.items())),
        repr(tokenizer.model_input_names),
    ]
    backend = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    examples = {}
    for name, split in splits.items():

        def encoded(split: Split = split) -> Examples:
            found = task.encode(split.table, split.labels, tokenizer, max_tokens)
            return found

        key = ("encode", repr(task), backend, max_tokens, content_key(split.table))
        examples[name] = (workspace or Workspace()).once(key, encoded)
    return examples


def content_key(table: Table) -> str:
    """A hash of the rows of a table: their files' content and their row ids."""
    digest = hashlib.sha256(repr([file.sha256 for file in table.files]).encode())
    digest.update(np.ascontiguousarray(table.rows).data)
    return digest.hexdigest()


def _hashable(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value

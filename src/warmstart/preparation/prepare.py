"""Everything that is read, checked and decided before weights are loaded.

The order is the order in which mistakes are cheap to find: the files, their columns and rows, the
labels, the splits, the settings against the task, then the checkpoint's configuration and
tokenizer, then tokenising and the findings. Whatever is wrong is said here, while nothing has been
written. Of a run that pretrains the checkpoint is made here, in a temporary folder.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.config import LIST_LOSSES, RunConfig, TrainConfig
from warmstart.data.checking.check import Findings, find
from warmstart.data.examples.encode import Examples, Ints
from warmstart.data.reading.sources import read
from warmstart.data.split import hold_out, refuse_same_file
from warmstart.data.table import Table
from warmstart.models.checkpoints.load import Checkpoint, resolve_max_tokens
from warmstart.models.checkpoints.load import find as find_checkpoint
from warmstart.models.tuning.adapters import refuse_unfit
from warmstart.models.tuning.freezing import frozen_part
from warmstart.models.tuning.parts import refuse_unknown
from warmstart.preparation.new_start import new_start, refuse_faulty
from warmstart.preparation.plan import Plan
from warmstart.preparation.schedule import schedule_for
from warmstart.tasks import task_type
from warmstart.tasks.task import Labelled, Stratifies, Task

_PIECE = 1 << 16
"""Ranges that are Python objects at one time."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that could start now.

    Args:
        config: the settings.
        task: with what it learned from the training split.
        checkpoint: found and checked; its weights are not loaded.
        max_tokens: longest input.
        best_metric: metric of the task that chooses the kept model.
        tables: clean rows of each split: train, validation and, where given, test.
        dropped: of each split, how many rows were left out for which reason.
        examples: the same rows, tokenised.
        findings: what stands out in the data.
    """

    config: RunConfig
    task: Task
    checkpoint: Checkpoint
    max_tokens: int
    best_metric: str
    tables: Mapping[str, Table]
    dropped: Mapping[str, Mapping[str, int]]
    examples: Mapping[str, Examples]
    findings: Findings

    def data_json(self) -> dict[str, Any]:
        """The content of ``data.json``: files, splits by row id, findings."""
        shared = not isinstance(self.config.data.validation, str | list)
        return {
            "files": {
                name: [asdict(f) for f in table.files] for name, table in self.tables.items()
            },
            "splits": {
                name: {
                    "source": "train" if shared and name == "validation" else name,
                    "rows": _row_ids(table),
                    "left_out": dict(self.dropped[name]),
                }
                for name, table in self.tables.items()
            },
            "max_tokens": self.max_tokens,
            "findings": self.findings.to_json(),
        }


def prepare(config: RunConfig, start: Path | None = None) -> Prepared:
    """Read, split, check and tokenise, without loading any weights.

    Args:
        config: what to train on what.
        start: where to make the checkpoint that ``config.pretrain`` describes; None begins with
            the one that ``model.name`` names.

    Raises:
        WarmstartError: anything that would make the run fail later, or not mean what it seems to.
    """
    if start is not None:
        refuse_faulty(config)
    tables, dropped = read_splits(config)
    task = task_type(config).learn(config, tables["train"])
    for table in tables.values():
        task.targets(table)
    best_metric = config.train.best_metric or task.metrics[0].name
    known = [metric.name for metric in task.metrics]
    if best_metric not in known:
        raise errors.config.unknown_metric(best_metric, known)
    if config.data.long_documents == "truncate" and config.loss not in LIST_LOSSES:
        # Else there are more rows than documents, or batches are of whole lists.
        plan = Plan(np.ones(len(tables["train"]), dtype=np.int64), config.train)
        schedule_for(config.train, plan.total_steps)

    model = config.model if start is None else new_start(config, tables["train"], start)
    checkpoint = find_checkpoint(model, task.head)
    if start is not None:  # whose folder means nothing to anybody
        checkpoint = replace(checkpoint, name="the new model")
    refuse_unfit_parts(config.train, task.name, checkpoint)
    max_tokens = resolve_max_tokens(checkpoint, config.model.max_tokens)
    examples = {
        name: task.examples(table, checkpoint.tokenizer, max_tokens, labelled=True)
        for name, table in tables.items()
    }
    plan = Plan.of(examples["train"], config.train)
    schedule_for(config.train, plan.total_steps)
    if config.train.average is not None and config.train.average.count > plan.evaluations:
        enough = ceil(config.train.average.count / config.train.epochs)
        count = config.train.average.count
        raise errors.transfer.too_few_evaluations(count, plan.evaluations, enough)
    findings = find(
        tables,
        config.data,
        lengths={name: split.document_lengths for name, split in examples.items()},
        max_tokens=max_tokens,
        dropped=dropped,
        cut={name: split.cut for name, split in examples.items() if split.cut is not None},
        labels={name: task.shown_labels(table) for name, table in tables.items()}
        if isinstance(task, Labelled)
        else {},
        classes=task.stratifies,
        together=config.group,
        remarks=_remarks(task, tables),
    )
    return Prepared(
        config, task, checkpoint, max_tokens, best_metric, tables, dropped, examples, findings
    )


def _remarks(task: Task, tables: Mapping[str, Table]) -> dict[str, list[str]]:
    if not isinstance(task, Labelled):
        return {}
    return {name: task.remarks(table) for name, table in tables.items()}


def refuse_unfit_parts(config: TrainConfig, task: str, checkpoint: Checkpoint) -> None:
    """Hold the settings that say which weights train against the model that has them.

    Args:
        config: the settings.
        task: its name.
        checkpoint: found for this task.

    Raises:
        WarmstartError: the model has no such parts, or the task no use for the settings.
    """
    head = checkpoint.head
    refuse_unknown(config, checkpoint.config.model_type)
    if config.unfreeze_layers_per_epoch is not None and head != "sequence-classification":
        raise errors.transfer.not_unfrozen(task)
    if config.lora is not None:
        refuse_unfit(config.lora, checkpoint.config, head, task)
    if config.freeze is not None:
        frozen_part(config.freeze, checkpoint.config, head)


def read_splits(config: RunConfig) -> tuple[dict[str, Table], dict[str, dict[str, int]]]:
    """The clean rows of each split, and how many were left out for which reason.

    Args:
        config: names the files, or the share that validation takes of ``data.train``.

    Raises:
        DataError: a file cannot be read, rows are incomplete, or one file serves two splits.
    """
    data, task = config.data, task_type(config)
    sources = {"train": data.train, "validation": data.validation, "test": data.test}
    read_tables = {
        name: read(source, data, f"data.{name}")
        for name, source in sources.items()
        if isinstance(source, str | list)
    }
    refuse_same_file(read_tables, allow=data.allow_same_file)
    tables: dict[str, Table] = {}
    dropped: dict[str, dict[str, int]] = {}
    for name, table in read_tables.items():
        tables[name], dropped[name] = task.clean(data, table, labelled=True)
    if isinstance(data.validation, float):
        tables["train"], tables["validation"] = hold_out(
            tables["train"],
            data.validation,
            data.split_seed,
            stratify_by=data.label if data.stratify and task.stratifies else None,
            group_by=config.group,
            strata=task.strata(data, tables["train"])
            if data.stratify and issubclass(task, Stratifies)
            else None,
        )
        dropped["validation"] = {}
    order = [name for name in sources if name in tables]
    return {name: tables[name] for name in order}, {name: dropped[name] for name in order}


def _row_ids(table: Table) -> str:
    """``"all"`` where the split is its whole source, else the ids as ``ranges`` writes them."""
    read_rows = sum(file.rows for file in table.files)
    return "all" if len(table) == read_rows else ranges(table.rows)


def ranges(rows: Ints) -> str:
    """Row ids as one text, neighbours as the first and the last of them.

    A list of millions of ids would be millions of Python objects for whoever opens the file.

    Args:
        rows: rising, int64 [N].

    >>> ranges(np.array([0, 1, 2, 5, 7, 8]))
    '0-2,5,7-8'
    """
    gaps = np.flatnonzero(np.diff(rows) != 1)
    first, last = np.append(rows[:1], rows[gaps + 1]), np.append(rows[gaps], rows[-1:])
    pieces = []
    for start in range(0, len(first), _PIECE):
        here = slice(start, start + _PIECE)
        pairs = zip(first[here].tolist(), last[here].tolist(), strict=True)
        pieces.append(",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in pairs))
    return ",".join(pieces)

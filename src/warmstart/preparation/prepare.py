"""Everything that is read, checked and decided before weights are loaded.

Mistakes that are cheap to find are checked first: files, their columns and rows, labels, splits,
settings against the task, then the checkpoint's configuration and tokenizer, then tokenising and
the findings. All errors are raised here, before anything is written. The checkpoint of a
pretraining run is created here, in a temporary folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import (
    LIST_LOSSES,
    ModelConfig,
    ResolvedTrainConfig,
    RunConfig,
    TrainConfig,
)
from warmstart.data.checking.check import Findings, collect_findings
from warmstart.data.checking.label_messages import Finding
from warmstart.data.checking.unknown_tokens import Vocabulary, about_vocabulary
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import Table
from warmstart.data.tags.word_table import WORDS
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.load import Checkpoint, resolve_max_tokens
from warmstart.models.checkpoints.load import find as find_checkpoint
from warmstart.models.checkpoints.missing_parts import new_parts
from warmstart.models.tuning.adapters import refuse_unfit
from warmstart.models.tuning.auto_settings import Choice
from warmstart.models.tuning.freezing import frozen_part
from warmstart.models.tuning.parts import refuse_unknown
from warmstart.preparation.about_run import about_limit, about_run
from warmstart.preparation.auto import about_choices, with_pooling, without_auto
from warmstart.preparation.auto_model import with_model
from warmstart.preparation.distinct_rows import distinct
from warmstart.preparation.learnable import learnable
from warmstart.preparation.new_start import new_start, refuse_faulty
from warmstart.preparation.plan import Plan, batches_per_epoch
from warmstart.preparation.row_ids import ranges, row_ids
from warmstart.preparation.schedule import schedule_for
from warmstart.preparation.stages import (
    Workspace,
    encode,
    group_column,
    learn,
    limited,
    read_sources,
    split_tables,
)
from warmstart.runs.loaded_run import refuse_damaged_start
from warmstart.tasks.capabilities import LabelsSpans, ShowsLabels
from warmstart.tasks.task import AnyTask, Split


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that could start now.

    Args:
        config: the settings, without ``auto``.
        train: the settings of the training, ``config.train``.
        task: the task, with the facts learned from the training split.
        checkpoint: a checked checkpoint; its weights are not loaded.
        max_tokens: longest input in tokens.
        best_metric: metric of the task that selects the kept model.
        splits: clean rows and labels of each split: train, validation and, if given, test.
        dropped: for each split, the number of rows left out for each reason.
        examples: the same rows, tokenised.
        findings: counts and messages about the data.
        rows_given: the row ids of each split that was given so, in the form of ``ranges``.
        chosen: dotted names of the settings that were ``auto``.
        workspace: results that runs over the same rows share.
    """

    config: RunConfig
    train: ResolvedTrainConfig
    task: AnyTask
    checkpoint: Checkpoint
    max_tokens: int
    best_metric: str
    splits: Mapping[str, Split]
    dropped: Mapping[str, Mapping[str, int]]
    examples: Mapping[str, Examples]
    findings: Findings
    rows_given: Mapping[str, str] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    workspace: Workspace = field(default_factory=Workspace)

    @property
    def tables(self) -> dict[str, Table]:
        """The rows of each split."""
        return {name: split.table for name, split in self.splits.items()}

    def about_model(self) -> list[str]:
        """What the run keeps of the checkpoint's weights, in sentences; the weights stay unread.

        Empty if the weights are not on disk yet.
        """
        if not all(path.exists() for path in self.checkpoint.weight_paths):
            return []
        return new_parts(self.checkpoint, self.task.model_config(self.checkpoint))

    def data_json(self) -> dict[str, Any]:
        """The content of ``data.json``: files, splits by row id, findings."""
        return {
            "files": {
                name: [f.to_json() for f in table.files] for name, table in self.tables.items()
            },
            "splits": {
                name: {
                    "source": table.setting.removeprefix("data."),
                    "rows": ranges(table.rows) if self.rows_given else row_ids(table),
                    "left_out": dict(self.dropped[name]),
                    # A resumed run starts from these again, and leaves out the same of them.
                    **({"given": self.rows_given[name]} if name in self.rows_given else {}),
                }
                for name, table in self.tables.items()
            },
            "rows_given": bool(self.rows_given),
            "max_tokens": self.max_tokens,
            "findings": self.findings.to_json(),
            "chosen": list(self.chosen),
        }


def prepare(
    config: RunConfig,
    start: Path | None = None,
    *,
    rows: Mapping[str, Ints] | None = None,
    workspace: Workspace | None = None,
) -> Prepared:
    """Read, split, learn, check and tokenise, without loading any weights.

    Args:
        config: what to train, and on which data.
        start: where to create the checkpoint that ``config.pretrain`` describes; None to start
            from the checkpoint in ``model.name``.
        rows: row ids of ``data.train`` for each split, instead of a share for validation.
        workspace: shared with other runs over the same files.

    Raises:
        WarmstartError: anything that would make the run fail later, or give a misleading result.
    """
    if start is not None:
        refuse_faulty(config)
    sources = read_sources(config, workspace)
    tables, again = distinct(config, split_tables(config, sources, rows))
    # Rows that were left out are counted for the split that names their file.
    dropped = {name: {**sources.dropped.get(name, {}), **again.get(name, {})} for name in tables}
    whole, tables = tables, limited(config, tables)
    task, splits = _learn(config, tables, whole)
    best_metric = _best_metric(config, task)
    config, checkpoint, choices, warnings = _start_of(config, tables["train"], task.head, start)
    _refuse_early(config, task.name, checkpoint, len(tables["train"]))
    max_tokens = resolve_max_tokens(checkpoint, config.model.max_tokens)
    examples = encode(task, splits, checkpoint, max_tokens, workspace)
    for name, split in splits.items():
        splits[name], left_out = learnable(task, split, examples[name], max_tokens)
        dropped[name] = {**dropped[name], **left_out}
    train = examples["train"]
    batches = partial(batches_per_epoch, len(train), train.targets.groups)
    resolved = without_auto(config, checkpoint, batches)
    chosen = [*choices, *resolved.choices]
    refuse_unfit_plan(resolved.train, Plan.of(train, resolved.train))
    findings = _findings(config, task, splits, examples, dropped, max_tokens, checkpoint)
    return Prepared(
        resolved.config,
        resolved.train,
        task,
        checkpoint,
        max_tokens,
        best_metric,
        splits,
        dropped,
        examples,
        _extended(
            about_limit(config, tables, whole) + warnings,
            findings,
            about_run(task, splits["train"].table, config, checkpoint) + about_choices(chosen),
        ),
        rows_given={name: ranges(np.sort(np.asarray(ids))) for name, ids in (rows or {}).items()},
        chosen=tuple(choice.setting for choice in chosen),
        workspace=workspace or Workspace(),
    )


def _refuse_early(config: RunConfig, task: str, checkpoint: Checkpoint, rows: int) -> None:
    """Refuse parts that the model lacks and, if possible, a warm-up longer than the run.

    This is before tokenising. The number of steps is known unless a document may give several
    rows, or a batch consists of whole lists.
    """
    refuse_unfit_parts(config.train, task, checkpoint)
    if config.data.long_documents == "truncate" and config.train.loss not in LIST_LOSSES:
        train = without_auto(config, checkpoint, partial(batches_per_epoch, rows, None)).train
        schedule_for(train, Plan(np.ones(rows, dtype=np.int64), train).total_steps)


def _best_metric(config: RunConfig, task: AnyTask) -> str:
    """The name of the metric that selects the kept model."""
    best_metric = config.train.best_metric or task.metrics[0].name
    known = [metric.name for metric in task.metrics]
    if best_metric not in known:
        raise errors.config.unknown_metric(best_metric, known)
    return best_metric


def _start_of(
    config: RunConfig, rows: Table, head: Head, start: Path | None
) -> tuple[RunConfig, Checkpoint, list[Choice], list[Finding]]:
    """The checkpoint of ``model.name``, or the one that is created in ``start``; and what it reads.

    The settings have no ``auto`` in ``model`` then; there is a warning for a model out of reach.
    """
    config, named, warnings = with_model(config, rows, head)
    if start is None:
        checkpoint = _intact_checkpoint(config.model, head)
    else:
        created = _intact_checkpoint(new_start(config, rows, start), head)
        # The name of the folder would confuse the user.
        checkpoint = replace(created, name="the new model")
    config, checkpoint, pooling = with_pooling(config, checkpoint)
    return config, checkpoint, [*named, *pooling], warnings


def _intact_checkpoint(model: ModelConfig, head: Head) -> Checkpoint:
    """The checkpoint that training starts from; the model of a run must be as the run saved it."""
    checkpoint = find_checkpoint(model, head)
    refuse_damaged_start(checkpoint.folder)
    return checkpoint


def refuse_unfit_plan(config: ResolvedTrainConfig, plan: Plan) -> None:
    """Refuse a warm-up longer than the run, and an average over more evaluations than the run has.

    Args:
        config: the settings.
        plan: plan of the run.

    Raises:
        ConfigError: the settings do not fit the number of steps.
    """
    schedule_for(config, plan.total_steps)
    if config.average is not None and config.average.count > plan.evaluations:
        enough = ceil(config.average.count / max(config.epochs, 1))
        count = config.average.count
        raise errors.transfer.too_few_evaluations(count, plan.evaluations, enough)


def _findings(
    config: RunConfig,
    task: AnyTask,
    splits: Mapping[str, Split],
    examples: Mapping[str, Examples],
    dropped: Mapping[str, Mapping[str, int]],
    max_tokens: int,
    checkpoint: Checkpoint,
) -> Findings:
    labels, remarks = {}, {}
    if isinstance(task, ShowsLabels):
        labels = {name: task.shown_labels(split.labels) for name, split in splits.items()}
        remarks = {name: task.remarks(split.labels) for name, split in splits.items()}
    tables = {name: split.table for name, split in splits.items()}
    return collect_findings(
        tables,
        config.data,
        lengths={name: split.document_lengths for name, split in examples.items()},
        max_tokens=max_tokens,
        dropped=dropped,
        cut={
            name: split.tokens.cut
            for name, split in examples.items()
            if split.tokens.cut is not None
        },
        labels=labels,
        classes=any(pa.types.is_string(found.type) for found in labels.values()),
        together=group_column(config),
        remarks=remarks,
        notes={name: split.notes for name, split in examples.items()},
        label_unit=task.label_unit if isinstance(task, LabelsSpans) else "row",
        # A long row that is cut into pieces has several examples, or several windows.
        pieces={name: len(split.tokens.as_windows()) for name, split in examples.items()},
        further=about_vocabulary(
            tables,
            {name: split.tokens for name, split in examples.items()},
            {*config.data.text_columns.values(), WORDS},
            Vocabulary.of(checkpoint.tokenizer, config.data.control_tokens),
        ),
    )


def _extended(first: list[Finding], findings: Findings, last: list[Finding]) -> Findings:
    """The findings with further messages before and after their own."""
    return replace(findings, messages=(*first, *findings.messages, *last))


def _learn(
    config: RunConfig, tables: Mapping[str, Table], whole: Mapping[str, Table]
) -> tuple[AnyTask, dict[str, Split]]:
    """``learn``; an error that only the sample of ``data.limit`` causes says so.

    ``whole``: the tables without the limit.
    """
    try:
        return learn(config, tables)
    except errors.DataError as problem:
        if config.data.limit is None:
            raise
        learn(config, whole)  # if this fails as well, its error is the one to report
        rows = len(whole["train"])
        raise errors.splits.problem_of_sample(config.data.limit, rows, problem) from None


def refuse_unfit_parts(config: TrainConfig, task: str, checkpoint: Checkpoint) -> None:
    """Check the settings that select the trained weights against the model.

    Args:
        config: the settings.
        task: name of the task.
        checkpoint: the checkpoint, found for this task.

    Raises:
        WarmstartError: the model has no such parts, or the task does not allow it.
    """
    head = checkpoint.head
    refuse_unknown(config, checkpoint.config.model_type)
    if config.lora is not None:
        refuse_unfit(config.lora, checkpoint.config, head, task)
    if config.freeze is not None:
        frozen_part(config.freeze, checkpoint.config, head)

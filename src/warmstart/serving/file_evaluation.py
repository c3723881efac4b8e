"""Score a trained model on a labelled file, with PyTorch, like the scores that a run saves."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from warmstart.config import RunConfig
from warmstart.evaluation.baseline_scores import Scored, baseline_scores
from warmstart.evaluation.chosen_numbers import chooses_numbers
from warmstart.evaluation.evaluate import evaluate, with_final_scores
from warmstart.evaluation.store import folder_name, write_evaluation
from warmstart.preparation.learnable import learnable
from warmstart.preparation.stages import split_of
from warmstart.preparation.training_rows import training_splits
from warmstart.runs.directory import RunDirectory
from warmstart.runs.only_shown import only_shown
from warmstart.serving.engine import Engine
from warmstart.serving.file_settings import Source, file_config
from warmstart.serving.predictor import (
    usable_rows,
    warn_of_left_out_rows,
    warn_of_truncated_rows,
)
from warmstart.serving.torch_runner import TorchRunner
from warmstart.tasks.capabilities import HasBaselines, LabelsSpans, with_settings
from warmstart.tasks.task import Split


class FileScores(NamedTuple):
    """What an evaluation of file(s) has written."""

    folder: Path
    """The folder with ``scores.json`` and ``predictions.parquet``."""
    scores: dict[str, dict[str, Any]]
    """``{metric: {"value", "low", "high", "n", "higher_is_better"}}``."""
    baselines: dict[str, dict[str, dict[str, Any]]]
    """The same for each baseline."""


def evaluate_file(
    engine: Engine,
    directory: RunDirectory,
    source: Source | Sequence[Source],
    overrides: Sequence[str] = (),
    *,
    baselines: bool = False,
) -> FileScores:
    """Score a model on labelled file(s) and write the result to ``evaluation/``.

    Warns about rows that were left out or truncated, and about spans that were changed or refused.

    Args:
        engine: the run's ``torch`` engine; other threads may use it at the same time.
        directory: the run directory.
        source: the file(s).
        overrides: settings in which they differ from the training file, each like
            ``data.format=csv``.
        baselines: whether the task's baselines are fitted again on the training rows and scored.

    Raises:
        ConfigError: an override is not a setting for reading files.
        DataError: a file cannot be read, or has a label that was not in the training rows.
        RunError: the run was replaced after the engine was opened; nothing is written.
    """
    runner = engine.runner
    assert isinstance(runner, TorchRunner)
    config = file_config(engine.config, overrides, source)
    task = with_settings(engine.task, config)
    table = usable_rows(task, config.data, source, overrides)
    split = split_of(task, table)
    examples = task.encode(split.table, split.labels, engine.tokenizer, engine.max_tokens)
    split, left_out = learnable(task, split, examples, engine.max_tokens)
    warn_of_left_out_rows(len(table), left_out)
    # A row can have several examples.
    cut, rows = (len(np.unique(ids)) for ids in (examples.rows[examples.truncated], examples.rows))
    warn_of_truncated_rows(cut, rows, "row", engine.max_tokens)
    problems = task.problems(split.labels) if isinstance(task, LabelsSpans) else []
    for text in (*problems, *examples.notes):
        warnings.warn(text, stacklevel=3)
    model, forward, place = runner.model, runner.forward, runner.place
    found = evaluate(task, model, forward, examples, split.labels, place)
    found = with_final_scores(task, found, model, forward, examples, place)
    name = folder_name(table, overrides)
    beside: dict[str, Scored] = {}
    if baselines:
        with only_shown("the baselines", warnings.warn):
            beside = _baselines(engine, directory, split, config)
    with directory.holding(engine.identity):
        write_evaluation(directory, name, task, found, split, config.data, beside, overrides)
    return FileScores(
        directory.evaluation(name),
        found.scores.metrics_json(),
        {baseline: found.scores.metrics_json() for baseline, found in beside.items()},
    )


def _baselines(
    engine: Engine, directory: RunDirectory, split: Split, config: RunConfig
) -> dict[str, Scored]:
    """The task's baselines, fitted on the training rows of the run and scored on a split.

    Args:
        engine: the run's engine.
        directory: the run directory.
        split: the rows of the file(s), and their labels.
        config: the settings with the columns of the file(s).
    """
    if not isinstance(engine.task, HasBaselines):
        return {}
    own, task = engine.config, engine.task
    splits = training_splits(directory)
    # Baselines read the columns that the run names.
    of_run, of_file = own.data.text_columns, config.data.text_columns
    columns = split.table.columns
    renamed = {of_file[setting]: name for setting, name in of_run.items()}
    if any(name != new for name, new in renamed.items()):
        kept = [
            name for name in columns.column_names if name in renamed or name not in renamed.values()
        ]
        columns = columns.select(kept)
        columns = columns.rename_columns([renamed.get(name, name) for name in kept])
    rows = replace(split, table=replace(split.table, columns=columns))
    held_out = {"file": rows}
    if chooses_numbers(task, own.train):  # each baseline gets its own from the validation rows
        held_out["validation"] = split_of(task, splits["validation"])
    train = split_of(task, splits["train"])
    scores, notes = baseline_scores(task, own, train, held_out, own.train.best_metric)
    for note in notes:
        warnings.warn(note, stacklevel=4)
    return {name: of_split["file"] for name, of_split in scores.items()}

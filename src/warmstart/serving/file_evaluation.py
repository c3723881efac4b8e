"""Score a trained model on a labelled file, with PyTorch, like the scores that a run saves."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from warmstart.data.examples.batches import Examples
from warmstart.evaluation.evaluate import evaluate, with_final_scores
from warmstart.evaluation.store import folder_name, write_evaluation
from warmstart.runs.directory import RunDirectory
from warmstart.serving.engine import Engine
from warmstart.serving.predictor import file_config, usable_rows
from warmstart.serving.torch_runner import TorchRunner
from warmstart.tasks.capabilities import LabelsSpans, with_settings
from warmstart.tasks.task import Split


def evaluate_file(
    engine: Engine,
    directory: RunDirectory,
    source: str | Sequence[str],
    overrides: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Score a model on labelled file(s) and write the result to ``evaluation/``.

    Warns about rows that were left out or truncated, and about spans that were changed or refused.

    Args:
        engine: the run's ``torch`` engine; other threads may use it at the same time.
        directory: the run directory.
        source: the file(s).
        overrides: settings in which they differ from the training file, each like
            ``data.format=csv``.

    Raises:
        ConfigError: an override is not a setting for reading files.
        DataError: a file cannot be read, or has a label that was not in the training rows.
    """
    runner = engine.runner
    assert isinstance(runner, TorchRunner)
    config = file_config(engine.config, overrides)
    task = with_settings(engine.task, config)
    table = usable_rows(task, config.data, source, labelled=True)
    split = Split(table, task.labels(table))
    examples = task.encode(table, split.labels, engine.tokenizer, engine.max_tokens)
    _warn_of_truncated_rows(examples, engine.max_tokens)
    problems = task.problems(split.labels) if isinstance(task, LabelsSpans) else []
    for text in (*problems, *examples.notes):
        warnings.warn(text, stacklevel=3)
    model, forward, place = runner.model, runner.forward, runner.place
    found = evaluate(task, model, forward, examples, split.labels, place)
    found = with_final_scores(task, found, model, forward, examples, place)
    name = folder_name(table, overrides)
    write_evaluation(directory, name, task, found, split, config.data, baselines={})
    return found.scores.metrics_json()


def _warn_of_truncated_rows(examples: Examples, max_tokens: int) -> None:
    cut = len(np.unique(examples.rows[examples.truncated]))  # a row can have several examples
    if cut:
        rows = len(np.unique(examples.rows))
        warnings.warn(f"of {rows:,} rows, truncated to {max_tokens} tokens: {cut:,}", stacklevel=4)

"""Baseline scores to set beside a model's: the task scores both, on the same rows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.baselines.bm25 import bm25, chance
from warmstart.baselines.linear import (
    BaselineResult,
    Fitted,
    baseline_probabilities,
    label_shares,
    mean,
    ridge,
    tfidf_labels,
)
from warmstart.config import DataConfig, ProblemName, RunConfig, TaskName
from warmstart.data.examples.encode import Bools, Floats, Ints
from warmstart.data.mapped import PIECE_ROWS, mapped_table
from warmstart.data.table import Table
from warmstart.metrics.scores import Scores
from warmstart.tasks.task import Labelled, Task


def baseline_scores(
    task: Task, config: RunConfig, train: Table, splits: Mapping[str, Table]
) -> tuple[dict[str, dict[str, Scores]], list[str]]:
    """Fit the task's baselines on the training split and score them on every other.

    Args:
        task: what is learned.
        config: names the columns and the seed.
        train: the training split.
        splits: the splits to score, by name.

    Returns:
        ``{baseline: {split: scores}}``, and what a reader of them must know (a baseline that
        learned from a sample says so); nothing for a task without labels.
    """
    if not isinstance(task, Labelled):
        return {}, []
    baselines_of = BASELINES_OF[config.task, config.problem]
    found = baselines_of(config, task.targets(train), train, splits)
    scores = {
        name: {
            split: task.score(
                task.answers(shares, table.rows, np.zeros(len(table), dtype=np.bool_)), table
            )
            for split, table in splits.items()
            for shares in [result.probabilities[split]]
        }
        for name, result in found.items()
    }
    return scores, [f"{name}: {r.note}" for name, r in found.items() if r.note is not None]


def _of_classes(
    config: RunConfig, targets: Ints, train: Table, splits: Mapping[str, Table]
) -> dict[str, BaselineResult]:
    return baseline_probabilities(
        config.task,
        _texts(train, config.data),
        targets,
        {name: _texts(table, config.data) for name, table in splits.items()},
        classes=int(targets.max()) + 1,
        seed=config.train.seed,
    )


def _of_rankings(
    config: RunConfig, targets: Floats, train: Table, splits: Mapping[str, Table]
) -> dict[str, BaselineResult]:
    (_, query), (setting, document) = config.data.text_columns.items()
    fitted = {
        "chance": chance(config.train.seed),
        "bm25": bm25(train.column(document, setting), config.train.seed),
    }
    pairs = {name: table.columns.select([query, document]) for name, table in splits.items()}
    return _answers(fitted, pairs)


def _of_label_sets(
    config: RunConfig, targets: Bools, train: Table, splits: Mapping[str, Table]
) -> dict[str, BaselineResult]:
    texts = _texts(train, config.data)
    fitted = {
        "shares": label_shares(targets),
        "tfidf": tfidf_labels(texts, targets, config.train.seed),
    }
    return _answers(fitted, {name: _texts(one, config.data) for name, one in splits.items()})


def _of_numbers(
    config: RunConfig, targets: Floats, train: Table, splits: Mapping[str, Table]
) -> dict[str, BaselineResult]:
    texts = _texts(train, config.data)
    fitted = {"mean": mean(targets), "ridge": ridge(texts, targets, config.train.seed)}
    return _answers(fitted, {name: _texts(one, config.data) for name, one in splits.items()})


def _answers(fitted: Mapping[str, Fitted], splits: Mapping[str, Any]) -> dict[str, BaselineResult]:
    """What each of them says of every split."""
    return {
        name: BaselineResult({split: one.predict(rows) for split, rows in splits.items()}, one.note)
        for name, one in fitted.items()
    }


BASELINES_OF: dict[tuple[TaskName, ProblemName], Callable[..., dict[str, BaselineResult]]] = {
    ("text-classification", "single-label"): _of_classes,
    ("text-classification", "multi-label"): _of_label_sets,
    ("text-classification", "regression"): _of_numbers,
    ("text-ranking", "single-label"): _of_rankings,
}
"""For each task whose rows have labels: what its baselines say of every split."""


def _texts(table: Table, data: DataConfig) -> pa.ChunkedArray:
    """Every row's text; of pairs both, with a space between."""
    texts = [table.column(name, setting) for setting, name in data.text_columns.items()]
    if len(texts) == 1:
        return texts[0]
    wide = pa.large_string()  # a piece of long texts may be over 2 GiB
    columns = pa.table([column.cast(wide) for column in texts], names=["text", "text_pair"])
    joined = (
        pa.record_batch(
            [pc.binary_join_element_wise(*piece.columns, pa.scalar(" ", wide))], names=["both"]
        )
        for piece in columns.to_batches(max_chunksize=PIECE_ROWS)
    )
    return mapped_table(joined, pa.schema([("both", wide)]))["both"]

"""Common code for the baselines of tasks with one prediction per row: texts in, predictions out."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from warmstart.baselines.linear import Fitted
from warmstart.config import DataConfig
from warmstart.data.table import Table
from warmstart.tasks.capabilities import Baseline
from warmstart.tasks.task import Split


def predicted(
    fitted: Mapping[str, Fitted],
    splits: Mapping[str, Split],
    data: DataConfig,
    predictions: Callable[[Any, Table], Any],
) -> dict[str, Baseline]:
    """Predict every split with every fitted baseline.

    Args:
        fitted: fitted baselines by name.
        splits: splits by name.
        data: names the text columns.
        predictions: converts numbers [N, C] and their table to the task's predictions.
    """
    texts = {name: texts_of(split.table, data) for name, split in splits.items()}
    return {
        name: Baseline(
            {
                split: predictions(baseline.predict(texts[split]), splits[split].table)
                for split in splits
            },
            baseline.note,
        )
        for name, baseline in fitted.items()
    }


def texts_of(table: Table, data: DataConfig) -> pa.Table:
    """The texts of every row: one column, or two for pairs."""
    wide = pa.large_string()  # a piece of long texts may exceed 2 GiB
    columns = data.text_columns
    texts = [table.column(name, setting).cast(wide) for setting, name in columns.items()]
    return pa.table(texts, names=["text", "text_pair"][: len(texts)])

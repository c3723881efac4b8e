"""Common code for the baselines of tasks with one prediction per row: texts in, predictions out."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warmstart.baselines.linear import Fitted
from warmstart.config import DataConfig
from warmstart.data.mapped import PIECE_ROWS, mapped_table
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


def texts_of(table: Table, data: DataConfig) -> pa.ChunkedArray:
    """The text of every row; for pairs both texts, with a space between them."""
    wide = pa.large_string()  # a piece of long texts may exceed 2 GiB
    texts = [table.column(name, setting).cast(wide) for setting, name in data.text_columns.items()]
    if len(texts) == 1:
        return texts[0]
    columns = pa.table(texts, names=["text", "text_pair"])
    joined = (
        pa.record_batch(
            [pc.binary_join_element_wise(*piece.columns, pa.scalar(" ", wide))], names=["both"]
        )
        for piece in columns.to_batches(max_chunksize=PIECE_ROWS)
    )
    return mapped_table(joined, pa.schema([("both", wide)]))["both"]

"""Queries whose first relevant document is not ranked first, for the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq


def worst_queries(
    path: Path, most: int
) -> tuple[list[tuple[dict[str, Any], dict[str, Any], int]], int]:
    """The queries whose first relevant document has the lowest rank, and the number of errors.

    Args:
        path: path of a ``predictions.parquet`` of a ranking.
        most: maximum number of queries to return.

    Returns:
        For each query its first relevant row, the row ranked first, and the rank of the relevant
        one, from 1; and the number of queries whose first document is not relevant.
    """
    table = pq.read_table(path)
    query = table["group" if "group" in table.column_names else "text"].dictionary_encode()
    codes = query.combine_chunks().indices.to_numpy()
    # Sorted by query, best score first; the start of each query, and the rank of every row.
    ranks = table["logit" if "logit" in table.column_names else "score"].to_numpy()
    rows = np.lexsort((-ranks, codes))
    starts = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    relevant = np.flatnonzero(table["label"].cast("float64").to_numpy()[rows] > 0)
    _, first = np.unique(codes[rows[relevant]], return_index=True)
    wrong = relevant[first][rank[relevant[first]] > 0]
    worst = wrong[np.argsort(-rank[wrong], kind="stable")][:most]
    shown = []
    for place in worst.tolist():
        best, top = (table.take([rows[at]]).to_pylist()[0] for at in (place, place - rank[place]))
        shown.append((best, top, int(rank[place]) + 1))
    return shown, len(wrong)

"""The predictions and scores of all folds of a cross-validation together.

Every metric follows from sums over units (rows, queries or documents), and sums of different rows
add up. So the pooled score is computed from the sums of all folds, with one bootstrap over all
units, or over groups of rows. ROC-AUC compares the rows of one fold only: probabilities of
different models are not comparable.

Source: Forman & Scholz 2010, "Apples-to-Apples in Cross-Validation Studies", SIGKDD Explorations
12, which measures the bias of averaging F1 over folds and of joining folds for ROC-AUC.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from warmstart.evaluation.store import baseline_rows
from warmstart.metrics.intervals import MAX_UNITS, UnitSums, assign_units, scores_of_sums
from warmstart.metrics.mean_over_runs import MeanScore, mean_scores
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import RunRecord
from warmstart.tasks.capabilities import Compares

SPLIT = "test"
"""The split of a trial that is its fold."""


def out_of_fold_rows(records: Sequence[RunRecord]) -> pa.Table:
    """The stored predictions of every fold, with the name of the trial.

    Args:
        records: the runs, at least one.
    """
    parts = []
    for record in records:
        rows = _stored(record)
        name = pa.array([record.path.name] * len(rows), pa.string())
        parts.append(rows.append_column("trial", name))
    return pa.concat_tables(parts, promote_options="permissive")


def out_of_fold_scores(
    repeats: Sequence[Sequence[RunRecord]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pooled scores of the models, and of each baseline.

    Args:
        repeats: the runs of all folds, for each time that the rows were divided.

    Returns:
        ``{metric: MeanScore}``, whose deviation is that between folds; and
        ``{baseline: {metric: score}}`` of the first time.
    """
    task = repeats[0][0].task
    if not isinstance(task, Compares):
        return {}, {}
    metrics = task.metrics
    pooled = [_pooled(records) for records in repeats]
    aligned = [sums for sums, rows in pooled if rows is not None]
    # Rows can be resampled together only if every repeat has its rows in the same order.
    together = aligned if len(aligned) == len(pooled) else [pooled[0][0]]
    of_folds = [record.evaluations[SPLIT].scores for records in repeats for record in records]
    scores = {
        name: _with_spread(score, [found[name].value for found in of_folds]).to_json()
        for name, score in mean_scores(together, metrics).items()
    }
    baselines = {}
    for name in repeats[0][0].evaluations[SPLIT].baselines:
        found = _pooled_baseline(repeats[0], name)
        if found is not None:
            of_metrics = scores_of_sums(metrics, found)
            baselines[name] = {metric: score.to_json() for metric, score in of_metrics.items()}
    return scores, baselines


def _with_spread(score: MeanScore, of_folds: Sequence[float | None]) -> MeanScore:
    """The same score with the standard deviation, smallest and largest value over folds."""
    known = [value for value in of_folds if value is not None]
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
    smallest, largest = (min(known), max(known)) if known else (None, None)
    return replace(score, deviation=deviation, smallest=smallest, largest=largest)


def _stored(record: RunRecord, baseline: str | None = None) -> pa.Table:
    folder = RunDirectory(record.path).evaluation(SPLIT)
    if baseline is not None:
        return baseline_rows(folder, baseline)
    return pyarrow.parquet.read_table(folder / "predictions.parquet")


def _sums(record: RunRecord, rows: pa.Table) -> UnitSums:
    task = record.task
    assert isinstance(task, Compares)
    return task.unit_sums(*task.read_back(rows))


def _pooled(records: Sequence[RunRecord], baseline: str | None = None) -> tuple[UnitSums, Any]:
    """The sums of all folds, and the row id of each unit; None if units are not rows."""
    tables = [_stored(record, baseline) for record in records]
    sums = [_sums(record, rows) for record, rows in zip(records, tables, strict=True)]
    joined = _joined(sums)
    whole = all(len(one.values) == len(rows) for one, rows in zip(sums, tables, strict=True))
    if not whole:
        return _at_most(joined), None
    ids = np.concatenate([rows["row"].to_numpy() for rows in tables])
    order = np.argsort(ids, kind="stable")
    joined = UnitSums(joined.values[order], joined.statistics, joined.n)
    if "group" in tables[0].column_names:
        groups = pa.concat_tables(rows.select(["group"]) for rows in tables)["group"]
        codes = groups.combine_chunks().dictionary_encode().indices.to_numpy()[order]
        values = np.zeros((int(codes.max()) + 1, joined.values.shape[1]))
        np.add.at(values, codes, joined.values)
        # Groups are numbered by their first row, which is the same for every repeat.
        first = np.unique(codes, return_index=True)[1]
        joined = UnitSums(values[np.argsort(first)], joined.statistics, joined.n)
        return _at_most(joined), ids[order]
    return _at_most(joined), ids[order]


def _pooled_baseline(records: Sequence[RunRecord], name: str) -> UnitSums | None:
    """The sums of a baseline over all folds; None if a fold did not store its predictions."""
    try:
        return _pooled(records, name)[0]
    except FileNotFoundError:
        return None


def _joined(sums: Sequence[UnitSums]) -> UnitSums:
    values = np.concatenate([one.values for one in sums])
    return UnitSums(values, sums[0].statistics, sum(one.n for one in sums))


def _at_most(sums: UnitSums) -> UnitSums:
    """The same sums with at most ``MAX_UNITS`` units."""
    if len(sums.values) <= MAX_UNITS:
        return sums
    values = np.zeros((MAX_UNITS, sums.values.shape[1]))
    np.add.at(values, assign_units(len(sums.values)), sums.values)
    return UnitSums(values, sums.statistics, sums.n)

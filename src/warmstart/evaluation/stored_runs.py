"""Finished runs as they are compared: the rows of one split, with labels and predictions.

Everything is read from the run directories; no model is opened. A row is identified by the content
of its file (sha256) and its number in the file, not by the path of the file: runs on copies of a
file have the same rows.

Letters: N rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warmstart import errors
from warmstart.config import RunConfig, SeedUse
from warmstart.data.examples.tokens import Bools, Ints
from warmstart.evaluation.store import PREDICTIONS, baseline_file, baseline_rows
from warmstart.metrics.intervals import UnitSums
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import is_finished
from warmstart.runs.loaded_run import load_task
from warmstart.runs.run_record import SPLIT_ORDER
from warmstart.runs.stored import reading
from warmstart.tasks.capabilities import Compares, KeepsGroups, label_names_of
from warmstart.tasks.row_answers import JudgesRows
from warmstart.tasks.task import AnyTask

_LARGEST_FILE = 2**32
"""More rows than a file has: the number of a row and the hash of its file are one int64."""

_CONTENT = ("text", "text_pair", "prompt", "label")
"""Columns of ``predictions.parquet`` that must be equal in all runs."""

SEEDS = ("seed", "split_seed", *(f"{use}_seed" for use in get_args(SeedUse)))
"""Settings that may differ between runs of one setting."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A finished run and its predictions for one split.

    Args:
        path: the run directory.
        config: its settings.
        task: its task, which can compare predictions.
        split: name of the split.
        rows: N rows of ``predictions.parquet``.
        keys: identity of each row, int64 [N].
        kept: positions of the rows in the file, if some were left out, int64 [N].
    """

    path: Path
    config: RunConfig
    task: AnyTask
    split: str
    rows: pa.Table
    keys: Ints
    kept: Ints | None = None

    @property
    def setting(self) -> Any:
        """The settings of the run without its seeds, to find runs of one setting."""
        return _without_seeds(self.config.model_dump(mode="json"))

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines whose predictions are stored."""
        folder = self._folder
        scored = RunDirectory(self.path).read_json(f"evaluation/{self.split}/scores.json")
        return [name for name in scored["baselines"] if (folder / baseline_file(name)).is_file()]

    def sums(self, baseline: str | None = None) -> tuple[UnitSums, Bools | None]:
        """The sums of the run's predictions, and which rows are right if that can be said.

        Args:
            baseline: the name of a baseline, to use its predictions in place of the run's.
        """
        task, rows = self.task, self.rows
        assert isinstance(task, Compares)
        with reading(self._folder / (baseline_file(baseline) if baseline else PREDICTIONS)):
            if baseline is not None:
                found = baseline_rows(self._folder, baseline)
                rows = found if self.kept is None else found.take(pa.array(self.kept))
            predictions, labels = task.read_back(rows)
            right = task.right(predictions, labels) if isinstance(task, JudgesRows) else None
            return task.unit_sums(predictions, labels), right

    def at(self, keys: Ints) -> "StoredRun":
        """The same run with these rows only, in this order.

        Args:
            keys: identities of rows of the run, int64.
        """
        if np.array_equal(keys, self.keys):
            return self
        order = np.argsort(self.keys)
        places = order[np.searchsorted(self.keys, keys, sorter=order)]
        return replace(self, rows=self.rows.take(pa.array(places)), keys=keys, kept=places)

    @property
    def _folder(self) -> Path:
        return RunDirectory(self.path).evaluation(self.split)


def runs_in(path: Path) -> list[Path]:
    """The run directories that a path names: itself, or the runs in its ``trials/`` or in it.

    Args:
        path: a run directory, or a folder of runs. Of an experiment only the trials are read:
            its ``best/`` is a copy of one of them.

    Raises:
        RunError: there is no run.
    """
    if RunDirectory(path).is_run:
        return [path]
    for pattern in ("trials/*/", "*/"):
        if found := sorted(one for one in path.glob(pattern) if RunDirectory(one).is_run):
            return found
    raise errors.comparison.no_runs_in(path)


def stored_runs(paths: Sequence[Path], split: str, *, common_rows: bool) -> list[StoredRun]:
    """Open runs of one task with predictions for the same rows.

    Args:
        paths: run directories.
        split: name of the split.
        common_rows: use the rows that all runs have, if they do not have the same ones.

    Raises:
        RunError: a run is not finished, has no such split, or cannot be compared with the first.
        UsageError: a run is given twice.
    """
    resolved = [path.resolve() for path in paths]
    for place, path in enumerate(resolved):
        if path in resolved[:place]:
            raise errors.comparison.same_run(paths[place])
    directories = [_finished(path) for path in paths]
    have = [
        name
        for name in SPLIT_ORDER
        if all((one.evaluation(name) / PREDICTIONS).is_file() for one in directories)
    ]
    for one in directories:
        if not (one.evaluation(split) / PREDICTIONS).is_file():
            raise errors.comparison.no_split(one.path, split, have)
    runs = [_opened(one, split) for one in directories]
    for run in runs[1:]:
        _refuse_other_task(runs[0], run)
    return _on_the_same_rows(runs, common_rows=common_rows)


def _finished(path: Path) -> RunDirectory:
    directory = RunDirectory.open(path)
    if not is_finished(directory.entry("events.jsonl")):
        raise errors.comparison.not_finished(path)
    return directory


def _opened(directory: RunDirectory, split: str) -> StoredRun:
    config, task = load_task(directory)
    path = directory.evaluation(split) / PREDICTIONS
    with reading(path):
        rows = pq.read_table(path)
        ids = rows["row"].to_numpy()
    data = directory.read_json("data.json")
    with reading(directory.entry("data.json")):
        files = data["files"][data["splits"][split]["source"]]
        starts = np.cumsum([0, *(file["rows"] for file in files)])
        place = np.searchsorted(starts, ids, side="right") - 1
        hashes = np.array([int(file["sha256"][:8], 16) // 2 for file in files], dtype=np.int64)
        keys = hashes[place] * _LARGEST_FILE + (ids - starts[place])
    return StoredRun(directory.path, config, task, split, rows, keys)


def _refuse_other_task(first: StoredRun, run: StoredRun) -> None:
    if type(first.task) is not type(run.task):
        raise errors.comparison.other_task(first.path, first.task.name, run.path, run.task.name)
    names, others = label_names_of(first.task), label_names_of(run.task)
    if names != others:
        raise errors.comparison.other_label_names(first.path, names, run.path, others)


def _on_the_same_rows(runs: Sequence[StoredRun], *, common_rows: bool) -> list[StoredRun]:
    """The runs with the same rows, in the order of the first run."""
    first, common = runs[0], runs[0].keys
    for run in runs[1:]:
        both = common[np.isin(common, run.keys)]
        is_same = len(both) == len(common) == len(run.keys)
        if not len(both) or not (is_same or common_rows):
            names, counts = (str(first.path), str(run.path)), (len(common), len(run.keys))
            raise errors.comparison.other_rows(names, counts, first.split, len(both))
        common = both
    found = [run.at(common) for run in runs]
    for run in found[1:]:
        _refuse_other_content(found[0], run)
    return found


def _refuse_other_content(first: StoredRun, run: StoredRun) -> None:
    """Raise if a text or a label of a row differs, because other columns were used."""
    columns = _CONTENT + ("group",) * isinstance(first.task, KeepsGroups)
    for column in columns:
        one, other = (
            each.rows[column].to_pylist() if column in each.rows.column_names else None
            for each in (first, run)
        )
        if one == other:
            continue
        pairs = enumerate(zip(one or [], other or [], strict=False))
        place = next((place for place, (a, b) in pairs if a != b), 0)
        row = int(first.rows["row"][place].as_py())
        raise errors.comparison.other_content(str(first.path), str(run.path), row, column)


def _without_seeds(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {name: _without_seeds(value) for name, value in content.items() if name not in SEEDS}

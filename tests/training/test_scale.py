"""No Python object is kept per row: memory by rows, measured at two sizes and compared."""

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from tests.runs_in_memory import settings
from tests.tiny import tiny_sentences
from warmstart import config_file
from warmstart.data import mapped
from warmstart.devices.device import build_accelerator
from warmstart.evaluation.evaluate import predict
from warmstart.evaluation.store import prediction_table
from warmstart.models.packed.forward import padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.tasks.capabilities import ShowsLabels

pytestmark = pytest.mark.slow

FEW, MANY = 5_000, 20_000


class PerRow(NamedTuple):
    """The memory of each additional row."""

    objects: float
    """Blocks of Python's allocator that remain; an object takes at least one."""
    kept_bytes: float
    """Arrays and objects that remain."""
    peak_bytes: float
    """Peak memory."""
    arrow_bytes: float
    """Memory of Arrow's own allocator that remains."""


def per_row(make: Callable[[int], Any]) -> PerRow:
    """The growth of the memory of ``make(rows)`` from ``FEW`` to ``MANY`` rows, per row."""

    def measured(rows: int) -> PerRow:
        gc.collect()
        arrow = pa.total_allocated_bytes()
        blocks = sys.getallocatedblocks()
        tracemalloc.start()
        kept = make(rows)
        gc.collect()
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        blocks = sys.getallocatedblocks() - blocks
        arrow = pa.total_allocated_bytes() - arrow
        assert kept is not None
        return PerRow(blocks, size, peak, arrow)

    measured(100)  # imports and caches
    few, many = measured(FEW), measured(MANY)
    return PerRow(*((b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    for rows in (100, FEW, MANY):
        sentences = enumerate(tiny_sentences(rows))
        lines = [f"{sentence[:-1]} {n},{n * 7 % 3 // 2}\n" for n, sentence in sentences]
        (folder / f"{rows}.csv").write_text("text,label\n" + "".join(lines))
    return folder


@pytest.fixture(autouse=True)
def _all_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 1 << 14)


def prepared(folder: Path, rows: int) -> Prepared:
    config = settings(folder)
    config["data"] = {"train": str(folder / f"{rows}.csv"), "validation": 0.25}
    return prepare(config_file.load(config))


def test_preparing_keeps_a_few_numbers_a_row(folder: Path) -> None:
    """Row id, line, file, label, offset, length: 44 bytes; texts and tokens are on disk."""
    found = per_row(lambda rows: prepared(folder, rows))
    assert found.objects < 0.05
    assert 40 < found.kept_bytes < 50
    assert found.arrow_bytes < 1
    assert found.peak_bytes < 300


def test_data_json_names_rows_without_an_object_for_each(folder: Path) -> None:
    ready = {rows: prepared(folder, rows) for rows in (100, FEW, MANY)}
    found = per_row(lambda rows: ready[rows].data_json())
    assert found.objects < 0.05
    assert found.kept_bytes < 8


def test_predictions_are_a_few_numbers_per_row(folder: Path) -> None:
    """Two probabilities, the row id and whether it was truncated: 25 bytes per validation row."""
    ready = {rows: prepared(folder, rows) for rows in (100, FEW, MANY)}
    model = ready[FEW].task.model(ready[FEW].checkpoint, seed=0)
    accelerator = build_accelerator(ready[FEW].config.train)
    forward = padded_forward(model, ready[FEW].task.head)

    def answers(rows: int) -> Any:
        one = ready[rows]
        found = predict(one.task, model, forward, one.examples["validation"], accelerator)
        split = one.splits["validation"]
        assert isinstance(one.task, ShowsLabels)
        labels = one.task.shown_labels(split.labels)
        table = prediction_table(found[0], split.table, one.config.data, labels=labels)
        scores = one.task.score(found[0], split.labels)
        return found, table, scores.metrics

    found = per_row(answers)
    assert found.objects < 0.05
    assert found.kept_bytes < 0.25 * 50

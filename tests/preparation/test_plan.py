"""Step arithmetic: which rows, when to evaluate, when to save."""

from typing import Any

import numpy as np
import pytest

from tests.resolved import resolved
from warmstart.data.examples.masking import Draw
from warmstart.preparation.plan import Plan


def plan_of(rows: int, **train: Any) -> Plan:
    return Plan(np.full(rows, 5), resolved(**train))


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "steps"),
    [(64, 32, 1, 2), (65, 32, 1, 3), (65, 32, 2, 2), (1, 32, 4, 1), (8551, 32, 1, 268)],
)
def test_steps_per_epoch(rows: int, batch: int, accumulation: int, steps: int) -> None:
    plan = plan_of(rows, batch_size=batch, gradient_accumulation=accumulation, epochs=3)
    assert plan.steps_per_epoch == steps
    assert plan.total_steps == 3 * steps
    windows = plan.epoch_windows(0)
    assert len(windows) == steps
    assert sum(len(batch) for window in windows for batch in window) == rows


@pytest.mark.parametrize("per_epoch", [1, 2, 3, 7, 100])
def test_evaluations_are_spread_and_end_each_epoch(per_epoch: int) -> None:
    plan = plan_of(320, evaluations_per_epoch=per_epoch, epochs=2)
    due = [step for step in range(plan.total_steps) if plan.evaluates_after(step)]
    assert len(due) == 2 * min(per_epoch, 10)
    assert {9, 19} <= set(due)


def test_checkpoints_follow_evaluations_by_default() -> None:
    plan = plan_of(320, epochs=2)
    assert [s for s in range(20) if plan.checkpoints_after(s)] == [9, 19]
    plan = plan_of(320, epochs=2, checkpoint_every_steps=7)
    assert [s for s in range(20) if plan.checkpoints_after(s)] == [6, 13, 19]


@pytest.mark.parametrize("how", ["plain", "grouped", "lists"])
def test_every_epoch_has_another_order_and_every_step_its_epochs_masks(how: str) -> None:
    lengths = np.random.default_rng(0).integers(1, 50, size=64)
    lists = np.arange(64) // 4 if how == "lists" else None

    def windows(seed: int, epoch: int) -> list[list[list[int]]]:
        config = resolved(batch_size=4, seed=seed, group_by_length=how == "grouped")
        found = Plan(lengths, config, lists).epoch_windows(epoch)
        return [[rows.tolist() for rows in window] for window in found]

    assert windows(1, 0) == windows(1, 0)
    assert windows(1, 0) != windows(1, 1)
    assert windows(1, 1) != windows(1, 2)
    assert windows(1, 0) != windows(2, 0)
    plan = plan_of(64, batch_size=4, epochs=3, seed=7)
    assert [plan.draw(step) for step in (0, 15, 16, 47)] == [
        Draw(7, epoch) for epoch in (0, 0, 1, 2)
    ]

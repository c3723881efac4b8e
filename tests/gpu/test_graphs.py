"""Captured steps and flash attention on a GPU; without one every test here is skipped.

    pytest tests/gpu

Half precision rounds at 1e-3 to 1e-2, and the order of some sums depends on the device: results are
compared with this tolerance, not bit by bit.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.runs_in_memory import job_of, never, prepared_run
from warmstart.errors import Interrupted
from warmstart.models.packed.dropout import Noise
from warmstart.models.packed.packed_attention import flash_serves, packed_attention
from warmstart.models.packed.packing import pack
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training.graphs.graphed_steps import why_no_graphs
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


def run(folder: Path, name: str, **train: Any) -> Job:
    job = job_of(prepared_run(folder, device="auto", precision="bfloat16", **train), folder / name)
    fit(job, resume=False, stop_requested=never)
    return job


def losses_of(job: Job) -> list[float]:
    return [event["loss"] for event in events_of(read_events(job.log.path), "step")]


def notices_of(job: Job) -> list[str]:
    return [event["text"] for event in events_of(read_events(job.log.path), "notice")]


@pytest.mark.parametrize("window", [None, 3])
def test_flash_attention_attends_as_rectangles_do(window: int | None) -> None:
    device, offsets, heads = torch.device("cuda"), np.array([0, 5, 6, 40]), 4
    assert flash_serves(16, torch.bfloat16, device)
    states = [
        torch.randn(1, heads, 40, 16, device=device, dtype=torch.bfloat16).requires_grad_()
        for _ in range(3)
    ]
    upstream = torch.randn(1, 40, heads, 16, device=device, dtype=torch.bfloat16)
    results = []
    for rectangles in (True, False):
        packing = pack(offsets, heads, Noise(), device, rectangles=rectangles)
        out, _ = packed_attention(
            nn.Identity(), *states, None, scaling=0.25, sliding_window=window, packing=packing
        )
        results.append((out, *torch.autograd.grad(out, states, upstream)))
    for one, two in zip(*results, strict=True):
        assert (one - two).norm() < 0.02 * one.norm()


def test_steps_are_captured(tmp_path: Path) -> None:
    job = run(tmp_path, "run", cuda_graphs=True)
    assert why_no_graphs(job) is None
    assert "steps run as CUDA graphs" in notices_of(job)[0]


@pytest.mark.parametrize("group_by_length", [False, True], ids=["one shape", "several shapes"])
def test_captured_steps_are_the_ordinary_ones(tmp_path: Path, group_by_length: bool) -> None:
    settings = {"dropout": 0.0, "epochs": 5, "group_by_length": group_by_length}
    ordinary = run(tmp_path, "ordinary", **settings)
    captured = run(tmp_path, "captured", cuda_graphs=True, **settings)
    assert "steps run as CUDA graphs" in notices_of(captured)[0]
    one, other = losses_of(ordinary)[:50], losses_of(captured)[:50]
    np.testing.assert_allclose(one[0], other[0], rtol=5e-3)
    np.testing.assert_allclose(one, other, rtol=0.1, atol=0.02)


def test_dropout_of_a_captured_step_is_a_function_of_the_seed(tmp_path: Path) -> None:
    runs = [
        losses_of(run(tmp_path, name, cuda_graphs=True, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    np.testing.assert_allclose(runs[0][:8], runs[1][:8], rtol=1e-2)
    assert not np.allclose(runs[0][:8], runs[2][:8], rtol=1e-2)


def test_resumed_in_the_middle(tmp_path: Path) -> None:
    whole = run(tmp_path, "whole", cuda_graphs=True)
    path = tmp_path / "stopped"
    prepared = prepared_run(tmp_path, device="auto", precision="bfloat16", cuda_graphs=True)
    asked = iter([False] * 7 + [True])
    with pytest.raises(Interrupted):
        fit(job_of(prepared, path), resume=False, stop_requested=lambda: next(asked))
    resumed = job_for(prepared, RunDirectory(path))
    fit(resumed, resume=True, stop_requested=never)
    assert len(losses_of(resumed)) == len(losses_of(whole))
    np.testing.assert_allclose(losses_of(resumed), losses_of(whole), rtol=0.05, atol=0.02)


def test_a_refused_capture_leaves_a_run_that_continues(tmp_path: Path) -> None:
    """The task reads a number from the device in the middle of a step; no capture allows this."""
    prepared = prepared_run(tmp_path, device="auto", precision="bfloat16", cuda_graphs=True)
    job = job_of(prepared, tmp_path / "run")
    fit(replace(job, task=Asking(job.task)), resume=False, stop_requested=never)
    assert "steps run without CUDA graphs" in notices_of(job)[0]
    assert np.isfinite(losses_of(job)).all()


class Asking:
    """A task whose loss waits for the device."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, logits: Any, batch: Any) -> Any:
        found = self._task.loss(logits, batch)
        found[0].item()
        return found

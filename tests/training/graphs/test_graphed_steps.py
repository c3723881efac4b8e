"""Captured steps without a GPU: everything except the capture, which here runs the step again.

Attention uses PyTorch's flash operator as on a GPU, with a CPU kernel for the operator
(``tests.flash_on_cpu``).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.flash_on_cpu import flash_kernels
from tests.runs_in_memory import job_of, never, prepared_run
from warmstart.devices.processes import Processes
from warmstart.errors import Interrupted
from warmstart.models.packed import packed_runner
from warmstart.models.packed.packed_runner import PackedRunner
from warmstart.models.packed.resident import resident_bytes
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training.graphs import graphed_steps as module
from warmstart.training.graphs.capture import Capture, Work
from warmstart.training.graphs.graphed_steps import GraphedSteps, execution, graphed_steps
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.optimizer import build_optimizer


def again(work: Work) -> Work:
    """A capture for CPUs: the replay runs the work itself."""
    return work


def warmed_up(work: Work) -> Work:
    """As on a GPU: the work runs a few times before it is captured."""
    for _ in range(3):
        work()
    return work


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only a packing from a capture has no rectangles; every forward pass may ask for one."""
    monkeypatch.setattr(PackedRunner, "runs_without_rectangles", lambda _self, _device: True)
    with flash_kernels():
        yield


def captured(prepared: Prepared, path: Path, capture: Capture | None = again) -> Job:
    return replace(job_of(prepared, path), capture=capture)


def prepared_for(folder: Path, **train: Any) -> Prepared:
    return prepared_run(folder, **{"dropout": 0.0, "cuda_graphs": True, **train})


def steps_of(job: Job) -> list[dict[str, Any]]:
    events = [dict(event) for event in events_of(read_events(job.log.path), "step")]
    return [{k: v for k, v in e.items() if k not in ("time", "seconds")} for e in events]


def notices_of(job: Job) -> list[str]:
    return [event["text"] for event in events_of(read_events(job.log.path), "notice")]


def state_of(job: Job, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [value.detach().clone() for value in (*job.model.parameters(), *moments)]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(a.equal(b) for a, b in zip(one, other, strict=True))


def test_fifty_steps_equal_the_ordinary_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rows of similar length together: batches differ so much that several shapes are useful.
    settings = {"epochs": 5, "weight_decay": 0.1, "max_gradient_norm": 0.5, "group_by_length": True}
    graphed, made = captured(prepared_for(tmp_path, **settings), tmp_path / "a"), []
    counting = replace(graphed, capture=lambda work: lambda: (work(), made.append(1))[0])
    fit(counting, resume=False, stop_requested=never)
    monkeypatch.undo()  # this one gets rectangles
    ordinary = job_of(prepared_for(tmp_path, cuda_graphs=False, **settings), tmp_path / "b")
    fit(ordinary, resume=False, stop_requested=never)
    one, other = steps_of(ordinary), steps_of(graphed)
    assert len(one) == len(other) == 60
    assert len(made) > 60  # every step, and a comparison for each shape
    for before, after in zip(one, other, strict=True):
        assert before["loss"] == pytest.approx(after["loss"], abs=1e-5)
        assert before["gradient_norm"] == pytest.approx(after["gradient_norm"], rel=1e-3)
        for key in before.keys() - {"loss", "gradient_norm"}:
            assert before[key] == after[key], key
    notice = re.match(
        r"steps run as CUDA graphs, with batches of ([\d, ]+) tokens", notices_of(graphed)[0]
    )
    assert notice
    assert 1 < len(notice[1].split(", ")) <= 8
    evaluations = [
        events_of(read_events(job.log.path), "evaluation") for job in (ordinary, graphed)
    ]
    for before, after in zip(*evaluations, strict=True):
        assert before["loss"] == pytest.approx(after["loss"], abs=1e-5)


def test_a_short_last_batch_is_no_special_case(tmp_path: Path) -> None:
    """95 rows in batches of 7: the last has 4."""
    prepared = prepared_for(tmp_path, epochs=2, batch_size=7)
    graphed = captured(prepared, tmp_path / "graphed")
    fit(graphed, resume=False, stop_requested=never)
    plain = prepared_for(tmp_path, epochs=2, batch_size=7, cuda_graphs=False)
    ordinary = job_of(plain, tmp_path / "ordinary")
    fit(ordinary, resume=False, stop_requested=never)
    one, other = steps_of(ordinary), steps_of(graphed)
    assert {event["rows"] for event in other} == {7, 4}
    np.testing.assert_allclose([e["loss"] for e in one], [e["loss"] for e in other], atol=1e-5)


def test_capturing_leaves_weights_and_optimiser_as_they_were(tmp_path: Path) -> None:
    prepared = prepared_for(tmp_path)
    job = captured(prepared, tmp_path / "run", warmed_up)
    plan = Plan(job.train.lengths, job.config)
    job.model.train()
    optimizer = build_optimizer(job.model, job.config)
    before = [parameter.detach().clone() for parameter in job.model.parameters()]
    steps = graphed_steps(job, plan, optimizer)
    assert steps is not None
    assert same(before, [parameter.detach() for parameter in job.model.parameters()])
    assert all(parameter.grad is None for parameter in job.model.parameters())
    # The state of an AdamW before its first step.
    for state in optimizer.state.values():
        assert all(value.eq(0).all() for value in state.values())
    assert optimizer.param_groups[0]["lr"] == job.config.learning_rate
    assert not optimizer.param_groups[0]["capturable"]

    rows = plan.epoch_windows(0)[0][0]
    assert steps.step(rows, 0) is not None
    middle = state_of(job, optimizer)
    assert not same(middle[: len(before)], before)
    assert graphed_steps(job, plan, optimizer) is not None
    assert same(middle, state_of(job, optimizer))


def test_warming_up_changes_no_number(tmp_path: Path) -> None:
    prepared = prepared_for(tmp_path, dropout=None)
    runs = []
    for name, capture in {"a": again, "b": warmed_up}.items():
        job = captured(prepared, tmp_path / name, capture)
        fit(job, resume=False, stop_requested=never)
        runs.append(steps_of(job))
    assert runs[0] == runs[1]


def test_resumed_in_the_middle(tmp_path: Path) -> None:
    prepared = prepared_for(tmp_path, epochs=2, dropout=None, group_by_length=True)
    whole = captured(prepared, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)

    stopped = captured(prepared, tmp_path / "stopped")
    asked = iter([False] * 7 + [True])
    with pytest.raises(Interrupted):
        fit(stopped, resume=False, stop_requested=lambda: next(asked))
    directory = RunDirectory(tmp_path / "stopped")
    resumed = replace(job_for(prepared, directory), capture=warmed_up)
    fit(resumed, resume=True, stop_requested=never)
    assert steps_of(resumed) == steps_of(whole)
    weights = (list(job.model.parameters()) for job in (whole, resumed))
    assert all(one.equal(other) for one, other in zip(*weights, strict=True))


def test_a_batch_that_fits_no_shape_is_made_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepared_for(tmp_path, epochs=4)
    monkeypatch.setattr(module, "PLANNED_EPOCHS", 1)
    monkeypatch.setattr(GraphedSteps, "step", counted := Counted(GraphedSteps.step))
    job = captured(prepared, tmp_path / "run")
    fit(job, resume=False, stop_requested=never)
    assert 0 < counted.nothing < counted.calls == 48
    monkeypatch.undo()
    monkeypatch.setattr(PackedRunner, "runs_without_rectangles", lambda _self, _device: True)
    all_of_them = captured(prepared, tmp_path / "all")
    fit(all_of_them, resume=False, stop_requested=never)
    for one, other in zip(steps_of(job), steps_of(all_of_them), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)


class Counted:
    """A method that counts its calls, and those that returned None."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method, self.calls, self.nothing = method, 0, 0

    def __get__(self, instance: Any, _owner: type) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            found = self.method(instance, *args)
            self.calls += 1
            self.nothing += found is None
            return found

        return call


# Without graphs


def broken(_work: Work) -> Work:
    raise RuntimeError("operation not permitted when stream is capturing\nsome C++ frames")


def spoilt(work: Work) -> Work:
    """Fails when the weights have already changed."""
    work()
    return broken(work)


def test_steps_that_cannot_be_captured_run_without_graphs(tmp_path: Path) -> None:
    prepared = prepared_for(tmp_path, dropout=None)
    plain = prepared_for(tmp_path, dropout=None, cuda_graphs=False)
    ordinary = job_of(plain, tmp_path / "ordinary")
    fit(ordinary, resume=False, stop_requested=never)
    for name, capture in {"broken": broken, "spoilt": spoilt}.items():
        job = captured(prepared, tmp_path / name, capture)
        fit(job, resume=False, stop_requested=never)
        assert steps_of(job) == steps_of(ordinary)
        assert notices_of(job)[0] == (
            "steps run without CUDA graphs: operation not permitted when stream is capturing"
        )


def forgetful(_work: Work) -> Work:
    """Replays nothing."""
    return lambda: None


def test_a_replay_that_does_nothing_is_found_out(tmp_path: Path) -> None:
    job = captured(prepared_for(tmp_path), tmp_path / "run", forgetful)
    fit(job, resume=False, stop_requested=never)
    assert "had a loss of nan instead of" in notices_of(job)[0]
    assert len(steps_of(job)) == 24


def test_a_replay_that_kept_the_rows_it_saw_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[GraphedSteps] = []
    fill = GraphedSteps._fill

    def noted(steps: GraphedSteps, *args: Any) -> None:
        seen.append(steps)
        fill(steps, *args)

    monkeypatch.setattr(GraphedSteps, "_fill", noted)

    def stale(work: Work) -> Work:
        rows = seen[-1]._numbers.clone()

        def replay() -> None:
            seen[-1]._numbers.copy_(rows)
            work()

        return replay

    job = captured(prepared_for(tmp_path), tmp_path / "run", stale)
    fit(job, resume=False, stop_requested=never)
    assert "steps run without CUDA graphs: the replay of a step of" in notices_of(job)[0]
    assert len(steps_of(job)) == 24


@pytest.mark.parametrize(
    ("train", "changes", "reason"),
    [
        ({}, {"capture": None}, "they need a GPU and bfloat16, and this run uses cpu and float32"),
        ({"gradient_accumulation": 2}, {}, "train.gradient_accumulation is more than 1"),
        ({"freeze": "backbone"}, {}, "train.freeze freezes a part of the model"),
        ({}, {"processes": Processes(0, 2)}, "the run has 2 processes"),
        ({}, {"packed": None}, "the model does not run packed"),
    ],
)
def test_the_reason_against_graphs_is_reported(
    tmp_path: Path, train: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    job = captured(prepared_for(tmp_path, **train), tmp_path / "run")
    if "packed" in changes:
        changes = {"forward": replace(job.forward, **changes)}
    job = replace(job, **changes)
    assert execution(job) == f"{job.forward.path}; no CUDA graphs: {reason}"
    optimizer = build_optimizer(job.model, job.config)
    assert graphed_steps(job, Plan(job.train.lengths, job.config), optimizer) is None
    assert notices_of(job) == [f"steps run without CUDA graphs: {reason}"]


def test_heads_that_flash_attention_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = captured(prepared_for(tmp_path), tmp_path / "run")
    monkeypatch.undo()
    monkeypatch.setattr(packed_runner, "flash_serves", lambda *_arguments: False)
    assert "flash attention does not support the model's heads" in execution(job)


def test_what_is_written_down(tmp_path: Path) -> None:
    job = captured(prepared_for(tmp_path), tmp_path / "run")
    assert execution(job) == "packed: real tokens only, no padding; CUDA graphs of 1 shape"
    plain = job_of(prepared_for(tmp_path, cuda_graphs=False), tmp_path / "plain")
    assert execution(plain) == plain.forward.path


def test_rows_that_take_too_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = captured(prepared_for(tmp_path), tmp_path / "run")
    assert module._too_large(job) is None
    there = replace(job, accelerator=SimpleNamespace(device=torch.device("cuda")))
    needed = resident_bytes(job.train)
    for free, fits in ((5 * needed, True), (4 * needed, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device, free=free: (free, free))
        assert (module._too_large(there) is None) == fits
    assert str(module._too_large(there)).startswith("the training rows need")

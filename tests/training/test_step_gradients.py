"""One step's gradient: repeated after memory ran out, and with each process's own dropout."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.runs_in_memory import job_of, prepared_run
from warmstart.data.examples.batches import Batch, collate
from warmstart.devices.processes import Processes
from warmstart.models.packed.forward import Forward
from warmstart.preparation.plan import Plan
from warmstart.training.budget import Clock
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job
from warmstart.training.loop import Parts, step_gradients
from warmstart.training.monitoring.recorder import StepRecorder
from warmstart.training.optimizer import build_optimizer

MakeJob = Callable[[float], Job]


@pytest.fixture(scope="module")
def make_job(tmp_path_factory: pytest.TempPathFactory) -> MakeJob:
    """A job with this probability of dropout, in training mode."""
    folder = tmp_path_factory.mktemp("step")

    def make(dropout: float) -> Job:
        number = len(list(folder.glob("run*")))
        job = job_of(prepared_run(folder, dropout=dropout), folder / f"run{number}")
        job.model.train()
        return job

    return make


def gradient(job: Job, micro_batches: int, step: int = 3) -> tuple[list[Tensor], int]:
    """The gradient of two batches, of 2 and of 8 rows; and the number of pieces."""
    optimizer = build_optimizer(job.model, job.config)
    recorder = StepRecorder(job.log, check_gradients=False)
    plan = Plan.of(job.train, job.config)
    stepper, clock = job.accelerator.prepare(optimizer), Clock.of(job, Progress())
    parts = Parts(job, plan, optimizer, stepper, recorder, clock, None)
    optimizer.zero_grad()
    window = [collate(job.train, np.arange(2)), collate(job.train, np.arange(2, 10))]
    _, pieces = step_gradients(parts, window, 10, step, micro_batches)
    found = [p.grad.clone() for p in job.model.parameters() if p.grad is not None]
    assert found
    return found, pieces


def short_of_memory(job: Job, rows: int) -> Job:
    """A forward pass that computes (and samples dropout), and then runs out of memory."""

    def run(model: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = job.forward.run(model, batch)
        if len(batch) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return logits

    return replace(job, forward=Forward(run, job.forward.path))


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_made_again_has_the_gradient_of_one_that_did_not_fail(
    dropout: float, make_job: MakeJob
) -> None:
    """Nothing of the failed attempt remains: neither its first batch's gradient nor its dropout."""
    job = make_job(dropout)
    expected, _ = gradient(job, micro_batches=2)
    found, pieces = gradient(short_of_memory(job, rows=4), micro_batches=1)
    assert pieces == 2
    assert same(found, expected)


def test_dropout_depends_on_the_step_and_the_process(make_job: MakeJob) -> None:
    job = make_job(0.5)
    first, again = gradient(job, 1)[0], gradient(job, 1)[0]
    assert same(first, again)
    assert not same(first, gradient(job, 1, step=4)[0])
    # The second of two processes, without the first: its own part.
    second = replace(job, processes=Processes(index=1, count=1))
    assert not same(first, gradient(second, 1)[0])

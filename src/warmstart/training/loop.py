"""The training loop: all of it, in the order it happens.

One *step* is one optimiser update; it takes the rows of one or several batches (its *window*), and
its loss is the mean over every label of them all, however batches, micro-batches and processes
share the labels out. Each step is a function of the weights, the optimiser's moments and its own
number: its rows come from (seed, epoch), its dropout from (seed, step). That makes a resume exact.

Best is what ``best_metric`` says on the validation split: the best weights go to ``model/``, the
last ones to ``checkpoint/``.

Not here: what is learned (``tasks``), how a model reads a batch (``packed.forward``), what is shown
(``progress``). To change those, change them there; nothing hooks into this loop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor

from warmstart import errors
from warmstart.data.examples.batches import Batch, collate, split_batch
from warmstart.data.examples.tokens import Ints
from warmstart.devices.device import precision_of
from warmstart.preparation.plan import Plan
from warmstart.preparation.schedule import schedule_for
from warmstart.training import keep
from warmstart.training.checkpoint import Progress, newest_step, seed_step
from warmstart.training.graphs.graphed_steps import GraphedSteps, graphed_steps
from warmstart.training.job import Job, with_features_computed
from warmstart.training.monitoring.recorder import NotFinite, StepRecorder
from warmstart.training.monitoring.samples import sample_is_due, write_sample
from warmstart.training.optimizer import build_optimizer, clip_gradients, set_rates
from warmstart.training.sharing import add_up, own_rows
from warmstart.training.unfreezing import begin_epoch


def fit(job: Job, *, resume: bool, stop_requested: Callable[[], bool]) -> Progress:
    """Fine-tune ``job.model`` in place until the plan is done, patience ends, or it must stop.

    Args:
        job: what to train, on what, and how.
        resume: go on from the newest checkpoint.
        stop_requested: asked after each step; True saves and stops.

    Returns:
        Where the run ended: steps made, best metric and the step that reached it.

    Raises:
        ConfigError: the warm-up would outlast the run.
        Interrupted: ``stop_requested`` said so; everything is saved.
        RunError: the loss is no number, memory ran out with a single row, the disk is full.
    """
    plan = Plan.of(job.train, job.config)
    share_at = schedule_for(job.config, plan.total_steps)
    if job.frozen is not None:
        job = with_features_computed(job)
    job.model.train()
    optimizer = build_optimizer(job.model, job.config)
    progress = job.processes.agreed(lambda: keep.restored(job, optimizer)) if resume else Progress()
    job.processes.copy_first([parameter.detach() for parameter in job.model.parameters()])
    stepper = job.accelerator.prepare(optimizer)
    recorder = StepRecorder(job.log, check_gradients=precision_of(job.accelerator) != "float16")
    parts = Parts(job, plan, optimizer, stepper, recorder, graphed_steps(job, plan, optimizer))
    windows: list[list[Ints]] = []
    try:
        for step in range(progress.step, plan.total_steps):
            if keep.patience_ended(job, progress):
                break
            epoch, index = divmod(step, plan.steps_per_epoch)
            if index == 0 or not windows:
                windows = begin_epoch(job, plan, epoch)
            set_rates(optimizer, share_at(step))
            progress = make_step(parts, windows[index], progress)
            asked, due = job.processes.any(stop_requested(), recorder.due)
            stop = asked and progress.step < plan.total_steps
            evaluates, saves = plan.evaluates_after(step), stop or plan.checkpoints_after(step)
            if due or evaluates or saves:
                progress = recorder.flush(progress)
            if evaluates:
                progress = keep.evaluate_and_keep_best(job, progress, plan.epochs_done(step))
            if sample_is_due(job, plan, step):
                write_sample(job, step, plan.epochs_done(step))
            if saves:
                keep.save_checkpoint(job, optimizer, progress)
            if stop:
                job.log.write({"event": "interrupted", "step": step})
                raise errors.run.interrupted(job.run.path, step, job.processes.count)
        return recorder.flush(progress)
    except NotFinite as error:
        raise errors.run.diverged(job.run.path, error.step, newest_step(job.run)) from None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a step works with; ``stepper`` is ``optimizer``, wrapped; ``graphs`` are for a GPU."""

    job: Job
    plan: Plan
    optimizer: torch.optim.Optimizer
    stepper: AcceleratedOptimizer
    recorder: StepRecorder
    graphs: GraphedSteps | None


def make_step(parts: Parts, positions: list[Ints], progress: Progress) -> Progress:
    """One optimiser update over the rows at ``positions``, a list for each batch of the window."""
    began = time.perf_counter()
    train, step, rows = parts.job.train, progress.step, np.concatenate(positions)
    # Known before the model runs, so that every piece is divided by the labels of them all.
    count = train.count_of(rows, parts.plan.draw(step))
    replayed = parts.graphs.step(rows, step) if parts.graphs else None
    if replayed:
        loss, norm, pieces = *replayed, progress.micro_batches
    else:
        loss, norm, pieces = update(parts, positions, count, progress)
    seconds = time.perf_counter() - began
    total = progress.total_seconds + seconds
    progress = replace(progress, step=step + 1, micro_batches=pieces, total_seconds=total)
    event = {
        "step": step,
        "epoch": parts.plan.epochs_done(step),
        "learning_rate": parts.optimizer.param_groups[0]["lr"],
        "rows": len(rows),
        "labels": count,
        "tokens": train.tokens.tokens_of(rows),
        "seconds": seconds,
    }
    parts.recorder.add(loss, norm, event)
    return progress


def update(
    parts: Parts, positions: list[Ints], count: int, progress: Progress
) -> tuple[Tensor, Tensor, int]:
    """Make a step; return its loss, the length of its gradient, and pieces a batch."""
    job, step, draw = parts.job, progress.step, parts.plan.draw(progress.step)
    window = [collate(job.train, rows, draw) for rows in positions]
    own = own_rows(job.processes, job.train, positions, window, draw)
    loss, pieces = step_gradients(parts, own, count, step, progress.micro_batches)
    if job.accelerator.scaler is not None:
        job.accelerator.unscale_gradients(parts.stepper)
    norm = clip_gradients(job.model, parts.optimizer, job.config.max_gradient_norm)
    parts.stepper.step()
    parts.stepper.zero_grad()
    return loss, norm, pieces


def step_gradients(
    parts: Parts, window: list[Batch], count: int, step: int, micro_batches: int
) -> tuple[Tensor, int]:
    """Leave the gradient of the window's mean loss in the parameters; return loss and pieces.

    When memory runs out in any process, all start the step again with their batches cut into twice
    as many pieces. The rows, and so the gradient, stay the same; only the time it takes changes.
    ``window`` is this process's share of the rows, ``count`` the labels of all shares together.

    Raises:
        RunError: memory ran out with a single row.
    """
    job = parts.job
    while True:
        seed_step(job.config.seed, step, job.processes.index)
        ran_out = False
        try:
            loss = window_gradients(job, window, count, micro_batches)
        except RuntimeError as error:
            ran_out = should_reduce_batch_size(error)
            if not ran_out:
                raise
        finer = micro_batches < max(map(len, window), default=0)
        ran_out, finer = job.processes.any(ran_out, finer)
        if not ran_out:
            add_up(job.processes, job.model, loss)
            return loss, micro_batches
        if not finer:
            raise errors.run.out_of_memory(rows=1)
        parts.stepper.zero_grad()
        micro_batches *= 2
        job.log.notice(
            f"memory ran out at step {step}: each batch is now computed in {micro_batches} pieces; "
            "the rows of a step and their gradient stay the same"
        )


def window_gradients(job: Job, window: list[Batch], count: int, micro_batches: int) -> Tensor:
    """Forward and backward over every piece of the window; its part of the mean loss in nats."""
    total = torch.zeros((), device=job.accelerator.device)
    for batch in window:
        for piece in split_batch(batch.to(job.accelerator.device), micro_batches):
            with job.accelerator.autocast():
                logits = job.forward.run(job.model, piece)
            loss_sum, _ = job.task.loss(logits, piece)
            job.accelerator.backward(loss_sum / max(count, 1))
            total += loss_sum.detach()
    return total / max(count, 1)

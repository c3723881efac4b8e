"""The whole training loop, in the order in which things happen.

One *step* is one optimiser update. It uses the rows of one or several batches (its *window*: the
batches between two updates), and its loss is the mean over all labels of the window, however the
labels are spread over batches, micro-batches and processes. A step is a function of the weights,
the optimiser's moments and its own number: its rows follow from (seed, epoch), its dropout from
(seed, step). This makes resuming exact.

``best_metric`` on the validation split decides which weights are best: these go to ``model/``, the
last ones to ``checkpoint/``. Without validation rows, the last ones go to both.

Not here: what is learned (``tasks``), how a model runs on a batch (``packed.forward``), what is
shown (``monitoring``). Change them there; this loop has no hooks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

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
from warmstart.training.budget import Clock, note_end, with_next_round
from warmstart.training.checkpoint import Progress, newest_step, seed_step
from warmstart.training.graphs.graphed_steps import GraphedSteps, graphed_steps
from warmstart.training.job import Job, with_features_computed
from warmstart.training.monitoring.recorder import NotFinite, StepRecorder
from warmstart.training.monitoring.samples import sample_is_due, write_sample
from warmstart.training.optimizer import build_optimizer, clip_gradients, set_rates
from warmstart.training.sharing import add_up, own_rows
from warmstart.training.unfreezing import begin_epoch


def fit(
    job: Job,
    *,
    resume: bool,
    stop_requested: Callable[[], bool],
    earlier: Progress | None = None,
) -> Progress:
    """Fine-tune ``job.model`` in place, until plan, patience or time end, or a stop is requested.

    Args:
        job: what to train, on which data, and how.
        resume: continue from the newest checkpoint.
        stop_requested: called after each step; if it returns True, the loop saves and stops.
        earlier: the progress at the end of a first try, whose time counts.

    Returns:
        The progress at the end: steps made, best metric and the step that reached it.

    Raises:
        ConfigError: the warm-up is longer than the run.
        Interrupted: ``stop_requested`` returned True; everything is saved.
        RunError: the loss is not finite, memory ran out with a single row, or the disk is full.
    """
    plan = Plan.of(job.train, job.config)
    share_at = schedule_for(job.config, plan.total_steps)  # step -> share of the peak rate
    if job.frozen is not None:
        job = with_features_computed(job)  # frozen layers run once, before the first step
    job.model.train()
    # A frozen part must exist before the optimiser: it gets only parameters that train.
    optimizer = build_optimizer(job.model, job.config)
    begin = partial(keep.begun, job, stop_requested, earlier)
    progress = keep.restored(job, optimizer) if resume else begin()
    # All processes start from the weights of rank 0.
    job.processes.copy_first([parameter.detach() for parameter in job.model.parameters()])
    parts = Parts.of(job, plan, optimizer, progress)
    windows: list[list[Ints]] = []  # [steps of the epoch][batches of the step], row numbers [B]
    try:
        while progress.step < plan.total_steps * progress.rounds:
            step = progress.step
            if progress.out_of_time or keep.patience_ended(job, progress):
                break
            epoch, index = divmod(step, plan.steps_per_epoch)
            if index == 0 or not windows:  # a resumed run starts in the middle of an epoch
                parts, windows = parts.of_epoch(step), begin_epoch(job, plan, epoch)
            set_rates(optimizer, share_at(step))
            progress = make_step(parts, windows[index], progress)

            # The processes agree on what follows; otherwise some would wait for the others forever.
            asked, due, over = job.processes.any(
                stop_requested(), parts.recorder.due, parts.clock.used_up
            )
            progress = after_step(parts, progress, asked=asked, due=due, over=over)
            ended = progress.step == plan.total_steps * progress.rounds
            if asked and not (ended or progress.out_of_time):
                raise _interrupted(job, step)
        if progress.out_of_time:
            note_end(job, plan, progress)
        return parts.recorder.flush(progress)
    except NotFinite as error:
        raise errors.run.diverged(job.run.path, error.step, newest_step(job.run)) from None


def _interrupted(job: Job, step: int) -> errors.Interrupted:
    """The error that ends a stopped run, after its event is written."""
    job.log.write({"event": "interrupted", "step": step})
    return errors.run.interrupted(job.run.path, step, job.processes.count)


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects that a step uses. ``stepper`` wraps ``optimizer``; ``graphs`` need a GPU."""

    job: Job
    plan: Plan
    optimizer: torch.optim.Optimizer
    stepper: AcceleratedOptimizer
    recorder: StepRecorder
    clock: Clock
    graphs: GraphedSteps | None

    @classmethod
    def of(cls, job: Job, plan: Plan, optimizer: torch.optim.Optimizer, progress: Progress) -> Self:
        """The objects for the steps from here on."""
        # A float16 gradient may overflow in some steps; the loss scaler then skips the update.
        recorder = StepRecorder(job.log, check_gradients=precision_of(job.accelerator) != "float16")
        stepper, graphs = job.accelerator.prepare(optimizer), graphed_steps(job, plan, optimizer)
        return cls(job, plan, optimizer, stepper, recorder, Clock.of(job, progress), graphs)

    def of_epoch(self, step: int) -> Self:
        """The same objects with the training rows of the epoch of a step."""
        train = self.job.train.of_epoch(self.plan.draw(step))
        return replace(self, job=replace(self.job, train=train))


def after_step(parts: Parts, progress: Progress, *, asked: bool, due: bool, over: bool) -> Progress:
    """Evaluate, begin another round, generate a sample and save a checkpoint, where they are due.

    Args:
        parts: what the steps use.
        progress: the progress after the step.
        asked: whether a stop was requested.
        due: whether the losses are read.
        over: whether the time is used up.
    """
    job, plan, step = parts.job, parts.plan, progress.step - 1
    evaluates = over or plan.evaluates_after(step)
    saves = asked or over or plan.checkpoints_after(step)
    # Losses stay on the device between flushes. They are read before an evaluation or a checkpoint,
    # so that weights with a loss that is not finite never reach the disk.
    if due or evaluates or saves:
        progress = parts.recorder.flush(progress)
    if evaluates:
        progress = keep.evaluate_and_keep_best(job, progress, plan.epochs_done(step))
        # An evaluation may have used up the time; the weights are evaluated, so nothing is lost.
        (over,) = job.processes.any(parts.clock.used_up)
        saves = saves or over
        progress = replace(progress, out_of_time=over)
    if plan.ends_round_after(step):
        progress = with_next_round(job, plan, progress, parts.clock)
    if sample_is_due(job, plan, step):
        write_sample(job, step, plan.epochs_done(step))
    progress = replace(progress, used_seconds=parts.clock.seconds)
    if saves:  # after the evaluation, whose result the checkpoint contains
        keep.save_checkpoint(job, parts.optimizer, progress)
    return progress


def make_step(parts: Parts, positions: list[Ints], progress: Progress) -> Progress:
    """One optimiser update.

    Args:
        parts: what the step uses.
        positions: row numbers of each batch of the window, int64 [B] each.
        progress: the progress before the step.
    """
    began = time.perf_counter()
    train, step, rows = parts.job.train, progress.step, np.concatenate(positions)
    # Known before the model runs: the loss of every piece is divided by the labels of the window.
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
    parts.recorder.add(loss, norm, event)  # tensors: reading them here would wait for the device
    return progress


def update(
    parts: Parts, positions: list[Ints], count: int, progress: Progress
) -> tuple[Tensor, Tensor, int]:
    """Gradients, clipping, optimiser step: returns loss [], gradient norm [], pieces per batch."""
    job, step, draw = parts.job, progress.step, parts.plan.draw(progress.step)
    window = [collate(job.train, rows, draw) for rows in positions]
    own = own_rows(job.processes, job.train, positions, window, draw)  # this process's share
    loss, pieces = step_gradients(parts, own, count, step, progress.micro_batches)
    if job.accelerator.scaler is not None:
        job.accelerator.unscale_gradients(parts.stepper)  # clipping needs the true gradients
    norm = clip_gradients(job.model, parts.optimizer, job.config.max_gradient_norm)
    parts.stepper.step()
    parts.stepper.zero_grad()
    return loss, norm, pieces


def step_gradients(
    parts: Parts, window: list[Batch], count: int, step: int, micro_batches: int
) -> tuple[Tensor, int]:
    """Compute the gradient of the window's mean loss; returns the loss [] and pieces per batch.

    When memory runs out in any process, all repeat the step with each batch cut into twice as many
    pieces. The rows, and therefore the gradient, stay the same.

    Args:
        parts: what the step uses.
        window: this process's share of the rows.
        count: labels of all shares together.
        step: number of the step.
        micro_batches: pieces that each batch is cut into.

    Raises:
        RunError: memory ran out with a single row.
    """
    job = parts.job
    while True:
        # Inside the loop: a repeated step has the same dropout as the failed attempt.
        seed_step(job.config.seed_of("dropout"), step, job.processes.index)
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
            add_up(job.processes, job.model, loss)  # sum over processes
            return loss, micro_batches
        if not finer:
            raise errors.run.out_of_memory(rows=1)
        parts.stepper.zero_grad()  # drop the gradients of the failed attempt
        micro_batches *= 2
        job.log.notice(
            f"memory ran out at step {step + 1}: each batch is now computed in {micro_batches} "
            "pieces; the rows of a step and their gradient stay the same"
        )


def window_gradients(job: Job, window: list[Batch], count: int, micro_batches: int) -> Tensor:
    """Forward and backward pass of every piece; returns this process's part of the mean loss []."""
    total = torch.zeros((), device=job.accelerator.device)
    for batch in window:
        for piece in split_batch(batch.to(job.accelerator.device), micro_batches):
            with job.accelerator.autocast():
                logits = job.forward.run(job.model, piece)  # [B, C], [A, C] or TokenLogits
            loss_sum, _ = job.task.loss(logits, piece)
            # Divided by the labels of the whole window: the gradients of all pieces then add up to
            # that of the mean. A mean of the pieces' means would weigh small pieces too much.
            job.accelerator.backward(loss_sum / max(count, 1))
            total += loss_sum.detach()
    return total / max(count, 1)

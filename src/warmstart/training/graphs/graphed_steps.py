"""Run steps as CUDA graphs: a whole step is launched at once instead of kernel by kernel.

A step of a small encoder on short texts consists of about a thousand kernels of a few microseconds
each, and launching a kernel takes longer than running it. A graph contains all of them: gathering
the batch's tokens from rows on the device (``packed.resident``), forward pass, loss, backward pass,
clipping and AdamW. The host only copies row numbers and learning rates, and seeds dropout.

A graph has fixed shapes, so batches are padded to one of a few token budgets. The budgets depend
only on the rows and the settings, so a resumed run has the same ones. A batch that fits no budget
runs without graphs. If graphs cannot be used at all, a notice is logged and the steps run normally.

**Not yet measured on a GPU**, so off by default. The captured work is tested on a CPU, with a
``Capture`` that runs it again at every replay; ``tests/gpu`` compares real graphs with it.

Source: PyTorch documentation, "CUDA semantics", section "CUDA Graphs"; ``torch.optim.AdamW``, on
``capturable`` and on rates that are tensors with ``fused``.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from warmstart.data.examples.targets import NO_LABEL, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokens import Ints
from warmstart.devices.device import precision_of
from warmstart.models.packed.resident import (
    BatchShape,
    Resident,
    resident_bytes,
    shapes_for,
    smallest_shape,
)
from warmstart.preparation.plan import Plan
from warmstart.training.checkpoint import seed_step
from warmstart.training.graphs.capture import Work
from warmstart.training.job import Job
from warmstart.training.optimizer import clip_gradients

PLANNED_EPOCHS = 4
"""Number of epochs whose batches determine the shapes; later batches may fit no shape."""

MEMORY_SHARE = 0.2
"""Largest share of the GPU's free memory that the training rows may use."""

TOLERANCE = 0.01
"""Largest relative difference of loss and gradient norm between a replay and a normal step."""


def execution(job: Job) -> str:
    """How the model and the steps of a job are executed, for ``environment.json``."""
    if not job.config.cuda_graphs:
        return job.forward.path
    why_not = why_no_graphs(job)
    if why_not is not None:
        return f"{job.forward.path}; no CUDA graphs: {why_not}"
    shapes, _ = _planned(job, Plan.of(job.train, job.config))
    return f"{job.forward.path}; CUDA graphs of {len(shapes)} shape{'s' * (len(shapes) > 1)}"


def why_no_graphs(job: Job) -> str | None:
    """Why a job's steps cannot be captured; None if they can. The same at every start."""
    device, packed = job.accelerator.device, job.forward.packed
    if job.capture is None:
        precision = precision_of(job.accelerator)
        return f"they need a GPU and bfloat16, and this run uses {device.type} and {precision}"
    if packed is None:
        return "the model does not run packed"
    if packed.reads != "first":
        return "tokens are predicted, not rows"
    if job.train.sampled is not None:
        return "each epoch pairs different segments"
    if job.train.tokens.window_offsets is not None:
        return "long rows are read in windows"
    targets = job.train.targets
    if targets.groups is not None:
        return "rows are compared with one another"
    if not isinstance(targets, RowTargets) or targets.values.dtype.kind == "f":
        return "labels are not one class per row"
    with job.accelerator.autocast():
        if not packed.runs_without_rectangles(device):
            return "flash attention does not support the model's heads"
    if job.processes.count > 1:
        return f"the run has {job.processes.count} processes"
    if job.config.gradient_accumulation > 1:
        return "train.gradient_accumulation is more than 1"
    if job.frozen is not None:
        return "train.freeze freezes a part of the model"
    if job.config.unfreeze_layers_per_epoch is not None:
        return "train.unfreeze_layers_per_epoch changes which parameters are trained"
    return None


def graphed_steps(job: Job, plan: Plan, optimizer: torch.optim.Optimizer) -> "GraphedSteps | None":
    """Capture a job's steps; if that is not possible, log a notice and return None.

    Weights, moments and the optimiser's step counters are restored exactly afterwards.

    Args:
        job: the training job; its model is in training mode.
        plan: the plan, which gives the rows of each batch.
        optimizer: the optimiser of the model; from now on its tensors must not be replaced.
    """
    if not job.config.cuda_graphs:
        return None
    began = time.perf_counter()
    why_not = why_no_graphs(job) or _too_large(job)
    if why_not is None:
        shapes, samples = _planned(job, plan)
        reset = _snapshot(optimizer)
        try:
            steps = GraphedSteps(job, optimizer)
            # The largest shape first: the memory of its graph is reused by the smaller ones.
            for shape in reversed(shapes):
                why_not = why_not or steps.add(shape, *samples[shape], reset)
        except RuntimeError as error:
            why_not = str(error).partition("\n")[0]
        finally:
            reset()
            optimizer.zero_grad()
    if why_not is not None:
        job.log.notice(f"steps run without CUDA graphs: {why_not}")
        return None
    seconds, budgets = time.perf_counter() - began, [shape.tokens for shape in shapes]
    job.log.notice(
        f"steps run as CUDA graphs, with batches of {', '.join(map(str, budgets))} tokens; "
        f"captured in {seconds:.1f} s"
    )
    return steps


class GraphedSteps:
    """The captured steps of one job, one per shape.

    Args:
        job: the training job; it has a ``capture``, and its model runs packed.
        optimizer: AdamW over the model's parameters.
    """

    def __init__(self, job: Job, optimizer: torch.optim.Optimizer) -> None:
        device = job.accelerator.device
        self._job, self._optimizer = job, optimizer
        pad_token_id = job.model.config.pad_token_id or 0
        self._resident = Resident(job.train, pad_token_id, device)
        self._rates = [torch.zeros((), device=device) for _ in optimizer.param_groups]
        self._numbers = torch.zeros(0, dtype=torch.int64, device=device)
        self._result = torch.zeros(2, device=device)
        self._replays: dict[BatchShape, Work] = {}

    def add(self, shape: BatchShape, first: Ints, last: Ints, reset: Work) -> str | None:
        """Capture the steps of a shape, and compare a replay with the step without a graph.

        The capture uses other rows than the comparison: if the graph wrongly kept values of the
        capture, the loss or the gradient of the replay would differ. Both runs do the same
        computation with the same dropout masks; only the order of some sums may differ.

        Args:
            shape: a shape that is not larger than those added before.
            first: rows that fit the shape, for the capture.
            last: rows that fit the shape, for the comparison; other rows if there are any.
            reset: restores weights and optimiser state.

        Returns:
            The problem with the replay; None if there is none.
        """
        capture = self._job.capture
        assert capture is not None
        if not len(self._numbers):
            self._numbers = self._resident.numbers(first, shape).to(self._numbers.device)

        def work() -> None:
            self._work(shape)

        normal = self._once(work, last, shape)
        reset()
        self._fill(first, shape)
        replay = capture(work)
        reset()
        replayed = self._once(replay, last, shape)
        reset()
        names = ("loss", "gradient norm")
        for name, value, expected in zip(names, replayed, normal, strict=True):
            if not math.isclose(value, expected, rel_tol=TOLERANCE):
                return (
                    f"the replay of a step of {shape.tokens} tokens had a {name} of {value:.4g} "
                    f"instead of {expected:.4g}"
                )
        self._replays[shape] = replay
        return None

    def step(self, rows: Ints, step: int) -> tuple[Tensor, Tensor] | None:
        """Make a step, and return its mean loss in nats and its gradient norm, on the device.

        Args:
            rows: the rows of its single batch.
            step: its number, on which dropout depends.

        Returns:
            None if no shape fits the rows; nothing is done then.
        """
        shapes = list(reversed(self._replays))
        shape = smallest_shape(shapes, self._job.train.tokens.tokens_of(rows), len(rows))
        if shape is None:
            return None
        self._fill(rows, shape)
        seed_step(self._job.config.seed_of("dropout"), step, self._job.processes.index)
        self._replays[shape]()
        loss, norm = self._result.clone()
        return loss, norm

    def _work(self, shape: BatchShape) -> None:
        """One step, from row numbers to new weights: what is captured."""
        job = self._job
        assert job.forward.packed is not None
        batch, packing = self._resident.batch(self._numbers, shape)
        with job.accelerator.autocast():
            logits = job.forward.packed.logits(job.model, batch, packing)
        loss_sum, _ = job.task.loss(logits, batch)
        labels = of_kind(batch.targets, RowBatchTargets).values
        loss = loss_sum / (labels != NO_LABEL).sum().clamp(min=1)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(job.model, self._optimizer, job.config.max_gradient_norm)
        self._result.copy_(torch.stack([loss.detach(), norm]))
        self._update()
        # Release the gradients: the graph of another shape uses the same memory.
        self._optimizer.zero_grad()

    def _update(self) -> None:
        """AdamW's step with the learning rates as tensors, whose values ``_fill`` sets."""
        groups = self._optimizer.param_groups
        # PyTorch requires `capturable` during a capture and refuses it otherwise.
        capturing = self._numbers.is_cuda and torch.cuda.is_current_stream_capturing()
        before = [(group["lr"], group["capturable"]) for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"], group["capturable"] = rate, capturing
        try:
            self._optimizer.step()
        finally:
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable

    def _fill(self, rows: Ints, shape: BatchShape) -> None:
        """Write what the next run reads: row numbers and rates."""
        numbers = self._resident.numbers(rows, shape)
        if self._numbers.is_cuda:
            # Copies from pageable memory would make the host wait for earlier steps.
            numbers = numbers.pin_memory()
        self._numbers.copy_(numbers, non_blocking=True)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            rate.fill_(group["lr"])

    def _once(self, run: Work, rows: Ints, shape: BatchShape) -> list[float]:
        """Loss and gradient norm of one run, which changes the weights."""
        self._fill(rows, shape)
        self._result.fill_(math.nan)
        seed_step(self._job.config.seed_of("dropout"), 0, 0)
        run()
        loss_and_norm: list[float] = self._result.tolist()
        return loss_and_norm


def _planned(job: Job, plan: Plan) -> tuple[list[BatchShape], dict[BatchShape, tuple[Ints, Ints]]]:
    """Shapes for the batches of a plan; for each, the first and the last batch of this shape."""
    epochs = range(min(job.config.epochs, PLANNED_EPOCHS))
    batches = [window[0] for epoch in epochs for window in plan.epoch_windows(epoch)]
    totals = np.array([job.train.tokens.tokens_of(rows) for rows in batches])
    sizes = np.array([len(rows) for rows in batches])
    shapes = shapes_for(totals, sizes, int(job.train.lengths.max()))
    samples: dict[BatchShape, tuple[Ints, Ints]] = {}
    for rows, total in zip(batches, totals.tolist(), strict=True):
        shape = smallest_shape(shapes, total, len(rows))
        assert shape is not None
        samples[shape] = samples.get(shape, (rows, rows))[0], rows
    return shapes, samples


def _too_large(job: Job) -> str | None:
    """A message if the training rows need too much of the GPU's free memory; otherwise None."""
    if job.accelerator.device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(job.accelerator.device)
    needed = resident_bytes(job.train)
    if needed <= MEMORY_SHARE * free:
        return None
    return (
        f"the training rows need {needed / 2**20:.0f} MiB of {free / 2**20:.0f} MiB free GPU memory"
    )


def _snapshot(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Copy weights and optimiser state; the returned function restores them.

    State that did not exist yet is set to zero, which is AdamW's initial state.
    """
    weights = [
        (parameter, parameter.detach().clone())
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    state = {
        parameter: {name: value.clone() for name, value in values.items()}
        for parameter, values in optimizer.state.items()
    }

    @torch.no_grad()
    def reset() -> None:
        for parameter, weight in weights:
            parameter.copy_(weight)
        for parameter, values in optimizer.state.items():
            for name, value in values.items():
                if parameter in state:
                    value.copy_(state[parameter][name])
                else:
                    value.zero_()

    return reset

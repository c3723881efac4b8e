"""Steps as CUDA graphs: a whole step is launched at once instead of kernel by kernel.

A step of a small encoder on short texts is a thousand kernels of a few microseconds, and launching
each takes longer than running it. A graph holds them all: the batch's tokens gathered from rows on
the device (``packed.resident``), forward, loss, backward, clipping, AdamW. The host only writes the
numbers of the rows and the rates, and seeds dropout.

A graph has one shape, so batches are filled up to one of a few budgets of tokens; those follow from
the rows and the settings alone, so that a resumed run has the same. A batch that fits none runs as
without graphs, and so does the whole run where something stands in the way, which it says.

**Not yet measured on a GPU**: off by default. What is captured is tested without one, by a
``Capture`` that runs it anew each time; ``tests/gpu`` holds the rest against it.

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
"""Epochs whose batches the shapes are chosen for; of a longer run a batch may fit none."""

MEMORY_SHARE = 0.2
"""Of a GPU's free memory: what the training rows may take."""

TOLERANCE = 0.01
"""How far a replayed step may be from the same step unreplayed, as a share of loss and norm."""


def execution(job: Job) -> str:
    """How a job's model reads a batch and how its steps run, for ``environment.json``."""
    if not job.config.cuda_graphs:
        return job.forward.path
    why_not = why_no_graphs(job)
    if why_not is not None:
        return f"{job.forward.path}; no CUDA graphs: {why_not}"
    shapes, _ = _planned(job, Plan.of(job.train, job.config))
    return f"{job.forward.path}; CUDA graphs of {len(shapes)} shape{'s' * (len(shapes) > 1)}"


def why_no_graphs(job: Job) -> str | None:
    """Why a job's steps cannot be captured; None where they can. The same at every start."""
    device, packed = job.accelerator.device, job.forward.packed
    if job.capture is None:
        precision = precision_of(job.accelerator)
        return f"they take a GPU and bfloat16, and this run has {device.type} and {precision}"
    if packed is None:
        return "the model does not run packed"
    if packed.reads != "first":
        return "tokens are predicted, not rows"
    targets = job.train.targets
    if targets.groups is not None:
        return "rows are compared with one another"
    if not isinstance(targets, RowTargets) or targets.values.dtype.kind == "f":
        return "labels are not one class per row"
    with job.accelerator.autocast():
        if not packed.runs_without_rectangles(device):
            return "flash attention does not take the model's heads"
    if job.processes.count > 1:
        return f"{job.processes.count} processes train together"
    if job.config.gradient_accumulation > 1:
        return "train.gradient_accumulation is more than 1"
    if job.frozen is not None:
        return "train.freeze keeps part of the model"
    if job.config.unfreeze_layers_per_epoch is not None:
        return "train.unfreeze_layers_per_epoch changes what trains"
    return None


def graphed_steps(job: Job, plan: Plan, optimizer: torch.optim.Optimizer) -> "GraphedSteps | None":
    """Capture a job's steps; or None, with a notice that says why, where that does not work.

    Weights, moments and the optimiser's counters are afterwards what they were, bit for bit.

    Args:
        job: what to train; its model is in training mode.
        plan: which rows come together.
        optimizer: over the model's parameters; from now on its tensors must stay where they are.
    """
    if not job.config.cuda_graphs:
        return None
    began = time.perf_counter()
    why_not = why_no_graphs(job) or _too_large(job)
    if why_not is None:
        shapes, samples = _planned(job, plan)
        keep = _remembered(optimizer)
        try:
            steps = GraphedSteps(job, optimizer)
            # The largest first: the others fit into the memory it leaves.
            for shape in reversed(shapes):
                why_not = why_not or steps.add(shape, *samples[shape], keep)
        except RuntimeError as error:
            why_not = str(error).partition("\n")[0]
        finally:
            keep()
            optimizer.zero_grad()
    if why_not is not None:
        job.log.notice(f"steps run without CUDA graphs: {why_not}")
        return None
    seconds, budgets = time.perf_counter() - began, [shape.tokens for shape in shapes]
    job.log.notice(
        f"steps run as CUDA graphs, in batches of {', '.join(map(str, budgets))} tokens; "
        f"captured in {seconds:.1f} s"
    )
    return steps


class GraphedSteps:
    """Captured steps of one job, by shape.

    Args:
        job: what to train; it has a ``capture`` and runs packed.
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

    def add(self, shape: BatchShape, first: Ints, last: Ints, put_back: Work) -> str | None:
        """Capture the steps of a shape, and hold a replay against the step unreplayed.

        The capture sees other rows than the comparison, so that a graph that kept what it saw is
        found out by its loss or its gradient. Both runs do the same arithmetic with the same
        dropout; only the order of some sums is the device's own.

        Args:
            shape: not larger than those before it.
            first: rows that it holds.
            last: others that it holds, where there are any.
            put_back: makes weights and optimiser what they were.

        Returns:
            What is wrong with the replay; None where nothing is.
        """
        capture = self._job.capture
        assert capture is not None
        if not len(self._numbers):
            self._numbers = self._resident.numbers(first, shape).to(self._numbers.device)

        def work() -> None:
            self._work(shape)

        expected = self._once(work, last, shape)
        put_back()
        self._fill(first, shape)
        replay = capture(work)
        put_back()
        found = self._once(replay, last, shape)
        put_back()
        for name, value, due in zip(("loss", "gradient"), found, expected, strict=True):
            if not math.isclose(value, due, rel_tol=TOLERANCE):
                return f"replayed, a step of {shape.tokens} tokens had a {name} of {value:.4g} " + (
                    f"where {due:.4g} was due"
                )
        self._replays[shape] = replay
        return None

    def step(self, rows: Ints, step: int) -> tuple[Tensor, Tensor] | None:
        """Make a step; its mean loss in nats and the length of its gradient, on the device.

        Args:
            rows: of its one batch.
            step: its number, which dropout is a function of.

        Returns:
            None, with nothing done, where no shape holds the rows.
        """
        shapes = list(reversed(self._replays))
        shape = smallest_shape(shapes, self._job.train.tokens.tokens_of(rows), len(rows))
        if shape is None:
            return None
        self._fill(rows, shape)
        seed_step(self._job.config.seed, step, self._job.processes.index)
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
        # The next shape's gradients may lie where these did.
        self._optimizer.zero_grad()

    def _update(self) -> None:
        """AdamW's step, which reads the rates where ``_fill`` writes them."""
        groups = self._optimizer.param_groups
        # PyTorch refuses the flag where nothing is captured as much as its absence where it is.
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
            numbers = numbers.pin_memory()  # else the host would wait for the steps before
        self._numbers.copy_(numbers, non_blocking=True)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            rate.fill_(group["lr"])

    def _once(self, run: Work, rows: Ints, shape: BatchShape) -> list[float]:
        """Loss and gradient's length of one run that changes the weights."""
        self._fill(rows, shape)
        self._result.fill_(math.nan)
        seed_step(self._job.config.seed, 0, 0)
        run()
        found: list[float] = self._result.tolist()
        return found


def _planned(job: Job, plan: Plan) -> tuple[list[BatchShape], dict[BatchShape, tuple[Ints, Ints]]]:
    """Shapes for a plan's batches; for each, the first and the last batch that goes there."""
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
    """That the training rows take too much of a GPU's free memory, where they do."""
    if job.accelerator.device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(job.accelerator.device)
    needed = resident_bytes(job.train)
    if needed <= MEMORY_SHARE * free:
        return None
    return f"the training rows take {needed / 2**20:.0f} MiB of {free / 2**20:.0f} MiB free"


def _remembered(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Remember weights and the optimiser's state; the function given back puts them back.

    State that was not there becomes zero, which is how AdamW begins.
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
    def put_back() -> None:
        for parameter, weight in weights:
            parameter.copy_(weight)
        for parameter, values in optimizer.state.items():
            for name, value in values.items():
                if parameter in state:
                    value.copy_(state[parameter][name])
                else:
                    value.zero_()

    return put_back

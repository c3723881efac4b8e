"""Time the parts of a run on a few of its steps and rows.

Everything runs as in training, on the job of the run, and nothing is written: the learning rate is
0, so the weights stay those of the checkpoint. A part that goes over rows is timed on a random
sample of them. Times are in seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import nnls

from warmstart import errors
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokens import Ints
from warmstart.data.table import Table
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.preparation.stages import encode, limited
from warmstart.tasks.task import Split
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job
from warmstart.training.loop import Parts, make_step
from warmstart.training.optimizer import build_optimizer, set_rates
from warmstart.training.unfreezing import begin_epoch

STEP_SECONDS = 10.0
"""After this time no further step is timed."""

FEWEST_STEPS, MOST_STEPS = 2, 32
"""Number of timed steps, after one that is not timed."""

PART_SECONDS = 3.0
"""About the longest time for a part that is timed on a sample of rows."""

FEWEST_ROWS, MOST_ROWS = 64, 2048
"""Size of the sample."""

REPEATS = {"cpu": 1}
"""How often a timed step is repeated. A GPU works while the CPU collects the next rows, so one step
alone would take longer there: 4 for other devices."""

HEAVY_EPOCHS = 3
"""Epochs among whose batches the largest one is searched."""

Window = list[Ints]
"""The row numbers of each batch of a step, int64 [B] each."""

Clock = Callable[[], float]
"""A clock in seconds, such as ``time.perf_counter``."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The times of K steps.

    Args:
        tokens: tokens of each step, int64 [K].
        seconds: time of each step, float64 [K].
        pieces: pieces that each batch had to be cut into, because memory ran out; usually 1.
        moments_bytes: size of the optimiser's state.
    """

    tokens: Ints
    seconds: np.ndarray[tuple[int], np.dtype[np.float64]]
    pieces: int
    moments_bytes: int

    def of(self, tokens: Ints) -> float:
        """The time of other steps: a constant for each step and one for each token.

        Both constants are fitted to the timed steps by least squares, and are not negative.

        Args:
            tokens: tokens of each step, int64.
        """
        parts = np.stack([np.ones(len(self.tokens)), self.tokens], axis=1)
        (for_step, for_token), _ = nnls(parts, self.seconds)
        return float(for_step * len(tokens) + for_token * tokens.sum())


def tokens_of_steps(examples: Examples, windows: list[Window]) -> Ints:
    """Number of tokens of each step, int64 [steps].

    Args:
        examples: the training rows.
        windows: the batches of each step.
    """
    return np.array([int(examples.lengths[np.concatenate(w)].sum()) for w in windows], np.int64)


def time_steps(job: Job, clock: Clock) -> StepTimes:
    """Time steps of the first epoch, of all sizes; the first one has the largest batch of the run.

    With gradual unfreezing everything trains, as in the last epoch.

    Args:
        job: the training job, with features if they are computed once.
        clock: tells the time.

    Raises:
        RunError: memory ran out with a single row.
    """
    plan = Plan.of(job.train, job.config)
    optimizer = build_optimizer(job.model, job.config)
    parts = Parts.of(job, plan, optimizer, Progress())
    windows = begin_epoch(job, plan, job.config.epochs - 1)
    tokens = tokens_of_steps(job.train, windows)
    chosen = [windows[number] for number in _of_all_sizes(tokens, MOST_STEPS)]
    device = job.accelerator.device
    repeats = REPEATS.get(device.type, 4)
    progress, seconds = Progress(), list[float]()
    set_rates(optimizer, 0.0)
    job.model.train()
    # The first steps allocate memory, and those on a GPU also choose and load its kernels.
    first = [_heaviest(job.train, plan), *(chosen if repeats > 1 else [])]
    for window in first:
        progress = make_step(parts, window, progress)
    began = clock()
    for window in chosen:
        _wait_for(device)
        start = clock()
        for _ in range(repeats):
            progress = make_step(parts, window, progress)
        _wait_for(device)
        end = clock()
        seconds.append((end - start) / repeats)
        if len(seconds) >= FEWEST_STEPS and end - began >= STEP_SECONDS:
            break
    state = (value for values in optimizer.state.values() for value in values.values())
    return StepTimes(
        tokens_of_steps(job.train, chosen[: len(seconds)]),
        np.array(seconds),
        progress.micro_batches,
        sum(value.nbytes for value in state),
    )


def _of_all_sizes(tokens: Ints, most: int) -> list[int]:
    """Numbers of steps such that any first few of them have all sizes.

    The golden ratio spreads the first k of its multiples evenly, for every k.
    """
    places = (0.5 + np.arange(most) * (np.sqrt(5) - 1) / 2) % 1  # shares of the sorted steps
    chosen = np.argsort(tokens, kind="stable")[(places * len(tokens)).astype(int)]
    return list(dict.fromkeys(chosen.tolist()))


def _heaviest(train: Examples, plan: Plan) -> Window:
    """The step that needs most memory: the one with the batch of most tokens."""
    epochs = range(min(plan.config.epochs, HEAVY_EPOCHS))
    windows = [window for epoch in epochs for window in plan.epoch_windows(epoch)]
    return max(windows, key=lambda window: max(train.lengths[batch].sum() for batch in window))


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def timed(work: Callable[[], object], clock: Clock) -> float:
    """The time of a call.

    Args:
        work: does something on any device and waits for its result.
        clock: tells the time.
    """
    began = clock()
    work()
    return clock() - began


def sampled(prepared: Prepared, rows: int) -> Prepared:
    """The same run with a random sample of the rows of each split.

    Args:
        prepared: the run.
        rows: about the number of rows to keep in each split; a sample has every label, and rows
            that are compared with each other stay together.
    """
    task = prepared.task
    tables = {name: _sample(prepared, split.table, rows) for name, split in prepared.splits.items()}
    splits = {name: Split(table, task.labels(table)) for name, table in tables.items()}
    examples = encode(task, splits, prepared.checkpoint, prepared.max_tokens)
    return replace(prepared, splits=splits, examples=examples)


def _sample(prepared: Prepared, table: Table, rows: int) -> Table:
    while rows < len(table):
        config = prepared.config
        data = config.data.model_copy(update={"limit": rows})
        try:
            return limited(config.model_copy(update={"data": data}), {"train": table})["train"]
        except errors.ConfigError:  # fewer rows than labels, or than the first group has
            rows *= 2
    return table


def rows_in_time(seconds: float, rows: int) -> int:
    """How many rows to time, if ``rows`` of them took this time.

    Args:
        seconds: their time.
        rows: their number.
    """
    return int(np.clip(rows * PART_SECONDS / max(seconds, 1e-9), FEWEST_ROWS, MOST_ROWS))

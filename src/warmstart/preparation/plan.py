"""The plan of a run: the number of steps, the rows of each step, and when to evaluate and save.

The plan is computed before the model is loaded. So a run can be checked (``--dry-run``), and it can
be resumed at any step without repeating the steps before it.

Units: a *step* is one optimiser update. It uses ``gradient_accumulation`` batches, or fewer at the
end of an epoch; the last batch of an epoch may be smaller. Epochs and steps are counted from 0.
"""

from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np

from warmstart.config import ResolvedTrainConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.ordering import (
    batches_of_groups,
    groups_per_batch,
    training_batches,
)
from warmstart.data.examples.tokens import Ints


def batches_per_epoch(rows: int, groups: Ints | None, size: int) -> int:
    """Number of batches in one pass over the training rows.

    Args:
        rows: number of rows.
        groups: as ``Targets.groups``, int64 [N]; None if rows are learned alone.
        size: rows per batch.
    """
    if groups is None:
        return ceil(rows / size)
    return ceil((int(groups.max()) + 1) / groups_per_batch(groups, size))


@dataclass(frozen=True, slots=True)
class Plan:
    """Computes the steps of one run.

    Args:
        lengths: number of tokens of each training row, int64 [N].
        config: the settings.
        groups: as ``Targets.groups``, int64 [N]; None if rows are learned alone.
    """

    lengths: Ints
    config: ResolvedTrainConfig
    groups: Ints | None = None

    @classmethod
    def of(cls, train: Examples, config: ResolvedTrainConfig) -> Self:
        """The plan for these training rows."""
        return cls(train.lengths, config, train.targets.groups)

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimiser updates per epoch."""
        batches = batches_per_epoch(len(self.lengths), self.groups, self.config.batch_size)
        return ceil(batches / self.config.gradient_accumulation)

    @property
    def total_steps(self) -> int:
        """Number of optimiser updates of the whole run, or of a round (``training.budget``)."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def evaluations(self) -> int:
        """Number of evaluations on the validation split, without early stopping."""
        return self.config.epochs * min(self.config.evaluations_per_epoch, self.steps_per_epoch)

    def epoch_windows(self, epoch: int) -> list[list[Ints]]:
        """For each step of an epoch, its batches; each batch is an array of row positions."""
        size, seed = self.config.batch_size, self.config.seed_of("order")
        if self.groups is not None:
            batches = batches_of_groups(self.groups, size, seed, epoch)
        else:
            grouped = self.config.group_by_length
            batches = training_batches(self.lengths, size, seed, epoch, group_by_length=grouped)
        width = self.config.gradient_accumulation
        return [batches[start : start + width] for start in range(0, len(batches), width)]

    def draw(self, step: int) -> Draw:
        """Seed and epoch of a step, which select the masked tokens of fill-mask."""
        return Draw(self.config.seed_of("order"), step // self.steps_per_epoch)

    def epochs_done(self, step: int) -> float:
        """Completed epochs after ``step``, as a fraction."""
        return (step + 1) / self.steps_per_epoch

    def evaluates_after(self, step: int) -> bool:
        """Whether the model is evaluated after ``step``; always after the last step of an epoch."""
        index = step % self.steps_per_epoch
        per_epoch = min(self.config.evaluations_per_epoch, self.steps_per_epoch)
        ends = np.rint(np.arange(1, per_epoch + 1) * self.steps_per_epoch / per_epoch) - 1
        return index in ends.astype(int)

    def ends_round_after(self, step: int) -> bool:
        """Whether ``step`` is the last of the planned steps, or of their repetition."""
        return (step + 1) % self.total_steps == 0

    def checkpoints_after(self, step: int) -> bool:
        """Whether a checkpoint is saved after ``step``: every n steps, or at each evaluation."""
        every = self.config.checkpoint_every_steps
        if every is None:
            return self.evaluates_after(step)
        return (step + 1) % every == 0 or self.ends_round_after(step)

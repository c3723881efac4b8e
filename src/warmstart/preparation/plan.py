"""The plan of a run: how many steps, which rows at each, and what happens after which.

Computed before anything is loaded, so that a run can be announced, checked (``--dry-run``) and
resumed at any step without replaying the steps before it.

Units: a *step* is one optimiser update and consumes ``gradient_accumulation`` batches, fewer at the
end of an epoch; an epoch's last batch may be short. Epochs and steps are counted from 0.
"""

from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np

from warmstart.config import TrainConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.ordering import (
    batches_of_groups,
    groups_per_batch,
    training_batches,
)
from warmstart.data.examples.tokens import Ints


@dataclass(frozen=True, slots=True)
class Plan:
    """Step arithmetic of one run.

    Args:
        lengths: tokens of each training row, int64 [N].
        config: the settings.
        groups: as ``Targets.groups``, int64 [N]; None where rows are learned alone.
    """

    lengths: Ints
    config: TrainConfig
    groups: Ints | None = None

    @classmethod
    def of(cls, train: Examples, config: TrainConfig) -> Self:
        """The plan for these training rows."""
        return cls(train.lengths, config, train.targets.groups)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser updates in one pass over the rows."""
        size = self.config.batch_size
        batches = ceil(len(self.lengths) / size)
        if self.groups is not None:
            batches = ceil((int(self.groups.max()) + 1) / groups_per_batch(self.groups, size))
        return ceil(batches / self.config.gradient_accumulation)

    @property
    def total_steps(self) -> int:
        """Optimiser updates of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def evaluations(self) -> int:
        """How often the validation split is scored, if nothing ends the run early."""
        return self.config.epochs * min(self.config.evaluations_per_epoch, self.steps_per_epoch)

    def epoch_windows(self, epoch: int) -> list[list[Ints]]:
        """For each step of an epoch, the rows of each of its batches."""
        size, seed = self.config.batch_size, self.config.seed
        if self.groups is not None:
            batches = batches_of_groups(self.groups, size, seed, epoch)
        else:
            grouped = self.config.group_by_length
            batches = training_batches(self.lengths, size, seed, epoch, group_by_length=grouped)
        width = self.config.gradient_accumulation
        return [batches[start : start + width] for start in range(0, len(batches), width)]

    def draw(self, step: int) -> Draw:
        """What the tokens of a step's rows are hidden for, where they are."""
        return Draw(self.config.seed, step // self.steps_per_epoch)

    def epochs_done(self, step: int) -> float:
        """Epochs completed once ``step`` is done, in epochs and fractions of one."""
        return (step + 1) / self.steps_per_epoch

    def evaluates_after(self, step: int) -> bool:
        """Whether the model is evaluated once ``step`` is done; always after an epoch's last."""
        index = step % self.steps_per_epoch
        per_epoch = min(self.config.evaluations_per_epoch, self.steps_per_epoch)
        ends = np.rint(np.arange(1, per_epoch + 1) * self.steps_per_epoch / per_epoch) - 1
        return index in ends.astype(int)

    def checkpoints_after(self, step: int) -> bool:
        """Whether a checkpoint is due once ``step`` is done: every n steps, or at evaluations."""
        every = self.config.checkpoint_every_steps
        if every is None:
            return self.evaluates_after(step)
        return (step + 1) % every == 0 or step + 1 == self.total_steps

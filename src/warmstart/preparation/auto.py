"""Replace ``auto`` in the settings of a run, when its model and its rows are known."""

from collections.abc import Callable
from typing import NamedTuple

from warmstart import errors
from warmstart.config import ResolvedTrainConfig, RunConfig, TrainConfig
from warmstart.data.checking.label_messages import Finding
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.models.tuning.auto_settings import Choice, Learned, resolved
from warmstart.tasks import task_type


class Resolved(NamedTuple):
    """The settings of a run without ``auto``.

    Args:
        config: every setting.
        train: ``config.train``, as the type in which nothing is ``auto``.
        choices: what was chosen.
    """

    config: RunConfig
    train: ResolvedTrainConfig
    choices: list[Choice]

    def findings(self) -> list[Finding]:
        """A message with the chosen settings, if any were chosen."""
        if not self.choices:
            return []
        listed = ", ".join(map(str, self.choices))
        return [Finding("info", f"chosen for this model and these rows: {listed}")]


def without_auto(
    config: RunConfig, checkpoint: Checkpoint, batches: Callable[[int], int] | None = None
) -> Resolved:
    """Choose the settings that are ``auto``.

    Args:
        config: the settings as given.
        checkpoint: where training starts.
        batches: number of batches per epoch for a batch size; None if the rows are not known.

    Raises:
        ConfigError: nothing would be trained.
    """
    task = task_type(config)
    learned = Learned(task.head, "train.head_start" in task.reads, config.pretrain is not None)
    train, choices = resolved(config.train, checkpoint.config, learned, batches)
    if train.epochs == 0 and train.head_start == "random":
        raise errors.transfer.nothing_trained(task.name, probes=learned.probes)
    plain = TrainConfig.model_validate(train.model_dump(exclude_unset=True))
    return Resolved(config.model_copy(update={"train": plain}), train, choices)

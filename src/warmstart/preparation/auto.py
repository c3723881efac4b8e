"""Replace ``auto`` in the settings of a run, when its model and its rows are known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from warmstart import errors
from warmstart.config import ResolvedTrainConfig, RunConfig, TrainConfig
from warmstart.config.file_formats import NO_ROWS
from warmstart.data.checking.label_messages import Finding
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.models.checkpoints.mean_pooling import (
    chosen_pooling,
    refuse_mean,
    with_first_token,
    with_mean_pooling,
)
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


def about_choices(choices: Sequence[Choice]) -> list[Finding]:
    """A message with the chosen settings, if any were chosen.

    Args:
        choices: from ``with_pooling`` and ``without_auto``.
    """
    listed = ", ".join(str(choice) for choice in choices if choice.shown)
    if not listed:
        return []
    return [Finding("info", f"chosen for this model and these rows: {listed}")]


def with_model_setting(config: RunConfig, name: str, value: str) -> RunConfig:
    """The settings with another value of one setting of ``model``.

    Args:
        config: every setting.
        name: the setting, without the group.
        value: its value.
    """
    model = config.model.model_copy(update={name: value})
    return config.model_copy(update={"model": model})


def with_pooling(
    config: RunConfig, checkpoint: Checkpoint
) -> tuple[RunConfig, Checkpoint, list[Choice]]:
    """Choose what the head of a text classifier reads, and the model that it needs.

    Args:
        config: the settings as given.
        checkpoint: where training starts.

    Returns:
        The settings with ``model.pooling``, the checkpoint with the configuration of the model,
        and what was chosen.

    Raises:
        ModelError: the mean was requested, and it is not available for this model.
    """
    pooling, choices = config.model.pooling, list[Choice]()
    if "model.pooling" not in task_type(config).reads:
        return config, checkpoint, choices
    if pooling == "auto":
        pooling, reason = chosen_pooling(checkpoint, adapters=config.train.lora is not None)
        choices = [Choice("model.pooling", pooling, reason, shown=bool(reason))]
        config = with_model_setting(config, "pooling", pooling)
    elif pooling == "mean":
        refuse_mean(checkpoint, adapters=config.train.lora is not None)
    if pooling == "mean":
        pooled = with_mean_pooling(checkpoint.config)
        checkpoint = replace(checkpoint, config=pooled, averages=True)
    else:
        checkpoint = replace(checkpoint, config=with_first_token(checkpoint.config))
    return config, checkpoint, choices


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
    learned = Learned(
        task.head,
        probes="train.head_start" in task.reads,
        new_model=config.pretrain is not None,
        validates=config.data.validation != NO_ROWS,
    )
    train, choices = resolved(config.train, checkpoint.config, learned, batches)
    if train.epochs == 0 and train.head_start == "random":
        raise errors.transfer.nothing_trained(task.name, probes=learned.probes)
    plain = TrainConfig.model_validate(train.model_dump(exclude_unset=True))
    return Resolved(config.model_copy(update={"train": plain}), train, choices)

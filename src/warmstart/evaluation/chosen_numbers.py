"""The numbers that a task chooses on the validation rows after training: temperature, thresholds.

They change nothing in the model. The task keeps them as facts in ``task.json`` and applies them in
``Task.predictions``, so every later prediction has them, with PyTorch or ONNX Runtime.

A temperature could also become part of the last layer's weights. But then a run that is stopped
while it is scored would have to know on its resume whether it was, and another run that starts from
``model/`` would start from other logits. As a fact it is chosen again from the same weights, and is
the same to the bit.

The temperature is chosen first, and the thresholds on the calibrated probabilities.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from warmstart.config import TrainConfig
from warmstart.tasks.chosen_after_training import ChoosesTemperature, ChoosesThreshold
from warmstart.tasks.task import AnyTask


class ChosenNumbers(NamedTuple):
    """A task with its chosen numbers."""

    task: AnyTask
    predictions: dict[str, Any]
    """The given predictions by split, with these numbers."""
    sentences: tuple[str, ...]
    """What was chosen, for notices."""


def chooses_numbers(task: AnyTask, config: TrainConfig) -> bool:
    """Whether the settings request numbers that are chosen on the validation rows.

    Args:
        task: the task of the run.
        config: the settings of ``train``.
    """
    return (config.calibrate is not None and isinstance(task, ChoosesTemperature)) or (
        config.choose_threshold and isinstance(task, ChoosesThreshold)
    )


def with_chosen_numbers(
    task: AnyTask,
    config: TrainConfig,
    predictions: Mapping[str, Any],
    labels: Any,
    metric: str | None,
) -> ChosenNumbers:
    """Choose the numbers that the settings request, and apply them.

    Args:
        task: the task of the run, without such numbers.
        config: the settings of ``train``.
        predictions: predictions of one model by split; those of ``validation`` among them if the
            settings request any number.
        labels: labels of the validation rows.
        metric: the metric that a threshold maximises; None for the main metric.
    """
    found, sentences = dict(predictions), []
    if config.calibrate is not None and isinstance(task, ChoosesTemperature):
        task, sentence = task.with_temperature(found["validation"], labels)
        sentences.append(sentence)
        found = {split: task.repeated(of_split) for split, of_split in found.items()}
    if config.choose_threshold and isinstance(task, ChoosesThreshold):
        name = metric or task.metrics[0].name
        task, sentence = task.with_threshold(found["validation"], labels, name)
        sentences.append(sentence)
        found = {split: task.repeated(of_split) for split, of_split in found.items()}
    return ChosenNumbers(task, found, tuple(sentences))

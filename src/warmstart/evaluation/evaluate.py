"""Run a model over a split, without gradients: predictions in row order, and the exact loss.

``predict`` is used during training, for the final scores, and for serving. ``evaluate`` switches a
model that is being trained to evaluation mode; serving keeps a model in this mode.

Rows are batched by length, so that there is little padding, and restored to row order afterwards;
the loss is summed in nats and divided once, so it does not depend on the batch sizes. Logits are
converted to predictions batch by batch and are not kept.

With several processes each takes every n-th batch, and all exchange their results, so that every
process has the result of a single process.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from warmstart import errors
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.examples.ordering import evaluation_batches
from warmstart.data.examples.tokens import Ints
from warmstart.devices.place import DeviceAndPrecision
from warmstart.devices.processes import ALONE, Processes
from warmstart.metrics.scores import Scores
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.models.packed.forward import Forward
from warmstart.tasks.capabilities import ScoresFinally
from warmstart.tasks.task import AnyTask, Predictions, Task

MAX_TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}
"""Padded size of one batch: small enough for a CPU's cache, large enough to fill a GPU."""

LabelsT = TypeVar("LabelsT")
LogitsT = TypeVar("LogitsT")
PredictionsT = TypeVar("PredictionsT", bound=Predictions)


@dataclass(frozen=True, slots=True)
class Evaluation(Generic[PredictionsT]):
    """Predictions and scores of a model on one labelled split."""

    predictions: PredictionsT
    """Predictions in row order."""
    scores: Scores
    loss: float
    """Mean over the labels, in the task's unit (nats)."""


def predict(
    task: Task[LabelsT, LogitsT, PredictionsT],
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    place: DeviceAndPrecision,
    processes: Processes = ALONE,
    stop: Callable[[], None] | None = None,
) -> tuple[PredictionsT, float, int]:
    """Run the model over every example.

    The call changes neither the model nor any global state, so any number of threads may use one
    model.

    Args:
        task: converts logits to predictions and losses.
        model: on its device, in evaluation mode.
        forward: how the model is run.
        examples: tokenised rows, labelled or not; at least one.
        place: device and precision, e.g. an ``Accelerator``.
        processes: the processes that share the work; all of them call this and get all results.
        stop: called before each batch; raises an error if the work must end.

    Returns:
        Predictions in row order, the summed loss, and the number of labels summed.

    Raises:
        ModelError: the model's outputs are not finite numbers.
    """
    own = _own_batches(task, model, forward, examples, place, processes, stop)
    parts = processes.gather(own)
    losses = list(chain.from_iterable(part for part, _, _ in parts))
    if not all(map(math.isfinite, losses)):  # found by every process, so that all of them end
        raise errors.checkpoint.outputs_not_finite()
    found, positions = zip(*(batch for _, _, part in parts for batch in part), strict=True)
    return (
        type(found[0]).joined(found, np.concatenate(positions)),
        # `fsum` rounds correctly, so the sum does not depend on which process computed which part.
        math.fsum(losses),
        sum(part for _, part, _ in parts),
    )


@torch.no_grad()
def _own_batches(
    task: Task[LabelsT, LogitsT, PredictionsT],
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    place: DeviceAndPrecision,
    processes: Processes,
    stop: Callable[[], None] | None,
) -> tuple[list[float], int, list[tuple[PredictionsT, Ints]]]:
    """Losses, number of labels, and predictions of the batches that this process computes."""
    losses: list[float] = []
    count = 0
    predictions: list[tuple[PredictionsT, Ints]] = []
    budget = MAX_TOKENS_PER_BATCH.get(place.device.type, 8192)
    batches = evaluation_batches(examples.lengths, budget, examples.targets.groups)
    for positions in islice(batches, processes.index, None, processes.count):
        if stop is not None:
            stop()
        batch = collate(examples, positions).to(place.device)
        with place.autocast():
            logits = forward.run(model, batch)
        if isinstance(logits, torch.Tensor) and not logits.isfinite().all():
            losses.append(math.nan)  # `predict` raises the error, in all processes together
            continue
        if batch.count:
            batch_loss, batch_count = task.loss(logits, batch)
            losses.append(float(batch_loss))
            count += batch_count
        predictions.append((task.predictions(logits, batch), positions))
    return losses, count, predictions


def evaluate(
    task: Task[LabelsT, LogitsT, PredictionsT],
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    labels: LabelsT,
    place: DeviceAndPrecision,
    processes: Processes = ALONE,
    stop: Callable[[], None] | None = None,
) -> Evaluation[PredictionsT]:
    """Predict every row of a labelled split and score the predictions.

    Args:
        task: what is learned.
        model: on its device; its mode is restored afterwards.
        forward: how the model is run.
        examples: the tokenised rows.
        labels: labels of the same rows, from ``task.labels``.
        place: device and precision.
        processes: the processes that share the work, as in ``predict``.
        stop: as in ``predict``.

    Raises:
        ModelError: the model's outputs are not finite numbers.
    """
    with evaluation_mode(model):
        predictions, loss, count = predict(task, model, forward, examples, place, processes, stop)
    return Evaluation(predictions, task.score(predictions, labels), loss / max(count, 1))


def with_final_scores(
    task: AnyTask,
    evaluation: Evaluation[PredictionsT],
    model: Any,
    forward: Forward,
    examples: Examples,
    place: DeviceAndPrecision,
    processes: Processes = ALONE,
) -> Evaluation[PredictionsT]:
    """The evaluation with the metrics that are too expensive to compute during training.

    Args:
        task: what is learned.
        evaluation: evaluation of the same rows, from ``evaluate``.
        model: on its device; its mode is restored afterwards.
        forward: how the model is run.
        examples: the tokenised rows.
        place: device and precision.
        processes: the processes that share the work, as in ``predict``.
    """
    if not isinstance(task, ScoresFinally):
        return evaluation
    with evaluation_mode(model):
        further = task.final_scores(forward, model, examples, place, processes)
    metrics = {**evaluation.scores.metrics, **further}
    return replace(evaluation, scores=replace(evaluation.scores, metrics=metrics))

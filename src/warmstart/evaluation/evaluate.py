"""Running a model over a split, without gradients: predictions in row order, and the exact loss.

The same function serves evaluation during training, at the end, and ``warmstart predict``. Rows are
batched by length, so that little is padded, and put back in order afterwards; the loss is summed in
nats and divided once, so batch sizes never weigh in. Logits are turned into predictions batch by
batch and never hoarded.

Several processes take the same batches in turns and tell each other all they found, so what comes
out is what one of them would have found.
"""

import math
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from warmstart.data.examples.batches import collate, evaluation_batches
from warmstart.data.examples.encode import Examples, Ints
from warmstart.data.table import Table
from warmstart.devices.processes import ALONE, Processes
from warmstart.evaluation.pseudo_perplexity import pseudo_perplexity
from warmstart.metrics.language_metrics import PSEUDO_PERPLEXITY
from warmstart.metrics.scores import Scores
from warmstart.models.packed.forward import Forward
from warmstart.tasks.task import Answers, Task

MAX_TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}
"""Rectangle of one batch: small enough for a CPU's cache, large enough to fill a GPU."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model makes of one labelled split."""

    predictions: Any
    """``Answers`` in row order."""
    scores: Scores
    loss: float
    """Mean over the labels, in nats."""


@torch.no_grad()
def predict(
    task: Task,
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    accelerator: Accelerator,
    processes: Processes = ALONE,
) -> tuple[Any, float, int]:
    """Run the model in evaluation mode over every example.

    Args:
        task: turns logits into predictions and losses.
        model: on its device; its training mode is put back afterwards.
        forward: how to run it.
        examples: tokenised rows, labelled or not; one at least.
        accelerator: gives device and precision.
        processes: those that share the work; all of them call this, and all get everything.

    Returns:
        Predictions in row order, the summed loss in nats, and the number of labels summed.
    """
    was_training = model.training
    model.eval()
    losses: list[float] = []
    count = 0
    answers: list[tuple[Answers, Ints]] = []
    budget = MAX_TOKENS_PER_BATCH.get(accelerator.device.type, 8192)
    batches = evaluation_batches(examples.lengths, budget, examples.lists)
    for positions in islice(batches, processes.index, None, processes.count):
        batch = collate(examples, positions).to(accelerator.device)
        with accelerator.autocast():
            logits = forward.run(model, batch)
        if batch.count:
            batch_loss, batch_count = task.loss(logits, batch)
            losses.append(float(batch_loss))
            count += batch_count
        answers.append((task.predictions(logits, batch), positions))
    model.train(was_training)
    parts = processes.gather((losses, count, answers))
    found, order = zip(*(batch for _, _, part in parts for batch in part), strict=True)
    return (
        type(found[0]).joined(found, np.concatenate(order)),
        # Correctly rounded, so that it does not matter who summed what.
        math.fsum(chain.from_iterable(part for part, _, _ in parts)),
        sum(part for _, part, _ in parts),
    )


def evaluate(
    task: Task,
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    table: Table,
    accelerator: Accelerator,
    processes: Processes = ALONE,
) -> Evaluation:
    """Predict every row of a labelled split and score the answers.

    Args:
        task: what is learned.
        model: on its device.
        forward: how to run it.
        examples: the tokenised rows of ``table``, in its order.
        table: the labelled rows.
        accelerator: gives device and precision.
        processes: those that share the work, as in ``predict``.
    """
    predictions, loss_sum, count = predict(task, model, forward, examples, accelerator, processes)
    scores = task.score(predictions, table)
    return Evaluation(predictions, scores, loss_sum / max(count, 1))


def evaluate_finally(
    task: Task,
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    table: Table,
    accelerator: Accelerator,
    processes: Processes = ALONE,
) -> Evaluation:
    """``evaluate``, and of a model that fills masks pseudo-perplexity: too dear while it trains.

    Args:
        task: what is learned.
        model: on its device.
        forward: how to run it.
        examples: the tokenised rows of ``table``, in its order.
        table: the labelled rows.
        accelerator: gives device and precision.
        processes: those that share the work, as in ``predict``.
    """
    found = evaluate(task, model, forward, examples, table, accelerator, processes)
    if examples.masking is None:
        return found
    score = pseudo_perplexity(model, forward, examples, accelerator, processes)
    metrics = {**found.scores.metrics, PSEUDO_PERPLEXITY.name: score}
    return replace(found, scores=replace(found.scores, metrics=metrics))

"""Running a model over a split, without gradients: predictions in row order, and the exact loss.

The same function serves evaluation during training, at the end, and ``warmstart predict``. Rows are
batched by length, so that little is padded, and put back in order afterwards; the loss is summed in
nats and divided once, so batch sizes never weigh in. Logits are turned into predictions batch by
batch and never hoarded.
"""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from warmstart.data.batches import collate, evaluation_batches
from warmstart.data.encode import Examples
from warmstart.data.table import Table
from warmstart.metrics.scores import Scores
from warmstart.models.forward import Forward
from warmstart.tasks.task import Predictions, Task

MAX_TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}
"""Rectangle of one batch: small enough for a CPU's cache, large enough to fill a GPU."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model makes of one labelled split."""

    predictions: Predictions
    """In row order."""
    scores: Scores
    loss: float
    """Mean over the labels, in nats."""


@torch.no_grad()
def predict(
    task: Task, model: nn.Module, forward: Forward, examples: Examples, accelerator: Accelerator
) -> tuple[Predictions, float, int]:
    """Run the model in evaluation mode over every example.

    Args:
        task: turns logits into predictions and losses.
        model: on its device; its training mode is put back afterwards.
        forward: how to run it.
        examples: tokenised rows, labelled or not; one at least.
        accelerator: gives device and precision.

    Returns:
        Predictions in row order, the summed loss in nats, and the number of labels summed.
    """
    was_training = model.training
    model.eval()
    loss_sum, count = 0.0, 0
    answers, order = [], []
    budget = MAX_TOKENS_PER_BATCH.get(accelerator.device.type, 8192)
    for positions in evaluation_batches(examples.lengths, budget):
        batch = collate(examples, positions).to(accelerator.device)
        with accelerator.autocast():
            logits = forward.run(model, batch).float()
        if batch.count:
            batch_loss, batch_count = task.loss(logits, batch)
            loss_sum += float(batch_loss)
            count += batch_count
        answers.append(task.predictions(logits, batch))
        order.append(positions)
    model.train(was_training)
    return Predictions.joined(answers, np.concatenate(order)), loss_sum, count


def evaluate(
    task: Task,
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    table: Table,
    accelerator: Accelerator,
) -> Evaluation:
    """Predict every row of a labelled split and score the answers.

    Args:
        task: what is learned.
        model: on its device.
        forward: how to run it.
        examples: the tokenised rows of ``table``, in its order.
        table: the labelled rows.
        accelerator: gives device and precision.
    """
    predictions, loss_sum, count = predict(task, model, forward, examples, accelerator)
    scores = task.score(predictions, table)
    return Evaluation(predictions, scores, loss_sum / max(count, 1))

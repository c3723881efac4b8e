"""The start of a new head: where a linear model on the checkpoint's features ends.

A new head is random. In the first steps its errors change the pretrained layers at random as well,
and part of what they know is lost (Kumar et al. 2022). With ``train.head_start: linear-probe`` the
last layer of the head is therefore fitted before the first step, while all other weights stay: its
inputs (*features*) are computed once, in evaluation mode, and L-BFGS minimises the task's own loss
plus an L2 penalty on the weights of standardised features. The strength of the penalty is the one
with the lowest loss on the validation rows, or, if there are none, on a tenth of the training rows,
which are then not fitted. This is a convex problem for most tasks and takes seconds.

The fitted model is evaluated before the first step, so the kept model is never worse on the
validation rows than this linear model. It is also a baseline of the run (``linear-probe``). If it
predicts hardly better than a constant, training starts from the random head.

Letters: N features of the sampled rows or words, H their width, C labels.

Source: Kumar et al. 2022, arXiv:2202.10054, "Fine-tuning can distort pretrained features", section
3.4 (LP-FT).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from warmstart import errors
from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.data.examples.ordering import evaluation_batches
from warmstart.data.examples.tokens import Ints
from warmstart.evaluation.evaluate import MAX_TOKENS_PER_BATCH
from warmstart.models.checkpoints.classifier_heads import last_layer
from warmstart.models.checkpoints.configuration import READS
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.preparation.plan import Plan
from warmstart.runs.model_folder import save_head_start
from warmstart.training.job import Job

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Factors of the penalty that are tried, the strongest first: each fit starts from the one before.
"""

MOST_ITERATIONS = 100
"""Iterations of L-BFGS for each strength."""

SMALLEST_DEVIATION = 0.1
"""Smallest divisor of a feature, as a share of the root mean square of all deviations."""

LEAST_GAIN = 0.05
"""A fit is used if its validation loss is lower by this share than that of the best constant."""

MAX_FEATURE_BYTES = 2**27
"""Largest size of the features of one split; of a larger split, random rows are used."""


@dataclass(frozen=True, slots=True)
class Features:
    """The inputs of the last layer for some rows, and these rows as a batch.

    Args:
        values: float32 [N, H].
        batch: the rows, in the same order, with their targets.
    """

    values: Tensor
    batch: Batch


def start_head(job: Job, stop_requested: Callable[[], bool]) -> bool:
    """Fit the last layer of a new head before the first step, if the settings request it.

    Rank 0 fits it while the others wait.

    Args:
        job: the training job before its first step.
        stop_requested: as for ``loop.fit``.

    Returns:
        Whether the head was fitted; the same in every process.

    Raises:
        RunError: the disk is full, or writing is not permitted; or there is no epoch after it, and
            the head cannot be fitted.
    """
    if job.config.head_start == "random":
        return False
    began = time.perf_counter()

    def fit() -> str | None:
        if not job.processes.first:
            return None
        if (gain := least_gain(job)) is None:
            return "the head of the checkpoint is kept"
        reason = fit_head(job, stop_requested, gain)
        if reason is None and job.config.epochs:  # otherwise it is the model itself
            save_head_start(job.run, job.model, job.task.head)
        return reason

    reason = job.processes.from_first(job.processes.agreed(fit))
    if reason is None:
        layer, _ = last_layer(job.model, job.task.head)
        job.processes.copy_first([parameter.detach() for parameter in layer.parameters()])
        seconds = time.perf_counter() - began
        job.log.notice(f"the head starts as a linear probe of the checkpoint ({seconds:.1f} s)")
    elif job.config.epochs == 0:
        raise errors.transfer.no_linear_probe(reason)
    else:
        job.log.notice(f"the head does not start as a linear probe: {reason}")
    return reason is None


def least_gain(job: Job) -> float | None:
    """The gain from which a fit of the head is used, as for ``fit_head``; None without a fit.

    Args:
        job: the training job.
    """
    if job.config.head_start == "random":
        return None
    # If nothing else changes the features, the fit is the best head, whatever there was before.
    if job.config.freeze == "backbone" or job.config.epochs == 0:
        return 0.0
    return LEAST_GAIN if job.new_head else None


def fit_head(job: Job, stop_requested: Callable[[], bool], least_gain: float = 0.0) -> str | None:
    """Fit the last layer of a new head, in place.

    Args:
        job: the training job before its first step; its model is in training mode.
        stop_requested: called between fits; if it returns True, the best fit so far is used.
        least_gain: the share by which the validation loss must be lower than that of the best
            constant prediction. A fit that predicts little gives training a worse start than a
            random head.

    Returns:
        The reason why the head was not fitted; None if it was.
    """
    layer, _ = last_layer(job.model, job.task.head)
    if (rows := rows_of_fit(job, layer.in_features)) is None:
        return "there are too few rows to choose its penalty without validation rows"
    with evaluation_mode(job.model):
        features = [_features(job, layer, *one) for one in rows]
    train, validation = features
    if not all(split.values.isfinite().all() for split in features):
        return "its inputs are not finite numbers"
    mean, deviation = _standardise(train.values, centred=layer.bias is not None)
    validation.values.sub_(mean).div_(deviation)
    best, lowest = None, math.inf
    weights = [nn.Parameter(torch.zeros_like(weight)) for weight in layer.parameters()]
    for strength in STRENGTHS:
        _minimise(job, layer, weights, train, strength)
        with torch.no_grad():
            loss = float(_mean_loss(job, layer, weights, validation))
        if not loss < lowest:  # higher, or not a number: weaker penalties only fit more noise
            break
        best, lowest = [weight.detach().clone() for weight in weights], loss
        if stop_requested():
            break
    if best is None:
        return "no linear model with a finite loss was found"
    if layer.bias is not None and least_gain > 0:
        constant = _loss_of_a_constant(job, layer, train, validation)
        if lowest > (1 - least_gain) * constant:
            return (
                f"it predicts little: its validation loss is {lowest:.3f}, that of the best "
                f"constant {constant:.3f}"
            )
    _write(layer, best, mean, deviation)
    return None


@torch.no_grad()
def _features(job: Job, layer: nn.Linear, examples: Examples, positions: Ints) -> Features:
    """The inputs of the last layer for some rows of one split."""
    device, found = job.accelerator.device, list[Tensor]()
    budget = MAX_TOKENS_PER_BATCH.get(device.type, 8192)
    groups = examples.targets.groups
    batches = [
        positions[batch]
        for batch in evaluation_batches(
            examples.lengths[positions], budget, None if groups is None else groups[positions]
        )
    ]
    # The layer passes on its inputs, so that the forward pass returns them instead of the logits,
    # in the order of the rows, and averaged over the windows of a row as logits are.
    hook = layer.register_forward_hook(lambda _layer, inputs, _output: inputs[0])
    try:
        for batch in batches:
            with job.accelerator.autocast():
                inputs = job.forward.run(job.model, collate(examples, batch).to(device))
            found.append(inputs.float())
    finally:
        hook.remove()
    return Features(torch.cat(found), collate(examples, np.concatenate(batches)).to(device))


def rows_of_fit(job: Job, width: int) -> list[tuple[Examples, Ints]] | None:
    """The rows that are fitted and those that choose the penalty, with their positions.

    Args:
        job: the training job.
        width: number of features of a row or token, H.

    Returns:
        None if there are no validation rows and only one batch of training rows.
    """
    if job.validation is not None:
        found = (job.train, job.validation)
        return [(rows, np.sort(np.concatenate(batches_used(job, rows, width)))) for rows in found]
    batches = batches_used(job, job.train, width)
    held_out = max(1, len(batches) // 10)
    if held_out == len(batches):
        return None
    parts = batches[held_out:], batches[:held_out]
    return [(job.train, np.sort(np.concatenate(part))) for part in parts]


def batches_used(job: Job, examples: Examples, width: int) -> list[Ints]:
    """Batches of the rows to use: all, or as many random ones as the limit allows.

    Args:
        job: the training job.
        examples: one split.
        width: number of features of a row or token, H.
    """
    head = job.task.head
    by_row = READS[head] == "first"
    vectors = np.ones(len(examples), np.int64) if by_row else examples.lengths
    windows = Plan.of(examples, job.config).epoch_windows(0)
    # Whole batches: rows that are compared with each other stay together.
    order = [batch for window in windows for batch in window]
    sizes = np.cumsum([int(vectors[batch].sum()) for batch in order]) * 4 * width  # float32
    count = max(1, int(np.searchsorted(sizes, MAX_FEATURE_BYTES, side="right")))
    return order[:count]


def _standardise(values: Tensor, *, centred: bool) -> tuple[Tensor, Tensor]:
    """Standardise features in place; returns the subtracted means and the divisors, [H] each.

    The divisor of a feature that hardly changes is larger than its deviation: otherwise noise in it
    would get huge weights.
    """
    deviation = values.std(0, correction=0)
    typical = float(deviation.square().mean().sqrt()) or 1.0
    deviation = deviation.clamp(min=SMALLEST_DEVIATION * typical)
    mean = values.mean(0) if centred else torch.zeros_like(deviation)
    values.sub_(mean).div_(deviation)
    return mean, deviation


def _minimise(
    job: Job, layer: nn.Linear, weights: list[nn.Parameter], features: Features, strength: float
) -> None:
    """Minimise the mean loss plus the penalty, from the weights given and in place."""
    optimizer = torch.optim.LBFGS(
        weights,
        max_iter=MOST_ITERATIONS,
        tolerance_grad=1e-5,
        tolerance_change=1e-6,  # also of the loss, in nats
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = _mean_loss(job, layer, weights, features) + strength * weights[0].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]


def _mean_loss(job: Job, layer: nn.Linear, weights: list[Any], features: Features) -> Tensor:
    """The task's loss with other weights of the last layer, as a mean over the labels, []."""
    named = dict(zip((name for name, _ in layer.named_parameters()), weights, strict=True))
    # A call of the layer, not the bare product: a regression scales its outputs in a hook.
    logits = functional_call(layer, named, (features.values,))
    total, count = job.task.loss(logits, features.batch)
    return total / max(count, 1)


def _loss_of_a_constant(job: Job, layer: nn.Linear, train: Features, validation: Features) -> float:
    """The validation loss of the best prediction that is the same for every row.

    It is fitted on the training rows; where these lack labels of the validation rows, a constant of
    0 (for classes: equal probabilities) can be better.
    """
    weights = [nn.Parameter(torch.zeros_like(weight)) for weight in layer.parameters()]
    nothing = Features(torch.zeros_like(train.values), train.batch)
    rows = Features(torch.zeros_like(validation.values), validation.batch)
    with torch.no_grad():
        at_zero = float(_mean_loss(job, layer, weights, rows))
    _minimise(job, layer, weights, nothing, strength=0.0)
    with torch.no_grad():
        return min(at_zero, float(_mean_loss(job, layer, weights, rows)))


def losses_of_best_constant(job: Job) -> tuple[float, float] | None:
    """The loss of the best prediction that is the same for every row, in nats.

    Args:
        job: the training job.

    Returns:
        On the training and on the validation rows, or on a sample of them. None if the head has no
        bias, so that it cannot predict every constant, or if there are too few rows.
    """
    layer, _ = last_layer(job.model, job.task.head)
    rows = rows_of_fit(job, layer.in_features)
    if layer.bias is None or rows is None:
        return None

    def nothing(examples: Examples, positions: Ints) -> Features:
        batch = collate(examples, positions)
        vectors = len(batch) if batch.asked is None else len(batch.asked)
        device = job.accelerator.device
        return Features(torch.zeros((vectors, layer.in_features), device=device), batch.to(device))

    train, validation = (nothing(*one) for one in rows)
    return (
        _loss_of_a_constant(job, layer, train, train),
        _loss_of_a_constant(job, layer, train, validation),
    )


@torch.no_grad()
def _write(layer: nn.Linear, weights: list[Tensor], mean: Tensor, deviation: Tensor) -> None:
    """Set the weights of the layer: those of standardised features, for the features themselves."""
    layer.weight.copy_(weights[0] / deviation)
    if layer.bias is not None:
        layer.bias.copy_(weights[1] - layer.weight @ mean)

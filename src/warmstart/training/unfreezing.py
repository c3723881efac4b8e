"""Gradual unfreezing: the head learns first, then more layers epoch by epoch, from the top.

With ``train.unfreeze_layers_per_epoch`` k the first epoch trains what is above the last layer
(pooler and head), epoch e, counted from 0, the topmost k · e layers with it. The embeddings count
as one layer more below the first. A layer that does not train yet runs as ever, with dropout; it
has no gradient, so AdamW neither moves nor decays it and keeps no moments of it.

Source: Howard & Ruder 2018, arXiv:1801.06146, section 3.3.
"""

from itertools import pairwise

from torch import nn
from transformers import PreTrainedModel

from warmstart.config import TrainConfig
from warmstart.data.examples.tokens import Ints
from warmstart.models.tuning.parts import depths, lowest_trained, modules_by_depth
from warmstart.preparation.plan import Plan
from warmstart.training.job import Job


def trains_embeddings(model: nn.Module, config: TrainConfig, epoch: int) -> bool:
    """Whether the embeddings train in an epoch, counted from 0.

    Args:
        model: a ``PreTrainedModel`` of known layers where parts unfreeze.
        config: the settings.
        epoch: counted from 0.
    """
    if config.unfreeze_layers_per_epoch is None:
        return True
    assert isinstance(model, PreTrainedModel)
    return lowest_trained(config, epoch, len(modules_by_depth(model))) == 0


def begin_epoch(job: Job, plan: Plan, epoch: int) -> list[list[Ints]]:
    """Let train what is to train in an epoch, and give the rows of each of its steps.

    Args:
        job: whose model's parameters change.
        plan: which rows come together.
        epoch: counted from 0.
    """
    if job.config.unfreeze_layers_per_epoch is not None:
        depth_of = depths(job.model)
        lowest = lowest_trained(job.config, epoch, len(modules_by_depth(job.model)))
        for name, parameter in job.model.named_parameters():
            parameter.requires_grad_(depth_of[name] >= lowest)
    return plan.epoch_windows(epoch)


def schedule_in_words(job: Job) -> str | None:
    """When each part begins to train; None where all do from the start.

    Args:
        job: about to begin.
    """
    if job.config.unfreeze_layers_per_epoch is None:
        return None
    top = len(modules_by_depth(job.model))
    said = ["pooler and head train in epoch 1"]
    lowest = [lowest_trained(job.config, epoch, top) for epoch in range(job.config.epochs)]
    for epoch, (above, below) in enumerate(pairwise(lowest), start=2):
        if below < above:
            said.append(f"{_parts(below, above - 1)} from epoch {epoch}")
    if lowest[-1] > 0:
        said.append(f"{_parts(0, lowest[-1] - 1)} never")
    return ", ".join(said)


def _parts(low: int, high: int) -> str:
    """Depths from ``low`` to ``high``, in words; layers are counted from 0.

    >>> _parts(0, 2), _parts(3, 3), _parts(0, 0)
    ('the embeddings and layers 0-1', 'layer 2', 'the embeddings')
    """
    first = max(low, 1)
    layers = f"layer{'s' * (high > first)} {first - 1}" + f"-{high - 1}" * (high > first)
    named = ["the embeddings"] * (low == 0) + [layers] * (high >= first)
    return " and ".join(named)

"""Gradual unfreezing: train the head first, then more layers in each epoch, from the top.

With ``train.unfreeze_layers_per_epoch`` k, epoch e (counted from 0) trains the pooler, the head and
the topmost k · e layers. The embeddings count as one layer below the first. A layer that is not
trained yet still uses dropout. It has no gradient, so AdamW neither updates nor decays it and keeps
no moments for it.

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
    """Whether the embeddings are trained in an epoch.

    Args:
        model: the model; with gradual unfreezing, a ``PreTrainedModel`` whose layers are known.
        config: the settings.
        epoch: counted from 0.
    """
    if config.unfreeze_layers_per_epoch is None:
        return True
    assert isinstance(model, PreTrainedModel)
    return lowest_trained(config, epoch, len(modules_by_depth(model))) == 0


def begin_epoch(job: Job, plan: Plan, epoch: int) -> list[list[Ints]]:
    """Unfreeze the parameters of an epoch, and return the batches of each of its steps.

    Args:
        job: the training job; ``requires_grad`` of its model's parameters is changed.
        plan: the plan, which gives the rows of each batch.
        epoch: counted from 0.
    """
    if job.config.unfreeze_layers_per_epoch is not None:
        depth_of = depths(job.model)
        lowest = lowest_trained(job.config, epoch, len(modules_by_depth(job.model)))
        for name, parameter in job.model.named_parameters():
            parameter.requires_grad_(depth_of[name] >= lowest)
    return plan.epoch_windows(epoch)


def schedule_in_words(job: Job) -> str | None:
    """A notice with the epoch in which each part is unfrozen; None without gradual unfreezing.

    Args:
        job: the training job.
    """
    if job.config.unfreeze_layers_per_epoch is None or job.config.epochs == 0:
        return None
    top = len(modules_by_depth(job.model))
    stages = ["unfreezing: pooler and head are trained from epoch 1"]
    lowest = [lowest_trained(job.config, epoch, top) for epoch in range(job.config.epochs)]
    for epoch, (above, below) in enumerate(pairwise(lowest), start=2):
        if below < above:
            stages.append(f"{_parts(below, above - 1)} from epoch {epoch}")
    if lowest[-1] > 0:
        stages.append(f"{_parts(0, lowest[-1] - 1)} never")
    return ", ".join(stages)


def _parts(low: int, high: int) -> str:
    """The depths from ``low`` to ``high`` as a text; depth 0 is the embeddings, depth 1 is layer 0.

    >>> _parts(0, 2), _parts(3, 3), _parts(0, 0)
    ('the embeddings and layers 0-1', 'layer 2', 'the embeddings')
    """
    first = max(low, 1)
    layers = f"layer{'s' * (high > first)} {first - 1}" + f"-{high - 1}" * (high > first)
    names = ["the embeddings"] * (low == 0) + [layers] * (high >= first)
    return " and ".join(names)

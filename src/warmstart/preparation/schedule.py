"""Learning-rate schedules: the share of the peak rate at each optimiser step.

A schedule is a function from a step to a share in (0, 1]. The loop multiplies the share by the peak
rate of each parameter group. So a schedule can be plotted, tested and resumed without an optimiser,
and works for groups with different peak rates.

Unit: a *step* is one optimiser update, counted from 0; nothing here counts batches or epochs.

Source: BERT was trained with a linear warm-up followed by a linear decay (Devlin et al. 2019,
arXiv:1810.04805, appendix A.2). One difference: the share is never 0, neither at the first nor at
the last step, because a step with rate 0 would be wasted.
"""

import math
from collections.abc import Callable, Mapping

from warmstart import errors
from warmstart.config import DEFAULT_WARMUP_SHARE, ResolvedTrainConfig

Schedule = Callable[[int], float]

FALLS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda left: left,
    "cosine": lambda left: (1 - math.cos(math.pi * left)) / 2,
    "constant": lambda _left: 1.0,
}
"""By ``train.schedule``: the share of the peak rate where a share ``left`` of the steps after the
warm-up remains; ``left`` falls from 1 to just above 0.

Source of the cosine: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5."""

LATER_PEAK = 0.5
"""Share of the peak rate that later rounds reach, if training continues after its planned end."""


def schedule_for(config: ResolvedTrainConfig, total_steps: int) -> Schedule:
    """The schedule of ``train.schedule`` and ``train.warmup_*``.

    Args:
        config: the settings.
        total_steps: optimiser steps of the whole run.

    Raises:
        ConfigError: the warm-up is not shorter than the run.
    """
    if total_steps == 0:  # only the head is fitted
        return FALLS["constant"]
    warmup_steps = config.warmup_steps
    if warmup_steps is None:
        share = DEFAULT_WARMUP_SHARE if config.warmup_share is None else config.warmup_share
        warmup_steps = min(int(share * total_steps), total_steps - 1)
    return warmup_then(FALLS[config.schedule], warmup_steps, total_steps)


def warmup_then(fall: Callable[[float], float], warmup_steps: int, total_steps: int) -> Schedule:
    """Rise linearly to 1 over ``warmup_steps`` steps, then fall until the last step.

    If training continues, it rises again, to ``LATER_PEAK`` (Loshchilov & Hutter 2017, "warm
    restarts"; a lower peak keeps more of what was learned).

    Args:
        fall: the shape of the fall, one of ``FALLS``.
        warmup_steps: steps before the peak; 0 starts at the peak.
        total_steps: steps of the whole run, more than ``warmup_steps``.

    Raises:
        ConfigError: the warm-up is not shorter than the run.

    >>> share_at = warmup_then(FALLS["linear"], warmup_steps=1, total_steps=5)
    >>> [share_at(step) for step in range(5)]
    [0.5, 1.0, 0.75, 0.5, 0.25]
    >>> share_at = warmup_then(FALLS["cosine"], warmup_steps=0, total_steps=4)
    >>> [round(share_at(step), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    >>> share_at = warmup_then(FALLS["constant"], warmup_steps=1, total_steps=3)
    >>> [share_at(step) for step in range(6)]
    [0.5, 1.0, 1.0, 0.25, 0.5, 0.5]
    """
    if not 0 <= warmup_steps < total_steps:
        raise errors.config.warmup_too_long(warmup_steps, total_steps)

    def share_at(step: int) -> float:
        earlier_rounds, step = divmod(step, total_steps)
        peak = LATER_PEAK if earlier_rounds else 1.0
        if step < warmup_steps:
            return peak * (step + 1) / (warmup_steps + 1)
        return peak * fall((total_steps - step) / (total_steps - warmup_steps))

    return share_at

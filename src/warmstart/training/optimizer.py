"""AdamW with weight decay on matrices only, and a peak rate per group.

Source: Loshchilov & Hutter 2019, arXiv:1711.05101 (decoupled decay); sparing biases and layer norms
is BERT's own practice (``optimization.py`` of google-research/bert, ``exclude_from_weight_decay``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from warmstart.config import TrainConfig
from warmstart.models.tuning.parts import peak_rates

CACHED_WEIGHTS = 2**16
"""Weights that go through all steps together: 256 KiB, which a core's own cache holds."""

SENT_WEIGHTS = 2**24
"""The same on another device, which wants much at once: 256 MiB with gradient and moments."""


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: to matrices, not to biases nor to the vectors of a norm.

    A bias or norm is told by its shape and not by its name, because names differ between
    architectures (``LayerNorm.weight``, ``layer_norm.weight``, ``norm1.weight``).

    Args:
        name: the parameter's dotted name.
        parameter: any parameter of the model.
    """
    return parameter.ndim >= 2 and not name.endswith("bias")


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over what trains: for each peak rate two groups, the highest first.

    Args:
        model: on its device already, so that the fused kernel can be chosen.
        config: rates and decay; ``models.tuning.parts`` says whose rate is which.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rates = peak_rates(model, config)
    groups = []
    for rate in sorted({rates[name] for name, _ in named} or {config.learning_rate}, reverse=True):
        here = [(name, p) for name, p in named if rates[name] == rate]
        matrices = [p for name, p in here if decays(name, p)]
        vectors = [p for name, p in here if not decays(name, p)]
        groups += [
            {"params": matrices, "weight_decay": config.weight_decay, "peak_lr": rate},
            {"params": vectors, "weight_decay": 0.0, "peak_lr": rate},
        ]
    return _adamw(groups, config)


def _adamw(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        # One kernel for all parameters; on a CPU it reads and writes each byte once, where the
        # default loops over every parameter several times (pytorch/pytorch#123074).
        fused=True,
    )


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give every group ``share`` of its peak rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * share


def decay_only(
    weights: Tensor,
    shares: Sequence[float],
    config: TrainConfig,
    device: torch.device,
    rate: float,
) -> None:
    """Change weights as AdamW changes those whose gradient is zero at every step, bit for bit.

    Their moments stay zero, so each step multiplies them by (1 − rate · decay) and no more.

    Args:
        weights: on the CPU, float32, contiguous; changed in place.
        shares: of the peak rate, one for each step.
        config: the decay.
        device: where the other weights train.
        rate: their peak rate.
    """
    if config.weight_decay == 0:
        return
    size = CACHED_WEIGHTS if device.type == "cpu" else SENT_WEIGHTS
    blocks = torch.split(weights.view(-1), size)
    if device.type != "cpu":
        for block in blocks:
            _step_without_gradient(block, shares, config, device, rate)
        return
    # The factor as the CPU's fused kernel forms it: in double, then rounded to float32.
    factors = [np.float32(1 - rate * share * config.weight_decay) for share in shares]
    for block in blocks:
        numbers = block.numpy()
        for factor in factors:
            np.multiply(numbers, factor, out=numbers)


def _step_without_gradient(
    block: Tensor,
    shares: Sequence[float],
    config: TrainConfig,
    device: torch.device,
    rate: float,
) -> None:
    """The same by the very kernel of the other weights, whichever the device has; slower."""
    holder = nn.Parameter(block.view(-1, 1).to(device, copy=True))
    group = {"params": [holder], "weight_decay": config.weight_decay, "peak_lr": rate}
    optimizer = _adamw([group], config)
    holder.grad = torch.zeros_like(holder)
    for share in shares:
        set_rates(optimizer, share)
        optimizer.step()
    block.copy_(holder.detach().flatten())


def clip_gradients(
    model: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float | None
) -> Tensor:
    """Have the next step take a gradient no longer than ``max_norm``; its length as it is.

    On a CPU nothing is scaled here: the fused step divides each number as it reads it (by
    ``grad_scale``, the way in of PyTorch's ``GradScaler``), which spares a pass over all gradients.

    Args:
        model: whose parameters hold gradients.
        optimizer: fused, over these parameters.
        max_norm: None never clips.

    Source: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1.
    """
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
    if max_norm is None:
        return norm
    if norm.device.type == "cpu":
        excess = (norm + 1e-6) / max_norm  # as in torch.nn.utils.clip_grad_norm_
        setattr(optimizer, "grad_scale", excess if excess > 1 else None)  # noqa: B010
    else:
        # Asking a GPU whether the gradient is too long would stop its queue.
        torch.nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
    return norm

"""AdamW with weight decay on matrices only, and a peak learning rate per parameter group.

Source: Loshchilov & Hutter 2019, arXiv:1711.05101 (decoupled decay). Biases and layer norms are not
decayed, as in BERT (``optimization.py`` of google-research/bert, ``exclude_from_weight_decay``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from warmstart.config import ResolvedTrainConfig
from warmstart.models.tuning.parts import peak_rates

CPU_BLOCK = 2**16
"""Number of weights that ``decay_only`` processes together on a CPU: 256 KiB, less than a core's
cache."""

DEVICE_BLOCK = 2**24
"""The same on an accelerator, which needs large blocks: 256 MiB with gradient and moments."""


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies to a parameter: to matrices, but not to biases and norms.

    Biases and norms are recognised by their shape, because names differ between architectures
    (``LayerNorm.weight``, ``layer_norm.weight``, ``norm1.weight``).

    Args:
        name: the parameter's dotted name.
        parameter: any parameter of the model.
    """
    return parameter.ndim >= 2 and not name.endswith("bias")


def build_optimizer(model: nn.Module, config: ResolvedTrainConfig) -> torch.optim.AdamW:
    """Create AdamW over the trained parameters, with two groups per peak rate, highest rate first.

    The two groups are the parameters with and without weight decay.

    Args:
        model: the model, already on its device, which the fused kernel needs.
        config: rates and decay; ``models.tuning.parts`` gives the rate of each parameter.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rates = peak_rates(model, config)
    groups = []
    for rate in sorted({rates[name] for name, _ in named} or {config.learning_rate}, reverse=True):
        members = [(name, p) for name, p in named if rates[name] == rate]
        matrices = [p for name, p in members if decays(name, p)]
        vectors = [p for name, p in members if not decays(name, p)]
        groups += [
            {"params": matrices, "weight_decay": config.weight_decay, "peak_lr": rate},
            {"params": vectors, "weight_decay": 0.0, "peak_lr": rate},
        ]
    return _adamw(groups, config)


def _adamw(groups: list[dict[str, Any]], config: ResolvedTrainConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        # One kernel for all parameters. On a CPU it reads and writes every byte once; the default
        # implementation goes over each parameter several times (pytorch/pytorch#123074).
        fused=True,
    )


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set the learning rate of every group to ``share`` times its peak rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * share


def decay_only(
    weights: Tensor,
    shares: Sequence[float],
    config: ResolvedTrainConfig,
    device: torch.device,
    rate: float,
) -> None:
    """Apply AdamW steps with zero gradient to weights, bit-identical to real steps.

    With a zero gradient the moments stay zero, so each step only multiplies the weights by
    (1 − rate · decay).

    Args:
        weights: float32, on the CPU, contiguous; changed in place.
        shares: for each step, the share of the peak rate.
        config: the weight decay.
        device: the device on which the other weights are trained.
        rate: peak learning rate of the weights.
    """
    if config.weight_decay == 0:
        return
    size = CPU_BLOCK if device.type == "cpu" else DEVICE_BLOCK
    blocks = torch.split(weights.view(-1), size)
    if device.type != "cpu":
        for block in blocks:
            _step_without_gradient(block, shares, config, device, rate)
        return
    # The fused CPU kernel computes the factor in double precision and rounds it to float32.
    factors = [np.float32(1 - rate * share * config.weight_decay) for share in shares]
    # Blocks in the outer loop: a block stays in the cache while all steps are applied to it.
    for block in blocks:
        numbers = block.numpy()
        for factor in factors:
            np.multiply(numbers, factor, out=numbers)


def _step_without_gradient(
    block: Tensor,
    shares: Sequence[float],
    config: ResolvedTrainConfig,
    device: torch.device,
    rate: float,
) -> None:
    """``decay_only`` for one block, by the device's own AdamW kernel, so that rounding is equal."""
    parameter = nn.Parameter(block.view(-1, 1).to(device, copy=True))
    group = {"params": [parameter], "weight_decay": config.weight_decay, "peak_lr": rate}
    optimizer = _adamw([group], config)
    parameter.grad = torch.zeros_like(parameter)
    for share in shares:
        set_rates(optimizer, share)
        optimizer.step()
    block.copy_(parameter.detach().flatten())


def clip_gradients(
    model: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float | None
) -> Tensor:
    """Clip the gradient of the next step to ``max_norm``, and return its norm before clipping.

    On a CPU the gradients are not scaled here: the fused step divides each number by ``grad_scale``
    (an attribute that PyTorch's ``GradScaler`` uses), which saves a pass over all gradients.

    Args:
        model: the model whose parameters have gradients.
        optimizer: a fused optimiser over these parameters.
        max_norm: largest norm; None disables clipping.

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
        # Comparing `norm` on the CPU would make it wait for the GPU; this call does not.
        torch.nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
    return norm

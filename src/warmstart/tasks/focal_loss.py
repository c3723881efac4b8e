"""The factor of the focal loss, with gradients that stay finite at p = 1."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def focal_factor(nats: "Tensor", gamma: float) -> "Tensor":
    """(1 - p)^gamma, where p is the probability of the correct label.

    For gamma < 1 the derivative of (1 - p)^gamma is infinite at p = 1, and the gradient of the loss
    would be infinity times zero. The true limit of that gradient is zero for every gamma.

    Args:
        nats: -log p of each row (or of each row and label), float32, at least 0.
        gamma: at least 0; 0 gives 1.

    Returns:
        The factors, in the shape of ``nats``.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 4.
    """
    from torch import finfo

    # `expm1` gives 1 - p to full precision if p is close to 1. Below the smallest normal number
    # `clamp` stops the gradient, so it is zero there and never infinite.
    wrong = -(-nats).expm1()
    return wrong.clamp(min=finfo(nats.dtype).tiny) ** gamma

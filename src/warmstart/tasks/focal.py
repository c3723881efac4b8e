"""The focal loss: rows that are already predicted well count less.

Source: Lin et al. 2017, arXiv:1708.02002, equation 4.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def focal(nats: "Tensor", gamma: float) -> "Tensor":
    """Cross-entropy times (1 - p)^gamma, where p = exp(-nats) is the probability of the label.

    Args:
        nats: cross-entropy of each row or label, of any shape.
        gamma: 0 leaves the cross-entropy as it is.
    """
    return nats * (1 - (-nats).exp()) ** gamma

"""Dropout whose masks cost little on a CPU.

PyTorch's default generator on a CPU draws one number after the other, which takes seven times as
long as what is done here (``benchmarks/log.md``): a mask is cut from 16 random bits an element,
drawn 64 at a time by numpy's SFC64. A probability is exact to 1/65536 (0.1 becomes 6554/65536 =
0.100006), and what is kept is scaled by exactly the inverse of its share.

Every forward pass in training takes one number from PyTorch's generator and seeds its own with it.
A mask is therefore as reproducible as PyTorch's own: a function of ``torch.manual_seed``.

Source: Srivastava et al. 2014, "Dropout", section 4 (with scaling while training, "inverted");
numpy documentation, ``numpy.random.SFC64``.
"""

from math import prod

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 2**16
"""Probabilities are multiples of 1 / LEVELS."""


class Noise:
    """The random bits of one model's dropout; shared by all its layers, renewed at every pass."""

    def __init__(self) -> None:
        self._generator: np.random.Generator | None = None

    def renew(self) -> None:
        """Seed anew from PyTorch's default generator; called once for each forward pass."""
        seed = int(torch.randint(2**63 - 1, ()))
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def keep(self, shape: tuple[int, ...], probability: float, device: torch.device) -> Tensor:
        """Which elements stay, each with a chance of ``1 - dropped_share(probability)``.

        Args:
            shape: of the mask.
            probability: of dropping an element, from 0 to 1.
            device: of the mask; on another than a CPU PyTorch's own generator draws it.

        Returns:
            1 where an element stays and 0 where not, of ``shape``; uint8, which a CPU turns into
            float32 six times faster than bool.
        """
        if device.type != "cpu":
            return (torch.rand(shape, device=device) >= dropped_share(probability)).byte()
        if self._generator is None:
            self.renew()
        assert self._generator is not None
        count = prod(shape)
        words = self._generator.integers(2**64, size=(count + 3) // 4, dtype=np.uint64)
        # Signed, because PyTorch compares those fast; the lowest numbers are dropped.
        bits = torch.from_numpy(words.view(np.int16)[:count]).view(shape)
        keep = torch.empty(shape, dtype=torch.uint8)
        return torch.ge(bits, round(probability * LEVELS) - LEVELS // 2, out=keep)


def dropped_share(probability: float) -> float:
    """The share that is really dropped: ``probability`` rounded to a multiple of 1 / LEVELS.

    >>> dropped_share(0.1)
    0.100006103515625
    """
    return round(probability * LEVELS) / LEVELS


class FastDropout(nn.Module):
    """``nn.Dropout`` with masks from ``Noise`` on a CPU, and PyTorch's own elsewhere.

    Args:
        p: probability of dropping an element, from 0 to 1.
        noise: random bits.
    """

    def __init__(self, p: float, noise: Noise) -> None:
        super().__init__()
        self.p = p
        self.noise = noise

    def forward(self, hidden: Tensor) -> Tensor:
        """``hidden`` with a share ``p`` of its elements at zero while training, the rest scaled."""
        share = dropped_share(self.p)
        if not self.training or share == 0:
            return hidden
        if hidden.device.type != "cpu" or share == 1:
            return nn.functional.dropout(hidden, self.p)
        keep = self.noise.keep(tuple(hidden.shape), self.p, hidden.device)
        # As numbers, so that backward is one product as well.
        return hidden * keep.to(hidden.dtype).mul_(1 / (1 - share))


def use_fast_dropout(model: nn.Module, noise: Noise) -> None:
    """Put a ``FastDropout`` in the place of every ``nn.Dropout`` of a model; no weight changes.

    Args:
        model: changed in place.
        noise: random bits for them all.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(parent, name, FastDropout(child.p, noise))


def use_plain_dropout(model: nn.Module) -> None:
    """Undo ``use_fast_dropout``.

    Args:
        model: changed in place.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, FastDropout):
                setattr(parent, name, nn.Dropout(child.p))

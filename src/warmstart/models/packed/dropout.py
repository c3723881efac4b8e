"""Dropout with masks that are cheap to sample on a CPU.

PyTorch's default generator on a CPU samples one number after the other, which takes seven times as
long as the method used here (``benchmarks/log.md``): a mask needs 16 random bits per element, and
numpy's SFC64 generates 64 bits at a time. A probability is exact to 1/65536 (0.1 becomes
6554/65536 = 0.100006), and the kept elements are scaled by exactly the inverse of their share.

Every forward pass in training takes one number from PyTorch's generator and seeds its own generator
with it. Masks are therefore a function of ``torch.manual_seed``, as PyTorch's own are.

Source: Srivastava et al. 2014, "Dropout", section 4 (with scaling in training, "inverted"); numpy
documentation, ``numpy.random.SFC64``.
"""

from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from warmstart.models.packed.replacing import replace_modules

LEVELS = 2**16
"""Probabilities are multiples of 1 / LEVELS."""


class Noise:
    """The random bits for the dropout of one model, shared by its layers.

    They are used in training mode only. One training pass must end before the next one begins, so
    train a model in one thread; evaluation never touches them.
    """

    def __init__(self) -> None:
        self._generator: np.random.Generator | None = None

    def renew(self) -> None:
        """Seed from PyTorch's default generator; called once at the start of a forward pass."""
        seed = int(torch.randint(2**63 - 1, ()))
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def keep(self, shape: tuple[int, ...], probability: float, device: torch.device) -> Tensor:
        """Sample which elements are kept, each with probability ``1 - dropped_share(probability)``.

        Args:
            shape: Shape of the mask.
            probability: Probability of dropping an element, from 0 to 1.
            device: Device of the mask; on a GPU PyTorch's own generator samples it.

        Returns:
            1 for kept and 0 for dropped elements, of ``shape``; uint8, which a CPU converts to
            float32 six times faster than bool.
        """
        if device.type != "cpu":
            return (torch.rand(shape, device=device) >= dropped_share(probability)).byte()
        if self._generator is None:
            self.renew()
        assert self._generator is not None
        count = prod(shape)
        words = self._generator.integers(2**64, size=(count + 3) // 4, dtype=np.uint64)
        # As signed numbers, because PyTorch compares those fast; the lowest ones mean dropped.
        bits = torch.from_numpy(words.view(np.int16)[:count]).view(shape)
        keep = torch.empty(shape, dtype=torch.uint8)
        return torch.ge(bits, _level(probability) - LEVELS // 2, out=keep)


def dropped_share(probability: float) -> float:
    """The share that is dropped: ``probability`` as a multiple of 1 / LEVELS that is less than 1.

    Args:
        probability: From 0 to 1.

    >>> dropped_share(0.1)
    0.100006103515625
    """
    return _level(probability) / LEVELS


def _level(probability: float) -> int:
    """A probability as a number of levels; at least one level is kept, to scale by its inverse."""
    return min(round(probability * LEVELS), LEVELS - 1)


class FastDropout(nn.Module):
    """``nn.Dropout`` with masks from ``Noise`` on a CPU, and PyTorch's own elsewhere.

    Args:
        p: Probability of dropping an element, from 0 to 1.
        noise: Random bits.
    """

    def __init__(self, p: float, noise: Noise) -> None:
        super().__init__()
        self.p = p
        self.noise = noise

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply dropout with probability ``p`` in training mode."""
        share = dropped_share(self.p)
        if not self.training or share == 0:
            return hidden
        if hidden.device.type != "cpu" or self.p == 1:
            return nn.functional.dropout(hidden, self.p)
        keep = self.noise.keep(tuple(hidden.shape), self.p, hidden.device)
        # The mask as factors 0 and 1 / (1 - share): forward and backward are one product each.
        return hidden * keep.to(hidden.dtype).mul_(1 / (1 - share))


def use_fast_dropout(model: nn.Module, noise: Noise) -> None:
    """Replace every ``nn.Dropout`` of a model by a ``FastDropout``.

    Args:
        model: Changed in place.
        noise: Random bits for all of them.
    """
    use_plain_dropout(model)  # a FastDropout of an earlier runner would keep that runner's noise
    replace_modules(model, nn.Dropout, lambda old: FastDropout(old.p, noise))


def use_plain_dropout(model: nn.Module) -> None:
    """Undo ``use_fast_dropout``.

    Args:
        model: Changed in place.
    """
    replace_modules(model, FastDropout, lambda old: nn.Dropout(old.p))

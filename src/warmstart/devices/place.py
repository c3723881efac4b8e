"""The device and the precision of a forward pass, without any global state.

Accelerate keeps one state per process, and a new ``Accelerator`` resets it for every other one. So
serving does not use Accelerate: a ``Place`` is two constants, and any number of them may exist.

Source: torch documentation, "Automatic Mixed Precision".
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch


class DeviceAndPrecision(Protocol):
    """What a forward pass needs; an ``Accelerator`` and a ``Place`` both have it."""

    @property
    def device(self) -> torch.device:
        """The device of the model and of its batches."""
        ...

    def autocast(self) -> AbstractContextManager[object]:
        """A context in which the forward pass runs in the chosen precision."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A device and a precision; created by ``device.choose_place``.

    Args:
        device: device of the model and of its batches, with its index if it is a GPU, because the
            current GPU of PyTorch is a setting of each thread.
        dtype: type of matrix products. Weights stay float32.
    """

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """A new context for one forward pass; it has no effect in float32."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

"""Where and in which precision a model runs: what a forward pass needs, and nothing global.

Accelerate keeps one state per process, and a new ``Accelerator`` resets it for every other one. So
serving does not use Accelerate: a ``Place`` is two constants, and any number may exist.

Source: torch documentation, "Automatic Mixed Precision".
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch


class DeviceAndPrecision(Protocol):
    """What a forward pass asks for; an ``Accelerator`` and a ``Place`` both fit."""

    @property
    def device(self) -> torch.device:
        """The device of the model and of its batches."""
        ...

    def autocast(self) -> AbstractContextManager[object]:
        """A context in which the forward pass runs in the chosen precision."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A device and a precision; make it with ``device.choose_place``.

    Args:
        device: of the model and of its batches, with its index if it is a GPU: the current GPU of
            PyTorch is a setting of each thread.
        dtype: of matrix products. Weights stay float32.
    """

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """A new context for one forward pass; without effect in float32."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

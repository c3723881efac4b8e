"""GPT-2's activation in one pass over memory.

Transformers computes the tanh form of GELU in eight operations. Each of them reads and writes the
widest tensor of a layer and keeps it for the backward pass. PyTorch has the same function as one
forward and one backward kernel, which keep only the input (measured in ``benchmarks/log.md``).

Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2 (the tanh form).
"""

from torch import Tensor, nn
from transformers.activations import NewGELUActivation

from warmstart.models.packed.replacing import replace_modules


class FusedGelu(nn.Module):
    """``NewGELUActivation`` of Transformers as one PyTorch kernel: equal up to rounding."""

    def forward(self, hidden: Tensor) -> Tensor:
        """0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) of every element."""
        return nn.functional.gelu(hidden, approximate="tanh")


def use_fused_gelu(model: nn.Module) -> None:
    """Replace every ``NewGELUActivation`` of a model by a ``FusedGelu``.

    Args:
        model: Changed in place.
    """
    replace_modules(model, NewGELUActivation, lambda _: FusedGelu())


def use_plain_gelu(model: nn.Module) -> None:
    """Undo ``use_fused_gelu``.

    Args:
        model: Changed in place.
    """
    replace_modules(model, FusedGelu, lambda _: NewGELUActivation())

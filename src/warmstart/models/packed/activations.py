"""GPT-2's activation in one pass over memory.

Transformers writes the tanh form of GELU out in eight operations, each of which reads and writes
the widest tensor of a layer and leaves it for the backward pass. PyTorch has the same function as
one kernel forward and one back, which keeps its input alone (``benchmarks/log.md`` says what that
saves).

Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2 (the tanh form).
"""

from torch import Tensor, nn
from transformers.activations import NewGELUActivation


class FusedGelu(nn.Module):
    """``NewGELUActivation`` of Transformers as PyTorch's own kernel: the same up to rounding."""

    def forward(self, hidden: Tensor) -> Tensor:
        """0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) of every element."""
        return nn.functional.gelu(hidden, approximate="tanh")


def use_fused_gelu(model: nn.Module) -> None:
    """Put a ``FusedGelu`` in the place of every ``NewGELUActivation`` of a model.

    Args:
        model: changed in place.
    """
    _exchange(model, NewGELUActivation, FusedGelu)


def use_plain_gelu(model: nn.Module) -> None:
    """Undo ``use_fused_gelu``.

    Args:
        model: changed in place.
    """
    _exchange(model, FusedGelu, NewGELUActivation)


def _exchange(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, old):
                setattr(parent, name, new())

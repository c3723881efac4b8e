"""Logits of tokens, [N, V], that are never all there at once.

What a language model says at N tokens about V possible next ones is its largest tensor by far
(GPT-2, 800 tokens: 161 MB, and as much again for each of softmax, gradient and copy), and nobody
reads it: the loss wants one number of each row. So a model's answer is kept as the hidden states
it would be made of, and loss and gradient are worked out a few tokens at a time. The arithmetic is
that of the whole matrix; tokens of which nothing is asked (the last of a row, a prompt) cost
nothing.

Letters: T tokens of a batch, N of them with a target, H hidden width, V vocabulary.

Source: Wijmans et al. 2024, "Cut your losses in large-vocabulary language models",
arXiv:2411.09009, section 3; gradients made in the forward pass as in Hsu et al. 2024 (Liger
Kernel), arXiv:2410.10989, section 3.2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from warmstart.data.examples.targets import NO_LABEL

CHUNK_NUMBERS = 2**23
"""Logits at one time: 32 MiB in float32."""


class TokenLogits(Protocol):
    """What a language model says at the tokens of a batch."""

    def losses(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats at every token with a target, and whether that is the likeliest.

        Args:
            targets: of each token, or ``NO_LABEL``, int64 [T].

        Returns:
            float32 [N] and bool [N]; no gradient.
        """

    def loss(self, targets: Tensor) -> Tensor:
        """Their sum, with its gradient.

        Args:
            targets: of each token, or ``NO_LABEL``, int64 [T].
        """

    def at(self, chosen: Tensor) -> Tensor:
        """The logits themselves of a few tokens, float32 [N, V]; no gradient.

        Args:
            chosen: which tokens, bool [T] or int64 [N].
        """


@dataclass(frozen=True, slots=True)
class DenseLogits:
    """Logits as a model gave them.

    Args:
        values: [T, V].
    """

    values: Tensor

    def losses(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy at every token that has a target, and whether it is the likeliest, [N]."""
        chosen = targets != NO_LABEL
        return _answers(self.at(chosen), targets[chosen])

    def loss(self, targets: Tensor) -> Tensor:
        """Their sum, with its gradient."""
        return functional.cross_entropy(
            self.values.float(), targets, ignore_index=NO_LABEL, reduction="sum"
        )

    def at(self, chosen: Tensor) -> Tensor:
        """The logits of a few tokens, [N, V]."""
        return self.values.detach()[chosen].float()


@dataclass(frozen=True, slots=True)
class LazyLogits:
    """Logits that are made of hidden states when they are asked for.

    Args:
        hidden: [T, H].
        transform: what stands between the hidden states and the output layer, [N, H] to [N, H].
        output: the output layer, H to V.
    """

    hidden: Tensor
    transform: Callable[[Tensor], Tensor]
    output: nn.Linear

    def losses(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy at every token that has a target, and whether it is the likeliest, [N]."""
        chosen = targets != NO_LABEL
        with torch.no_grad():
            hidden = self.transform(self.hidden[chosen])
            weight = self.output.weight.to(hidden.dtype)
            found = [
                _answers(_logits(part, weight, self.output.bias), wanted)
                for part, wanted in _chunks(hidden, targets[chosen], len(weight))
            ]
        nats, right = zip(*found, strict=True)
        return torch.cat(nats), torch.cat(right)

    def loss(self, targets: Tensor) -> Tensor:
        """Their sum, with its gradient."""
        chosen = targets != NO_LABEL
        hidden = self.transform(self.hidden[chosen])
        summed: Any = SummedCrossEntropy.apply
        loss: Tensor = summed(hidden, self.output.weight, self.output.bias, targets[chosen])
        return loss

    def at(self, chosen: Tensor) -> Tensor:
        """The logits of a few tokens, [N, V]."""
        with torch.no_grad():
            hidden = self.transform(self.hidden[chosen])
            return _logits(hidden, self.output.weight.to(hidden.dtype), self.output.bias)


class SummedCrossEntropy(Function):
    """Summed cross-entropy of a linear layer's outputs; gradients are made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        """Sum in nats; hidden [N, H], weight [V, H], bias [V], targets int64 [N]."""
        wanted = ctx.needs_input_grad
        cast = weight.to(hidden.dtype)
        d_hidden = torch.empty_like(hidden) if wanted[0] else None
        d_weight = torch.zeros_like(weight) if wanted[1] else None
        d_bias = torch.zeros_like(bias) if bias is not None and wanted[2] else None
        total = torch.zeros((), device=hidden.device)
        start = 0
        with torch.autocast(hidden.device.type, enabled=False):
            for part, goal in _chunks(hidden, targets, len(weight)):
                logits = _logits(part, cast, bias)
                norm = logits.logsumexp(-1, keepdim=True)
                total += (norm - logits.gather(1, goal[:, None])).sum()
                if d_hidden is None and d_weight is None and d_bias is None:
                    continue
                # What is left of the logits is their gradient: probabilities less one at the goal.
                slope = logits.sub_(norm).exp_()
                slope.scatter_add_(1, goal[:, None], slope.new_full((len(goal), 1), -1.0))
                if d_bias is not None:
                    d_bias += slope.sum(0)
                slope = slope.to(hidden.dtype)
                if d_hidden is not None:
                    torch.mm(slope, cast, out=d_hidden[start : start + len(part)])
                if d_weight is not None:
                    if d_weight.dtype == hidden.dtype:
                        d_weight.addmm_(slope.T, part)
                    else:
                        d_weight += slope.T @ part
                start += len(part)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The gradients, in the shapes of the arguments."""
        found = [None if d is None else d * grads[0].to(d.dtype) for d in ctx.saved_tensors]
        return *found, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Float32 [N, V], whatever the precision of the product."""
    logits = functional.linear(hidden, weight).float()
    return logits if bias is None else logits.add_(bias)


def _answers(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and whether the target is the likeliest; logits [N, V], both [N]."""
    with torch.no_grad():
        nats = functional.cross_entropy(logits, targets, reduction="none")
        return nats, logits.argmax(-1) == targets


def _chunks(hidden: Tensor, targets: Tensor, vocabulary: int) -> Iterator[tuple[Tensor, Tensor]]:
    """As many tokens at a time as ``CHUNK_NUMBERS`` logits are of, at least one."""
    size = max(1, CHUNK_NUMBERS // vocabulary)
    return zip(torch.split(hidden, size), torch.split(targets, size), strict=True)

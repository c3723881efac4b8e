"""Language-model logits, [N, V], computed in chunks and never materialised as a whole.

The logits of N tokens over a vocabulary of V are by far the largest tensor of a language model
(GPT-2, 800 tokens: 161 MB, and the same again for each of softmax, gradient and copy), but the loss
needs one number per token. Therefore a forward pass returns the hidden states before the output
layer, and loss and gradient are computed for a chunk of tokens at a time. The arithmetic is that of
the whole matrix. Tokens without a target (the last of a row, a prompt) cost nothing.

Letters: T tokens of a batch, N tokens with a target, H hidden width, V vocabulary.

Source: Wijmans et al. 2024, "Cut your losses in large-vocabulary language models",
arXiv:2411.09009, section 3; gradients computed in the forward pass as in Hsu et al. 2024 (Liger
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
"""Logits of one chunk: 32 MiB in float32."""


class TokenLogits(Protocol):
    """The logits of a language model at the tokens of a batch, whether they are stored or not."""

    def losses(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of every token with a target, and whether the target has the largest logit.

        Args:
            targets: Target of each token, or ``NO_LABEL``, int64 [T].

        Returns:
            In nats, float32 [N], and whether it is the largest, bool [N]; without gradient.
        """

    def loss(self, targets: Tensor) -> Tensor:
        """The summed cross-entropy in nats, a scalar with its gradient.

        Args:
            targets: Target of each token, or ``NO_LABEL``, int64 [T].
        """

    def at(self, chosen: Tensor) -> Tensor:
        """The logits of a few tokens, float32 [N, V]; without gradient.

        Args:
            chosen: Which tokens, bool [T] or int64 [N].
        """


@dataclass(frozen=True, slots=True)
class DenseLogits:
    """Logits that are stored, as the output of a padded model.

    Args:
        values: [T, V].
    """

    values: Tensor

    def losses(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of tokens with a target, and whether it has the largest logit; [N] each."""
        chosen = targets != NO_LABEL
        return _losses(self.at(chosen), targets[chosen])

    def loss(self, targets: Tensor) -> Tensor:
        """The summed cross-entropy, a scalar with its gradient."""
        return functional.cross_entropy(
            self.values.float(), targets, ignore_index=NO_LABEL, reduction="sum"
        )

    def at(self, chosen: Tensor) -> Tensor:
        """The logits of a few tokens, float32 [N, V]."""
        return self.values.detach()[chosen].float()


@dataclass(frozen=True, slots=True)
class LazyLogits:
    """Logits that are computed from hidden states when they are used.

    Args:
        hidden: [T, H].
        transform: The modules between the hidden states and the output layer, [N, H] to [N, H].
        output: The output layer, H to V.
    """

    hidden: Tensor
    transform: Callable[[Tensor], Tensor]
    output: nn.Linear

    def losses(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of tokens with a target, and whether it has the largest logit; [N] each."""
        chosen = targets != NO_LABEL
        with torch.no_grad():
            hidden = self.transform(self.hidden[chosen])  # [T, H] to [N, H]
            weight = self.output.weight.to(hidden.dtype)
            found = [
                _losses(_logits(part, weight, self.output.bias), wanted)
                for part, wanted in _chunks(hidden, targets[chosen], len(weight))
            ]
        nats, right = zip(*found, strict=True)
        return torch.cat(nats), torch.cat(right)

    def loss(self, targets: Tensor) -> Tensor:
        """The summed cross-entropy, a scalar with its gradient."""
        chosen = targets != NO_LABEL
        hidden = self.transform(self.hidden[chosen])  # [T, H] to [N, H]
        summed: Any = SummedCrossEntropy.apply
        loss: Tensor = summed(hidden, self.output.weight, self.output.bias, targets[chosen])
        return loss

    def at(self, chosen: Tensor) -> Tensor:
        """The logits of a few tokens, float32 [N, V]."""
        with torch.no_grad():
            hidden = self.transform(self.hidden[chosen])  # [T, H] to [N, H]
            return _logits(hidden, self.output.weight.to(hidden.dtype), self.output.bias)


@dataclass(frozen=True, slots=True)
class TokenAndRowLogits:
    """The logits of two heads: one for tokens, one for rows.

    Args:
        of_tokens: logits of the batch's T tokens.
        of_rows: [B, C].
    """

    of_tokens: TokenLogits
    of_rows: Tensor


class SummedCrossEntropy(Function):
    """Summed cross-entropy of a linear layer's outputs, with gradients from the forward pass."""

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
                # The gradient of the logits, in place: probabilities, minus 1 at the target.
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
        """Multiply the stored gradients by the gradient of the loss, a scalar."""
        found = [None if d is None else d * grads[0].to(d.dtype) for d in ctx.saved_tensors]
        return *found, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Logits in float32 [N, V], whatever the precision of the product."""
    logits = functional.linear(hidden, weight).float()
    return logits if bias is None else logits.add_(bias)


def _losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """From logits [N, V]: cross-entropy, and whether the target has the largest logit; [N] each."""
    with torch.no_grad():
        nats = functional.cross_entropy(logits, targets, reduction="none")
        return nats, logits.argmax(-1) == targets


def _chunks(hidden: Tensor, targets: Tensor, vocabulary: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of tokens with at most ``CHUNK_NUMBERS`` logits, at least one token each."""
    size = max(1, CHUNK_NUMBERS // vocabulary)
    return zip(torch.split(hidden, size), torch.split(targets, size), strict=True)

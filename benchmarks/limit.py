"""The limit: the least time that a machine needs for some work, to compare engines with.

Limit = FLOPs of matrix products ÷ FLOP rate + bytes of the optimiser ÷ memory bandwidth. The two
terms are added, because on a CPU the same cores do one after the other. Both rates are measured in
the same session as the engines (``probe``), with the same number of threads. Nothing else is
counted (activations, norms, dropout, reading gradients for clipping), so no engine can reach 100 %.

*FLOPs* are those that are necessary to train a BERT classifier exactly, 2 for each multiplication
and addition. With T real tokens in B rows, row i with n_i tokens, hidden size H, intermediate size
I, and C classes:

- each layer except the last: T (8 H² + 4 H I) for queries, keys, values, output and the two layers
  of the feed-forward; 4 H Σ n_i² for attention;
- the last layer, of which the head only uses the first token: keys and values 4 H² T; queries and
  output 4 H² B, feed-forward 4 H I B, attention 4 H T (the first token of each row with its n_i);
- pooler and head, 2 H² B + 2 H C B. Embeddings are looked up and added, without products.

In a decoder (``DecoderShape``) the last token of a row predicts nothing, and no other token attends
to it: a row of n tokens costs n - 1. Every layer needs 8 H² + 4 H I for each of these tokens, and
4 H for each pair of a token and a token it attends to (itself or an earlier one): 2 H n (n - 1).
The output layer needs 2 H V for each predicted token, with vocabulary V.

The backward pass has two products for each product of the forward pass, for the gradients of the
input and of the weights: training is 3 × forward. A frozen backbone and prediction are forward
only.

*Bytes*: AdamW reads parameter, gradient and both moments, and writes parameter and moments: 7
float32 values, 28 bytes for each parameter that can change. In a decoder, whose softmax uses every
row of the vocabulary, these are all parameters except the positions beyond the longest row. In a
classifier, an embedding row that no training row uses has zero gradient and moments and changes
only by weight decay, which can be applied afterwards; so only used rows are counted.

Sources: Kaplan et al. 2020, arXiv:2001.08361, section 2.1, for counting FLOPs and the factor 2 of
the backward pass; Chowdhery et al. 2022, arXiv:2204.02311, appendix B, for a share of the limit
that counts only useful work; McCalpin 1995, "Memory bandwidth and machine balance in current high
performance computers", for the triad; Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, for the state
of Adam.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

ADAMW_BYTES = 28
"""Bytes per parameter and step: 4 float32 read, 3 written."""
MATRIX_SIDE = 2048
TRIAD_FLOATS = 48 * 2**20
"""Size of each of three arrays: 576 MiB in total, larger than any cache."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a BERT classifier on which the limit depends.

    Args:
        layers: number of layers.
        hidden: hidden size H.
        intermediate: intermediate size I of the feed-forward.
        classes: number of classes C.
    """

    layers: int
    hidden: int
    intermediate: int
    classes: int = 2

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """The shape that a Transformers configuration describes."""
        return cls(config.num_hidden_layers, config.hidden_size, config.intermediate_size)

    def forward_flops(self, lengths: Sequence[int]) -> int:
        """FLOPs of one forward pass over rows of these lengths.

        >>> Shape(layers=2, hidden=4, intermediate=8).forward_flops([3, 2])
        2368
        """
        tokens, rows = sum(lengths), len(lengths)
        squares = sum(length * length for length in lengths)
        square, inner = self.hidden**2, self.hidden * self.intermediate
        layer = tokens * (8 * square + 4 * inner) + 4 * self.hidden * squares
        last = 4 * square * tokens + (4 * square + 4 * inner) * rows + 4 * self.hidden * tokens
        head = (2 * square + 2 * self.hidden * self.classes) * rows
        return (self.layers - 1) * layer + last + head

    def trained_parameters(self, used_tokens: int, used_positions: int, used_types: int) -> int:
        """Number of parameters that training can change.

        Args:
            used_tokens: number of different tokens in the training rows.
            used_positions: number of tokens of the longest training row.
            used_types: 2 for pairs, otherwise 1.
        """
        width, inner = self.hidden, self.intermediate
        embeddings = (used_tokens + used_positions + used_types + 2) * width
        attention = 4 * (width * width + width)
        feed_forward = 2 * width * inner + inner + width
        norms = 4 * width
        pooler = width * width + width
        head = self.classes * (width + 1)
        return embeddings + self.layers * (attention + feed_forward + norms) + pooler + head


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """The sizes of a GPT-2 on which the limit depends.

    Args:
        layers: number of layers.
        hidden: hidden size H.
        intermediate: intermediate size I of the feed-forward.
        vocabulary: vocabulary size V; the output layer is tied to the word embedding.
    """

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int

    @classmethod
    def of(cls, config: Any) -> "DecoderShape":
        """The shape that a Transformers configuration describes."""
        inner = config.n_inner or 4 * config.hidden_size
        return cls(config.num_hidden_layers, config.hidden_size, inner, config.vocab_size)

    def forward_flops(self, lengths: Sequence[int]) -> int:
        """FLOPs of one forward pass over rows of these lengths.

        >>> DecoderShape(layers=2, hidden=4, intermediate=8, vocabulary=10).forward_flops([3, 2])
        1904
        """
        predicted = sum(length - 1 for length in lengths)
        seen = sum(length * (length - 1) // 2 for length in lengths)
        width = self.hidden
        layer = predicted * (8 * width**2 + 4 * width * self.intermediate) + 4 * width * seen
        return self.layers * layer + 2 * width * self.vocabulary * predicted

    def trained_parameters(self, used_positions: int) -> int:
        """Number of parameters that training can change.

        Args:
            used_positions: number of tokens of the longest training row without the last one.
        """
        width, inner = self.hidden, self.intermediate
        attention = 4 * (width * width + width)
        feed_forward = 2 * width * inner + inner + width
        embeddings = (self.vocabulary + used_positions) * width
        norms = 4 * width * self.layers + 2 * width
        return embeddings + self.layers * (attention + feed_forward) + norms


@dataclass(frozen=True, slots=True)
class Work:
    """The least work of a measurement.

    Args:
        flops: FLOPs of matrix products.
        optimiser_bytes: bytes that the optimiser reads and writes.
    """

    flops: float
    optimiser_bytes: float = 0.0

    def seconds(self, rates: "Rates") -> float:
        """The least time that a machine with these rates needs."""
        return self.flops / rates.flops_per_second + self.optimiser_bytes / rates.bytes_per_second


@dataclass(frozen=True, slots=True)
class Rates:
    """The measured rates of the machine.

    Args:
        flops_per_second: rate of a float32 matrix product.
        bytes_per_second: memory bandwidth of a triad.
    """

    flops_per_second: float
    bytes_per_second: float


def typical(probes: Sequence[Rates]) -> Rates:
    """The median rates of a session."""
    return Rates(
        median(probe.flops_per_second for probe in probes),
        median(probe.bytes_per_second for probe in probes),
    )


def training_work(
    shape: Shape | DecoderShape, batches: Sequence[Sequence[int]], trained_parameters: int
) -> Work:
    """The work of training steps; each batch is a list of the lengths of its rows."""
    forward = sum(shape.forward_flops(lengths) for lengths in batches)
    return Work(3 * forward, len(batches) * ADAMW_BYTES * trained_parameters)


def forward_work(shape: Shape | DecoderShape, lengths: Sequence[int]) -> Work:
    """The work of one forward pass (prediction, frozen backbone) over rows of these lengths."""
    return Work(shape.forward_flops(lengths))


def probe(side: int = MATRIX_SIDE, floats: int = TRIAD_FLOATS, repeats: int = 9) -> Rates:
    """Measure this machine's rates with PyTorch; runs some seconds in its own process.

    Args:
        side: side of the square matrices.
        floats: size of each of the triad's three arrays.
        repeats: number of measurements, of which the median is used.
    """
    import torch

    a, b = torch.randn(side, side), torch.randn(side, side)
    product = torch.empty(side, side)
    x, y, total = torch.ones(floats), torch.ones(floats), torch.zeros(floats)
    return Rates(
        2 * side**3 / _seconds(lambda: torch.mm(a, b, out=product), repeats),
        12 * floats / _seconds(lambda: torch.add(x, y, alpha=3.0, out=total), repeats),
    )


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of ``repeats`` calls, after two warm-up calls."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times[2:])

"""The least time a machine needs for a piece of work, and what share of it an engine reaches.

Limit = products ÷ matrix-product rate + optimiser bytes ÷ memory bandwidth. The two are added, not
compared: on a CPU the same cores do one after the other. Both rates are measured in the session in
which the engines are (``probe``), with as many threads. Nothing else is charged (no activation, no
norm, no dropout, no gradient that is read for clipping), so 1 cannot be reached.

*Products* are those nobody can avoid when training a BERT classifier exactly, 2 FLOPs for each
multiplication and addition. With T real tokens in B rows, row i of n_i tokens, width H, inner width
I, and C classes:

- each layer but the last: T (8 H² + 4 H I) for queries, keys, values, output and the two layers of
  the feed-forward; 4 H Σ n_i² for attention;
- the last layer, of which the head reads the first token alone: keys and values 4 H² T; queries and
  output 4 H² B, feed-forward 4 H I B, attention 4 H T (every row's first token against its n_i);
- pooler and head, 2 H² B + 2 H C B; embeddings are looked up and added, which takes no product.

Of a decoder (``DecoderShape``) the last token of a row predicts nothing and is seen by none: a row
of n tokens costs n - 1. Every layer takes 8 H² + 4 H I for each of these, and 4 H for each token
that one of them sees, itself and those before it: 2 H n (n - 1). The output layer is 2 H V for each
predicted token, V being the vocabulary.

The backward pass takes two products for each of the forward pass, for the gradient of the input and
of the weights: training is 3 × forward. A frozen backbone, and prediction, are forward only.

*Bytes*: AdamW reads parameter, gradient and both moments, and writes parameter and moments: 7
float32, 28 bytes for each parameter that can change: of a decoder, whose softmax reaches every row
of the vocabulary, all but the positions that no row is long enough for. Of a classifier, a row of
the embeddings that no training row indexes has gradient and moments of zero and changes by decay
alone, which can be made up for afterwards; only used rows are counted.

Sources: Kaplan et al. 2020, arXiv:2001.08361, section 2.1, for counting, and 2 × for the backward
pass; Chowdhery et al. 2022, arXiv:2204.02311, appendix B, for a share of the limit that counts
useful work alone; McCalpin 1995, "Memory bandwidth and machine balance in current high performance
computers", for the triad; Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, for what Adam keeps.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

ADAMW_BYTES = 28
"""A parameter and step: 4 float32 read, 3 written."""
MATRIX_SIDE = 2048
TRIAD_FLOATS = 48 * 2**20
"""In each of three arrays: 576 MiB in all, more than a cache holds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A BERT classifier, as far as the limit depends on it.

    Args:
        layers: of the encoder.
        hidden: width H.
        intermediate: inner width I of the feed-forward.
        classes: C.
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
        """Products of one forward pass over rows of these lengths, in FLOPs.

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
        """Parameters that training can change.

        Args:
            used_tokens: rows of the word embedding that the training rows index.
            used_positions: tokens of the longest training row.
            used_types: 2 where rows are pairs, else 1.
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
    """A GPT-2, as far as the limit depends on it.

    Args:
        layers: of the decoder.
        hidden: width H.
        intermediate: inner width I of the feed-forward.
        vocabulary: V; the output layer is the word embedding.
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
        """Products of one forward pass over rows of these lengths, in FLOPs.

        >>> DecoderShape(layers=2, hidden=4, intermediate=8, vocabulary=10).forward_flops([3, 2])
        2032
        """
        predicted = sum(length - 1 for length in lengths)
        seen = sum(length * (length - 1) // 2 for length in lengths)
        width = self.hidden
        layer = predicted * (8 * width**2 + 4 * width * self.intermediate) + 4 * width * seen
        return self.layers * layer + 2 * width * self.vocabulary * predicted

    def trained_parameters(self, used_positions: int) -> int:
        """Parameters that training can change.

        Args:
            used_positions: tokens of the longest training row, of which the last is never read.
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
        flops: of matrix products.
        optimiser_bytes: read and written.
    """

    flops: float
    optimiser_bytes: float = 0.0

    def seconds(self, rates: "Rates") -> float:
        """The least time it takes on a machine with these rates."""
        return self.flops / rates.flops_per_second + self.optimiser_bytes / rates.bytes_per_second


@dataclass(frozen=True, slots=True)
class Rates:
    """What the machine did at one moment.

    Args:
        flops_per_second: of a float32 matrix product.
        bytes_per_second: of a triad.
    """

    flops_per_second: float
    bytes_per_second: float


def typical(probes: Sequence[Rates]) -> Rates:
    """The medians over a session."""
    return Rates(
        median(probe.flops_per_second for probe in probes),
        median(probe.bytes_per_second for probe in probes),
    )


def training_work(
    shape: Shape | DecoderShape, batches: Sequence[Sequence[int]], trained_parameters: int
) -> Work:
    """Training steps over batches, each given as the lengths of its rows."""
    forward = sum(shape.forward_flops(lengths) for lengths in batches)
    return Work(3 * forward, len(batches) * ADAMW_BYTES * trained_parameters)


def forward_work(shape: Shape | DecoderShape, lengths: Sequence[int]) -> Work:
    """One forward pass over rows of these lengths: prediction, or a frozen backbone."""
    return Work(shape.forward_flops(lengths))


def probe(side: int = MATRIX_SIDE, floats: int = TRIAD_FLOATS, repeats: int = 9) -> Rates:
    """Measure this machine with PyTorch's threads; in its own process, some seconds.

    Args:
        side: of the square matrices.
        floats: in each of the triad's three arrays.
        repeats: of each; the median counts.
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
    """The median of ``repeats`` calls, after two that are not counted."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times[2:])

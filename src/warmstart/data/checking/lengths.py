"""The distribution of row lengths in tokens, and how much the token limit truncates.

All splits share the histogram bins, so that they can be plotted in one figure. One bin starts just
above the limit: the bins to the right of this edge contain exactly the truncated rows. The last bin
also contains all longer rows; otherwise one text of 10,000 tokens would put all others into a
single bar.

Unit: tokens of the model's tokenizer, including special tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

BINS = 40
"""Approximate number of bins."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Row lengths of one split before truncation, and the effect of truncation.

    Args:
        mean: mean length in tokens.
        median: median length in tokens.
        p95: 95th percentile of the lengths in tokens.
        longest: maximum length in tokens.
        max_tokens: the limit in tokens.
        truncated_rows: number of rows longer than the limit.
        tokens: number of tokens of all rows before truncation.
        lost_tokens: number of these tokens that truncation removes.
        edges: edges of the histogram; bin i is ``edges[i] <= length < edges[i + 1]``.
        counts: number of rows in each bin; the last bin includes all longer rows.
    """

    mean: float
    median: float
    p95: float
    longest: int
    max_tokens: int
    truncated_rows: int
    tokens: int
    lost_tokens: int
    edges: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def lost_share(self) -> float:
        """Share of the tokens that truncation removes."""
        return self.lost_tokens / self.tokens

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from ``dataclasses.asdict``."""
        lists = {name: tuple(content[name]) for name in ("edges", "counts")}
        return cls(**{**content, **lists})


def describe_lengths(lengths: Mapping[str, Ints], max_tokens: int) -> dict[str, Lengths]:
    """Length distribution of every split, with the same bins.

    Args:
        lengths: split -> tokens of each row without truncation, int64 [N]; at least one row.
        max_tokens: maximum number of tokens per row; longer rows are truncated.

    >>> short = describe_lengths({"train": np.array([4, 5, 9])}, max_tokens=8)["train"]
    >>> short.truncated_rows, short.lost_tokens, short.longest
    (1, 1, 9)
    """
    edges = _edges(lengths, max_tokens)
    return {split: _describe(of_rows, max_tokens, edges) for split, of_rows in lengths.items()}


def _describe(lengths: Ints, max_tokens: int, edges: Ints) -> Lengths:
    beyond = np.maximum(lengths - max_tokens, 0)
    median, p95 = np.percentile(lengths, [50, 95])
    counts, _ = np.histogram(np.minimum(lengths, edges[-1] - 1), edges)
    return Lengths(
        mean=float(lengths.mean()),
        median=float(median),
        p95=float(p95),
        longest=int(lengths.max()),
        max_tokens=max_tokens,
        truncated_rows=int(np.count_nonzero(beyond)),
        tokens=int(lengths.sum()),
        lost_tokens=int(beyond.sum()),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
    )


def _edges(lengths: Mapping[str, Ints], max_tokens: int) -> Ints:
    """Edges of about ``BINS`` bins of equal width; if rows exceed the limit, one edge is above it.

    The first bin can be narrower than the others, so that the limit is between two bins. The bins
    end at the longest row, but at most at the larger of twice the limit and the 99th percentile of
    the split with the longest rows.
    """
    longest = max(int(of_rows.max()) for of_rows in lengths.values())
    usual = max(int(np.percentile(of_rows, 99)) for of_rows in lengths.values())
    reach = min(longest, max(2 * max_tokens, usual))
    width = math.ceil((reach + 1) / BINS)
    above = max_tokens + 1
    start = above % width - width if longest >= above and above % width else 0
    return np.maximum(np.arange(start, reach + width + 1, width), 0)

"""How long the texts are in tokens, and what the limit takes away from them.

A histogram's bins are shared by all splits, so that they can be drawn over one another, and one bin
begins just above the limit: what stands to the right of that edge is exactly what is truncated. The
last bin also holds everything longer, because one text of 10,000 tokens would otherwise press all
others into a single bar.

Unit: tokens of the model's own tokenizer, special tokens included.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

BINS = 40
"""About how many bars a histogram has."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of one split's rows before truncation, and what truncation takes.

    Args:
        mean: tokens.
        median: tokens.
        p95: 95th percentile, tokens.
        longest: tokens.
        max_tokens: the limit.
        truncated_rows: rows longer than the limit.
        tokens: of all rows before truncation.
        lost_tokens: of them, those beyond the limit.
        edges: of the histogram's bins, from ``edges[i]`` up to but not ``edges[i + 1]``.
        counts: rows in each bin; the last also counts longer rows.
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
        """Share of the tokens that the model never sees."""
        return self.lost_tokens / self.tokens

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from ``dataclasses.asdict``."""
        lists = {name: tuple(content[name]) for name in ("edges", "counts")}
        return cls(**{**content, **lists})


def describe(lengths: Mapping[str, Ints], max_tokens: int) -> dict[str, Lengths]:
    """Length distribution of every split, over the same bins.

    Args:
        lengths: by split, tokens of each row without truncation, int64 [N]; at least one row.
        max_tokens: longest row the model is to see, in tokens.

    >>> short = describe({"train": np.array([4, 5, 9])}, max_tokens=8)["train"]
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
    """Edges of about ``BINS`` equal bins, one just above the limit where rows reach that far.

    So that the limit falls between two bins, the first may be narrower than the others.
    The bins reach to the longest row, or at most to twice the limit or to the 99th percentile of
    the split with the longest texts, whichever is further.
    """
    longest = max(int(of_rows.max()) for of_rows in lengths.values())
    usual = max(int(np.percentile(of_rows, 99)) for of_rows in lengths.values())
    reach = min(longest, max(2 * max_tokens, usual))
    width = math.ceil((reach + 1) / BINS)
    above = max_tokens + 1
    start = above % width - width if longest >= above and above % width else 0
    return np.maximum(np.arange(start, reach + width + 1, width), 0)

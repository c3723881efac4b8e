"""Print the data findings: a table, a histogram of lengths for each split, and the messages.

The splits are columns of one table, so that differences between them are easy to see. Nothing
depends on colour: a warning starts with ``!``. The output fits 80 columns. Does not import torch.
"""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from warmstart.data.checking.check import Findings, SplitFindings
from warmstart.data.checking.lengths import Lengths

LABELS_SHOWN = 8
"""Maximum number of labels that are listed; the others are summed up in one line."""

LABEL_WIDTH = 60
"""Maximum number of characters of a row's name; in a narrow terminal, fewer."""

BLOCKS = " ▁▂▃▄▅▆▇█"


def rendered_findings(findings: Findings) -> RenderableType:
    """The output of ``warmstart check``, which is also printed before training.

    Args:
        findings: from ``warmstart.data.checking.check.find``.
    """
    parts: list[RenderableType] = [_overview(findings.splits), *_histograms(findings.splits)]
    if findings.messages:
        parts.append(_messages(findings))
    return Group(*parts)


def _overview(splits: Sequence[SplitFindings]) -> Table:
    """Rows, labels and lengths; a column for each split."""
    rows = [("rows", [f"{split.rows:,}" for split in splits])]
    if any(sum(split.dropped.values()) for split in splits):
        rows.append(("dropped rows", [f"{sum(split.dropped.values()):,}" for split in splits]))
    rows += _label_rows(splits)
    lengths = [split.lengths for split in splits]
    rows += [
        ("tokens: median", [f"{of_split.median:,.0f}" for of_split in lengths]),
        ("tokens: 95th percentile", [f"{of_split.p95:,.0f}" for of_split in lengths]),
        ("tokens: longest", [f"{of_split.longest:,}" for of_split in lengths]),
        (
            f"truncated at {lengths[0].max_tokens:,}",
            [_share(split.lengths.truncated_rows, split) for split in splits],
        ),
    ]
    if any(split.chunked_rows for split in splits):
        rows.append(("read in pieces", [_share(split.chunked_rows, split) for split in splits]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    # In a narrow terminal, names are cut and numbers are not.
    table.add_column("", max_width=LABEL_WIDTH)
    for split in splits:
        table.add_column(split.split, justify="right", no_wrap=True)
    for name, cells in rows:
        table.add_row(Text(name, no_wrap=True, overflow="ellipsis"), *cells)
    return table


def _label_rows(splits: Sequence[SplitFindings]) -> list[tuple[str, list[str]]]:
    """The labels with their numbers, or the most frequent ones and the sum of the others."""
    with_labels = [split for split in splits if split.label_counts]
    if not with_labels:
        return []
    frequency = with_labels[0].label_counts
    shown = list(frequency)
    if len(shown) > LABELS_SHOWN + 1:
        shown = sorted(shown, key=lambda name: -frequency[name])[:LABELS_SHOWN]
    unit = splits[0].label_unit
    what, kinds = ("label", "labels") if unit == "row" else (f"{unit}s", "types")
    rows = [
        (f"{what} {name}", [_label(split.label_counts.get(name), split) for split in splits])
        for name in shown
    ]
    if rest := frequency.keys() - {*shown}:
        sums = [sum(split.label_counts.get(name, 0) for name in rest) for split in splits]
        numbers = [_label(count, split) for count, split in zip(sums, splits, strict=True)]
        rows.append((f"{len(rest):,} rarer {kinds}", numbers))
    return rows


def _histograms(splits: Sequence[SplitFindings]) -> list[Text]:
    """One line of block characters per split, with ``│`` at the limit, and the axis below."""
    width = max(len(split.split) for split in splits)
    lines = [
        Text(f"{split.split:{width}}  {_bars(split.lengths)}", no_wrap=True, overflow="ellipsis")
        for split in splits
    ]
    first = splits[0].lengths
    overflow = max(split.lengths.longest for split in splits) >= first.edges[-1]
    axis = f"{first.edges[0]} to {first.edges[-1] - 1:,} tokens{' and more' * overflow}"
    limit = "│ marks" if _limit_bin(first) is not None else "no row exceeds"
    return [*lines, Text(f"{axis}; {limit} the limit of {first.max_tokens:,}", style="dim")]


def _bars(lengths: Lengths) -> str:
    """The histogram as block characters of 8 heights; every non-empty bin is visible."""
    counts = np.asarray(lengths.counts)
    heights = np.ceil(counts / max(counts.max(), 1) * (len(BLOCKS) - 1)).astype(int)
    bars = [BLOCKS[height] for height in heights]
    limit = _limit_bin(lengths)
    if limit is not None:
        bars.insert(limit, "│")
    return "".join(bars)


def _limit_bin(lengths: Lengths) -> int | None:
    """Index of the first bin above the limit; ``None`` if all bins are below it."""
    above = lengths.max_tokens + 1
    return lengths.edges.index(above) if above in lengths.edges[:-1] else None


def _messages(findings: Findings) -> Table:
    """The messages; warnings are marked with ``!``."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    for message in findings.messages:
        warning = message.level == "warning"
        style = "yellow" if warning else ""
        grid.add_row(
            Text("!" if warning else "·", style=style), Text(message.text, overflow="fold")
        )
    return grid


def _share(rows: int | None, split: SplitFindings) -> str:
    """``602  70.4 %``."""
    return "" if rows is None else f"{rows:,} {rows / split.rows:6.1%}"


def _label(count: int | None, split: SplitFindings) -> str:
    """A number of rows with their share, or a number of spans, of which a row can have many."""
    if count is None or split.label_unit == "row":
        return _share(count, split)
    return f"{count:,}"

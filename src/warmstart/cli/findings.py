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

LABEL_WIDTH = 24
"""Maximum number of characters of a label; longer labels are cut."""

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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for split in splits:
        table.add_column(split.split, justify="right")
    table.add_row("rows", *(f"{split.rows:,}" for split in splits))
    if any(sum(split.dropped.values()) for split in splits):
        table.add_row("dropped rows", *(f"{sum(split.dropped.values()):,}" for split in splits))
    counted = [split for split in splits if split.label_counts]
    names = list(counted[0].label_counts) if counted else []
    shown = names if len(names) <= LABELS_SHOWN + 1 else names[:LABELS_SHOWN]
    what = "label" if splits[0].label_unit == "row" else f"{splits[0].label_unit}s"
    for name in shown:
        title = Text(f"{what} {_cut(name)}")
        table.add_row(title, *(_label(split.label_counts.get(name), split) for split in splits))
    if len(shown) < len(names):
        rest = [
            _label(sum(split.label_counts.get(name, 0) for name in names[LABELS_SHOWN:]), split)
            for split in splits
        ]
        table.add_row(f"{len(names) - LABELS_SHOWN:,} other labels", *rest)
    lengths = [split.lengths for split in splits]
    table.add_row("tokens: median", *(f"{of_split.median:,.0f}" for of_split in lengths))
    table.add_row("tokens: 95th percentile", *(f"{of_split.p95:,.0f}" for of_split in lengths))
    table.add_row("tokens: longest", *(f"{of_split.longest:,}" for of_split in lengths))
    table.add_row(
        f"truncated at {lengths[0].max_tokens:,}",
        *(_share(split.lengths.truncated_rows, split) for split in splits),
    )
    if any(split.chunked_rows for split in splits):
        table.add_row("read in pieces", *(_share(split.chunked_rows, split) for split in splits))
    return table


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


def _cut(label: str) -> str:
    return label if len(label) <= LABEL_WIDTH else f"{label[: LABEL_WIDTH - 1]}…"

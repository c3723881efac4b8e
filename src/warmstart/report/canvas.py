"""Shared helpers of the report's figures: sizes, axes, and smoothing of curves.

Sizes are in inches of 72 CSS pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

WIDTH = 5.3
HEIGHT = 3.2
MAX_POINTS = 1200
"""Largest number of points of a curve; a longer curve is averaged over intervals of equal length.
"""

MARKED: dict[str, Any] = {"lw": 1.8, "ms": 5}
"""Style of a line with a mark at each value."""
DASHED: dict[str, Any] = {"lw": 1, "ls": (0, (3, 3))}
"""Style of a line to compare with: a limit, an average, equality."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


def canvas(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


CHARACTERS_PER_INCH = 14
"""Characters of a legend that have room in an inch."""
LEGEND_GAP = 6
"""Room of a mark and the gaps beside it, in characters."""


def legend_above(axes: Axes) -> None:
    """Add a legend above the axes, where it hides no data: in one line, or in several if long."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure = axes.get_figure(root=True)
        assert figure is not None
        width = figure.get_figwidth() * CHARACTERS_PER_INCH
        fits = sum(len(name) + LEGEND_GAP for name in names) <= width
        axes.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(0, 1.01),
            ncols=len(handles) if fits else 1,
            handlelength=1.4,
            columnspacing=1.4,
            borderaxespad=0.2,
        )


def epoch_axis(axes: Axes, last: float) -> None:
    """Set the x axis to epochs from 0 to ``last``: whole numbers, or halves of a single one."""
    axes.set_xlim(0, max(last, 1e-3) * 1.03)
    several = last >= 2
    axes.xaxis.set_major_locator(
        MaxNLocator(8 if several else 4, integer=several, steps=None if several else [1, 2, 5, 10])
    )


def loss_axis(axes: Axes, training: Floats, validation: Floats) -> None:
    """Set the y axis to a range that shows every validation and almost every training loss.

    The highest training losses are cut off: the first few steps would flatten the rest of the
    curve.
    """
    training, validation = (values[np.isfinite(values)] for values in (training, validation))
    tops = [np.quantile(training, 0.995)] if training.size else []
    tops += [validation.max()] if validation.size else []
    if tops:
        axes.set_ylim(0, max(*map(float, tops), 1e-6) * 1.06)
        plain_numbers(axes.yaxis, max(map(float, tops)))


def plain_numbers(axis: Axis, largest: float) -> None:
    """Write large numbers in full next to their ticks: the factor of all ticks hides the legend."""
    if largest >= 1e5:
        written = FuncFormatter(lambda value, _: f"{value:g}") if largest >= 1e7 else thousands()
        axis.set_major_formatter(written)


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[Floats, Floats]:
    """Reduce a curve to at most ``MAX_POINTS`` points, each the mean over an interval."""
    parts = np.array_split(floats([x, y]), min(len(x), MAX_POINTS), axis=1)
    means = floats([part.mean(axis=1) for part in parts])
    return means[:, 0], means[:, 1]


def smoothed(values: Floats) -> Floats:
    """Exponential moving average over about 1/30 of the curve, bias-corrected at its start."""
    decay = 1 - 1 / max(2.0, len(values) / 30)
    mean, weight, smooth = 0.0, 0.0, np.full(len(values), np.nan)
    for i, value in enumerate(values):
        if np.isfinite(value):
            mean = decay * mean + (1 - decay) * float(value)
            weight = decay * weight + (1 - decay)
            smooth[i] = mean / weight
    return smooth


def floats(values: Any) -> Floats:
    """Convert values to float64, ``None`` to NaN."""
    return np.asarray(values, dtype=np.float64)


def thousands() -> FuncFormatter:
    """Formatter for counts, with commas between thousands."""
    return FuncFormatter(lambda value, _: f"{value:,.0f}")

"""The figures of an experiment's report: each is a function from numbers to a Matplotlib figure.

Sizes are in inches of 72 CSS pixels, as in ``figures``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from warmstart.report.canvas import DASHED, MARKED, canvas, epoch_axis, floats, legend_above
from warmstart.report.svg import Colour
from warmstart.runs.run_record import Check
from warmstart.runs.words import decimals


def spread(
    scores: Mapping[str, Sequence[float]],
    means: Mapping[str, tuple[float, float | None, float | None]],
    baseline: tuple[str, float] | None,
    title: str,
    unit: str,
) -> Figure:
    """The score of every run as a point, and that of all with its interval, one line per split.

    Args:
        scores: the score of each run, by split.
        means: the score over all runs, lower and upper end of its interval, by split.
        baseline: name and score of the strongest baseline on the first split, as a dashed line.
        title: title of the metric, for the axis.
        unit: what one run is called: ``run``, ``fold``.
    """
    figure, axes = canvas(height=1.15 + 0.62 * len(scores))
    for line, (split, values) in enumerate(scores.items()):
        mean, low, high = means[split]
        if low is not None and high is not None:
            axes.plot(
                [low, high], [line, line], color=Colour.MODEL, lw=9, alpha=0.25,
                solid_capstyle="round",
            )  # fmt: skip
        # Equal scores would hide each other on one line.
        heights = line + np.linspace(0.26, 0.4, len(values))
        label = f"one {unit}" if line == 0 else None
        axes.plot(values, heights, "o", color=Colour.OTHER, ms=4.5, alpha=0.9, label=label)
        label = f"over all {unit}s, 95 % interval" if line == 0 else None
        axes.plot([mean], [line], "o", color=Colour.MODEL, ms=8, label=label)
        axes.annotate(
            decimals(mean), (mean, line), xytext=(0, 8), textcoords="offset points", ha="center",
            color=Colour.INK,
        )  # fmt: skip
    if baseline is not None:
        name, value = baseline
        axes.axvline(value, color=Colour.SECOND, label=name, **DASHED)
    axes.set_yticks(range(len(scores)), list(scores), color=Colour.INK)
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(title)
    legend_above(axes)
    return figure


def curves(runs: Mapping[str, Sequence[Check]], metric: str, title: str, unit: str) -> Figure:
    """A validation metric of every run at each evaluation, and its mean where all runs have one.

    Args:
        runs: the evaluations of each run, by its name.
        metric: name of the metric.
        title: its title, for the axis.
        unit: what one run is called: ``run``, ``fold``.
    """
    figure, axes = canvas()
    tables = []
    for number, checks in enumerate(runs.values()):
        epochs = [check.epoch for check in checks]
        values = floats([check.scores[metric].value for check in checks])
        label = f"one {unit}" if number == 0 else None
        line = "-" if len(epochs) > 1 else "."  # a line needs two points
        axes.plot(epochs, values, line, color=Colour.OTHER, lw=1, alpha=0.8, label=label)
        tables.append((tuple(epochs), values))
    common = [epoch for epoch in tables[0][0] if all(epoch in epochs for epochs, _ in tables)]
    if len(tables) > 1 and common:
        rows = [[values[epochs.index(epoch)] for epoch in common] for epochs, values in tables]
        mean = floats(rows).mean(axis=0)
        axes.plot(common, mean, "o-", color=Colour.SECOND, lw=2, ms=5, label="mean")
    axes.set_xlabel("epoch")
    axes.set_ylabel(title)
    epoch_axis(axes, max(epochs[-1] for epochs, _ in tables))
    legend_above(axes)
    return figure


def learning_curve_figure(
    points: Sequence[tuple[int, Mapping[str, Any]]],
    baselines: Mapping[str, Sequence[tuple[int, float]]],
    title: str,
) -> Figure:
    """A score with its interval against the number of training rows, on a logarithmic axis.

    Args:
        points: number of training rows, and the score as ``{"mean", "low", "high"}``.
        baselines: number of rows and score of each baseline, by its name.
        title: title of the metric, for the axis.
    """
    figure, axes = canvas()
    rows = [count for count, _ in points]
    values = floats([score["mean"] for _, score in points])
    lows, highs = (floats([score[end] for _, score in points]) for end in ("low", "high"))
    axes.fill_between(rows, lows, highs, color=Colour.MODEL, alpha=0.18, lw=0)
    axes.plot(rows, values, "o-", color=Colour.MODEL, label="model, 95 % interval", **MARKED)
    for number, (name, found) in enumerate(baselines.items()):
        colour = (Colour.SECOND, Colour.OTHER, Colour.MUTED)[number % 3]
        axes.plot(*zip(*found, strict=True), "o--", color=colour, lw=1.2, ms=4, label=name)
    axes.set_xscale("log")
    axes.set_xticks(rows, [f"{count:,}" for count in rows])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training rows")
    axes.set_ylabel(title)
    legend_above(axes)
    return figure

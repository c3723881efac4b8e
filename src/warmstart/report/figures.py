"""The figures of the report: each is a function from numbers to a Matplotlib figure.

A figure shows one thing; its title is in the page. Sizes are in inches of 72 CSS pixels: half the
width of a desktop page, which is also the width of a phone. ``pyplot`` and other global state of
Matplotlib are not used, so reports can be created in threads and servers.

Letters: C classes, K evaluations, B batches.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from warmstart.data.checking.lengths import Lengths
from warmstart.errors.counts import counted
from warmstart.metrics.scores import Score
from warmstart.report.canvas import (
    DASHED,
    HEIGHT,
    MARKED,
    WIDTH,
    Floats,
    canvas,
    epoch_axis,
    floats,
    legend_above,
    loss_axis,
    plain_numbers,
    smoothed,
    thinned,
    thousands,
)
from warmstart.report.label_lines import fits, in_lines
from warmstart.report.svg import Colour
from warmstart.runs.run_record import Check, Step
from warmstart.runs.words import decimals

MAX_CLASSES = 20
"""Largest number of classes of a confusion matrix; with more, cells would be too small to read."""
NAMED_CLASSES = 6
"""Largest number of classes with names below the columns; with more, columns have numbers."""


def scores(systems: Mapping[str, Score], title: str) -> Figure:
    """The main metric of the model and of each baseline with its interval, one row each.

    Args:
        systems: scores by name, the model first.
        title: title of the metric, for the axis.
    """
    figure, axes = canvas(height=0.95 + 0.42 * len(systems))
    for row, score in enumerate(systems.values()):
        if score.value is None:
            # x in shares of the axis, so that the text is at its left end for any data range.
            transform = axes.get_yaxis_transform()
            axes.text(0.02, row, "undefined", va="center", color=Colour.MUTED, transform=transform)
            continue
        colour = Colour.MODEL if row == 0 else Colour.OTHER
        if score.low is not None and score.high is not None:
            axes.plot(
                [score.low, score.high],
                [row, row],
                color=colour,
                lw=7,
                alpha=0.3,
                solid_capstyle="round",
            )
        axes.plot([score.value], [row], "o", color=colour, ms=8)
        axes.annotate(
            decimals(score.value),
            (score.value, row),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            color=Colour.INK,
        )
    axes.set_yticks(range(len(systems)), list(systems), color=Colour.INK)
    axes.set_ylim(len(systems) - 0.5, -0.75)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{title}, 95 % interval")
    return figure


def loss(
    steps: Sequence[Step],
    checks: Sequence[Check],
    overfits_after: Check | None,
    unit: str = "nats",
) -> Figure:
    """Training loss of every step, raw and smoothed, and validation loss of every evaluation.

    Args:
        steps: at least one step, in order.
        checks: evaluations in order; may be empty.
        overfits_after: the evaluation after which validation loss only rises.
        unit: unit of the loss.
    """
    figure, axes = canvas()
    epochs, values = thinned([step.epoch for step in steps], [step.loss for step in steps])
    axes.plot(epochs, values, color=Colour.MODEL, lw=0.7, alpha=0.3)
    axes.plot(epochs, smoothed(values), color=Colour.MODEL, lw=1.8, label="training, smoothed")
    if checks:
        axes.plot(
            [check.epoch for check in checks],
            [check.loss for check in checks],
            "o-",
            color=Colour.SECOND,
            label="validation",
            **MARKED,
        )
    if overfits_after is not None:
        axes.axvline(overfits_after.epoch, color=Colour.INK, label="overfitting", **DASHED)
    loss_axis(axes, values, floats([check.loss for check in checks]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(textwrap.fill(f"loss ({unit})", 32))
    epoch_axis(axes, epochs[-1])
    legend_above(axes)
    return figure


def metric(checks: Sequence[Check], name: str, title: str) -> Figure:
    """A validation metric at every evaluation with its interval; a ring marks the best model.

    Args:
        checks: at least one evaluation, in order.
        name: name of the metric.
        title: title of the metric, for the axis.
    """
    figure, axes = canvas()
    epochs = [check.epoch for check in checks]
    values = [check.scores[name] for check in checks]
    axes.errorbar(
        epochs,
        floats([score.value for score in values]),
        # Distances to the value, not bounds: [2, K].
        yerr=floats([[_gap(s.value, s.low), _gap(s.high, s.value)] for s in values]).T,
        fmt="o-",
        color=Colour.SECOND,
        ecolor=to_rgba(Colour.SECOND, 0.25),
        elinewidth=6,
        label="validation, 95 % interval",
        **MARKED,
    )
    best = [check for check in checks if check.best][-1:]
    for check in best:
        value = check.scores[name].value
        if value is not None:
            axes.plot(
                [check.epoch],
                [value],
                "o",
                ms=11,
                mfc="none",
                mec=Colour.INK,
                mew=1.4,
                ls="none",
                label="best model",
            )
    if all(score.value == 0 for score in values):
        axes.set_ylim(-0.04, 1)  # Matplotlib's own range has scores below 0
    axes.set_xlabel("epoch")
    axes.set_ylabel(title)
    epoch_axis(axes, epochs[-1])
    legend_above(axes)
    return figure


def matthews_per_batch(
    values: Sequence[float | None], batch_rows: int, whole: float | None
) -> Figure:
    """Matthews correlation of each batch in file order; a cross marks an undefined one.

    Args:
        values: float or ``None`` [B].
        batch_rows: rows per batch.
        whole: the correlation over all rows.
    """
    figure, axes = canvas()
    heights = floats(values)
    numbers = np.arange(1, len(heights) + 1)
    undefined = np.isnan(heights)
    for mask, colour in ((heights >= 0, Colour.MODEL), (heights < 0, Colour.SECOND)):
        axes.bar(numbers[mask], heights[mask], width=0.75, color=colour)
    if undefined.any():
        axes.plot(
            numbers[undefined],
            np.zeros(undefined.sum()),
            "x",
            color=Colour.INK,
            ms=6,
            mew=1.4,
            label="undefined: one class",
        )
    if whole is not None:
        label = f"all rows together: {decimals(whole)}"
        axes.axhline(whole, color=Colour.INK, label=label, **DASHED)
    axes.axhline(0, color=Colour.MUTED, lw=0.8)
    axes.set_ylim(min(-0.06, float(np.nanmin(heights, initial=0)) * 1.1), 1.02)
    axes.set_xlim(0.2, len(heights) + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(f"batch of {counted(batch_rows, 'row')}, in file order")
    axes.set_ylabel("Matthews correlation")
    legend_above(axes)
    return figure


def confusion(
    matrix: Sequence[Sequence[int]], labels: Sequence[str], *, numbered: bool = False
) -> Figure:
    """Confusion matrix; each cell is shaded by its share of the true label's rows.

    Args:
        matrix: counts [C, C], rows by true label, columns by predicted label; C is at most
            ``MAX_CLASSES``.
        labels: label names [C].
        numbered: whether labels are shown as numbers, because no installed font can draw them.
    """
    counts = np.asarray(matrix)
    classes = len(counts)
    wide = classes > NAMED_CLASSES
    height = HEIGHT if classes <= 3 else 0.8 * WIDTH if not wide else 1.2 + 0.34 * classes
    figure, axes = canvas(width=2 * WIDTH if wide else WIDTH, height=height)
    _shaded_cells(axes, counts, name_zeros=not wide)
    columns = [in_lines(label, _column_width(classes), lines=2) for label in labels]
    rows = [in_lines(label, 28 if wide else 18, lines=1 if wide else 2) for label in labels]
    if numbered:
        columns = rows = [str(index) for index in range(classes)]
    elif numbers_columns(labels):
        columns = [str(index) for index in range(classes)]
        rows = [_numbered(index, name) for index, name in enumerate(rows)]
    axes.set_xticks(range(classes), columns)
    axes.set_yticks(range(classes), rows)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelcolor=Colour.INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("predicted label" + numbered * ", numbered as in the table of report.html")
    axes.set_ylabel("true label")
    return figure


def numbers_columns(labels: Sequence[str]) -> bool:
    """Whether the columns of a confusion matrix have numbers, because names would be unreadable."""
    classes = len(labels)
    return classes > NAMED_CLASSES or not all(
        fits(label, _column_width(classes), lines=2) for label in labels
    )


def calibration(
    bins: Sequence[Mapping[str, Any]], uncalibrated: Sequence[Mapping[str, Any]] = ()
) -> Figure:
    """Reliability diagram: accuracy against mean confidence of each bin, and the rows per bin.

    Args:
        bins: ``{"low", "high", "n", "confidence", "accuracy"}`` for each; an empty bin has n = 0.
        uncalibrated: the same without the temperature, if the model has one; their rows are not
            drawn.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    filled = [part for part in bins if part["n"]]
    upper.plot([0, 1], [0, 1], color=Colour.MUTED, label="perfectly calibrated", **DASHED)
    before = [part for part in uncalibrated if part["n"]]
    for parts, colour, name in (
        (before, Colour.OTHER, "uncalibrated"),
        (filled, Colour.MODEL, "model"),
    ):
        if parts:
            points = [[part[axis] for part in parts] for axis in ("confidence", "accuracy")]
            upper.plot(*points, "o-", color=colour, label=name, **MARKED)
    upper.set_ylabel("accuracy")
    upper.set_ylim(-0.02, 1.04)
    for part in filled:
        lower.bar(
            part["low"],
            part["n"],
            width=(part["high"] - part["low"]) * 0.9,
            align="edge",
            color=Colour.MODEL,
            alpha=0.45,
        )
    lower.set_ylabel("rows")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lower.yaxis.set_major_formatter(thousands())
    lower.set_xlabel("confidence: probability of the predicted label")
    lower.set_xlim(min([0.5, *(part["low"] for part in (*filled, *before))]) - 0.01, 1.01)
    legend_above(upper)
    return figure


def scatter(true: Floats, predicted: Floats) -> Figure:
    """Predicted against true numbers, with the line where they are equal.

    Args:
        true: true numbers, float64 [P].
        predicted: predicted numbers of the same rows, float64 [P].
    """
    figure, axes = canvas()
    ends = [float(np.min(true)), float(np.max(true))]
    axes.plot(ends, ends, color=Colour.MUTED, label="predicted = true", **DASHED)
    points = floats([true, predicted])
    axes.plot(*points, "o", color=Colour.MODEL, ms=3.5, alpha=0.4, mew=0, label="one row")
    axes.locator_params(axis="x", nbins=5)
    plain_numbers(axes.xaxis, max(map(abs, ends)))
    plain_numbers(axes.yaxis, float(np.abs(points).max()))
    axes.set_xlabel("true number")
    axes.set_ylabel("predicted number")
    legend_above(axes)
    return figure


def lengths(rows: Lengths) -> Figure:
    """Histogram of the rows' lengths in tokens, with the length above which rows are truncated.

    Args:
        rows: lengths of one split; the last bin also contains all longer rows.
    """
    figure, axes = canvas()
    edges = floats(rows.edges)
    cut = edges[:-1] > rows.max_tokens
    counts = np.asarray(rows.counts)
    for mask, colour, name in (
        (~cut, Colour.MODEL, "not truncated"),
        (cut, Colour.SECOND, "truncated" if rows.truncated_rows else "read in pieces"),
    ):
        if counts[mask].any():
            axes.bar(
                edges[:-1][mask],
                counts[mask],
                width=np.diff(edges)[mask] * 0.9,
                align="edge",
                color=colour,
                label=name,
            )
    limit = f"limit: {rows.max_tokens:,} tokens"
    if rows.max_tokens <= 1.5 * edges[-1]:
        axes.axvline(rows.max_tokens + 1, color=Colour.INK, label=limit, **DASHED)
    else:
        axes.plot([], [], " ", label=f"({limit}, outside the figure)")
    axes.set_xlim(left=max(0.0, edges[0]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(thousands())
    axes.yaxis.set_major_formatter(thousands())
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("tokens")
    axes.set_ylabel("training rows")
    legend_above(axes)
    return figure


def _shaded_cells(axes: Axes, counts: np.ndarray[Any, Any], *, name_zeros: bool) -> None:
    """Draw the cells of a confusion matrix; ``name_zeros`` also writes counts of 0."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), count in np.ndenumerate(counts):
        share = float(shares[row, column])
        colour = Colour.MODEL if row == column else Colour.SECOND
        corner = (column - 0.5, row - 0.5)
        shade = 0.08 + 0.92 * share
        axes.add_patch(
            Rectangle(corner, 1, 1, facecolor=colour, edgecolor=Colour.PAPER, lw=1.5, alpha=shade)
        )
        if count or name_zeros:
            ink = Colour.PAPER if share > 0.55 else Colour.INK
            size = 13 if len(counts) <= 3 else 10.5
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size, color=ink)


def _column_width(classes: int) -> int:
    """Letters in one line below a column of the confusion matrix."""
    return 36 // classes


def _numbered(index: int, name: str) -> str:
    return name if name == str(index) else f"{name} · {index}"


def _gap(high: float | None, low: float | None) -> float:
    return float("nan") if high is None or low is None else max(high - low, 0.0)

"""The figures about a search: each is a function from numbers to a Matplotlib figure.

T: trials.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from warmstart.report.canvas import DASHED, WIDTH, canvas, legend_above
from warmstart.report.svg import Colour

MOST_SLICES = 8
"""Largest number of settings that have a panel."""


def history(
    values: Sequence[float | None],
    pruned: Sequence[bool],
    default: float | None,
    title: str,
    *,
    higher_is_better: bool,
) -> Figure:
    """The score of every trial in order, and the best so far.

    Args:
        values: the validation score of each trial; None if it has none, T.
        pruned: whether each trial was stopped early, T.
        default: the score of the config without changes.
        title: title of the metric, for the axis.
        higher_is_better: its direction.
    """
    figure, axes = canvas()
    numbers = np.arange(1, len(values) + 1)
    scores = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    early = np.asarray(pruned, dtype=np.bool_)
    axes.plot(numbers[~early], scores[~early], "o", color=Colour.MODEL, ms=5, label="one trial")
    if early.any():
        axes.plot(
            numbers[early], scores[early], "x", color=Colour.OTHER, ms=5, label="stopped early"
        )
    whole = np.where(early, np.nan, scores)
    filled = np.nan_to_num(whole, nan=-np.inf if higher_is_better else np.inf)
    best = (np.maximum if higher_is_better else np.minimum).accumulate(filled)
    best[~np.isfinite(best)] = np.nan
    axes.step(numbers, best, where="post", color=Colour.SECOND, lw=1.8, label="best so far")
    if default is not None:
        axes.axhline(default, color=Colour.INK, label="config as it is", **DASHED)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(title)
    legend_above(axes)
    return figure


def expected_best(values: Sequence[float], title: str) -> Figure:
    """The expected best score of n random trials.

    Args:
        values: for n = 1, 2, …, T.
        title: title of the metric, for the axis.
    """
    figure, axes = canvas()
    axes.plot(range(1, len(values) + 1), values, "o-", color=Colour.MODEL, lw=1.8, ms=4)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("number of trials")
    axes.set_ylabel(f"expected best {title}")
    return figure


def importance(shares: Mapping[str, float]) -> Figure:
    """How much of the differences between scores each setting explains.

    Args:
        shares: share of each setting; they sum to 1.
    """
    figure, axes = canvas(height=1.1 + 0.36 * len(shares))
    names = list(shares)
    axes.barh(range(len(names)), list(shares.values()), height=0.6, color=Colour.MODEL)
    axes.set_yticks(range(len(names)), [_short(name) for name in names], color=Colour.INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("importance")
    return figure


def setting_slices(
    trials: Sequence[Mapping[str, Any]], values: Sequence[float], title: str
) -> Figure:
    """The score of every trial against its value of each setting, one panel for each setting.

    Args:
        trials: settings of each finished trial by name, T.
        values: its score, T.
        title: title of the metric, for the axis.
    """
    names = list(trials[0])[:MOST_SLICES]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2 * WIDTH, 0.5 + 2.3 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True, squeeze=False)).ravel()
    for panel, name in zip(panels, names, strict=False):
        chosen = [trial[name] for trial in trials]
        _place(panel, chosen, values)
        panel.set_xlabel(_short(name))
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for row in range(rows):
        panels[row * columns].set_ylabel(title)
    return figure


def parallel(trials: Sequence[Mapping[str, Any]], values: Sequence[float], title: str) -> Figure:
    """One line for each trial through its value of every setting to its score; the best in colour.

    Args:
        trials: settings of each finished trial by name, T.
        values: its score, T; the best is the first.
        title: title of the metric.
    """
    names = list(trials[0])[:MOST_SLICES]
    figure, axes = canvas(width=2 * WIDTH, height=3.2)
    heights = [_heights([trial[name] for trial in trials]) for name in names]
    heights.append(_heights(list(values)))
    lines = np.array([height for height, _ in heights]).T  # [T, names + 1]
    for number in reversed(range(len(lines))):
        best = number == 0
        axes.plot(
            lines[number], color=Colour.SECOND if best else Colour.OTHER, lw=2.2 if best else 0.9,
            alpha=1 if best else 0.7, label="best trial" if best else None,
        )  # fmt: skip
    for place, (_, ends) in enumerate(heights):
        for height, text in ends:
            axes.annotate(
                text, (place, height), xytext=(4, 0), textcoords="offset points", va="center",
                color=Colour.MUTED, fontsize=9,
            )  # fmt: skip
    axes.set_xticks(range(len(names) + 1), [*map(_short, names), title], color=Colour.INK)
    axes.set_xlim(-0.15, len(names) + 0.5)
    axes.set_yticks([])
    axes.set_ylim(-0.08, 1.08)
    axes.spines["left"].set_visible(False)
    legend_above(axes)
    return figure


def _heights(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Places of values between 0 and 1, on a logarithmic scale if they span it; and tick texts."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        log = low > 0 and high / low >= 30
        scale = np.log if log else np.asarray
        span = float(scale(high) - scale(low)) or 1.0
        places = [float(scale(value) - scale(low)) / span for value in values]
        return places, [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")] if low < high else [
            (0.0, f"{low:.3g}")
        ]
    texts = sorted({str(value) for value in values})
    at = {text: place / max(len(texts) - 1, 1) for place, text in enumerate(texts)}
    return [at[str(value)] for value in values], [(place, text) for text, place in at.items()]


def _place(panel: Any, chosen: Sequence[Any], values: Sequence[float]) -> None:
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in chosen)
    if numeric:
        panel.plot(chosen, values, "o", color=Colour.MODEL, ms=4.5, alpha=0.8)
        if min(chosen) > 0 and max(chosen) / min(chosen) >= 30:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.xaxis.set_minor_formatter(NullFormatter())
        else:
            panel.locator_params(axis="x", nbins=4)
        return
    texts = sorted({str(value) for value in chosen})
    places = [texts.index(str(value)) for value in chosen]
    panel.plot(places, values, "o", color=Colour.MODEL, ms=4.5, alpha=0.8)
    panel.set_xticks(range(len(texts)), texts)


def _short(name: str) -> str:
    """The name of a setting without its group."""
    return name.partition(".")[2] or name

"""Convert a Matplotlib figure to SVG for an HTML page, and to a separate PNG file.

Figures use the light colours of ``Colour``. In the page each colour is replaced by a CSS variable,
so that one SVG works for the light and the dark theme. Text is kept as text with the page's fonts:
labels in any script are readable and searchable, and the file is small.

The colours are from the palette of Okabe and Ito (2008), "Color Universal Design", which people
with any common colour blindness can distinguish.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

PNG_DOTS_PER_INCH = 200

FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
)
"""Tried in this order for every character; the first one comes with Matplotlib. Other installed
fonts are used for characters that none of these has."""


class Colour:
    """Colours by purpose; in the page, ``INK`` becomes the CSS variable ``--ink``."""

    INK = "#1f2430"
    MUTED = "#667085"
    LINE = "#d5dae3"
    PAPER = "#fefefe"
    MODEL = "#0072b2"
    SECOND = "#d55e00"
    OTHER = "#8a94a6"


STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "warmstart",
    "font.size": 10.5,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": Colour.LINE,
    "axes.labelcolor": Colour.MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.parse_math": False,
    "axes.grid": True,
    "grid.color": Colour.LINE,
    "grid.linewidth": 0.6,
    "text.color": Colour.INK,
    "xtick.color": Colour.LINE,
    "ytick.color": Colour.LINE,
    "xtick.labelcolor": Colour.MUTED,
    "ytick.labelcolor": Colour.MUTED,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.borderpad": 0.0,
    "legend.labelcolor": Colour.INK,
}


@contextmanager
def drawing(texts: Sequence[str] = ()) -> Iterator[None]:
    """Use the report's style inside the ``with`` block; Matplotlib's settings are then restored.

    Args:
        texts: texts in any script that the figures contain; installed fonts are searched for them.
    """
    style: Any = STYLE | {"font.family": _fonts_for("".join(texts))[0]}
    with matplotlib.rc_context(style):
        yield


def can_draw(text: str) -> bool:
    """Whether the installed fonts have every character, so that a PNG shows no empty boxes."""
    return not _fonts_for(text)[1]


def to_png(figure: Figure, path: Path) -> None:
    """Write the figure as PNG on the light theme's background, for any file suffix.

    The layout that is computed here is kept, because computing it takes as long as drawing.
    """
    FigureCanvasAgg(figure).print_figure(
        path, format="png", dpi=PNG_DOTS_PER_INCH, facecolor=Colour.PAPER
    )
    figure.set_layout_engine("none")


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element for a page with several figures.

    Args:
        figure: a figure created inside ``drawing()``.
        name: prefix that makes this element's ids different from those of other figures.
        description: what the figure shows, for screen readers.
    """
    content = StringIO()
    with warnings.catch_warnings():
        # The text is drawn by the browser, which has other fonts.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        FigureCanvasSVG(figure).print_figure(
            content,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # ids of groups are not used
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    # Without the name of a font, the text has the page's own fonts.
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]*; ?", "", svg)
    for name_of, colour in vars(Colour).items():
        if name_of.isupper():
            svg = svg.replace(colour, f"var(--{name_of.lower()})")
    view_box = re.search(r'viewBox="[^"]*"', svg)
    opening = (
        f'<svg {view_box[0] if view_box else ""} role="img" aria-label="{escape(description)}">'
    )
    return re.sub(r"<svg.*?>", lambda _: opening, svg, count=1, flags=re.DOTALL)


def _fonts_for(text: str) -> tuple[list[str], set[int]]:
    """Names of fonts to draw a text with, and the characters that no installed font has."""
    places = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    names = [name for name in FONTS if name in places]
    missing = set(map(ord, text))
    for name in names:
        missing -= _characters(places[name])
    for name, place in places.items():
        is_last_resort = "lastresort" in name.lower().replace(" ", "")  # it has boxes only
        if missing and not is_last_resort and missing & _characters(place):
            names.append(name)
            missing -= _characters(place)
    return names, missing


@cache
def _characters(place: str) -> frozenset[int]:
    """The characters of the font in this file; none if Matplotlib cannot draw with it."""
    try:
        font = font_manager.get_font(place)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()

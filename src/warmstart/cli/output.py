"""Output of the commands: results go to stdout, everything else to stderr.

Tables show each score with its interval and n, next to the baselines. No information depends on
colour alone.
"""

import json
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

from warmstart import errors

if TYPE_CHECKING:
    from warmstart.runs.titles import Titles


def runnable(text: str) -> str:
    """Text in which every ``warmstart COMMAND`` and ``pip install`` works as printed.

    If the program was started by a path or with ``python -m``, it may not be on the ``PATH``.

    Args:
        text: a message with commands, or a command.
    """
    from warmstart.cli.app import app

    started = Path(sys.argv[0])
    if started.name not in ("warmstart", "__main__.py") or _is_on_path(started):
        return text
    python = _shown(Path(sys.executable))
    program = _shown(started) if started.name == "warmstart" else f"{python} -m warmstart"
    names = "|".join(str(command.name) for command in app.registered_commands)
    text = re.sub(rf"(?<![\w-])(?<!-m )warmstart(?= (?:{names})\b)", lambda _: program, text)
    return re.sub(r"\bpip install", lambda _: f"{python} -m pip install", text)


def _is_on_path(started: Path) -> bool:
    """Whether the name of the program alone starts this program."""
    found = shutil.which(started.name)
    return found is not None and Path(found).resolve() == started.resolve()


def _shown(path: Path) -> str:
    """The path as an argument of a shell, relative to the working directory if it is below it."""
    path = path.absolute()
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def result(content: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a command's result on stdout: as one JSON object or as text.

    Args:
        content: the result as JSON values.
        text: the result as text for the user.
        as_json: print ``content`` as JSON instead of ``text``.

    Raises:
        RunError: stdout is redirected to a disk that is full.
    """
    if as_json:
        # If stdout is not UTF-8, characters outside of ASCII are written as \u escapes.
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        text = json.dumps(content, ensure_ascii=ascii_only, allow_nan=False)
    write(text + "\n")


def write(text: str) -> None:
    """Write text to stdout immediately and without a line break, for streamed results.

    Raises:
        RunError: stdout is redirected to a disk that is full.
    """
    try:
        typer.echo(text, nl=False)
    except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe; Typer exits
        raise
    except OSError as error:
        raise errors.run.cannot_write(Path("stdout"), error) from error


def show(*renderables: RenderableType) -> None:
    """Print to stderr with the width of the terminal (80 columns without a terminal)."""
    # Brackets and colons in file names and labels must not be interpreted as Rich markup.
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    # After `2>&1 | head`, nobody reads stderr any more: rich then exits. A training must go on.
    with suppress(OSError, SystemExit):
        for renderable in renderables:
            console.print(renderable)


@contextmanager
def notes() -> Iterator[None]:
    """Collect the warnings raised inside the block and print each as one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        show(f"note: {warning.message}")


def scores_table(
    split: str,
    metrics: Mapping[str, Any],
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
    titles: "Titles | None" = None,
) -> Table:
    """A table of one split's scores with intervals, and of the baselines' scores.

    Args:
        split: name of the split.
        metrics: ``{metric: {"value", "low", "high", "n"}}``.
        baselines: the same for each baseline.
        titles: names of the baselines, needed if there are any, and what ``n`` counts.
    """
    baselines = baselines or {}
    n = next(iter(metrics.values()))["n"] if metrics else 0
    title = f"{split}, n = {n:,}{f' {titles.unit}' if titles else ''}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    lower = any(not score["higher_is_better"] for score in metrics.values())
    table.add_column("↓: lower is better" if lower else "", overflow="fold")
    table.add_column("model [95 % interval]", justify="right", overflow="fold")
    for baseline in baselines:
        assert titles is not None
        # The terminal is narrow: "TF-IDF with logistic regression" is "TF-IDF".
        title = titles.baseline_head(baseline).partition(" with ")[0]
        table.add_column(title, justify="right", max_width=12, overflow="fold")
    for name, score in metrics.items():
        table.add_row(
            name.replace("_", " ") + ("" if score["higher_is_better"] else " ↓"),
            with_interval(score),
            *(decimal(scores[name]["value"]) for scores in baselines.values()),
        )
    return table


def with_interval(score: Mapping[str, Any]) -> str:
    """``0.456 [0.401, 0.512]``, or ``undefined``."""
    if score["value"] is None or score["low"] is None:
        return decimal(score["value"])
    value, low, high = (decimal(score[part]) for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def decimal(value: float | None) -> str:
    """A number with three decimals, or ``undefined``."""
    from warmstart.runs.words import MINUS, decimals

    return "undefined" if value is None else decimals(value).replace(MINUS, "-")

"""``warmstart compare``: differences between runs, with intervals, tests and verdicts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from warmstart.cli.app import Json
from warmstart.cli.output import decimal, result, show, with_interval

if TYPE_CHECKING:
    from rich.table import Table

    from warmstart.evaluation.compare import ComparedRuns


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, or folders of runs; runs that differ only in seeds are one "
            "setting.",
        ),
    ],
    metric: Annotated[
        str | None, typer.Option(metavar="M", help="Metric; default: the task's main metric.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(metavar="X", help="Smallest difference that matters, in the metric's unit."),
    ] = 0.01,
    split: Annotated[
        Literal["test", "validation"], typer.Option(help="The split whose rows are used.")
    ] = "test",
    common_rows: Annotated[
        bool, typer.Option("--common-rows", help="Use only the rows that all runs have.")
    ] = False,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="F", help="File with predictions of another program for these rows."),
    ] = None,
    prediction_column: Annotated[
        str | None, typer.Option(metavar="COL", help="Its column with the predictions.")
    ] = None,
    row_column: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Its column with row numbers; default: in row order."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare runs on the same rows: which is better, and is that certain?"""
    from warmstart import errors
    from warmstart.evaluation.compare import compare as compared
    from warmstart.evaluation.other_predictions import OtherPredictions

    other = None
    if predictions is not None and prediction_column is not None:
        other = OtherPredictions(predictions, prediction_column, row_column)
    elif predictions is not None:
        raise errors.comparison.option_without("--predictions", "--prediction-column")
    elif prediction_column is not None or row_column is not None:
        option = "--row-column" if prediction_column is None else "--prediction-column"
        raise errors.comparison.option_without(option, "--predictions")
    found = compared(
        *runs, metric=metric, margin=margin, split=split, common_rows=common_rows, predictions=other
    )
    show(compared_scores(found), differences(found), *found.notes)
    result(found.to_json(), "\n".join(pair.in_words() for pair in found.pairs), as_json=as_json)


def compared_scores(found: "ComparedRuns") -> "Table":
    """A table of every side with its score.

    Args:
        found: the result.
    """
    lower = "" if found.higher_is_better else ", lower is better"
    n = f"n = {found.runs[0].n:,} {found.unit}"
    table = _table(f"{found.metric.replace('_', ' ')} on {found.split}, {n}{lower}")
    table.add_column("run", overflow="fold")
    table.add_column("score [95 % interval]", justify="right", overflow="fold")
    for one in found.runs:
        table.add_row(one.name, with_interval(one.to_json()))
    return table


def differences(found: "ComparedRuns") -> "Table":
    """A table of every comparison.

    Args:
        found: the result.
    """
    table = _table(f"differences, margin {found.margin:g}")
    for title in ("a", "b", "a - b [95 % interval]", "p", "p, Holm", "McNemar"):
        table.add_column(title, justify="left" if title in "ab" else "right", overflow="fold")
    for pair in found.pairs:
        value, low, high, p = pair.found
        exact = ""
        if pair.mcnemar is not None:
            one, other, exact_p = pair.mcnemar
            exact = f"{one:,} : {other:,}, p {_p(exact_p)}"
        score = with_interval({"value": value, "low": low, "high": high})
        table.add_row(pair.a, pair.b, score, _p(p), _p(pair.p_adjusted), exact)
    return table


def _table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)


def _p(value: float | None) -> str:
    if value is None:
        return "undefined"
    return "< 0.001" if value < 0.001 else decimal(value)

"""``warmstart export``: write a finished run as ONNX; print the checks and the speed."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from warmstart.cli.app import Json, RunArgument
from warmstart.cli.output import result, show
from warmstart.errors.counts import counted


def export(
    run: RunArgument,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write a model with 8-bit weights.")
    ] = False,
    max_drop: Annotated[
        float,
        typer.Option(
            metavar="X", min=0, help="Largest accepted drop of the main metric with --int8."
        ),
    ] = 0.01,
    as_json: Json = False,
) -> None:
    """Export a run's model to ONNX and verify it against PyTorch."""
    from warmstart import api
    from warmstart.runs.directory import RunDirectory

    content = api.load(run).export(int8=int8, max_drop=max_drop)
    show(*checks(content), speeds(content))
    folder = RunDirectory(run).entry("export")
    files = "\n".join(str(folder / name) for name in content["files"])
    result(content, files, as_json=as_json)


def checks(content: Mapping[str, Any]) -> list[str]:
    """The comparisons of the ONNX model with PyTorch, one line each.

    Args:
        content: the content of ``parity.json``.
    """
    rows, metric = content["rows"], content["rows"]["metric"]
    shapes = [f"{shape['rows']}x{_lengths(shape['tokens'])}" for shape in content["shapes"]]
    largest = max(shape["max_difference"] for shape in content["shapes"])
    name = metric["name"].replace("_", " ")
    same = "" if "greedy" in content else " same predictions,"
    lines = [
        f"batch shapes {', '.join(shapes)}: logits differ by at most {largest:.1e}",
        f"{counted(rows['compared'], 'row')} of {rows['split']}: logits differ by at most "
        f"{rows['max_difference']:.1e},{same} {name} {_number(metric['torch'])} (PyTorch) and "
        f"{_number(metric['onnx'])} (ONNX)",
    ]
    if "greedy" in content:
        greedy = content["greedy"]
        ties = f"; {greedy['ties']} compared only up to a tie" if greedy["ties"] else ""
        lines.append(
            f"greedy generation with the KV cache: {counted(greedy['steps'], 'step')} from "
            f"{counted(greedy['texts'], 'prompt')}, the same "
            f"{counted(greedy['tokens'], 'token')}{ties}"
        )
    for engine, counts in content["fused"].items():
        fused = ", ".join(f"{count} {operator}" for operator, count in counts.items() if count)
        lines.append(
            f"{engine}: fused operators: {fused}" if fused else f"{engine}: no fused operators"
        )
    if content["int8"]:
        int8 = content["int8"]["metric"]
        lines.append(
            f"int8: drop of {name} (negative: a rise) {_number(int8['drop'])} "
            f"[{_number(int8['low'])}, {_number(int8['high'])}] on "
            f"{counted(int8['rows'], 'row')}; accepted: at most {int8['max_drop']:g}"
        )
    if any(file.endswith(".data") for file in content["files"]):
        lines.append(
            "over 2 GB: the weights are in a separate .data file; keep it in the model's folder"
        )
    return lines


def speeds(content: Mapping[str, Any]) -> Table:
    """Size and speed of each engine.

    Args:
        content: the content of ``parity.json``.
    """
    speed = content["speed"]
    generates, threads = "texts_together" in speed, speed["threads"]
    what = "greedy generation" if generates else "without tokenisation"
    table = Table(
        title=f"speed on this machine, {threads} thread{'s' * (threads != 1)}, {what}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    rates = ("one row, ms", "rows/s in batches")
    if generates:
        rates = ("tokens/s, one text", f"tokens/s, {speed['texts_together']} texts at once")
    for column in ("engine", "MiB", *rates):
        table.add_column(column, justify="left" if column == "engine" else "right")
    files = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
    for engine, speeds_of_engine in speed["engines"].items():
        size = sum(
            facts["bytes"]
            for name, facts in content["files"].items()
            if engine in files and name.removesuffix(".data") == files[engine]
        )
        mib = f"{size / 2**20:,.1f}" if size else ""
        cells = (f"{value:,.{places}f}" for places, value in _rates(speeds_of_engine))
        table.add_row(engine, mib, *cells)
    return table


def _rates(speed: Mapping[str, float]) -> list[tuple[int, float]]:
    """The two speeds of an engine, for one row and in batches: (decimal places, value)."""
    if "one_row_ms" in speed:
        return [(2, speed["one_row_ms"]), (0, speed["rows_per_second"])]
    return [(1, speed["tokens_per_second"]), (1, speed["tokens_per_second_together"])]


def _lengths(tokens: int | list[int]) -> str:
    """Tokens per row; ``a+b`` if the row was fed in two calls, the second with the KV cache."""
    return "+".join(map(str, tokens)) if isinstance(tokens, list) else str(tokens)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"

"""``warmstart export``: a finished run as ONNX, with what was checked and what it gains."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from warmstart.cli.app import Json, RunArgument
from warmstart.cli.output import result, show


def export(
    run: RunArgument,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write a model with weights of 8 bits.")
    ] = False,
    max_drop: Annotated[
        float, typer.Option(metavar="X", min=0, help="What int8 may cost of the main metric.")
    ] = 0.01,
    as_json: Json = False,
) -> None:
    """Write a run's model as ONNX, verified against PyTorch."""
    from warmstart import api

    content = api.load(run).export(int8=int8, max_drop=max_drop)
    show(*checks(content), speeds(content))
    files = "\n".join(str(run / "export" / name) for name in content["files"])
    result(content, files, as_json=as_json)


def checks(content: Mapping[str, Any]) -> list[str]:
    """What was compared, a line each.

    Args:
        content: of ``parity.json``.
    """
    rows, metric = content["rows"], content["rows"]["metric"]
    shapes = [f"{shape['rows']}x{shape['tokens']}" for shape in content["shapes"]]
    largest = max(shape["max_difference"] for shape in content["shapes"])
    name = metric["name"].replace("_", " ")
    lines = [
        f"shapes {', '.join(shapes)}: logits within {largest:.1e}",
        f"{rows['compared']:,} rows of {rows['split']}: logits within {rows['max_difference']:.1e},"
        f" the same labels, {name} {_number(metric['torch'])} and {_number(metric['onnx'])}",
    ]
    for engine, counts in content["fused"].items():
        fused = ", ".join(f"{count} {operator}" for operator, count in counts.items() if count)
        lines.append(f"{engine}: fused into {fused}" if fused else f"{engine}: nothing fused")
    if content["int8"]:
        found = content["int8"]["metric"]
        lines.append(
            f"int8 loses {_number(found['drop'])} of {name} [{_number(found['low'])},"
            f" {_number(found['high'])}] on {found['rows']:,} rows, at most {found['max_drop']:g}"
            " accepted"
        )
    if any(file.endswith(".data") for file in content["files"]):
        lines.append("over 2 GB: the weights are in a .data file, to be kept beside the model")
    return lines


def speeds(content: Mapping[str, Any]) -> Table:
    """Size and speed of each engine.

    Args:
        content: of ``parity.json``.
    """
    speed = content["speed"]
    table = Table(
        title=f"measured here, {speed['threads']} threads, from tokenised rows",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for column in ("engine", "MiB", "one row, ms", "rows/s together"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    sizes = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
    for engine, found in speed["engines"].items():
        size = sum(
            facts["bytes"]
            for name, facts in content["files"].items()
            if engine in sizes and name.removesuffix(".data") == sizes[engine]
        )
        table.add_row(
            engine,
            f"{size / 2**20:,.1f}" if size else "",
            f"{found['one_row_ms']:.2f}",
            f"{found['rows_per_second']:,.0f}",
        )
    return table


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"

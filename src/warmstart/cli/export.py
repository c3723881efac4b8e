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
    from warmstart.runs.directory import RunDirectory

    content = api.load(run).export(int8=int8, max_drop=max_drop)
    show(*checks(content), speeds(content))
    folder = RunDirectory(run).entry("export")
    files = "\n".join(str(folder / name) for name in content["files"])
    result(content, files, as_json=as_json)


def checks(content: Mapping[str, Any]) -> list[str]:
    """What was compared, a line each.

    Args:
        content: of ``parity.json``.
    """
    rows, metric = content["rows"], content["rows"]["metric"]
    shapes = [f"{shape['rows']}x{_calls(shape['tokens'])}" for shape in content["shapes"]]
    largest = max(shape["max_difference"] for shape in content["shapes"])
    name = metric["name"].replace("_", " ")
    same = "" if "greedy" in content else " the same answers,"
    lines = [
        f"shapes {', '.join(shapes)}: logits within {largest:.1e}",
        f"{rows['compared']:,} rows of {rows['split']}: logits within {rows['max_difference']:.1e},"
        f"{same} {name} {_number(metric['torch'])} and {_number(metric['onnx'])}",
    ]
    if "greedy" in content:
        found = content["greedy"]
        ties = f"; {found['ties']} ended earlier, by a tie" if found["ties"] else ""
        lines.append(
            f"greedy, with the cache: {found['steps']} steps from {found['texts']} beginnings, the"
            f" same {found['tokens']:,} tokens{ties}"
        )
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
    writes = "texts_together" in speed
    what = "the likeliest token each time" if writes else "from tokenised rows"
    table = Table(
        title=f"measured here, {speed['threads']} threads, {what}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    told = ("one row, ms", "rows/s together")
    if writes:
        told = ("tokens/s, one text", f"tokens/s, {speed['texts_together']} together")
    for column in ("engine", "MiB", *told):
        table.add_column(column, justify="left" if column == "engine" else "right")
    sizes = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
    for engine, found in speed["engines"].items():
        size = sum(
            facts["bytes"]
            for name, facts in content["files"].items()
            if engine in sizes and name.removesuffix(".data") == sizes[engine]
        )
        mib = f"{size / 2**20:,.1f}" if size else ""
        table.add_row(engine, mib, *(f"{value:,.{places}f}" for places, value in _rates(found)))
    return table


def _rates(found: Mapping[str, float]) -> list[tuple[int, float]]:
    """Of an engine two figures, alone and together, with their decimal places."""
    if "one_row_ms" in found:
        return [(2, found["one_row_ms"]), (0, found["rows_per_second"])]
    return [(1, found["tokens_per_second"]), (1, found["tokens_per_second_together"])]


def _calls(tokens: int | list[int]) -> str:
    """Tokens of a row; of one that is read in parts those of each."""
    return "+".join(map(str, tokens)) if isinstance(tokens, list) else str(tokens)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"

"""``warmstart evaluate`` and ``warmstart predict``: what a finished run is for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from warmstart.cli.app import Json, RunArgument, Set
from warmstart.cli.output import notes, result, scores_table, show

Engine = Literal["torch", "onnx", "int8"]
"""``warmstart.serving.engines.EngineName``, spelt out so that ``--help`` answers at once."""


def evaluate(
    run: RunArgument,
    data: Annotated[list[str], typer.Option("--data", metavar="F", help="Labelled file(s).")],
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Score a run's model on a labelled file."""
    from warmstart import api

    with notes():
        scores = api.load(run).evaluate(data, sets or ())
    show(scores_table(", ".join(data), scores, {}))
    content = {"run": str(run), "data": data, "scores": scores}
    main = next(iter(scores))
    value = scores[main]["value"]
    text = f"{main.replace('_', ' ')} {'undefined' if value is None else format(value, '.3f')}"
    result(content, text, as_json=as_json)


def predict(
    run: RunArgument,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="May be repeated.")
    ] = None,
    text_pair: Annotated[
        list[str] | None,
        typer.Option("--text-pair", metavar="TEXT", help="Second text, one for each --text."),
    ] = None,
    data: Annotated[list[str] | None, typer.Option("--data", metavar="F")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="F", help="Write .csv, .parquet or .jsonl."),
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option(help="What runs the model; default: onnx once the run was exported."),
    ] = None,
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Answer texts, or every row of a file."""
    from warmstart import api, errors
    from warmstart.serving.predictor import predictions_json, refuse_output, write_predictions

    if bool(text or text_pair) == bool(data):
        raise errors.command.text_or_data()
    if not data and (sets or output):
        raise errors.command.only_with_data(f"--set {sets[0]}" if sets else f"--output {output}")
    if output is not None:
        refuse_output(output)
    opened = api.load(run)
    if not data:
        with notes():
            answers = opened.predict(text or [], text_pair or None, engine=engine)
    else:
        with notes():
            table = opened.predict_file(data, sets or (), engine=engine)
        if output is not None:
            write_predictions(table, output)
            content = {"predictions": len(table), "output": str(output)}
            result(content, f"{len(table):,} predictions in {output}", as_json=as_json)
            return
        answers = predictions_json(table)
    lines = [_shown(answer) + "  (truncated)" * answer["truncated"] for answer in answers]
    result({"predictions": answers}, "\n".join(lines), as_json=as_json)


def _shown(answer: Mapping[str, Any]) -> str:
    """A label or several with their probability, or a number.

    Of masks a line for each, its likeliest tokens with their probability.
    """
    if "score" in answer:
        return f"{answer['score']:.3f}"
    if "value" in answer:
        return f"{answer['value']:.4g}"
    if "labels" in answer:
        shares = answer["probabilities"]
        if not answer["labels"]:
            likeliest = max(shares, key=shares.__getitem__)
            return f"none  (likeliest: {likeliest} {shares[likeliest]:.3f})"
        return "  ".join(f"{label} {shares[label]:.3f}" for label in answer["labels"])
    if "masks" not in answer:
        return f"{answer['label']}  {answer['probabilities'][answer['label']]:.3f}"
    return "\n".join(
        "  ".join(f"{found['token']} {found['probability']:.3f}" for found in mask)
        for mask in answer["masks"]
    )

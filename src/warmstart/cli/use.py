"""The commands that use a finished run: ``warmstart evaluate`` and ``warmstart predict``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from warmstart.cli.app import Json, RunArgument, Set
from warmstart.cli.output import notes, result, scores_table, show

Engine = Literal["torch", "onnx", "int8"]
"""Same as ``warmstart.serving.engines.EngineName``; not imported, to keep ``--help`` fast."""


def evaluate(
    run: RunArgument,
    data: Annotated[
        list[str], typer.Option("--data", metavar="F", help="Labelled file; may be repeated.")
    ],
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run's model on a labelled file."""
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
        list[str] | None,
        typer.Option("--text", metavar="TEXT", help="Text to predict; may be repeated."),
    ] = None,
    text_pair: Annotated[
        list[str] | None,
        typer.Option("--text-pair", metavar="TEXT", help="Second text, one for each --text."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="F", help="File to predict; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="F", help="File for the predictions: .csv, .parquet, .jsonl."
        ),
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option(help="Runtime for the model; default: onnx if the run was exported."),
    ] = None,
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Predict for texts, or for every row of a file."""
    from warmstart import api, errors
    from warmstart.serving.predictor import predictions_json, refuse_output, write_predictions

    if bool(text or text_pair) == bool(data):
        raise errors.command.text_or_data()
    if not data and (sets or output):
        raise errors.command.only_with_data(f"--set {sets[0]}" if sets else f"--output {output}")
    if output is not None:
        refuse_output(output)
    loaded = api.load(run)
    if not data:
        with notes():
            predictions = loaded.predict(text or [], text_pair or None, engine=engine)
    else:
        with notes():
            table = loaded.predict_file(data, sets or (), engine=engine)
        if output is not None:
            write_predictions(table, output)
            content = {"predictions": len(table), "output": str(output)}
            result(content, f"{len(table):,} predictions in {output}", as_json=as_json)
            return
        predictions = predictions_json(table)
    lines = [_as_text(one) + "  (truncated)" * one["truncated"] for one in predictions]
    result({"predictions": predictions}, "\n".join(lines), as_json=as_json)


def _as_text(prediction: Mapping[str, Any]) -> str:
    """The labels with their probabilities, or the predicted number or score.

    For fill-mask one line per mask, with its most likely tokens and their probabilities.
    """
    if "score" in prediction:
        return f"{prediction['score']:.3f}"
    if "value" in prediction:
        return f"{prediction['value']:.4g}"
    if "labels" in prediction:
        probabilities = prediction["probabilities"]
        if not prediction["labels"]:
            best = max(probabilities, key=probabilities.__getitem__)
            return f"none  (most likely: {best} {probabilities[best]:.3f})"
        return "  ".join(f"{label} {probabilities[label]:.3f}" for label in prediction["labels"])
    if "masks" not in prediction:
        return f"{prediction['label']}  {prediction['probabilities'][prediction['label']]:.3f}"
    return "\n".join(
        "  ".join(f"{token['token']} {token['probability']:.3f}" for token in mask)
        for mask in prediction["masks"]
    )

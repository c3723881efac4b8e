"""The commands that use a finished run: ``warmstart evaluate`` and ``warmstart predict``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from warmstart.cli.app import Json, RunArgument, Set
from warmstart.cli.output import notes, result, scores_table, show

if TYPE_CHECKING:
    from warmstart.tasks.task import Prediction

Engine = Literal["torch", "onnx", "int8"]
"""Same as ``warmstart.serving.engine.EngineName``; not imported, to keep ``--help`` fast."""


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
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.titles import Titles
    from warmstart.runs.words import sample_in_words
    from warmstart.serving.file_evaluation import evaluate_file
    from warmstart.serving.predictor import file_config

    opened = api.load(run)
    file_config(opened.config, sets or ())  # refused before the model is opened
    with notes():
        engine, directory = opened.open("torch"), RunDirectory(opened.path)
        found = evaluate_file(engine, directory, data, sets or (), baselines=True)
    scores, folder = found.scores, found.folder
    show(scores_table(", ".join(data), scores, found.baselines, Titles.of(engine.task)))
    if sample := sample_in_words(opened.config.data):
        show(sample)
    content = {
        "run": str(run),
        "data": data,
        "scores": scores,
        "baselines": found.baselines,
        "output": str(folder),
    }
    main = next(iter(scores))
    value = scores[main]["value"]
    text = f"{main.replace('_', ' ')} {'undefined' if value is None else format(value, '.3f')}"
    text += (
        f"\nscores       {folder / 'scores.json'}\npredictions  {folder / 'predictions.parquet'}"
        f"\nreport       warmstart report {shlex.quote(str(run))} adds these scores and figures"
    )
    result(content, text, as_json=as_json)


_FORMATS = ".csv, .parquet, .jsonl; for tags also .conll"


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
        typer.Option("--output", "-o", metavar="F", help=f"File for the predictions: {_FORMATS}."),
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
    from warmstart.serving.predictor import (
        file_config,
        predict_file,
        predict_texts,
        refuse_output,
        write_predictions,
    )

    if bool(text or text_pair) == bool(data):
        raise errors.command.text_or_data()
    if not data and (sets or output):
        raise errors.command.only_with_data(f"--set {sets[0]}" if sets else f"--output {output}")
    if output is not None:
        refuse_output(output, Path(run))
    opened = api.load(run)
    if data:
        file_config(opened.config, sets or ())  # refused before the model is opened
    with notes():
        model = opened.open(engine)
        if not data:
            found: list[Prediction] = predict_texts(model, text or [], text_pair or None)
        else:
            of_file = predict_file(model, data, sets or ())
            found = list(of_file.predictions) if output is None else []
    if data and output is not None:
        write_predictions(of_file, output)
        content = {"predictions": len(of_file.predictions), "output": str(output)}
        count = len(of_file.predictions)
        text_result = f"{count:,} prediction{'s' * (count != 1)} in {output}"
        result(content, text_result, as_json=as_json)
        return
    lines = [one.shown() + "  (truncated)" * one.truncated for one in found]
    result({"predictions": [one.to_json() for one in found]}, "\n".join(lines), as_json=as_json)

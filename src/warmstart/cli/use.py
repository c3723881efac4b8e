"""The commands that use a finished run: ``warmstart evaluate`` and ``warmstart predict``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from warmstart.cli.app import ENGINE_HELP, Json, RunArgument, Set
from warmstart.cli.file_options import (
    Data,
    KeepColumns,
    OverwriteFile,
    Text,
    TextPair,
    refuse_options_without_effect,
)
from warmstart.cli.output import notes, result, scores_table, show

if TYPE_CHECKING:
    from warmstart.serving.predictor import FilePredictions

Engine = Literal["torch", "onnx", "int8"]
"""Same as ``warmstart.serving.engine.EngineName``; not imported, to keep ``--help`` fast."""


def evaluate(
    run: RunArgument,
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="F", help="Labelled file; may be repeated; -: stdin."),
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
    from warmstart.serving.file_settings import file_config

    opened = api.load(run)
    file_config(opened.config, sets or (), data)  # refused before the model is opened
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


# The options of `predict`.
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="F", help=f"File for the predictions: {_FORMATS}."),
]
TopK = Annotated[
    int | None,
    typer.Option(metavar="N", help="Show only the N most probable labels, the best first."),
]


def predict(
    run: RunArgument,
    text: Text = None,
    text_pair: TextPair = None,
    data: Data = None,
    output: OutputFile = None,
    overwrite: OverwriteFile = False,
    top_k: TopK = None,
    keep_columns: KeepColumns = False,
    engine: Annotated[Engine | None, typer.Option(help=ENGINE_HELP)] = None,
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Predict for texts, or for every row of a file."""
    from warmstart import api, errors
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.loaded_run import load_task
    from warmstart.serving.file_settings import file_config
    from warmstart.serving.prediction_files import refuse_output
    from warmstart.serving.predictor import (
        predict_file,
        predict_texts,
        prediction_text,
        refuse_top_k,
    )

    if bool(text or text_pair) == bool(data):
        raise errors.command.text_or_data("predict", both=bool(data))
    refuse_options_without_effect(
        "predict",
        data,
        output,
        sets,
        overwrite=overwrite,
        keep_columns=keep_columns,
        as_json=as_json,
    )
    if keep_columns and output is not None and output.suffix == ".conll":
        raise errors.command.only_for_rows("--keep-columns", "predict", "predictions.csv")
    if output is not None:
        refuse_output(output, run, data or (), overwrite=overwrite)
    opened = api.load(run)
    if data:
        # Refused before the model is opened.
        file_config(opened.config, sets or (), data, labelled=False)
    if top_k is not None:
        refuse_top_k(load_task(RunDirectory(opened.path))[1], top_k)
    if not data:
        with notes():
            model = opened.open(engine)
            answers = predict_texts(model, text or [], text_pair or None, top_k=top_k)
        content = {"predictions": [one.to_json() for one in answers]}
        result(content, "\n".join(map(prediction_text, answers)), as_json=as_json)
        return
    with notes():
        found = predict_file(
            opened.open(engine), data, sets or (), top_k=top_k, keep_columns=keep_columns
        )
    _print_file(found, output, overwrite=overwrite, as_json=as_json)


def _print_file(
    found: "FilePredictions", output: Path | None, *, overwrite: bool, as_json: bool
) -> None:
    """Write the predictions of a file's rows, or print them."""
    from warmstart.serving.prediction_files import write_predictions

    if output is None:
        in_full = {"predictions": list(found.to_json()) if as_json else []}
        result(in_full, "" if as_json else "\n".join(found.shown()), as_json=as_json)
        return
    write_predictions(found, output, overwrite=overwrite)
    count = len(found.predictions)
    text_result = f"{count:,} prediction{'s' * (count != 1)} in {output}"
    result({"predictions": count, "output": str(output)}, text_result, as_json=as_json)

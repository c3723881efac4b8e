"""``warmstart embed``: one vector for each text, for other programs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from warmstart.cli.app import Json, Set
from warmstart.cli.file_options import (
    Data,
    KeepColumns,
    OverwriteFile,
    Text,
    TextPair,
    refuse_options_without_effect,
)
from warmstart.cli.output import notes, result, write

if TYPE_CHECKING:
    from warmstart.serving.embedder import Embedder, FileVectors

# The options of `embed`.
Name = Annotated[
    str,
    typer.Argument(
        metavar="RUN|MODEL", help="A run directory, or any model: Hub id, folder or bundled/…"
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="F", help="File for the vectors: .parquet, .jsonl."),
]
PoolingOption = Annotated[
    Literal["auto", "first", "mean", "last"],
    typer.Option(
        help="Which tokens stand for a text: the first, the mean of all, or the last (decoders); "
        "auto: as the model was trained."
    ),
]
Layer = Annotated[
    int,
    typer.Option(
        metavar="K",
        help="Hidden layer, counted like hidden_states of Transformers: 0: embeddings; -1: last.",
    ),
]
Normalize = Annotated[
    bool, typer.Option("--normalize", help="Make all vectors of length 1, for cosine similarity.")
]


def embed(
    name: Name,
    text: Text = None,
    text_pair: TextPair = None,
    data: Data = None,
    output: OutputFile = None,
    overwrite: OverwriteFile = False,
    pooling: PoolingOption = "auto",
    layer: Layer = -1,
    normalize: Normalize = False,
    keep_columns: KeepColumns = False,
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Turn texts, or every row of a file, into vectors, with a run's model or any checkpoint."""
    from warmstart import errors
    from warmstart.cli.usage import advice_as_typed
    from warmstart.models.checkpoints.load import refuse_unusable_name
    from warmstart.serving.embedder import embed_file, open_embedder
    from warmstart.serving.prediction_files import refuse_output
    from warmstart.serving.vector_files import VECTOR_WRITERS, numbers_of

    if bool(text or text_pair) == bool(data):
        raise errors.command.text_or_data("embed", both=bool(data))
    refuse_options_without_effect(
        "embed",
        data,
        output,
        sets,
        overwrite=overwrite,
        keep_columns=keep_columns,
        as_json=as_json,
    )
    refuse_unusable_name(name)
    if output is not None:
        refuse_output(
            output, Path(name), data or (), overwrite=overwrite, formats=list(VECTOR_WRITERS)
        )
    with notes(), advice_as_typed({"model.name": "warmstart embed "}):
        embedder = open_embedder(name, pooling=pooling, layer=layer, normalize=normalize)
        if data:
            found = embed_file(embedder, data, sets or (), keep_columns=keep_columns)
            _print_file(embedder, found, output, overwrite=overwrite, as_json=as_json)
            return
        vectors, truncated = embedder.texts(text or [], text_pair or None)
    rows = [
        {"row": row, "truncated": cut, "vector": numbers_of(vector)}
        for row, (vector, cut) in enumerate(zip(vectors, truncated.tolist(), strict=True))
    ]
    lines = "\n".join(json.dumps(row["vector"]) for row in rows)
    result({**_described(embedder), "vectors": rows}, lines, as_json=as_json)


def _print_file(
    embedder: "Embedder",
    found: "FileVectors",
    output: Path | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the vectors of a file's rows, or print each as a line of JSON (``null``: no text)."""
    from warmstart.serving.vector_files import vector_rows, write_vectors

    if output is not None:
        write_vectors(found, output, overwrite=overwrite)
        count = int(found.answered.sum())
        text = f"{count:,} vector{'s' * (count != 1)} in {output}"
        content = {**_described(embedder), "vectors": count, "output": str(output)}
        result(content, text, as_json=as_json)
    elif as_json:
        result({**_described(embedder), "vectors": list(vector_rows(found))}, "", as_json=True)
    else:
        for row in vector_rows(found):
            write(json.dumps(row["vector"]) + "\n")


def _described(embedder: "Embedder") -> dict[str, Any]:
    """How the vectors were made."""
    return {
        "pooling": embedder.pooling,
        "layer": embedder.layer,
        "normalized": embedder.normalize,
        "width": embedder.width,
    }

"""``warmstart generate``: a decoder goes on with texts."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from warmstart.cli.app import Json
from warmstart.cli.output import notes, result, show, write

if TYPE_CHECKING:
    from rich.table import Table

    from warmstart.config import GenerateConfig

Engine = Literal["torch", "onnx"]
"""``warmstart.serving.writer.WriterName``, spelt out so that ``--help`` answers at once."""

_LISTED = 5
"""Copied texts that are shown; a book may have been learned by heart."""


def generate(
    name: Annotated[str, typer.Argument(metavar="RUN|MODEL")],
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", metavar="TEXT", help="May be repeated.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", metavar="FILE", help="Prompts, one a line.")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest continuation.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Below 1 more likely, above 1 more surprising; 0 greedy.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Draw from so many likeliest tokens; 0 for all.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest tokens of this probability.")
    ] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1 repeats less.")] = None,
    beams: Annotated[int | None, typer.Option(help="Search; with --temperature 0.")] = None,
    count: Annotated[int | None, typer.Option(help="Continuations of each prompt.")] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="End before this text; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is drawn.")] = None,
    engine: Annotated[Engine, typer.Option(help="onnx: of a run that was exported.")] = "torch",
    with_novelty: Annotated[
        bool, typer.Option("--novelty", help="Say how much of it stands in RUN's training rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Go on with a text, by a run's model or any decoder."""
    from warmstart import api, config_file, errors
    from warmstart.config import GenerateConfig
    from warmstart.runs.directory import RunDirectory

    options: dict[str, Any] = {
        "max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k,
        "top_p": top_p, "repetition_penalty": repetition_penalty, "beams": beams, "count": count,
        "stop": stop or None, "seed": seed,
    }  # fmt: skip
    given = {option: value for option, value in options.items() if value is not None}
    is_run = RunDirectory(Path(name)).is_run
    if with_novelty and not is_run:
        raise errors.prompt.no_training_rows(name)
    base = api.load(name).config.generate if is_run else GenerateConfig()
    settings = config_file.generation(base, given, flags=True)
    texts = _prompts(prompt or [], prompts)
    made, shown = _made(name, texts, settings, engine, streamed=not as_json)
    content: dict[str, Any] = {"generations": made}
    whole = "\n---\n".join(one["prompt"] + one["text"] for one in made)
    if with_novelty:
        with notes():
            content["novelty"] = api.load(name).novelty([one["text"] for one in made])
        show(_novelty_table(content["novelty"]))
    result(content, whole[len(shown) :], as_json=as_json)
    if cut := sum(one["finish"] == "length" for one in made):
        limit = f"{settings.max_new_tokens:,} new tokens (--max-new-tokens) or by the model's own"
        show(f"note: {cut:,} of {len(made):,} cut off by the limit of {limit}")


def _made(
    name: str,
    texts: list[str],
    settings: "GenerateConfig",
    engine: Engine,
    *,
    streamed: bool,
) -> tuple[list[dict[str, Any]], str]:
    """What the model wrote; and what of it is on stdout already, as it is where it is one text."""
    from warmstart import api

    shown = ""

    def show_piece(piece: str) -> None:
        nonlocal shown
        new = piece if shown else texts[0] + piece
        shown += new
        write(new)

    alone = (len(texts), settings.count, settings.beams) == (1, 1, 1)
    on_text = show_piece if alone and streamed else None
    made = api.generate(name, texts, engine=engine, on_text=on_text, **settings.model_dump())
    return made, shown


def _prompts(typed: list[str], file: str | None) -> list[str]:
    """The prompts typed, then those of the file; with neither, one asked for at the terminal."""
    from warmstart import errors

    if file is not None:
        from warmstart.config import DataConfig
        from warmstart.data.reading.sources import read

        table = read(file, DataConfig(train=file, format="text"), "--prompts")
        return typed + table.column("text", "--prompts").to_pylist()  # type: ignore[no-any-return]
    if typed:
        return typed
    if not sys.stdin.isatty():
        raise errors.prompt.none_given()
    return [typer.prompt("prompt", default="", show_default=False, err=True)]


def _novelty_table(found: dict[str, Any]) -> "Table":
    """What stands in training rows, and how much the samples repeat themselves."""
    from rich import box
    from rich.table import Table

    title = f"held against the training rows, n = {found['samples']:,} ({found['words']:,} words)"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_header=False
    )
    seen = _share(found["seen_ngrams"])
    table.add_row("8 words in a row that training has", f"{seen} of {found['ngrams']:,}")
    longest = f"{found['longest_words']:,} words, {found['longest_characters']:,} characters"
    table.add_row("longest passage that training has", longest)
    table.add_row("", found["longest_passage"])
    distinct = ", ".join(_share(found[f"distinct_{n}"]) for n in (1, 2, 3))
    table.add_row("different words, pairs, triples", distinct)
    count = len(found["regurgitated"])
    table.add_row("whole texts or sentences that training has", f"{count:,}")
    for text in found["regurgitated"][:_LISTED]:
        table.add_row("", text)
    if count > _LISTED:
        table.add_row("", f"… and {count - _LISTED:,} more; --json lists them all")
    return table


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1%}"

"""``warmstart generate``: generate text from prompts with a decoder."""

import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from warmstart.cli.app import ENGINE_HELP, Json
from warmstart.cli.output import notes, result, show, write
from warmstart.errors.counts import counted, form

if TYPE_CHECKING:
    from rich.table import Table

    from warmstart.config import GenerateConfig

Engine = Literal["torch", "onnx"]
"""Same as ``warmstart.serving.writer.WriterName``; not imported, to keep ``--help`` fast."""

_LISTED = 5
"""Maximum number of copied training texts that are shown."""


# The options of `generate`; their defaults are those of the run's config or of `GenerateConfig`.
Name = Annotated[
    str,
    typer.Argument(
        metavar="RUN|MODEL", help="A run directory, or a decoder: Hub id, folder or bundled/…"
    ),
]
Prompt = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="TEXT", help="Prompt to generate from; may be repeated."),
]
Prompts = Annotated[
    str | None,
    typer.Option("--prompts", metavar="FILE", help="File of prompts, one per line; -: stdin."),
]
MaxNewTokens = Annotated[int | None, typer.Option(help="Maximum number of new tokens per prompt.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="Sampling temperature: below 1 more predictable, above 1 more random; 0: greedy."
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(help="Sample only from the K most likely tokens; 0: from all tokens."),
]
TopP = Annotated[
    float | None,
    typer.Option(help="Sample only from the most likely tokens whose probabilities sum up to P."),
]
RepetitionPenalty = Annotated[
    float | None, typer.Option(help="Penalty for repeated tokens; 1: none.")
]
Beams = Annotated[
    int | None, typer.Option(help="Number of beams for beam search; needs --temperature 0.")
]
Count = Annotated[int | None, typer.Option(help="Number of continuations per prompt.")]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="Stop before this text, or at the control token of this name; repeatable.",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Random seed for sampling.")]
ControlTokens = Annotated[
    Literal["text", "tokens"] | None,
    typer.Option(
        help="How the name of a control token in a prompt (<|im_end|>) is read: like other text, "
        "or as the token; default: as in training, for a model without a run: text."
    ),
]
EngineOption = Annotated[Engine | None, typer.Option(help=ENGINE_HELP)]
Novelty = Annotated[
    bool,
    typer.Option("--novelty", help="Report how much of the text is copied from training rows."),
]


def generate(
    name: Name,
    prompt: Prompt = None,
    prompts: Prompts = None,
    max_new_tokens: MaxNewTokens = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    repetition_penalty: RepetitionPenalty = None,
    beams: Beams = None,
    count: Count = None,
    stop: Stop = None,
    seed: Seed = None,
    control_tokens: ControlTokens = None,
    engine: EngineOption = None,
    with_novelty: Novelty = False,
    as_json: Json = False,
) -> None:
    """Generate text from prompts, with a run's model or any decoder."""
    from warmstart import api, config_file, errors
    from warmstart.config import GenerateConfig
    from warmstart.models.checkpoints.load import refuse_unusable_name
    from warmstart.runs.directory import RunDirectory

    options: dict[str, Any] = {
        "max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k,
        "top_p": top_p, "repetition_penalty": repetition_penalty, "beams": beams, "count": count,
        "stop": stop or None, "seed": seed,
    }  # fmt: skip
    given = {option: value for option, value in options.items() if value is not None}
    if "" in (stop or []):
        raise errors.prompt.empty_stop()
    refuse_unusable_name(name)
    is_run = RunDirectory(Path(name)).is_run
    if with_novelty and not is_run:
        raise errors.prompt.no_training_rows(name)
    base = api.load(name).config.generate if is_run else GenerateConfig()
    settings = config_file.generation(base, given, flags=True)
    texts = _prompts(prompt or [], prompts)
    given |= {"engine": engine, "control_tokens": control_tokens}
    generations, printed = _generate_texts(name, texts, settings, given, stream=not as_json)
    content: dict[str, Any] = {"generations": generations}
    output = "\n---\n".join(one["prompt"] + one["text"] for one in generations)
    if with_novelty:
        with notes():
            content["novelty"] = api.load(name).novelty([one["text"] for one in generations])
        show(_novelty_table(content["novelty"]))
    result(content, output[len(printed) :], as_json=as_json)
    if cut := sum(one["finish"] == "length" for one in generations):
        limit = f"{counted(settings.max_new_tokens, 'new token')} (--max-new-tokens)"
        texts_cut = f"{cut:,} of {counted(len(generations), 'text')} {form(cut, 'was', 'were')}"
        show(f"note: {texts_cut} cut off at {limit} or the model's own limit")


def _generate_texts(
    name: str,
    texts: list[str],
    settings: "GenerateConfig",
    given: dict[str, Any],
    *,
    stream: bool,
) -> tuple[list[dict[str, Any]], str]:
    """The generations, and the text that was already printed: a single text is streamed."""
    from warmstart import api
    from warmstart.cli.usage import advice_as_typed

    printed = ""

    def print_piece(piece: str) -> None:
        nonlocal printed
        new = piece if printed else texts[0] + piece
        printed += new
        write(new)

    single = (len(texts), settings.count, settings.beams) == (1, 1, 1)
    on_text = print_piece if single and stream else None
    with notes(), advice_as_typed({"model.name": "warmstart generate "}):
        generations = api.generate(name, texts, on_text=on_text, **given)
    return generations, printed


def _prompts(typed: list[str], file: str | None) -> list[str]:
    """The typed prompts, then those of the file; without any, ask for one at the terminal."""
    from warmstart import errors

    if file is not None:
        from warmstart.config import DataConfig
        from warmstart.data.reading.formats import FORMATS
        from warmstart.data.reading.sources import read

        plain_name = file.lower().removesuffix(".gz").removesuffix(".xz")
        if FORMATS.get(PurePath(plain_name).suffix, "text") != "text":
            raise errors.prompt.table_of_prompts(file)
        table = read(file, DataConfig(train=file, format="text"), "--prompts")
        return typed + table.column("text", "--prompts").to_pylist()  # type: ignore[no-any-return]
    if typed:
        return typed
    if not sys.stdin.isatty():
        raise errors.prompt.none_given()
    return [typer.prompt("prompt", default="", show_default=False, err=True)]


def _novelty_table(novelty: dict[str, Any]) -> "Table":
    """How much of the texts is copied from training rows, and how repetitive they are."""
    from rich import box
    from rich.table import Table

    texts, words = counted(novelty["samples"], "text"), counted(novelty["words"], "word")
    title = f"{texts} ({words}) compared with the training rows"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_header=False
    )
    seen = f"{_share(novelty['seen_ngrams'])} of {novelty['ngrams']:,}"
    table.add_row(
        "sequences of 8 words that a training row also has",
        seen if novelty["ngrams"] else "no text has 8 words",
    )
    longest = counted(novelty["longest_words"], "word")
    longest += f", {counted(novelty['longest_characters'], 'character')}"
    table.add_row(
        "longest passage that a training row also has",
        longest if novelty["longest_words"] else "none",
    )
    if novelty["longest_words"]:
        table.add_row("", novelty["longest_passage"])
    distinct = "; ".join(_share(novelty[f"distinct_{n}"]) for n in (1, 2, 3))
    table.add_row("different words; pairs; triples of words", f"{distinct} of all")
    count = len(novelty["regurgitated"])
    table.add_row(
        "texts, and sentences of 8 words or more, that a training row also has", f"{count:,}"
    )
    for text in novelty["regurgitated"][:_LISTED]:
        table.add_row("", text)
    if count > _LISTED:
        table.add_row("", f"… and {count - _LISTED:,} more; --json lists all")
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"

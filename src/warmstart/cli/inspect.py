"""The commands that inspect without training: ``check``, ``info``, ``report``, ``recipes``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warmstart.cli.app import Json, RunArgument, Set
from warmstart.cli.output import result, show

if TYPE_CHECKING:
    from warmstart.data.checking.check import Findings


def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|FILE|FOLDER|RUN",
            help="A config or recipe, a data file or folder, or a run directory.",
        ),
    ],
    text: Annotated[
        str | None, typer.Option(metavar="COL", help="Column with the text; only with FILE.")
    ] = None,
    text_pair: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column with the second text of a pair; only with FILE."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COL", help="Column with the label; only with FILE.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task to check the file for; only with FILE.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Hub id or folder of the checkpoint; only with FILE.")
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            metavar="F|SHARE", help="Validation file, or share to hold out; only with FILE."
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option("--test", metavar="F", help="Test file; repeatable; only with FILE."),
    ] = None,
    sets: Set = None,
    as_json: Json = False,
) -> None:
    """Read and check the data as training would, and report problems."""
    from warmstart.cli.findings import rendered_findings

    flags: dict[str, Any] = {
        "task": task,
        "model": model,
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "validation": validation,
        "test": test,
    }
    findings = _findings(source, flags, sets or ())
    show(rendered_findings(findings))
    warnings = [message for message in findings.messages if message.level == "warning"]
    count = f"{len(warnings)} warning{'s' * (len(warnings) != 1)}"
    text_result = count if warnings else "no warnings"
    result(findings.to_json(), text_result, as_json=as_json)


def _findings(source: str, flags: Mapping[str, Any], sets: Sequence[str]) -> "Findings":
    """What ``check`` finds; ``flags``: the options that are only for a file."""
    from warmstart import api, config_file, errors
    from warmstart.cli.train import config_path
    from warmstart.cli.usage import advice_as_typed, options_for
    from warmstart.config.recipe_files import recipe_names
    from warmstart.data.reading.paths import local_path
    from warmstart.data.reading.text_folders import is_data_folder

    given = {name: value for name, value in flags.items() if value not in (None, [])}
    is_recipe = source in recipe_names()
    is_data = not is_recipe and is_data_folder(local_path(source))
    config = source if is_data else config_path(source)
    if is_recipe or Path(config).suffix in (".yaml", ".yml"):
        if given:
            raise errors.command.config_and_flags(source, given, "check")
        return api.check(config_file.load(config, sets)).findings
    typed = options_for(flags) | {"data.train": "warmstart check "}
    with advice_as_typed(typed, sets):
        settings = config_file.from_arguments(train=[source], **given, overrides=sets)
        return api.check(settings).findings


def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL|CONFIG",
            help="A run directory, a checkpoint (Hub id, folder or bundled/…), or a config.",
        ),
    ],
    labels: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Number of labels of the head; only with MODEL; default: 2.", min=2
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting; repeatable; only with CONFIG."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a model's configuration, parameters, memory and trained parts."""
    from warmstart import api
    from warmstart.cli.describe import rendered_description
    from warmstart.cli.usage import advice_as_typed

    with advice_as_typed({"model.name": "warmstart info "}):
        description = api.info(name, labels, sets or ())
    if not as_json:
        from rich.console import Console

        Console().print(rendered_description(description), highlight=False)
        return
    result(description.to_json(), "", as_json=True)


def report(run: RunArgument, as_json: Json = False) -> None:
    """Write a run's report and model card again."""
    from warmstart import api

    path = api.load(run).report()
    result({"run": str(run), "report": str(path)}, str(path), as_json=as_json)


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Recipe to print; default: list all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the bundled recipes, or print one of them."""
    from warmstart.config.recipe_files import recipe_names, recipe_text

    if name is not None:
        text = recipe_text(name)
        result({"recipe": name, "yaml": text}, text.rstrip("\n"), as_json=as_json)
        return
    names = recipe_names()
    width = max(map(len, names))
    lines = [f"{recipe:{width}}  {_first_line(recipe)}" for recipe in names]
    result({"recipes": names}, "\n".join(lines), as_json=as_json)


def _first_line(recipe: str) -> str:
    from warmstart.config.recipe_files import recipe_text

    return recipe_text(recipe).splitlines()[0].lstrip("# ")

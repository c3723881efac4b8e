"""The Typer application: all commands with their names, and the options that they share."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.rich_utils import rich_format_error

from warmstart import errors

USAGE_FAULT: Any = typer.BadParameter.__base__
"""Typer's class of all errors in the arguments, which has no public name."""

app = typer.Typer(
    name="warmstart",
    help="Fine-tune pretrained transformers on your own text: check the data, train, evaluate on "
    "held-out rows, predict and export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ENGINE_HELP = (
    "Runtime for the model; default: onnx if the run was exported and onnxruntime is installed, "
    "otherwise torch."
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Run directory; default: runs/NAME-TIME."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the run that already exists in DIR.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]


def _version(requested: bool) -> None:
    if requested:
        from warmstart import __version__

        typer.echo(f"warmstart {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that come before the command."""


def _add_commands() -> None:
    # Imported here and not above: these modules import the shared options from this one.
    from warmstart.cli import (
        compare,
        embed,
        experiment,
        export,
        generate,
        glue,
        inspect,
        train,
        use,
    )

    app.command("demo")(train.demo)
    app.command("train")(train.train)
    app.command("pretrain")(train.pretrain)
    app.command("evaluate")(use.evaluate)
    app.command("predict")(use.predict)
    app.command("embed")(embed.embed)
    app.command("generate")(generate.generate)
    app.command("compare")(compare.compare)
    app.command("export")(export.export)
    app.command("check")(inspect.check)
    app.command("info")(inspect.info)
    app.command("report")(inspect.report)
    app.command("repeat")(experiment.repeat)
    app.command("cross-validate")(experiment.cross_validate)
    app.command("search")(experiment.search)
    app.command("learning-curve")(experiment.learning_curve)
    app.command("glue")(glue.glue)
    app.command("recipes")(inspect.recipes)


_add_commands()


def _refuse_repeated(words: list[str]) -> None:
    """Raise if an option that takes one value is given twice; Typer would use the last one."""
    group: Any = typer.main.get_command(app)
    name = next((word for word in words if word in group.commands), None)
    if name is None:
        return
    command = group.commands[name]
    parser = command.make_parser(typer.Context(command, info_name=name))
    _, _, given = parser.parse_args(words[words.index(name) + 1 :])
    once = [one for one in given if one.param_type_name == "option" and not one.multiple]
    for option in once:
        if once.count(option) > 1 and not option.is_flag:
            raise errors.command.repeated_option(option.opts[0], f"warmstart {name}")


def run(arguments: list[str] | None) -> int:
    """Run one command and return the exit code that Typer gives it.

    Args:
        arguments: the command-line arguments after ``warmstart``; ``sys.argv[1:]`` by default.

    Raises:
        UsageError: the arguments are wrong.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _refuse_repeated(words)
        code = app(arguments, prog_name="warmstart", standalone_mode=False)
    except typer.Abort:
        return 1
    except USAGE_FAULT as fault:
        if not words:  # Typer's help, as the answer to no arguments at all
            rich_format_error(fault)
            return int(fault.exit_code)
        from warmstart.cli.usage import usage_error

        raise usage_error(fault, typer.main.get_command(app), words) from None
    return code if isinstance(code, int) else 0

"""Errors about arguments: Typer's with three parts, and advice in the form that was typed."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from warmstart import errors

_CHOICE = re.compile(r"is not one of (.*?)\.?$")
"""In Typer's message about a value that is not among the allowed ones."""

_TYPE = re.compile(r"Input should be (?:a valid )?([^,]*)")
"""In Typer's message about a value of another type."""


def usage_error(fault: Any, group: Any, words: Sequence[str]) -> errors.UsageError:
    """The message for wrong arguments.

    Args:
        fault: Typer's exception.
        group: the program, with its commands.
        words: the arguments after ``warmstart``.
    """
    name = next((word for word in words if word in group.commands), None)
    command = group if name is None else group.commands[name]
    program = "warmstart" if name is None else f"warmstart {name}"
    message: str = fault.message
    if message.startswith("No such command"):
        return errors.command.unknown_command(words[-1] if name else _first(words), group.commands)
    if message.startswith("No such option"):
        from warmstart.config.config_faults import ELSEWHERE, SETTINGS

        known = [opt for one in command.params for opt in one.opts if opt.startswith("-")]
        return errors.command.unknown_option(fault.option_name, program, known, SETTINGS, ELSEWHERE)
    if message.startswith("Got unexpected extra"):
        extra = message.partition(" (")[2].rstrip(")")
        places = [_shown(one) for one in command.params if one.param_type_name == "argument"]
        return errors.command.extra_argument(extra, program, places)
    named = getattr(fault, "option_name", None)
    parameter = getattr(fault, "param", None) or next(
        (one for one in command.params if named in (*one.opts, *one.secondary_opts)), None
    )
    option = named or (parameter and _shown(parameter))
    if parameter is None or not option:
        return errors.command.wrong_usage(fault.format_message(), program)
    if isinstance(fault, typer.BadParameter) and not message:  # Typer says it when it is printed
        return errors.command.missing_argument(option, _help(parameter), program)
    if message.endswith("requires an argument."):
        return errors.command.missing_value(option, _help(parameter), program)
    if message.endswith("does not take a value."):
        return errors.command.needless_value(option, program)
    choices = re.findall(r"'([^']*)'", found[1]) if (found := _CHOICE.search(message)) else []
    expected = found[1] if (found := _TYPE.search(message)) else ""
    if expected in ("integer", "number"):
        expected = "a whole number" if expected == "integer" else "a number"
    elif expected:
        expected = f"a number {expected}"
    if not choices and not expected:
        return errors.command.wrong_usage(fault.format_message(), program)
    return errors.command.wrong_value(option, _value(option, words), expected, choices, program)


@contextmanager
def advice_as_typed(places: Mapping[str, str], sets: Iterable[str] = ()) -> Iterator[None]:
    """Within the block, errors advise options where the command line has options.

    A setting that is given as an option cannot be given with ``--set`` as well.

    Args:
        places: name of a setting -> what replaces ``--set NAME=``, such as ``--text ``.
        sets: what was given with ``--set``; advice about it stays as it is.
    """
    given = {one.partition("=")[0].strip() for one in sets}
    try:
        yield
    except errors.WarmstartError as error:
        for name, typed in places.items():
            if name in given:
                continue
            pattern = rf"--set (['\"]?){re.escape(name)}=(?!null\b|\[|\")"
            if typed.startswith("--"):
                error.do = error.do.replace(f"remove {name},", f"leave {typed.strip()} out,")
            typed_too = rf"{typed}\g<1>"
            error.found = re.sub(pattern, typed_too, error.found)
            error.do = re.sub(pattern, typed_too, error.do)
        raise


def options_for(names: Iterable[str]) -> dict[str, str]:
    """``advice_as_typed`` for options of ``train`` and ``check``.

    Args:
        names: the options as names of Python: ``text_pair``.
    """
    groups = {"task": "task", "model": "model.name"} | {
        name: f"train.{name}" for name in ("epochs", "batch_size", "learning_rate")
    }
    return {groups.get(name, f"data.{name}"): f"--{name.replace('_', '-')} " for name in names}


def _first(words: Sequence[str]) -> str:
    return next((word for word in words if not word.startswith("-")), "")


def _shown(parameter: Any) -> str:
    """An option with its dashes; a place of the command by its name in the help."""
    is_option = parameter.param_type_name == "option"
    return str(parameter.opts[0] if is_option else parameter.metavar or parameter.name)


def _help(parameter: Any) -> str:
    text: str = getattr(parameter, "help", None) or ""
    return text[:1].lower() + text[1:].rstrip(".")


def _value(option: str, words: Sequence[str]) -> str:
    """The last value that was given for an option."""
    for place in range(len(words) - 1, -1, -1):
        name, equals, value = words[place].partition("=")
        if name == option and (equals or place + 1 < len(words)):
            return value if equals else words[place + 1]
    return ""

"""Commands, options and settings that the messages of ``errors/`` advise exist, and values fit.

What depends on the situation is a placeholder in the source (``{…}``, ``COLUMN``, ``…``) and is
tried in the tests of each message.
"""

import ast
import re
from collections.abc import Iterator

import pytest
import typer.main

from tests.rules.source import PACKAGE, modules
from warmstart.cli.app import app
from warmstart.config.config_faults import SETTINGS
from warmstart.config_file import load
from warmstart.errors import ConfigError

COMMANDS = {str(command.name): command for command in app.registered_commands}
OPTIONS = {
    option
    for command in typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts)
}
ELSEWHERE = {
    "--force-reinstall",
    "--no-deps",
    "--head",
    "--help",
    "--local-dir",
    "--nproc-per-node",
    "--upgrade",
}
"""Options of other programs."""

HOLE = "\0"
"""Part of a message that is computed."""

_PLACEHOLDER = re.compile(rf"[{HOLE}…]|[A-Z]{{3,}}|^$")


def _texts(node: ast.expr) -> Iterator[str]:
    """Every text of an expression; its computed parts are holes."""
    match node:
        case ast.Constant(value=str()):
            yield node.value
        case ast.JoinedStr():
            parts = (p.value if isinstance(p, ast.Constant) else HOLE for p in node.values)
            yield "".join(map(str, parts))
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from _texts(child)


def _messages() -> list[str]:
    """All texts in the functions of ``errors/``."""
    found = []
    for path, tree in modules().items():
        if path.parent != PACKAGE / "errors":
            continue
        calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
        arguments = (arg for c in calls for arg in (*c.args, *(k.value for k in c.keywords)))
        found += [text for one in arguments for text in _texts(one)]
    return found


MESSAGES = _messages()
SETS = sorted(
    {
        (name, value)
        for text in MESSAGES
        for name, value in re.findall(r"""--set ['"]?([a-z_]+(?:\.[a-z_]+)*)=([^\s;)]*)""", text)
    }
)


def test_advice_is_found() -> None:
    assert {("train.epochs", "…"), ("train.warmup_steps", "0,")} <= set(SETS)
    assert len(SETS) > 40


@pytest.mark.parametrize(("name", "value"), SETS)
def test_an_advised_setting_exists_and_accepts_the_value(name: str, value: str) -> None:
    assert name in SETTINGS
    value = value.strip(",'\"")
    if _PLACEHOLDER.search(value):
        return
    found = ""
    try:
        load({"data": {"train": "a.csv"}}, [f"{name}={value}"])  # as for text classification
    except ConfigError as error:  # it may need other settings, but its value is right
        found = error.found
    # A loss is checked against the task as well.
    assert f"{name} is {value}" not in found or "and task is" in found


@pytest.mark.parametrize("text", [text for text in MESSAGES if "warmstart " in text])
def test_an_advised_command_exists(text: str) -> None:
    for word, after in re.findall(r"(?<![\w'-])warmstart ([a-z]+)( [A-Z]+| --|;|$)", text):
        assert word in COMMANDS, (word, after)


def test_advised_options_exist() -> None:
    advised = {one for text in MESSAGES for one in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)}
    assert {"--set", "--label"} <= advised
    assert not advised - OPTIONS - ELSEWHERE


def test_lists_are_quoted() -> None:
    """Brackets without quotes are a pattern for zsh and an index for PowerShell."""
    bare = [text for text in MESSAGES if re.search(r"--set [a-z_.]+=\[", text)]
    assert not bare

"""Design §3: a name has one meaning, so that a search for it finds one place."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.rules.source import PACKAGE, ROOT, Function, modules
from warmstart.cli.app import app

QUALIFIED = {"errors"}
"""Folders whose names are always written with their file: ``errors.config.not_text``. Such a file
is named after the subject of its errors, which may also be a module elsewhere."""

COMMANDS = {"api.py", "cli"}
"""Names that users type, in Python and in the terminal. A command has the name of the function that
does the work: ``warmstart predict``, ``api.generate``, ``evaluation.evaluate.predict``. Their
modules are named after the command too."""

TYPED = {command.callback.__name__ for command in app.registered_commands if command.callback}
"""Functions that the command line calls."""

PUBLIC = Function | ast.ClassDef


def _top(place: str) -> str:
    return place.partition("/")[0]


def _definitions() -> Iterator[tuple[str, str, PUBLIC]]:
    """Public functions and classes at the top level of a module: module, name, node."""
    for path, tree in modules().items():
        for node in tree.body:
            if isinstance(node, PUBLIC) and not node.name.startswith("_"):
                yield path.relative_to(PACKAGE).as_posix(), node.name, node


def _is_command(place: str, node: PUBLIC) -> bool:
    """Whether this is a function of ``api``, or one that the command line calls by its name."""
    return place == "api.py" or (_top(place) == "cli" and node.name in TYPED)


def _twice(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: places for name, places in found.items() if len(places) > 1}


def test_no_two_modules_have_one_name() -> None:
    found = defaultdict(list)
    for path in modules():
        place = path.relative_to(PACKAGE).as_posix()
        if path.name != "__init__.py" and _top(place) not in QUALIFIED | COMMANDS:
            found[path.stem].append(str(path.relative_to(ROOT)))
    assert len(found) > 100
    assert not _twice(found)


def test_no_two_public_functions_or_classes_have_one_name() -> None:
    found = defaultdict(list)
    for place, name, node in _definitions():
        if _top(place) not in QUALIFIED and not _is_command(place, node):
            found[name].append(place)
    assert len(found) > 300
    assert not _twice(found)


def test_names_of_commands_are_not_used_for_anything_else() -> None:
    """Only a function that does the work may have the name of a command, and only in one place."""
    commands = {name for place, name, node in _definitions() if _is_command(place, node)}
    assert {"train", "predict", "evaluate", "generate"} <= commands
    elsewhere = defaultdict(list)
    for place, name, node in _definitions():
        if name in commands and _top(place) not in QUALIFIED and not _is_command(place, node):
            elsewhere[name].append(place)
    assert elsewhere == {
        "compare": ["evaluation/compare.py"],
        "cross_validate": ["experiments/cross_validation.py"],
        "embed": ["serving/embedder.py"],
        "evaluate": ["evaluation/evaluate.py"],
        "generate": ["models/generation.py"],
        "glue": ["experiments/glue.py"],
        "learning_curve": ["experiments/learning_curve.py"],
        "load": ["config_file.py"],
        "predict": ["evaluation/evaluate.py"],
        "repeat": ["experiments/repeat.py"],
        "search": ["experiments/search.py"],
    }

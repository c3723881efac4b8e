"""Every message of ``errors/`` is raised somewhere."""

import ast
from functools import cache

import pytest

from tests.rules.source import PACKAGE, modules, nodes

FAULTS = sorted(
    path.stem
    for path in modules()
    if path.parent == PACKAGE / "errors" and path.stem not in {"__init__", "base", "counts"}
)
"""The modules with messages: config, data, …"""


def _texts(fault: str) -> set[str]:
    """Public functions of ``errors/<fault>.py``."""
    tree = modules()[PACKAGE / "errors" / f"{fault}.py"]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if not node.name.startswith("_")}


@cache
def _called() -> list[list[str]]:
    """Everything that is called in the package, as the parts of its name."""
    return [ast.unparse(call.func).split(".") for _, call in nodes(ast.Call)]


def _raised(fault: str) -> set[str]:
    """Names called as ``errors.<fault>.<name>(…)`` anywhere in the package."""
    return {name for *where, name in _called() if where == ["errors", fault]}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_text_is_raised(fault: str) -> None:
    assert _texts(fault)
    never = sorted(_texts(fault) - _raised(fault))
    assert not never


@pytest.mark.parametrize("fault", FAULTS)
def test_every_text_raised_exists(fault: str) -> None:
    assert _raised(fault)
    missing = sorted(_raised(fault) - _texts(fault))
    assert not missing


def test_the_files_of_texts_are_found() -> None:
    assert {"config", "data", "model", "run"} <= set(FAULTS)

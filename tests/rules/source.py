"""The source code for the rules: files, syntax trees, and the place of a finding."""

import ast
from functools import cache
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "warmstart"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.stmt | ast.expr)


@cache
def modules() -> dict[Path, ast.Module]:
    """Every module of the package, parsed."""
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def nodes(kind: type[Node]) -> list[tuple[str, Node]]:
    """Every node of this kind in the package, each with its ``file:line``."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, kind)
    ]


def functions() -> list[tuple[str, Function]]:
    """Every function and method of the package, each with its ``file:line``."""
    return [*nodes(ast.FunctionDef), *nodes(ast.AsyncFunctionDef)]

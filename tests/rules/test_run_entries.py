"""Paths in a run directory come from ``RunDirectory``, so ``--overwrite`` removes all of them."""

import ast
import re

from tests.rules.source import nodes

RUN = re.compile(r"(^|[._])(path|run|directory|run_path)$")
"""How code refers to a run directory's path: ``run.path``, ``directory.path``, ``run_path``."""


def test_only_the_run_directory_knows_where_its_files_are() -> None:
    joined = [(place, node) for place, node in nodes(ast.BinOp) if isinstance(node.op, ast.Div)]
    assert joined
    wrong = [
        f"{place} {ast.unparse(node)}"
        for place, node in joined
        if isinstance(node.right, ast.Constant | ast.JoinedStr)
        and RUN.search(ast.unparse(node.left))
        and "runs/directory.py" not in place
        and "models/checkpoints/load.py" not in place  # below the run directory in the layers
    ]
    assert not wrong

"""Design §3: nothing outside ``tasks/`` depends on the name of a task.

A task itself defines what differs between tasks, through ``tasks.task.Task`` and the protocols in
``tasks.capabilities``. So outside ``tasks/`` a task's name, head or pipeline tag may not be
compared or be a key, neither as an expression (``task.name == …``) nor as a text
(``"fill-mask": …``). ``models/`` and the errors about models know heads, because a head is a part
of a model.
"""

import ast
from collections.abc import Iterator
from typing import get_args

from tests.rules.source import PACKAGE, modules
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks import TASKS

HEADS = frozenset(get_args(Head))
NAMES = frozenset(TASKS) | {task.pipeline_tag for task in TASKS.values()}
OF_A_TASK = ("name", "head", "pipeline_tag")


def asked(tree: ast.Module, texts: frozenset[str]) -> Iterator[int]:
    """Lines in which a task's own texts or attributes are compared, matched, or used as keys.

    Args:
        tree: a module.
        texts: names, heads and pipeline tags that may not be compared here.
    """
    for node in ast.walk(tree):
        operands: list[ast.expr | None] = []
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
            case ast.Dict():
                operands = list(node.keys)
            case ast.Subscript():
                operands = [node.slice]
            case ast.MatchValue():
                operands = [node.value]
            case ast.Match():
                operands = [node.subject]
            case ast.Call(func=ast.Attribute(attr="get" | "startswith" | "endswith")):
                operands = list(node.args[:1])
        inner = [part for operand in operands if operand for part in _parts(operand)]
        if any(_of_a_task(part, texts) for part in inner):
            yield node.lineno


def _parts(operand: ast.expr) -> list[ast.expr]:
    """An operand, or the members of a written-out collection: ``in ("a", "b")``."""
    return operand.elts if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]


def _of_a_task(part: ast.expr, texts: frozenset[str]) -> bool:
    if isinstance(part, ast.Constant):
        return part.value in texts
    if not isinstance(part, ast.Attribute):
        return False
    owner = ast.unparse(part.value).rpartition(".")[2]
    return (part.attr in OF_A_TASK and owner in ("task", "kind")) or (
        part.attr == "task" and owner in ("config", "settings")
    )


def test_nothing_outside_tasks_asks_which_task_it_is() -> None:
    found = []
    for path, tree in modules().items():
        folder = path.relative_to(PACKAGE).parts[0]
        if folder == "tasks":
            continue
        of_models = folder == "models" or path.relative_to(PACKAGE).as_posix() == "errors/model.py"
        texts = NAMES - HEADS if of_models else NAMES | HEADS
        found += [f"{path.relative_to(PACKAGE)}:{line}" for line in asked(tree, texts)]
    assert not found


def test_templates_name_no_task() -> None:
    templates = list(PACKAGE.rglob("*.j2"))
    assert len(templates) == 5
    for path in templates:
        text = path.read_text("utf-8")
        assert not [name for name in NAMES if name in text], path.name


def test_the_rule_sees_every_form() -> None:
    forms = (
        'task.name == "x"',
        'run.task.head != "x"',
        'settings.task in ("x", "y")',
        'kind == "fill-mask"',
        'kind in {"fill-mask", "x"}',
        'TABLE = {"text-ranking": 1}',
        'TABLE["text-ranking"]',
        "TABLE[task.name]",
        "TABLE.get(task.pipeline_tag)",
        'match kind:\n    case "fill-mask": pass',
        "match task.name:\n    case _: pass",
    )
    texts = NAMES | HEADS
    assert not [form for form in forms if not list(asked(ast.parse(form), texts))]
    assert not list(asked(ast.parse("isinstance(task, Exports)\nprint(task.name)"), texts))

"""Every task of ``TASKS`` with the command line, from ``check`` to the reloaded model."""

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from tests.contract.battery import CHECKS
from tests.contract.cases import CASES
from tests.contract.driven_run import DrivenRun
from warmstart.tasks import TASKS


def test_every_task_is_driven() -> None:
    assert CASES.keys() == TASKS.keys()


QUICK = {
    "resume": ("text-classification", "text-generation"),
    "usage": ("text-classification", "text-generation"),  # of the run that was resumed
    "export": ("text-classification", "token-classification", "fill-mask", "next-sentence"),
    "report": ("text-classification", "token-classification"),
}
"""Of the checks that take longest, the tasks that ``make test`` runs; the others are slow."""


def every_check() -> Iterator[Any]:
    """Each check of each task, ordered by task."""
    for task, check in itertools.product(TASKS, CHECKS):
        name = check.__name__
        marks = () if task in QUICK.get(name, TASKS) else pytest.mark.slow
        yield pytest.param(task, check, marks=marks, id=f"{task}-{name}")


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], DrivenRun]:
    """A function from a task to its run, which all checks of the task share."""

    @cache
    def run(task: str) -> DrivenRun:
        foreign = [mark for name, case in CASES.items() if name != task for mark in case.marks]
        return DrivenRun(CASES[task], task, tmp_path_factory.mktemp(task), tuple(foreign))

    return run


@pytest.mark.parametrize(("task", "check"), list(every_check()))
def test_the_command_line(
    driven: Callable[[str], DrivenRun], task: str, check: Callable[[DrivenRun], None]
) -> None:
    check(driven(task))

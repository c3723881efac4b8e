"""Every task of ``TASKS`` with the command line, from ``check`` to the reloaded model."""

from collections.abc import Callable

import pytest

from tests.contract.battery import CHECKS
from tests.contract.cases import CASES
from tests.contract.driven_run import DrivenRun
from warmstart.tasks import TASKS


def test_every_task_is_driven() -> None:
    assert CASES.keys() == TASKS.keys()


@pytest.fixture(scope="module", params=TASKS)
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DrivenRun:
    task = request.param
    foreign = [mark for name, case in CASES.items() if name != task for mark in case.marks]
    return DrivenRun(CASES[task], task, tmp_path_factory.mktemp(task), tuple(foreign))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_command_line(driven: DrivenRun, check: Callable[[DrivenRun], None]) -> None:
    check(driven)

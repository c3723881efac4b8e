"""Killed, or with a full disk, at any call that changes a file: nothing is lost, all is resumable.

``WARMSTART_CRASH_POINTS=0`` tries every call, which takes hours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash_driver import COMMANDS, RUNS

POINTS = os.environ.get("WARMSTART_CRASH_POINTS", "3")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [*RUNS, *COMMANDS])
def test_no_crash_loses_anything(scenario: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.crash_driver", str(tmp_path), scenario, POINTS]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert ran.returncode == 0, ran.stderr
    problems = [json.loads(line) for line in ran.stdout.splitlines()]
    assert not problems, json.dumps(problems, indent=1, ensure_ascii=False)

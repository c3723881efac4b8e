"""Start commands in other processes: one, or several like a launcher."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """The result of one process."""

    code: int
    out: str
    err: str


def start(*words: str, cwd: Path, count: int = 2) -> list[subprocess.Popen[str]]:
    """Run ``python WORDS`` in several processes of one group, like a launcher."""
    with socket.socket() as one, socket.socket() as two:
        for free in (one, two):
            free.bind(("127.0.0.1", 0))
        port, second = one.getsockname()[1], two.getsockname()[1]
    root = Path(__file__).parents[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "SECOND_PORT": str(second),  # for processes that leave and join again
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]),
    }
    return [
        subprocess.Popen(
            [sys.executable, *words],
            cwd=cwd,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def ended(started: list[subprocess.Popen[str]]) -> list[Ended]:
    """Wait for all of them; if one hangs, the test fails and the process is killed."""
    try:
        said = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(p.returncode, *s) for p, s in zip(started, said, strict=True)]


def in_another_process(module: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The output of ``python -m MODULE FOLDER``, which must succeed."""
    ran = subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return ran

"""How long a person waits before anything happens: ``import warmstart``, ``warmstart --help``.

Each command runs in a new interpreter; the kinds take turns, so that whatever else the machine does
falls on all of them. The first turn fills the page cache and writes bytecode, and is not counted.
"""

import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from statistics import median

from benchmarks.outcome import Outcome, Verdict

DESCRIPTION = "seconds of `import warmstart` and `warmstart --help`"
COMMANDS = {
    "python": ["-c", "pass"],
    "import": ["-c", "import warmstart"],
    "help": ["-m", "warmstart", "--help"],
}
IMPORT_SECONDS, HELP_SECONDS = 0.1, 0.5
"""Targets; the import counts from where a bare interpreter stands."""


def add_options(parser: ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=10, help="of each command; 10 by default")


def run(options: Namespace) -> Outcome:
    """Time each command ``options.repeats`` times."""
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(options.repeats + 1):
        for name, arguments in COMMANDS.items():
            seconds = _seconds(arguments)
            if turn > 0:
                samples[name].append(seconds)
    rows = [
        {
            "workload": "startup",
            "engine": name,
            "seconds": median(seconds),
            "seconds_low": min(seconds),
            "seconds_high": max(seconds),
            "runs": seconds,
        }
        for name, seconds in samples.items()
    ]
    above_bare = median(samples["import"]) - median(samples["python"])
    helped = median(samples["help"])
    return Outcome(
        rows,
        [
            Verdict(
                f"`import warmstart` < {IMPORT_SECONDS} s above bare python",
                above_bare,
                IMPORT_SECONDS,
                above_bare < IMPORT_SECONDS,
            ),
            Verdict(
                f"`warmstart --help` < {HELP_SECONDS} s",
                helped,
                HELP_SECONDS,
                helped < HELP_SECONDS,
            ),
        ],
    )


def _seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began

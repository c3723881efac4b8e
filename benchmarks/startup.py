"""Start-up time: ``import warmstart`` and ``warmstart --help``.

Each command runs in a new interpreter. The commands alternate, so that other load of the machine
affects all of them. The first turn fills the page cache and writes bytecode and is not counted.
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
"""Targets; for the import, the start-up time of Python itself is subtracted."""


def add_options(parser: ArgumentParser) -> None:
    """Add the option for repeats."""
    parser.add_argument(
        "--repeats", type=int, default=10, help="measurements per command; default 10"
    )


def run(options: Namespace) -> Outcome:
    """Measure each command ``options.repeats`` times."""
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
    import_seconds = median(samples["import"]) - median(samples["python"])
    help_seconds = median(samples["help"])
    return Outcome(
        rows,
        [
            Verdict(
                f"`import warmstart` < {IMPORT_SECONDS} s more than `python -c pass`",
                import_seconds,
                IMPORT_SECONDS,
                import_seconds < IMPORT_SECONDS,
            ),
            Verdict(
                f"`warmstart --help` < {HELP_SECONDS} s",
                help_seconds,
                HELP_SECONDS,
                help_seconds < HELP_SECONDS,
            ),
        ],
    )


def _seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began

"""``python -m benchmarks SUITE``: run one suite, print its table, and write its dated result.

The result of a full run is written to ``benchmarks/results/``. A shortened run (``--quick``,
``--limit``, …) is only written to the folder given by ``--results``, so that it cannot be mistaken
for a full one.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks import (
    comparing,
    defaults,
    embedding,
    forecasting,
    generation,
    preparation,
    quality,
    scale,
    seeds,
    serving,
    startup,
    table,
    tagging,
    training,
    transfer,
)
from benchmarks.machine import machine
from benchmarks.outcome import RESULTS, Outcome, as_json, show, write

TABLE = "table"
SHORTENING = ("limit", "quick", "steps", "engine")
"""Options that make a run shorter than a full one."""


class Suite(Protocol):
    """The interface of a suite's module."""

    DESCRIPTION: str

    def add_options(self, parser: ArgumentParser) -> None:
        """Add the suite's options to its parser."""

    def run(self, options: Namespace) -> Outcome:
        """Run the suite."""


SUITES: dict[str, Suite] = {
    "comparing": comparing,
    "defaults": defaults,
    "embedding": embedding,
    "forecasting": forecasting,
    "quality": quality,
    "training": training,
    "generation": generation,
    "preparation": preparation,
    "scale": scale,
    "seeds": seeds,
    "serving": serving,
    "startup": startup,
    "tagging": tagging,
    "transfer": transfer,
}


def main(arguments: Sequence[str]) -> int:
    """Run the suite that the command line names.

    Args:
        arguments: command line arguments, without the program name.
    """
    options = _parser().parse_args(arguments)
    if options.suite == TABLE:
        table.write_tables()
        return 0
    facts = machine()  # before the suite loads the machine
    outcome = SUITES[options.suite].run(options)
    content = as_json(options.suite, arguments, outcome, facts)
    shortened = any(vars(options).get(option) for option in SHORTENING)
    folder = options.results or (None if shortened else RESULTS)
    if folder is not None:
        print(f"written to {write(content, folder)}", file=sys.stderr)
    if options.json:
        print(json.dumps(content, ensure_ascii=False))
    else:
        show(content)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True, metavar="SUITE")
    suites.add_parser(TABLE, help="write the READMEs' table from the stored results")
    for name, suite in SUITES.items():
        own = suites.add_parser(name, help=suite.DESCRIPTION, description=suite.DESCRIPTION)
        own.add_argument("--json", action="store_true", help="print one JSON object to stdout")
        own.add_argument("--results", type=Path, metavar="FOLDER", help="folder for the result")
        suite.add_options(own)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

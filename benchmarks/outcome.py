"""What a suite found: rows, verdicts, and the file that keeps them.

A row is a flat mapping, one table line; under ``runs`` it carries the measurements it sums up, so
that anyone can sum them up differently. A verdict compares one figure with its target.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.machine import versions

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim, checked.

    Args:
        claim: in words, with the target in it.
        measured: the figure; None if it could not be measured.
        target: what it is compared with, in the same unit.
        holds: whether the claim is true; None if it could not be told.
    """

    claim: str
    measured: float | None
    target: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a suite.

    Args:
        rows: one for each workload and engine.
        verdicts: what they say about our targets.
        notes: what a reader of the figures must know.
    """

    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    notes: Sequence[str] = field(default=())


def as_json(
    suite: str, arguments: Sequence[str], outcome: Outcome, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a result file.

    Args:
        suite: its name.
        arguments: of the command line, the suite's name first.
        outcome: what came out.
        facts: ``machine()``, taken before the suite ran.
    """
    return {
        "suite": suite,
        "date": date.today().isoformat(),
        "command": command_line(arguments),
        "machine": dict(facts),
        "versions": versions(),
        "rows": rounded(list(outcome.rows)),
        "verdicts": rounded([asdict(verdict) for verdict in outcome.verdicts]),
        "notes": list(outcome.notes),
    }


def write(content: Mapping[str, Any], folder: Path) -> Path:
    """Write ``YYYY-MM-DD-SUITE.json`` into ``folder``; the same day's earlier one is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content['date']}-{content['suite']}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def command_line(arguments: Sequence[str]) -> str:
    """The command to repeat, without folders of this machine.

    >>> command_line(["quality", "--work", "/data/work.jsonl", "--seeds", "1"])
    'python -m benchmarks quality --work work.jsonl --seeds 1'
    """
    shown = [Path(text).name if Path(text).is_absolute() else text for text in arguments]
    return shlex.join(["python", "-m", "benchmarks", *shown])


def rounded(value: Any) -> Any:
    """Every float in ``value`` to four digits after the point.

    >>> rounded([{"seconds": 0.123456}, 3])
    [{'seconds': 0.1235}, 3]
    """
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def show(content: Mapping[str, Any]) -> None:
    """Print rows and verdicts to stdout as a person reads them."""
    names = list(dict.fromkeys(name for row in content["rows"] for name in row if name != "runs"))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in content["rows"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    marks = {True: "yes", False: "NO", None: "not told"}
    for verdict in content["verdicts"]:
        figures = f"measured {verdict['measured']}, target {verdict['target']}"
        print(f"{marks[verdict['holds']]:>8}  {verdict['claim']}: {figures}")
    for note in content["notes"]:
        print(f"    note  {note}")

"""The result of a suite: rows, verdicts, and the file in which they are stored.

A row is a flat mapping, one line of the table. Its key ``runs`` contains the single measurements,
so that they can be summarised in other ways. A verdict compares one value with its target.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import versions

RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and whether it is true.

    Args:
        claim: the claim in words, with its target.
        measured: the measured value; None if it could not be measured.
        target: the target, in the same unit.
        holds: whether the claim is true; None if there is no value or no target.
    """

    claim: str
    measured: float | None
    target: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a suite.

    Args:
        rows: one row per workload and engine.
        verdicts: the comparisons with our targets.
        notes: further information for readers of the results.
        part: name of the part of the suite that was run; empty for the full suite.
    """

    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    notes: Sequence[str] = field(default=())
    part: str = ""


def as_json(
    suite: str, arguments: Sequence[str], outcome: Outcome, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a result file.

    Args:
        suite: name of the suite.
        arguments: command line arguments, the suite's name first.
        outcome: the result of the suite.
        facts: ``machine()``, called before the suite ran.
    """
    return {
        "suite": suite,
        **({"part": outcome.part} if outcome.part else {}),
        "date": date.today().isoformat(),
        "finished": datetime.now().isoformat(timespec="seconds"),
        "command": command_line(arguments),
        "machine": dict(facts),
        "versions": versions(),
        "rows": rounded(list(outcome.rows)),
        "verdicts": rounded([asdict(verdict) for verdict in outcome.verdicts]),
        "notes": list(outcome.notes),
    }


def write(content: Mapping[str, Any], folder: Path) -> Path:
    """Write ``YYYY-MM-DD-SUITE[-PART].json`` into ``folder``; replaces a file with this name."""
    folder.mkdir(parents=True, exist_ok=True)
    part = f"-{content['part']}" if "part" in content else ""
    path = folder / f"{content['date']}-{content['suite']}{part}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def results(folder: Path, suite: str) -> list[tuple[str, dict[str, Any]]]:
    """All stored results of a suite as (file name, content), oldest first."""
    stored = [
        (path.name, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob(f"????-??-??-{suite}*.json"))
    ]
    return sorted(stored, key=lambda one: one[1].get("finished", one[1]["date"]))


def newest_rows(folder: Path, suite: str) -> dict[tuple[str, str], tuple[Row, str]]:
    """For each (workload, engine), the row of the workload's newest result, and its file name.

    All rows of a workload are from one session: rows of different results are never combined.

    Args:
        folder: folder with the results.
        suite: name of the suite.
    """
    rows: dict[tuple[str, str], tuple[Row, str]] = {}
    for name, content in results(folder, suite):
        replaced = {row["workload"] for row in content["rows"]}
        rows = {key: row for key, row in rows.items() if key[0] not in replaced}
        rows |= {(row["workload"], row["engine"]): (row, name) for row in content["rows"]}
    return rows


def command_line(arguments: Sequence[str]) -> str:
    """The command that repeats the run; paths of this machine are shortened to their names.

    >>> command_line(["transfer", "--results", "/data/results", "--set", "data.dir=/data/wiki"])
    'python -m benchmarks transfer --results results --set data.dir=wiki'
    """
    parts = [text.rpartition("=") for text in arguments]
    shown = [
        key + equals + (Path(value).name if Path(value).is_absolute() else value)
        for key, equals, value in parts
    ]
    return shlex.join(["python", "-m", "benchmarks", *shown])


def rounded(value: Any) -> Any:
    """Round every float in ``value`` to four decimals.

    >>> rounded([{"seconds": 0.123456}, 3])
    [{'seconds': 0.1235}, 3]
    """
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def show(content: Mapping[str, Any]) -> None:
    """Print rows and verdicts to stdout as text."""
    hidden = ("runs", "_low", "_high", "_from")
    columns = dict.fromkeys(name for row in content["rows"] for name in row)
    names = [name for name in columns if not name.endswith(hidden)]
    lines = [names, *([_shown(row.get(name)) for name in names] for row in content["rows"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    marks = {True: "reached", False: "MISSED", None: ""}
    for verdict in content["verdicts"]:
        print(f"{marks[verdict['holds']]:>8}  {verdict['claim']}: {_shown(verdict['measured'])}")
    for note in content["notes"]:
        print(f"    note  {note}")


def _shown(value: Any) -> str:
    """A table cell: numbers with four digits, None as a dash."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value}"

"""The READMEs' benchmark tables, generated from the newest stored result of each workload.

``python -m benchmarks table`` writes them between two markers in both READMEs. A test checks that
they match ``results/``, so no number is typed by hand.

There is a short table with one line per workload, a table of the suite ``generation`` if it was
measured, and a folded table with one line per engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.outcome import RESULTS, Row, newest_rows, results
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmark table -->\n", "<!-- /benchmark table -->"
OURS = "warmstart"
PEERS = (
    ("transformers-trainer", "transformers-pipeline"),
    ("transformers-trainer-grouped",),
    ("tutorial-loop-128", "tutorial-loop-768"),
    ("sentence-transformers",),
)
"""For each ratio column of the short table, its engines; a workload has at most one of them."""


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of the tables in one language.

    Args:
        short: column headings of the short table.
        long: column headings of the long table.
        writing: column headings of the table of ``generation``.
        every_engine: title of the folded table.
        measured: sentence with date, machine and command of a session.
        unknown: cell of a workload without results.
    """

    short: Sequence[str]
    long: Sequence[str]
    writing: Sequence[str]
    every_engine: str
    measured: str
    unknown: str


LANGUAGES = {
    "README.md": Words(
        short=(
            "workload",
            "samples/s",
            "× `Trainer` (`pipeline`)",
            "× grouped by length",
            "× loop padded to 128 (768)",
            "× sentence-transformers",
            "peak memory ÷ `Trainer`'s",
            "share of the limit",
        ),
        long=(
            "workload",
            "engine",
            "samples/s (min–max)",
            "real tokens/s",
            "start-up, s",
            "time to trained model, s",
            "peak, MiB",
            "validation MCC",
            "share of the limit",
            "warmstart is × as fast",
        ),
        writing=(
            "generation",
            "engine",
            "tokens/s (min–max)",
            "start-up, s",
            "peak, MiB",
            "warmstart is × as fast",
        ),
        every_engine="Every engine",
        measured="{workloads}: {date}, {cpu}, {cores} cores, torch {torch}, "
        "transformers {transformers}, `{command}`.",
        unknown="not yet measured",
    ),
    "README.zh-CN.md": Words(
        short=(
            "任务",
            "样本/秒",
            "× `Trainer`（`pipeline`）",
            "× 按长度分组",
            "× 填充到 128（768）的教程循环",
            "× sentence-transformers",
            "峰值内存 ÷ `Trainer` 的",
            "占极限的比例",
        ),
        long=(
            "任务",
            "引擎",
            "样本/秒（最低–最高）",
            "真实词元/秒",
            "启动，秒",
            "训练完成，秒",
            "峰值，MiB",
            "验证集 MCC",
            "占极限的比例",
            "warmstart 的速度是其 × 倍",
        ),
        writing=(
            "生成",
            "引擎",
            "词元/秒（最低–最高）",
            "启动，秒",
            "峰值，MiB",
            "warmstart 的速度是其 × 倍",
        ),
        every_engine="所有引擎",
        measured="{workloads}：{date}，{cpu}，{cores} 核，torch {torch}，"
        "transformers {transformers}，`{command}`。",
        unknown="尚未测量",
    ),
}


def write_tables(root: Path = ROOT, folder: Path = RESULTS) -> None:
    """Write the tables into both READMEs.

    Args:
        root: root of the repository.
        folder: folder with the results.
    """
    for name, words in LANGUAGES.items():
        page = root / name
        page.write_text(placed(page.read_text(encoding="utf-8"), words, folder), encoding="utf-8")


def placed(page: str, words: Words, folder: Path = RESULTS) -> str:
    """The page with the tables between its markers.

    Args:
        page: the text of a README.
        words: texts in its language.
        folder: folder with the results.

    Raises:
        ValueError: the page lacks a marker.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page lacks {BEGIN.strip()} or {END}")
    return before + begin + tables(words, folder) + end + after


def tables(words: Words, folder: Path = RESULTS) -> str:
    """All tables, with notes on the machine and the command.

    Args:
        words: texts in one language.
        folder: folder with the results.
    """
    rows = newest_rows(folder, "training")
    workloads: dict[str, dict[str, Row]] = {name: {} for name in WORKLOADS}
    sources: dict[str, list[str]] = {}
    for (workload, engine), (row, file) in rows.items():
        workloads.setdefault(workload, {})[engine] = row
        if workload not in sources.setdefault(file, []):
            sources[file].append(workload)
    short = [_short(name, engines, words) for name, engines in workloads.items()]
    long = [_long(row) for engines in workloads.values() for row in engines.values()]
    contents = dict(results(folder, "training"))
    notes = [_source(contents[file], names, words) for file, names in sources.items()]
    return "\n".join(
        [
            _markdown(words.short, short, names=1),
            "\n\n".join(notes),
            *_generation(words, folder),
            f"\n<details>\n<summary>{words.every_engine}</summary>\n",
            _markdown(words.long, long, names=2),
            "</details>\n",
        ]
    )


def _generation(words: Words, folder: Path) -> list[str]:
    """The table of the newest result of ``generation`` and its note; empty if there is no result.

    Args:
        words: texts in one language.
        folder: folder with the results.
    """
    stored = results(folder, "generation")
    if not stored:
        return []
    _, content = stored[-1]
    lines = []
    for row in content["rows"]:
        speed, low, high = (
            _number(row[f"tokens_per_second{which}"], 1) for which in ("", "_low", "_high")
        )
        speedup = None if row["engine"] == OURS else row["warmstart_speedup"]
        names = [f"`{row['workload']}`", f"`{row['engine']}`"]
        startup, peak = _number(row["startup_seconds"], 1), _number(row["peak_mib"], 0)
        lines.append([*names, f"{speed} ({low}–{high})", startup, peak, _number(speedup, 2)])
    note = _source(content, list(dict.fromkeys(row["workload"] for row in content["rows"])), words)
    return ["", _markdown(words.writing, lines, names=2), note]


def _short(workload: str, engines: Mapping[str, Row], words: Words) -> list[str]:
    ours = engines.get(OURS, {})
    if "samples_per_second" not in ours:
        return [f"`{workload}`", words.unknown, *[""] * (len(words.short) - 2)]
    peers = [next((engines[name] for name in names if name in engines), {}) for names in PEERS]
    trainer = peers[0].get("peak_mib")
    memory = ours["peak_mib"] / trainer if trainer else None
    return [
        f"`{workload}`",
        _number(ours["samples_per_second"], 0 if ours["samples_per_second"] >= 10 else 2),
        *(_number(peer.get("warmstart_speedup"), 2) for peer in peers),
        _number(memory, 2),
        _number(ours.get("share_of_limit"), 2),
    ]


def _long(row: Row) -> list[str]:
    name = [f"`{row['workload']}`", f"`{row['engine']}`"]
    if "failed" in row:
        return [*name, row["failed"], *[""] * 7]
    samples, low, high = (
        _number(row[f"samples_per_second{which}"], 1) for which in ("", "_low", "_high")
    )
    speedup = None if row["engine"] == OURS else row.get("warmstart_speedup")
    return [
        *name,
        f"{samples} ({low}–{high})",
        _number(row["tokens_per_second"], 0),
        _number(row.get("startup_seconds"), 1),
        _number(row.get("time_to_trained_seconds"), 0),
        _number(row["peak_mib"], 0),
        _number(row.get("validation_mcc"), 3),
        _number(row.get("share_of_limit"), 2),
        _number(speedup, 2),
    ]


def _source(content: Mapping[str, Any], workloads: Sequence[str], words: Words) -> str:
    return words.measured.format(
        workloads=", ".join(f"`{name}`" for name in workloads),
        date=content["date"],
        cpu=content["machine"]["cpu"],
        cores=content["machine"]["cores"],
        torch=content["versions"]["torch"],
        transformers=content["versions"]["transformers"],
        command=content["command"],
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> str:
    """A table whose first ``names`` columns are names; the others are numbers."""
    lines = [heads, [*["---"] * names, *["---:"] * (len(heads) - names)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

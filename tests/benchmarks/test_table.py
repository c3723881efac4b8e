"""The READMEs show exactly the stored results."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import table
from benchmarks.outcome import newest_rows
from benchmarks.table import BEGIN, END, LANGUAGES, ROOT
from benchmarks.workloads import WORKLOADS

WORDS = LANGUAGES["README.md"]


def store(folder: Path, name: str, rows: list[dict[str, Any]], **content: Any) -> None:
    whole = {
        "date": name[:10],
        "command": "python -m benchmarks training",
        "machine": {"cpu": "Some CPU", "cores": 2},
        "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
        "rows": rows,
        **content,
    }
    (folder / name).write_text(json.dumps(whole), "utf-8")


def row(workload: str, engine: str, samples: float, **rest: Any) -> dict[str, Any]:
    rates = {"samples_per_second": samples, "tokens_per_second": 11 * samples}
    spread = {"samples_per_second_low": samples - 1, "samples_per_second_high": samples + 2}
    return {"workload": workload, "engine": engine, **rates, **spread, "peak_mib": 1000.0, **rest}


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_readmes_are_current(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    assert table.placed(page, LANGUAGES[name]) == page, "run: make bench-table"


def test_both_languages_have_the_same_columns() -> None:
    english, chinese = LANGUAGES.values()
    assert len(english.short) == len(chinese.short)
    assert len(english.long) == len(chinese.long)


def test_both_tables_say_what_was_measured(tmp_path: Path) -> None:
    rows = [
        row("cola-minilm", "warmstart", 250.0, share_of_limit=0.71, peak_mib=800.0),
        row("cola-minilm", "transformers-trainer", 100.0, warmstart_speedup=2.512)
        | {"time_to_trained_seconds": 1234.4, "validation_mcc": 0.3411},
        {"workload": "cola-minilm", "engine": "setfit", "failed": "not installed", "runs": []},
    ]
    store(tmp_path, "2026-01-02-training.json", rows)
    text = table.tables(WORDS, tmp_path)
    assert "| `cola-minilm` | 250 | 2.51 | – | – | – | 0.80 | 0.71 |" in text
    long = "| 100.0 (99.0–102.0) | 1,100 | – | 1,234 | 1,000 | 0.341 | – | 2.51 |"
    assert f"| `cola-minilm` | `transformers-trainer` {long}" in text
    assert "| `cola-minilm` | `setfit` | not installed |" in text
    assert "`cola-minilm`: 2026-01-02, Some CPU, 2 cores, torch 2.13.0" in text
    for name in WORKLOADS.keys() - {"cola-minilm"}:
        assert f"| `{name}` | not yet measured |" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {len(WORDS.short) + 1, len(WORDS.long) + 1}


def test_a_workload_comes_whole_from_its_newest_result(tmp_path: Path) -> None:
    old = [row("a", "warmstart", 1.0), row("a", "peer", 1.0), row("b", "warmstart", 1.0)]
    store(tmp_path, "2026-01-01-training.json", old)
    store(tmp_path, "2026-01-02-training-a.json", [row("a", "warmstart", 2.0)])
    store(tmp_path, "2026-01-03-quality.json", [row("a", "warmstart", 3.0)])
    found = newest_rows(tmp_path, "training")
    assert {key: one["samples_per_second"] for key, (one, _) in found.items()} == {
        ("a", "warmstart"): 2.0,
        ("b", "warmstart"): 1.0,
    }
    assert found["a", "warmstart"][1] == "2026-01-02-training-a.json"


@pytest.mark.parametrize("hours", [("09", "18"), ("18", "09")])
def test_of_one_day_the_later_result_counts(hours: tuple[str, str], tmp_path: Path) -> None:
    for part, hour in zip(("", "-a"), hours, strict=True):
        rows = [row("a", "warmstart", float(hour))]
        finished = f"2026-01-01T{hour}:00:00"
        store(tmp_path, f"2026-01-01-training{part}.json", rows, finished=finished)
    assert newest_rows(tmp_path, "training")["a", "warmstart"][0]["samples_per_second"] == 18.0


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    store(tmp_path, "2026-01-01-training.json", [row("cola-minilm", "warmstart", 1.0)])
    for name in LANGUAGES:
        (tmp_path / name).write_text(f"before\n{BEGIN}old\n{END}\nafter\n", "utf-8")
    table.write_tables(tmp_path, tmp_path)
    for name, words in LANGUAGES.items():
        page = (tmp_path / name).read_text("utf-8")
        assert page == f"before\n{BEGIN}{table.tables(words, tmp_path)}{END}\nafter\n"
        assert table.placed(page, words, tmp_path) == page


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="benchmark table"):
        table.placed("no markers", WORDS, tmp_path)


def test_what_was_written_has_a_table_of_its_own(tmp_path: Path) -> None:
    rows = [
        row("gpt2-greedy", "warmstart", 4.0, startup_seconds=3.04, warmstart_speedup=1.0),
        row("gpt2-greedy", "transformers-generate-1", 0.5, startup_seconds=3.0)
        | {"warmstart_speedup": 8.0},
    ]
    for one in rows:
        spread = {f"tokens_per_second_{end}": one["tokens_per_second"] for end in ("low", "high")}
        one |= spread
    store(tmp_path, "2026-01-02-generation.json", rows, command="python -m benchmarks generation")
    text = table.tables(WORDS, tmp_path)
    assert "| `gpt2-greedy` | `warmstart` | 44.0 (44.0–44.0) | 3.0 | 1,000 | – |" in text
    assert "| `gpt2-greedy` | `transformers-generate-1` | 5.5 (5.5–5.5) |" in text
    assert "`python -m benchmarks generation`" in text
    (other := tmp_path / "other").mkdir()
    assert "gpt2-greedy" not in table.tables(WORDS, other)

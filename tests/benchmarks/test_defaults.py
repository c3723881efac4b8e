"""Suite ``defaults``: the samples, the summary of runs, and the comparison with the best engine."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import defaults
from benchmarks.default_sets import SETS, banking
from warmstart import config_file


def write_intents(folder: Path) -> Path:
    (folder / "banking77").mkdir()
    with (folder / "banking77" / "train.csv").open("w", newline="") as file:
        rows = [(f"text {number}", f"intent {number % 5}") for number in range(100)]
        csv.writer(file).writerows([("text", "category"), *rows])
    return folder


def test_a_sample_has_the_same_number_of_rows_of_each_label(tmp_path: Path) -> None:
    write_intents(tmp_path)
    files = [
        Path(banking(8)(tmp_path, tmp_path, seed)["data.train"]).read_text() for seed in (1, 1, 2)
    ]
    counts = Counter(row["category"] for row in csv.DictReader(files[0].splitlines()))
    assert counts == {f"intent {number}": 8 for number in range(5)}
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize("name", SETS)
def test_every_data_set_has_usable_settings(tmp_path: Path, name: str) -> None:
    write_intents(tmp_path)
    config = config_file.load({}, SETS[name](tmp_path, tmp_path, 1))
    assert config.train.learning_rate == "auto"


def run(engine: str, score: float) -> dict[str, Any]:
    return {"engine": engine, "score": score, "seconds": 2.0, "peak_mib": 9, "metric": "macro_f1"}


@pytest.mark.parametrize(("ours", "holds"), [(0.69, True), (0.55, False)])
def test_the_target_is_the_best_engine_minus_its_standard_error(ours: float, holds: bool) -> None:
    runs = [run("warmstart", ours), run("weak", 0.1), run("best", 0.6), run("best", 0.8)]
    rows = defaults._summaries("banking", runs)
    assert [row["engine"] for row in rows] == ["warmstart", "weak", "best"]
    assert (rows[2]["score"], rows[2]["lowest"], rows[2]["highest"]) == (
        pytest.approx(0.7), 0.6, 0.8,
    )  # fmt: skip
    (verdict,) = defaults._verdicts(rows)
    assert verdict.target == pytest.approx(0.6)
    assert verdict.holds is holds

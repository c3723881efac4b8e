"""The suite that compares forecasts with runs: real ones on a tiny model, and the ratios."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import forecasting
from tests.runs_in_memory import settings
from warmstart import config_file


def test_every_workload_has_valid_settings(tmp_path: Path) -> None:
    for name in forecasting.WORKLOADS:
        config = forecasting.settings(name, tmp_path, ["train.seed=3"])
        assert str(tmp_path) in str(config.data.dir)
        assert (config.train.device, config.train.seed) == ("cpu", 3)


def test_the_ratio_furthest_from_one_decides() -> None:
    def pair(forecast: float) -> tuple[dict[str, Any], dict[str, Any]]:
        same = dict.fromkeys(
            ("seconds", "cpu_seconds", "peak_mib", "disk_mib", "disk_end_mib"), 10.0
        )
        made = {**same, "seconds": forecast, "took": 1.0, "parts": {}}
        return made, {**same, "report_seconds": 1.0, "parts": {}}

    rows = list(forecasting.ratios("cola-minilm", [pair(11.0), pair(7.0)]))
    assert [row["seconds_ratio"] for row in rows] == [1.1, 0.7]
    seconds, cpu, memory, disk = forecasting.verdicts(rows)
    assert (seconds.measured, seconds.holds) == (0.7, False)
    assert (memory.measured, memory.holds, cpu.holds, disk.holds) == (1.0, True, True, True)


@pytest.mark.slow
def test_a_forecast_and_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "reviews.yaml"
    config.write_text(config_file.dump(config_file.load(settings(tmp_path))))
    monkeypatch.setattr(forecasting, "WORKLOADS", {"tiny": (str(config), {})})
    made = forecasting.forecast("tiny", tmp_path, [])
    found = forecasting.measure("tiny", tmp_path, [])
    assert made["parts"]["seconds"]["total"] == made["seconds"] > 0
    assert 0 < made["disk_end_mib"] < made["disk_mib"]
    for kind in ("seconds", "cpu_seconds"):
        assert sum(found["parts"][kind].values()) == pytest.approx(found[kind])
    assert found["disk_mib"] >= found["disk_end_mib"] > 0

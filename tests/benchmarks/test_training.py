"""The suite: alternating engines, medians, ratios within a turn, verdicts, and the result file."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import training
from benchmarks.engines import Engine
from benchmarks.limit import Rates
from benchmarks.materials import Material
from benchmarks.outcome import Row
from benchmarks.workloads import Workload

Bench = Callable[..., dict[str, Any]]


@pytest.fixture
def bench(suite: dict[str, Workload], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run the suite with command-line options; returns the JSON object that it printed."""

    def run(*options: str) -> dict[str, Any]:
        capsys.readouterr()
        where = ("--results", str(tmp_path / "results"))
        assert command.main(["training", "--json", *where, *options]) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return run


def row_of(content: dict[str, Any], engine: str) -> Row:
    (row,) = (row for row in content["rows"] if row["engine"] == engine)
    return dict(row)


@pytest.mark.slow
def test_every_engine_is_measured_in_every_turn(
    bench: Bench, tiny: Workload, tmp_path: Path
) -> None:
    content = bench("--repeats", "2")
    assert {"machine", "versions", "rows", "verdicts", "finished"} <= set(content)
    assert [row["engine"] for row in content["rows"]] == list(tiny.engines)
    for row in content["rows"]:
        assert row["workload"] == "tiny"
        assert [one["seed"] for one in row["runs"]] == [1, 2]
        for rate in training.RATES:
            values = [one[rate] for one in row["runs"]]
            assert row[f"{rate}_low"] == min(values) <= row[rate] <= max(values)
        for name in ("startup_seconds", "peak_mib", "share_of_limit", "cores_used"):
            assert row[name] > 0
        assert row["time_to_trained"] == "computed"
    (written,) = (tmp_path / "results").iterdir()
    assert written.name == f"{content['date']}-training.json"
    assert json.loads(written.read_text("utf-8")) == content
    assert str(tmp_path) not in written.read_text("utf-8")


def test_targets_are_judged_in_the_same_run(bench: Bench) -> None:
    content = bench("--repeats", "1", "--engine", "warmstart", "transformers-trainer")
    verdicts = {verdict["claim"]: verdict for verdict in content["verdicts"]}
    reached = verdicts["tiny: samples/s of warmstart / transformers-trainer >= 0"]
    ours, peer = (row_of(content, name) for name in ("warmstart", "transformers-trainer"))
    speeds = [row["runs"][0]["samples_per_second"] for row in (ours, peer)]
    assert reached["measured"] == pytest.approx(speeds[0] / speeds[1], rel=1e-3)
    assert reached["holds"] is True
    assert verdicts["tiny: warmstart's share of the limit >= 0"]["holds"] is True
    memory = verdicts["tiny: peak memory of warmstart / transformers-trainer <= 1"]
    assert memory["measured"] == pytest.approx(ours["peak_mib"] / peer["peak_mib"], rel=1e-3)


def test_a_missed_target_and_a_ratio_without_target() -> None:
    workload = Workload("w", lambda data: None, "m", ("warmstart", "a", "b"), 8, targets={"a": 3})  # type: ignore[arg-type,return-value]
    rows = [
        {"engine": "warmstart", "warmstart_speedup": 1.0, "runs": []},
        {"engine": "a", "warmstart_speedup": 2.9, "runs": []},
        {"engine": "b", "warmstart_speedup": 7.0, "runs": []},
    ]
    missed, told = training.judge(workload, rows)
    assert (missed.claim, missed.holds) == ("w: samples/s of warmstart / a >= 3", False)
    assert (told.claim, told.holds) == ("w: samples/s of warmstart / b", None)
    # A peer that could not be measured has not reached a target.
    (unknown,) = training.judge(workload, [{"engine": "a", "failed": "no", "runs": []}])
    assert unknown.holds is None


def test_the_probabilities_of_predictions_are_compared() -> None:
    workload = Workload("w", lambda data: None, "m", ("warmstart", "a"), 8, kind="predict")  # type: ignore[arg-type,return-value]
    rows = [
        {"engine": name, "warmstart_speedup": 1.0, "runs": [{"mean_probability": chance}]}
        for name, chance in (("warmstart", 0.5), ("a", 0.51))
    ]
    assert training.judge(workload, rows)[-1].holds is False


def test_the_losses_of_language_models_are_compared() -> None:
    workload = Workload("w", lambda data: None, "m", ("warmstart", "transformers-trainer"), 8)  # type: ignore[arg-type,return-value]
    rows = [
        {"engine": name, "warmstart_speedup": 1.0, "runs": [{"training_loss": x} for x in losses]}
        for name, losses in (("warmstart", (9.0, 9.2)), ("transformers-trainer", (9.1, 9.3)))
    ]
    verdict = training.judge(workload, rows)[-1]
    assert (verdict.measured, verdict.holds) == (pytest.approx(0.1), False)


def test_a_ratio_is_of_the_same_turn() -> None:
    def runs(*speeds: float) -> list[Row]:
        return [{"seed": seed, "samples_per_second": s} for seed, s in enumerate(speeds, start=1)]

    # In each turn the machine was half as fast as in the previous one, for both engines.
    assert training.ratio(runs(20, 10, 5), runs(10, 5, 2.5)) == 2.0
    assert training.ratio(runs(20, 10, 30), runs(10)) == 2.0
    assert training.ratio([], runs(10)) is None


def test_a_row_sums_up_its_runs(material: Material) -> None:
    runs = [
        {"samples_per_second": speed, "tokens_per_second": 10 * speed, "startup_seconds": 3.0}
        | {"peak_mib": 7.0, "cores_used": 1.5, "seconds": 2.0, "seed": seed}
        | {"least_flops": 1e11, "least_bytes": 5e9}
        for seed, speed in enumerate((100.0, 120.0, 90.0))
    ]
    engine = Engine(lambda setup, window: {})
    row = training.summary("x", engine, material, runs, Rates(1e11, 1e10))
    assert (row["samples_per_second"], row["tokens_per_second"]) == (100.0, 1000.0)
    assert (row["samples_per_second_low"], row["samples_per_second_high"]) == (90.0, 120.0)
    # 2 epochs of 180 rows at 100 rows/s, and 1 s of products + 0.5 s of bytes in 2 s.
    assert row["time_to_trained_seconds"] == pytest.approx(3.0 + 3.6)
    assert row["share_of_limit"] == 0.75
    whole = replace(material, workload=replace(material.workload, kind="run"))
    measured = training.summary(
        "x", engine, whole, [{**one, "validation_mcc": 0.4} for one in runs], Rates(1e11, 1e10)
    )
    assert (measured["time_to_trained"], measured["validation_mcc"]) == ("measured", 0.4)
    assert measured["time_to_trained_seconds"] == 5.0


def test_the_score_of_the_quality_suite_is_cited(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "RESULTS", tmp_path)
    rows = [{"workload": "tiny", "engine": "warmstart", "validation_mcc": 0.34}]
    content = {"suite": "quality", "date": "2026-01-02", "rows": rows}
    (tmp_path / "2026-01-02-quality.json").write_text(json.dumps(content), "utf-8")
    runs = [{"startup_seconds": 1.0, "samples_per_second": 9.0}]
    found = training._trained("warmstart", material.workload, 180, runs)
    assert (found["validation_mcc"], found["validation_from"]) == (0.34, "2026-01-02-quality.json")
    other = training._trained("setfit", material.workload, 180, runs)
    assert (other["validation_mcc"], other["validation_from"]) == (None, None)


def test_an_engine_that_fails_does_not_end_the_session(
    bench: Bench, suite: dict[str, Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(name: str, *rest: Any) -> Row:
        calls.append(name)
        if name == "transformers-trainer":
            raise RuntimeError("out of luck\nand more")
        return measure(name, *rest)

    measure = training.measure
    monkeypatch.setattr(training, "measure", broken)
    content = bench("--repeats", "2", "--engine", "warmstart", "transformers-trainer")
    assert row_of(content, "transformers-trainer")["failed"] == "RuntimeError: out of luck"
    assert len(row_of(content, "warmstart")["runs"]) == 2
    assert calls.count("transformers-trainer") == 1
    assert content["verdicts"][0]["holds"] is None


def test_an_engine_that_is_not_installed_is_said_to_be(
    bench: Bench, suite: dict[str, Workload], tiny: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite["tiny"] = replace(tiny, engines=("warmstart", "setfit"))
    monkeypatch.setattr(Engine, "installed", property(lambda self: self.needs is None))
    content = bench("--repeats", "1")
    assert row_of(content, "setfit")["failed"] == "not installed: pip install setfit"


def test_engines_take_turns() -> None:
    turns = [(0, "A"), (0, "B"), (1, "B"), (1, "A"), (2, "A"), (2, "B")]
    assert list(training.abba("AB", turns=3)) == turns


def test_the_machine_is_measured_before_between_and_after(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def probe() -> Rates:
        order.append("machine")
        return Rates(1e11 * len(order), 1e10)

    def measured(name: str, *rest: Any) -> Row:
        order.append(name)
        return measure(name, *rest)

    measure = training.measure
    monkeypatch.setattr(training.limit, "probe", probe)
    monkeypatch.setattr(training, "measure", measured)
    content = bench("--repeats", "2", "--engine", "warmstart", "tutorial-loop-64")
    turns = ["warmstart", "tutorial-loop-64"]
    assert order == ["machine", *turns, "machine", *reversed(turns), "machine"]
    assert "100.0 to 700.0 GFLOP/s" in content["notes"][0]


def test_quick_is_one_turn_of_few_steps(bench: Bench) -> None:
    content = bench("--quick", "--engine", "warmstart", "tutorial-loop-64")
    steps = {row["engine"]: [one["steps"] for one in row["runs"]] for row in content["rows"]}
    assert steps == {
        "warmstart": [training.QUICK_STEPS.timed],
        "tutorial-loop-64": [training.QUICK_FIXED_STEPS.timed],
    }
    assert "effect, but not its exact size" in content["notes"][-1]


def test_steps_and_rows_can_be_fewer(bench: Bench) -> None:
    content = bench("--repeats", "1", "--steps", "3", "--limit", "100", "--engine", "warmstart")
    (run,) = row_of(content, "warmstart")["runs"]
    assert (run["steps"], run["rows"]) == (3, 24)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (("--repeats", "1"), ["training"]),
        (("--repeats", "1", "--workload", "tiny"), ["training-tiny"]),
        (("--repeats", "1", "--limit", "150"), []),
        (("--quick",), []),
        (("--repeats", "1", "--steps", "2"), []),
        (("--repeats", "1", "--engine", "warmstart"), []),
    ],
)
def test_what_is_kept(
    options: tuple[str, ...],
    kept: list[str],
    suite: dict[str, Workload],
    tiny: Workload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suite["tiny"] = replace(tiny, engines=("warmstart",))
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command.main(["training", *options]) == 0
    names = [path.stem.split("-", maxsplit=3)[3] for path in tmp_path.iterdir()]
    assert names == kept

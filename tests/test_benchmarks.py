"""Each suite runs on a tiny model and corpus, and its JSON has the documented keys."""

import json
import os
import random
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import cola, machine, peers, preparation, quality, scale, serving
from benchmarks.corpora import Rows
from tests.runs_in_memory import BAD, GOOD, OTHER
from tests.tiny import tiny_checkpoint
from warmstart.data.examples.targets import RowTargets, of_kind
from warmstart.preparation.prepare import Prepared, prepare

# Warnings of a peer are not errors of ours.
peers_may_warn = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CoLA's two files, with 360 and 30 sentences, and a tiny checkpoint in ``model``."""
    folder = tmp_path_factory.mktemp("corpus")
    pick = random.Random(0)
    for name, rows in ((cola.TRAIN, 360), (cola.TEST, 30)):
        lines = []
        for number in range(rows):
            label = int(pick.random() < 0.6)
            words = [*pick.choices(OTHER, k=pick.randint(2, 9)), pick.choice((BAD, GOOD)[label])]
            lines.append(f'x\t{label}\t\t"{" ".join(words)} {number}')
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    tiny_checkpoint(folder / "model", layers=1)
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process for each measurement would take seconds, nearly all of them for imports."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    for suite in (quality, preparation, scale):
        monkeypatch.setattr(suite, "own_process", call)


@pytest.fixture(scope="module")
def prepared(corpus: Path) -> Prepared:
    return prepare(cola.settings(corpus, str(corpus / "model")))


@pytest.fixture
def bench(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Run a suite with command-line options; returns the JSON object that it printed."""

    def run(suite: str, *options: str) -> dict[str, Any]:
        where = (
            ()
            if suite in {"startup", "scale"}
            else ("--data", f"{corpus}", "--model", f"{corpus}/model")
        )
        results = ("--results", str(tmp_path / "results"))
        capsys.readouterr()
        assert command.main([suite, "--json", *results, *where, *options]) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        (written,) = (tmp_path / "results").glob(f"????-??-??-{suite}.json")
        assert json.loads(written.read_text("utf-8")) == printed
        for folder in (corpus, tmp_path, Path.cwd()):
            assert str(folder) not in written.read_text("utf-8")
        return printed

    return run


def check_envelope(content: dict[str, Any]) -> None:
    assert content["command"].startswith(f"python -m benchmarks {content['suite']} --json")
    assert {"cpu", "cores", "flags", "memory_gib", "load_average_before"} <= set(content["machine"])
    assert {"python", "warmstart", "torch", "transformers"} <= set(content["versions"])
    for row in content["rows"]:
        assert row["workload"]
        assert row["engine"]
        assert row["runs"]
    assert content["verdicts"]
    for verdict in content["verdicts"]:
        assert set(verdict) == {"claim", "measured", "target", "holds"}


@pytest.mark.slow
@peers_may_warn
@pytest.mark.usefixtures("in_process")
def test_quality_compares_means_over_seeds(
    bench: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--limit", "120", "--epochs", "1", "--work", str(tmp_path / "work.jsonl"))
    content = bench("quality", *options, "--seeds", "1", "2")
    check_envelope(content)
    assert [row["engine"] for row in content["rows"]] == ["warmstart", "transformers-trainer"]
    for row in content["rows"]:
        assert row["workload"] == "cola-model"
        assert row["seeds"] == [1, 2]
        assert -1 <= row["test_mcc"] <= 1
        for one in row["runs"]:
            assert -1 <= one["validation_mcc"] <= 1
            assert one["seconds"] > 0
            assert one["peak_mib"] > 50
            assert one["rows"]["train"] + one["rows"]["validation"] == 120
            assert one["rows"]["test"] == 30

    # Everything requested is now in the work file: nothing is run, and the result is the same.
    with (tmp_path / "work.jsonl").open("a", encoding="utf-8") as work:
        work.write('{"engine": "warms')
    with monkeypatch.context() as patched:
        patched.setattr(quality, "own_process", None)
        assert bench("quality", *options, "--seeds", "1", "2")["rows"] == content["rows"]
        for other in (("--seeds", "3"), ("--seeds", "1", "--engines", "warmstart-grouped")):
            with pytest.raises(TypeError):
                bench("quality", *options, *other)
        # A run from before results recorded how batches are made does not count as a current one.
        work = tmp_path / "work.jsonl"
        work.write_text(work.read_text("utf-8").replace('"grouped": false, ', ""), "utf-8")
        with pytest.raises(TypeError):
            bench("quality", *options, "--seeds", "1")


def test_quality_sums_up_by_mean_and_standard_error() -> None:
    runs = [
        {"engine": engine, "seed": 1, "test_mcc": mcc, "validation_mcc": 0.5, **rest}
        for engine, mcc in (("a", 0.2), ("b", 0.9), ("a", 0.6))
        for rest in ({"seconds": 3.0, "peak_mib": 10 * mcc},)
    ]
    row = quality.summary("a", runs, "cola-minilm")
    assert row["test_mcc"] == pytest.approx(0.4)
    assert row["test_mcc_standard_error"] == pytest.approx(0.2)
    assert row["validation_mcc_standard_error"] == 0
    assert row["peak_mib"] == 6


def test_the_verdict_allows_one_standard_error_of_the_trainer() -> None:
    def row(mcc: float, error: float | None) -> dict[str, Any]:
        return {"engine": "x", "test_mcc": mcc, "test_mcc_standard_error": error}

    assert quality.verdict(row(0.31, 0.5), row(0.32, 0.02)).holds is True
    assert quality.verdict(row(0.29, 0.5), row(0.32, 0.02)).holds is False
    assert quality.verdict(row(0.31, None), row(0.32, None)).holds is None


@pytest.mark.usefixtures("in_process")
def test_preparation_counts_every_row(bench: Callable[..., dict[str, Any]]) -> None:
    content = bench("preparation", "--repeats", "1", "--rows", "1000", "--limit", "200")
    check_envelope(content)
    assert [row["rows"] for row in content["rows"]] == [200, 1000]
    for row in content["rows"]:
        (one,) = row["runs"]
        seconds = one["prepare"] - one["checkpoint"]
        assert row["rows_per_second"] == pytest.approx(row["rows"] / seconds, rel=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_scale_measures_every_size(
    bench: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SIZES", (300, 900, 5000))
    monkeypatch.setattr(scale, "REPEATED_ROWS", 300)
    monkeypatch.setattr(scale, "WARMUP_ROWS", 100)
    content = bench("scale", "--repeats", "2", "--steps", "3", "--limit", "900")
    check_envelope(content)
    assert [(row["rows"], len(row["runs"])) for row in content["rows"]] == [(300, 2), (900, 1)]
    for row in content["rows"]:
        per_row = row["microseconds_per_row"]
        assert row["rows_per_second"] == pytest.approx(1e6 / per_row, rel=0.01)
        assert row["microseconds_per_row_low"] <= per_row <= row["microseconds_per_row_high"]
        assert row["train_seconds"] > 0
        assert row["prepare_peak_mib"] > 100
        assert row["above_model_anonymous_mib"] < 500
    ratio, memory = content["verdicts"]
    times = [row["microseconds_per_row"] for row in content["rows"]]
    assert ratio["measured"] == pytest.approx(max(times) / min(times), rel=0.01)
    assert memory["measured"] == max(row["above_model_mib"] for row in content["rows"])


def test_made_up_rows_are_like_colas(tmp_path: Path) -> None:
    scale.write_rows(tmp_path / "a.tsv", 2000, ["the", "cat", "sat", "on"])
    scale.write_rows(tmp_path / "b.tsv", 2000, ["the", "cat", "sat", "on"])
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    rows = [line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines()]
    assert {len(row) for row in rows} == {4}
    assert sum(int(row[1]) for row in rows) / 2000 == pytest.approx(0.7, abs=0.05)
    assert sum(len(row[3].split()) for row in rows) / 2000 == pytest.approx(7.7, abs=0.3)


def test_startup_times_three_commands(bench: Callable[..., dict[str, Any]]) -> None:
    content = bench("startup", "--repeats", "1")
    check_envelope(content)
    assert [row["engine"] for row in content["rows"]] == ["python", "import", "help"]
    seconds = {row["engine"]: row["seconds"] for row in content["rows"]}
    assert seconds["help"] > seconds["python"] > 0
    assert content["verdicts"][1]["measured"] == seconds["help"]


def test_a_shortened_run_leaves_the_results_alone(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: None
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    where = ["--data", str(corpus), "--model", str(corpus / "model")]
    small = [*where, "--repeats", "1", "--rows", "200"]
    command.main(["preparation", *small, "--limit", "100"])
    assert not list(tmp_path.iterdir())
    command.main(["preparation", *small])
    assert len(list(tmp_path.iterdir())) == 1


def test_the_peer_has_the_rows_and_settings_that_warmstart_has(
    prepared: Prepared, corpus: Path
) -> None:
    setup = quality.setup_of(prepared)
    assert setup.train_config == prepared.config.train
    assert setup.max_tokens == prepared.max_tokens == 64
    assert setup.checkpoint == corpus / "model"
    for split, rows in (("train", setup.train), ("validation", setup.validation)):
        features = peers.features(rows, prepared.checkpoint.tokenizer, 64)
        examples = prepared.examples[split]
        assert [one["input_ids"] for one in features] == [
            examples.tokens.ids_of(i).tolist() for i in range(len(examples))
        ]
        targets = of_kind(examples.targets, RowTargets)
        assert [one["labels"] for one in features] == targets.values.tolist()


def test_a_measurement_has_a_process_and_a_peak_of_its_own() -> None:
    assert machine.own_process(os.getpid) != os.getpid()
    held = b"x" * (300 * 2**20)
    assert machine.own_process(machine.peak_mib) < machine.peak_mib() - 200
    assert len(held) > 0


def test_repeating_the_corpus_begins_anew(corpus: Path) -> None:
    lines = (corpus / cola.TRAIN).read_text("utf-8").splitlines()
    with cola.resized(corpus, 361, repeat=True) as folder:
        assert (folder / cola.TRAIN).read_text("utf-8").splitlines() == [*lines, lines[0]]
        assert len((folder / cola.TEST).read_text("utf-8").splitlines()) == 30
    assert not folder.exists()
    with cola.resized(corpus, 361) as folder:
        assert (folder / cola.TRAIN).read_text("utf-8").splitlines() == lines
    with cola.resized(corpus, None) as folder:
        assert folder == corpus


def test_serving_compares_every_engine_on_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "cola", lambda folder: Rows(["a cat", "a dog"], [0, 1]))
    rates = {"transformers-pipeline": 2, "warmstart-torch": 4, "warmstart-onnx": 6}

    def measured(measure: Any, name: str, run: Path, texts: list[str]) -> dict[str, float]:
        assert (run, texts) == (tmp_path, ["a cat", "a dog", "a cat"])
        rate = rates.get(name, 9.0)
        one = 6 / rate
        return {
            "samples_per_second": rate,
            "one_ms": one,
            "one_ms_high": 1.5 * one,
            "forward_ms": 0.25 * one,
        }

    monkeypatch.setattr(serving, "own_process", measured)
    options = Namespace(run=tmp_path, data=Path(), limit=3, repeats=2)
    outcome = serving.run(options)
    assert [(row["engine"], row["one_ms"]) for row in outcome.rows] == [
        ("transformers-pipeline", 3),
        ("warmstart-torch", 1.5),
        ("warmstart-onnx", 1),
        ("warmstart-int8", pytest.approx(2 / 3)),
    ]
    assert [verdict.measured for verdict in outcome.verdicts] == [3, 4.5, 1.5, 3, 4.5, 1.125, 0.75]
    assert [verdict.holds for verdict in outcome.verdicts] == [*[True] * 5, False, True]
    rates["warmstart-onnx"] = 5
    assert [verdict.holds for verdict in serving.run(options).verdicts][:3] == [False, True, True]

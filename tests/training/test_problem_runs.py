"""Regression and multi-label runs: their files, and how other programs read them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from transformers import pipeline

from tests.cli.conftest import ran
from tests.runs_in_memory import TOPICS, job_of, never, number_settings, topic_settings
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.data.labels import shown_number
from warmstart.errors import Interrupted
from warmstart.preparation.prepare import prepare
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run

TEXTS = ["the cat was wonderful and nice", "her house was terrible", "we read it"]


def trained(folder: Path, config: dict[str, Any]) -> Run:
    train_run(prepare(config_file.load(config)), folder / "run")
    run = api.load(folder / "run")
    run.report()
    return run


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("numbers")
    return trained(folder, number_settings(folder, epochs=8, learning_rate=3e-3))


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on columns of 0 and 1, with thresholds."""
    folder = tmp_path_factory.mktemp("topics")
    config = topic_settings(folder, epochs=8, learning_rate=3e-3, choose_threshold=True)
    file = Path(config["data"]["train"])
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    lines = [",".join(["text", *TOPICS])]
    lines += [
        ",".join([row["text"], *(str(int(name in row["topics"].split("|"))) for name in TOPICS)])
        for row in rows
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    del config["data"]["label"]
    config["data"]["label_columns"] = list(TOPICS)
    return trained(folder, config)


def kept(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(
        run.path / "evaluation/validation/predictions.parquet"
    ).to_pylist()
    return found


def by_pipeline(run: Run, texts: list[str]) -> list[dict[str, float]]:
    """Every label's number from ``transformers.pipeline`` and the folder only."""
    classify: Any = pipeline("text-classification", model=str(run.path / "model"), device="cpu")
    return [
        {answer["label"]: answer["score"] for answer in answers}
        for answers in classify(texts, top_k=None)
    ]


def test_numbers_are_learned(numbers: Run) -> None:
    scores, baselines = numbers.scores["validation"], numbers.baselines
    assert next(iter(scores)) == "pearson_correlation"
    assert scores["pearson_correlation"]["low"] > 0.3
    assert set(baselines) == {"mean", "ridge"}
    assert baselines["mean"]["validation"]["pearson_correlation"]["value"] is None
    error = scores["mean_squared_error"]["value"]
    assert error < baselines["mean"]["validation"]["mean_squared_error"]["value"]
    content = json.loads((numbers.path / "evaluation/validation/scores.json").read_text())
    deviation = json.loads((numbers.path / "task.json").read_text())["facts"]["deviation"]
    assert content["loss"] == pytest.approx(error / deviation**2, rel=1e-5)


def test_labels_are_learned(topics: Run) -> None:
    scores, baselines = topics.scores["validation"], topics.baselines
    assert next(iter(scores)) == "macro_f1"
    assert set(baselines) == {"shares", "tfidf"}
    shares = baselines["shares"]["validation"]
    assert scores["macro_f1"]["value"] > shares["macro_f1"]["value"]
    assert scores["mean_average_precision"]["value"] > shares["mean_average_precision"]["value"]
    facts = json.loads((topics.path / "task.json").read_text())["facts"]
    assert facts["label_names"] == list(TOPICS)
    content = json.loads((topics.path / "evaluation/validation/scores.json").read_text())
    assert facts["thresholds"] == [part["threshold"] for part in content["details"]["per_class"]]
    assert facts["thresholds"] != [0.5] * 3
    assert content["loss"] == pytest.approx(scores["log_loss"]["value"], rel=1e-5)


@pytest.mark.parametrize("kind", ["numbers", "topics"])
def test_a_bare_pipeline_gives_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(kind)
    config = json.loads((run.path / "model/config.json").read_text())
    ours = run.predict(TEXTS)
    if kind == "numbers":
        assert config["problem_type"] == "regression"
        theirs = [answer["value"] for answer in by_pipeline(run, TEXTS)]
        assert [answer["value"] for answer in ours] == pytest.approx(theirs, abs=1e-5)
        assert len(set(theirs)) == len(TEXTS)
        return
    assert config["problem_type"] == "multi_label_classification"
    for answer, shares in zip(ours, by_pipeline(run, TEXTS), strict=True):
        assert answer["probabilities"] == pytest.approx(shares, abs=1e-5)


def test_what_was_scored_is_what_is_served(numbers: Run, topics: Run) -> None:
    rows = kept(numbers)
    served = numbers.predict([row["text"] for row in rows])
    assert [answer["value"] for answer in served] == pytest.approx(
        [row["value"] for row in rows], abs=1e-6
    )
    assert served[0].keys() == {"row", "value", "truncated"}
    rows = kept(topics)
    answers = topics.predict([row["text"] for row in rows])
    assert [answer["labels"] for answer in answers] == [row["prediction"] for row in rows]
    assert answers[0].keys() == {"row", "labels", "probabilities", "truncated"}
    assert sum(map(len, (row["prediction"] for row in rows))) > 0
    assert rows[0]["label"] == [name for name in TOPICS if name in rows[0]["label"]]


def test_the_command_line_gives_numbers(numbers: Run, tmp_path: Path) -> None:
    words = ("predict", str(numbers.path), "--text", TEXTS[0])
    found = json.loads(ran(*words, "--json").out)["predictions"]
    assert found == numbers.predict(TEXTS[:1])
    assert ran(*words).out.strip() == shown_number(found[0]["value"])
    file = numbers.config.data.train
    out = tmp_path / "values.jsonl"
    assert ran("predict", str(numbers.path), "--data", str(file), "--output", str(out)).code == 0
    first = json.loads(out.read_text().splitlines()[0])
    assert first.keys() == {"row", "value", "truncated"}
    evaluated = json.loads(ran("evaluate", str(numbers.path), "--data", str(file), "--json").out)
    assert evaluated["scores"]["pearson_correlation"]["n"] == 120


def test_the_command_line_gives_labels(topics: Run, tmp_path: Path) -> None:
    words = ("predict", str(topics.path), "--text", TEXTS[0])
    (found,) = json.loads(ran(*words, "--json").out)["predictions"]
    shares = found["probabilities"]
    lines = ran(*words).out.strip()
    if found["labels"]:
        assert lines == "  ".join(f"{name} {shares[name]:.3f}" for name in found["labels"])
    else:
        assert lines.startswith("none  (most likely: ")
    file = str(topics.config.data.train)
    made = {suffix: tmp_path / f"labels.{suffix}" for suffix in ("csv", "jsonl", "parquet")}
    for out in made.values():
        assert ran("predict", str(topics.path), "--data", file, "--output", str(out)).code == 0
    as_csv = list(csv.DictReader(made["csv"].read_text(encoding="utf-8").splitlines()))
    as_json = [json.loads(line) for line in made["jsonl"].read_text().splitlines()]
    as_rows = pyarrow.parquet.read_table(made["parquet"]).to_pylist()
    for one, other, row in zip(as_csv, as_json, as_rows, strict=True):
        assert one["prediction"] == "|".join(other["labels"]) == "|".join(row["prediction"])
        assert float(one["probability:places"]) == other["probabilities"]["places"]
    evaluated = json.loads(ran("evaluate", str(topics.path), "--data", file, "--json").out)
    assert evaluated["scores"]["macro_f1"]["n"] == 120
    info = json.loads(ran("info", str(topics.path), "--json").out)
    assert info["labels"] == list(TOPICS)


def test_the_report_of_numbers(numbers: Run) -> None:
    page = (numbers.path / "report.html").read_text()
    for said in (
        "Pearson correlation",
        "Predicted and true numbers",
        "Largest errors",
        ">error</th>",
        "TF-IDF with ridge regression",
        "losses are in squared error",
        "true number",
    ):
        assert said in page, said
    for unsaid in ("pearson_correlation", "Most confident", "no confusion matrix", "nats"):
        assert unsaid not in page.partition("</head>")[2], unsaid
    worst = max(kept(numbers), key=lambda row: abs(row["value"] - row["label"]))
    assert worst["text"] in page
    assert (numbers.path / "figures/scatter.png").stat().st_size > 1000
    card = (numbers.path / "README.md").read_text()
    assert "type: pearsonr" in card
    assert "is the predicted number" in card
    assert "one of its labels" not in card


def test_the_report_of_labels(topics: Run) -> None:
    page = (topics.path / "report.html").read_text()
    for said in (
        "Mean average precision",
        "threshold",
        "Most confident mistakes",
        "true labels",
        "share of each label",
        "labels per row",
    ):
        assert said in page, said
    for unsaid in ("macro_f1", "no confusion matrix", "['", "Confusion matrix"):
        assert unsaid not in page.partition("</head>")[2].partition('id="settings"')[0], unsaid
    card = (topics.path / "README.md").read_text()
    assert "top_k=None" in card
    assert "one of its labels" not in card


@pytest.mark.parametrize("make", [number_settings, topic_settings])
def test_stopped_and_resumed_is_bit_identical(
    tmp_path: Path, make: Callable[..., dict[str, Any]]
) -> None:
    prepared = prepare(config_file.load(make(tmp_path, dropout=0.1)))
    whole = job_of(prepared, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)
    calls = iter(range(10**6))
    broken = job_of(prepared, tmp_path / "broken")
    with pytest.raises(Interrupted):
        fit(broken, resume=False, stop_requested=lambda: next(calls) >= 4)
    for parameter in broken.model.parameters():
        torch.nn.init.normal_(parameter)
    fit(broken, resume=True, stop_requested=never)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, broken.model.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["numbers", "topics"])
def test_the_exported_model_gives_the_same_predictions(
    kind: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(kind)
    before = run.predict(TEXTS, engine="torch")
    content = run.export(int8=True, max_drop=1)
    metric = next(iter(run.scores["validation"]))
    assert content["rows"]["metric"]["name"] == content["int8"]["metric"]["name"] == metric
    assert content["rows"]["metric"]["torch"] == pytest.approx(
        run.scores["validation"][metric]["value"]
    )
    drop = content["int8"]["metric"]
    assert drop["low"] <= drop["drop"] <= drop["high"]
    after = run.predict(TEXTS)
    if kind == "numbers":
        found = [answer["value"] for answer in after]
        assert found == pytest.approx([answer["value"] for answer in before], abs=1e-5)
        return
    assert [answer["labels"] for answer in after] == [answer["labels"] for answer in before]
    shares = np.array([list(answer["probabilities"].values()) for answer in after])
    expected = np.array([list(answer["probabilities"].values()) for answer in before])
    np.testing.assert_allclose(shares, expected, atol=1e-5)

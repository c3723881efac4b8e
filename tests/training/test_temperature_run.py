"""A temperature fitted on validation rows is saved with the run and used by every later command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from scipy.special import log_softmax
from transformers import pipeline

from tests.contract.driven_run import without_figures
from tests.runs_in_memory import BAD, GOOD, settings, topic_settings, write_reviews
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.preparation.prepare import prepare
from warmstart.report.html import draw, write_report
from warmstart.report.report_content import gather
from warmstart.report.svg import drawing
from warmstart.runs.events import events_of, read_events
from warmstart.runs.model_card import write_card
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Some labels are wrong, so that the model is too sure of them; a threshold is chosen too."""
    folder = tmp_path_factory.mktemp("temperature")
    config = settings(folder, epochs=3, calibrate="temperature", choose_threshold=True)
    for name, seed in (("reviews", 0), ("test", 9)):
        file = write_reviews(folder / f"{name}.csv", rows=100, seed=seed)
        head, *lines = file.read_text().splitlines()
        lines = [
            line.replace(",good", ",bad") if number % 5 == 0 else line
            for number, line in enumerate(lines)
        ]
        file.write_text("\n".join([head, *lines]) + "\n")
    config["data"] |= {"validation": 0.4, "test": str(folder / "test.csv")}
    train_run(prepare(config_file.load(config)), folder / "run")
    return api.load(folder / "run")


def scores_of(run: Run, split: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (run.path / "evaluation" / split / "scores.json").read_text()
    )
    return content


def rows_of(run: Run, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(
        run.path / "evaluation" / split / "predictions.parquet"
    ).to_pylist()
    return rows


def facts_of(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run.path / "task.json").read_text())["facts"]
    return facts


def shares_of(answers: list[dict[str, Any]]) -> list[float]:
    return [answer["probabilities"]["good"] for answer in answers]


def test_it_is_kept_and_lowers_the_log_loss_of_the_validation_rows(run: Run) -> None:
    temperature = facts_of(run)["temperature"]
    assert temperature != 1
    content = scores_of(run, "validation")
    before, after = content["details"]["uncalibrated"]["scores"], content["scores"]
    assert after["log_loss"]["value"] < before["log_loss"]["value"]
    (notice,) = [
        event["text"]
        for event in events_of(read_events(run.path / "events.jsonl"), "notice")
        if event["text"].startswith("temperature")
    ]
    assert notice == (
        f"temperature {temperature:.3g}, fitted on the validation rows: their log-loss is "
        f"{before['log_loss']['value']:.4f} without it and {after['log_loss']['value']:.4f} with it"
    )


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_scores_are_those_of_the_calibrated_probabilities(run: Run, split: str) -> None:
    content, rows = scores_of(run, split), rows_of(run, split)
    assert content["details"]["uncalibrated"]["temperature"] == facts_of(run)["temperature"]
    right = [row[f"probability:{row['label']}"] for row in rows]
    assert content["scores"]["log_loss"]["value"] == pytest.approx(-np.log(right).mean())
    # The threshold was chosen on the calibrated probabilities.
    said = [row["probability:good"] >= facts_of(run)["threshold"] for row in rows]
    assert [row["prediction"] == "good" for row in rows] == said


def test_model_has_the_logits_before_the_temperature(run: Run) -> None:
    """As the model card says; divided by the temperature they are what warmstart predicts."""
    rows = rows_of(run, "test")
    classify: Any = pipeline("text-classification", model=str(run.path / "model"), device="cpu")
    found = classify([row["text"] for row in rows], top_k=None, function_to_apply="none")
    logits = [[{one["label"]: one["score"] for one in each}[name] for name in ("bad", "good")]
              for each in found]  # fmt: skip
    temperature = facts_of(run)["temperature"]
    before, after = (log_softmax(np.array(logits) / by, axis=1) for by in (1, temperature))
    labels = np.array([row["label"] == "good" for row in rows]).astype(int)
    stored = scores_of(run, "test")
    for shares, scores in (
        (before, stored["details"]["uncalibrated"]["scores"]),
        (after, stored["scores"]),
    ):
        loss = -shares[np.arange(len(rows)), labels].mean()
        assert scores["log_loss"]["value"] == pytest.approx(loss, abs=1e-5)
    np.testing.assert_allclose(
        np.exp(after[:, 1]), [row["probability:good"] for row in rows], atol=1e-5
    )
    limits = " ".join(run.usage.limits)
    assert f"divide the logits by {temperature:.4g} before the softmax" in limits
    assert "applies the temperature of the run" in run.usage.note


def test_every_later_command_uses_it(run: Run, tmp_path: Path) -> None:
    rows = rows_of(run, "test")
    texts = [row["text"] for row in rows]
    expected = [row["probability:good"] for row in rows]
    answers = run.predict(texts)
    np.testing.assert_allclose(shares_of(answers), expected, rtol=1e-5)
    assert [answer["label"] for answer in answers] == [row["prediction"] for row in rows]
    run.export()
    found = shares_of(run.predict(texts, engine="onnx"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    file = tmp_path / "again.csv"
    lines = [f"{row['text']},{row['label']}" for row in rows]
    file.write_text("\n".join(["text,label", *lines]) + "\n")
    again, stored = run.evaluate(str(file)), run.scores["test"]
    for name, score in stored.items():
        assert again[name]["value"] == pytest.approx(score["value"], rel=1e-5), name


@pytest.mark.slow
def test_the_int8_model_uses_it(run: Run) -> None:
    rows = rows_of(run, "test")
    run.export(int8=True, max_drop=1.0)
    found = shares_of(run.predict([row["text"] for row in rows], engine="int8"))
    np.testing.assert_allclose(found, [row["probability:good"] for row in rows], atol=0.1)


def test_a_baseline_has_a_temperature_of_its_own(run: Run) -> None:
    """That of the model would be wrong for the shares of the labels, which need almost none."""
    rows = rows_of(run, "validation")
    share = np.mean([row["label"] == "good" for row in rows])
    lowest = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert run.baselines["majority"]["validation"]["log_loss"]["value"] == pytest.approx(lowest)


def test_the_linear_probe_has_a_temperature_and_a_threshold_of_its_own(tmp_path: Path) -> None:
    """Here the kept model is the linear probe itself: as a baseline it has the same scores."""
    config = settings(tmp_path, epochs=1, calibrate="temperature", choose_threshold=True)
    config["train"]["head_start"] = "linear-probe"
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    run = api.load(tmp_path / "run")
    (finish,) = events_of(read_events(run.path / "events.jsonl"), "finish")
    assert finish["best_step"] == -1
    assert facts_of(run)["temperature"] != 1
    assert run.baselines["linear-probe"]["validation"] == run.scores["validation"]


def test_validation_rows_of_one_label_are_no_problem(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=1, calibrate="temperature", choose_threshold=True)
    file = tmp_path / "validation.csv"
    file.write_text("text,label\n" + "".join(f"the {word} cat,good\n" for word in BAD + GOOD))
    config["data"]["validation"] = str(file)
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    scores = scores_of(api.load(tmp_path / "run"), "validation")
    before = scores["details"]["uncalibrated"]["scores"]["log_loss"]
    assert scores["scores"]["log_loss"]["value"] <= before["value"]


def test_the_report_and_the_card_show_both(run: Run) -> None:
    card = write_card(run.path).read_text(encoding="utf-8")
    with without_figures():
        page = write_report(run.path).read_text(encoding="utf-8")
    with drawing():
        figure, description = draw(gather(run.path))["calibration"]
    assert "also of the uncalibrated model" in description
    assert len(figure.axes[0].lines) == 3
    for split in ("validation", "test"):
        content = scores_of(run, split)
        for name, before in content["details"]["uncalibrated"]["scores"].items():
            after = content["scores"][name]
            (line,) = [
                line for line in card.splitlines()
                if line.startswith(f"| {split.capitalize()} split | {content['n']} |")
                and name[:3] in line.lower()
            ]  # fmt: skip
            for score in (before, after):
                shown = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
                assert shown in line
                assert page.replace("<small>", "").count(shown) >= line.count(shown)
    for text in (page, card):
        assert "fitted on the validation rows. The values on these rows are" in text
    assert "divide the logits by" in card


def test_several_labels_have_one_temperature(tmp_path: Path) -> None:
    config = topic_settings(tmp_path, epochs=2, calibrate="temperature")
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    run = api.load(tmp_path / "run")
    rows, content = rows_of(run, "validation"), scores_of(run, "validation")
    before = content["details"]["uncalibrated"]["scores"]["log_loss"]["value"]
    assert content["scores"]["log_loss"]["value"] <= before
    classify: Any = pipeline("text-classification", model=str(run.path / "model"), device="cpu")
    found = classify([row["text"] for row in rows], top_k=None, function_to_apply="none")
    temperature = facts_of(run)["temperature"]
    assert temperature != 1
    for row, each in zip(rows, found, strict=True):
        for one in each:
            share = 1 / (1 + np.exp(-one["score"] / temperature))
            assert row[f"probability:{one['label']}"] == pytest.approx(share, abs=1e-5)
    assert "temperature and the thresholds of the run" in run.usage.note
    assert f"by {temperature:.4g} before the sigmoid" in " ".join(run.usage.limits)

"""``data.validation: none``: all rows are trained, and the model of the last step is kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.runs_in_memory import (
    filling_settings,
    number_settings,
    ranking_settings,
    settings,
    tagging_settings,
    topic_settings,
    write_reviews,
    writing_settings,
)
from warmstart import api, config_file, errors
from warmstart.preparation.prepare import prepare
from warmstart.report.report_content import gather
from warmstart.runs.events import events_of, read_events
from warmstart.training.train_run import train_run

TASKS = {
    "classes": settings,
    "label sets": topic_settings,
    "numbers": number_settings,
    "rankings": ranking_settings,
    "tags": tagging_settings,
    "masks": filling_settings,
    "texts": writing_settings,
}


def without_validation(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "data": {**config["data"], "validation": "none"}}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.mark.parametrize("made", TASKS.values(), ids=TASKS)
def test_every_task_trains_on_all_rows_and_scores_none(made: Any, tmp_path: Path) -> None:
    prepared = prepare(config_file.load(without_validation(made(tmp_path))))
    finished = train_run(prepared, tmp_path / "run")
    assert list(prepared.splits) == ["train"]
    assert finished.evaluations == {}
    events = read_events(tmp_path / "run" / "events.jsonl")
    assert [event["step"] for event in events_of(events, "epoch")] == [
        finished.steps // 2 - 1,
        finished.steps - 1,
    ]
    assert not events_of(events, "evaluation")
    assert events_of(events, "finish")[0]["best_step"] == finished.steps - 1


def test_the_last_model_is_kept_whatever_a_score_would_choose(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=3)
    other = write_reviews(tmp_path / "other.csv", rows=30, seed=5)
    scored = {**config, "data": {**config["data"], "validation": str(other)}}
    train_run(prepare(config_file.load(scored)), tmp_path / "scored")
    train_run(prepare(config_file.load(without_validation(config))), tmp_path / "run")
    (last,) = (tmp_path / "scored" / "checkpoint").glob("*/model.safetensors")
    for name, values in load_file(last).items():
        if "position_ids" not in name and name in weights(tmp_path / "run"):
            kept = weights(tmp_path / "run")[name]
            # The checkpoint has only the rows of the embedding that the data use.
            assert values.shape != kept.shape or torch.equal(values, kept)


def test_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    prepared = prepare(config_file.load(without_validation(settings(tmp_path, epochs=3))))
    train_run(prepared, tmp_path / "whole")
    asked = iter([False] * 20 + [True])
    with pytest.raises(errors.Interrupted):
        train_run(prepared, tmp_path / "run", stop_requested=lambda: next(asked))
    train_run(prepared, tmp_path / "run", resume=True)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_test_rows_are_scored(tmp_path: Path) -> None:
    config = without_validation(settings(tmp_path))
    config["data"]["test"] = str(write_reviews(tmp_path / "test.csv", rows=30, seed=5))
    finished = train_run(prepare(config_file.load(config)), tmp_path / "run")
    assert list(finished.evaluations) == ["test"]


def test_the_linear_probe_needs_no_validation_rows(tmp_path: Path) -> None:
    config = without_validation(settings(tmp_path, epochs=0, head_start="linear-probe"))
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    run = api.load(tmp_path / "run")
    texts = [line.split(",")[0] for line in (tmp_path / "reviews.csv").read_text().splitlines()]
    labels = {row["label"] for row in run.predict(texts[1:])}
    assert labels == {"good", "bad"}
    verdict = gather(tmp_path / "run").verdict
    assert verdict.startswith("There are no validation or test rows")


def test_a_probe_needs_two_batches(tmp_path: Path) -> None:
    config = without_validation(settings(tmp_path, epochs=0, head_start="linear-probe"))
    config["train"]["batch_size"] = 200
    with pytest.raises(errors.RunError, match="too few rows to choose its penalty"):
        train_run(prepare(config_file.load(config)), tmp_path / "run")


@pytest.mark.parametrize(
    "given",
    [
        {"best_metric": "accuracy"},
        {"early_stopping": 2},
        {"evaluations_per_epoch": 2},
        {"choose_threshold": True},
        {"calibrate": "temperature"},
        {"average": {"count": 2}},
        {"retry": True},
        {"budget_minutes": 1, "extend": True},
    ],
    ids=lambda given: list(given)[-1],
)
def test_a_setting_that_needs_scores_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    config = without_validation(settings(tmp_path))
    config["train"] |= given
    with pytest.raises(errors.ConfigError, match="data.validation is none") as caught:
        config_file.load(config)
    leave_out, with_rows = caught.value.do.removeprefix("--set ").split("; or --set ")
    config_file.load(config, [with_rows])
    config_file.load(config, [leave_out])


def test_nothing_is_chosen_that_needs_scores(tmp_path: Path) -> None:
    config = without_validation(settings(tmp_path))
    config["train"] = {"budget_minutes": 5, "device": "cpu"}
    chosen = prepare(config_file.load(config)).train
    assert (chosen.retry, chosen.extend) == (False, False)


def test_an_export_is_compared_on_training_rows(tmp_path: Path) -> None:
    config = without_validation(settings(tmp_path))
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    parity = api.load(tmp_path / "run").export()
    assert parity["rows"]["split"] == "train"
    assert parity["rows"]["compared"] == 120


def test_folds_need_no_validation_rows(tmp_path: Path) -> None:
    config = config_file.load(without_validation(settings(tmp_path)))
    rows = {"train": np.arange(100), "test": np.arange(100, 120)}
    prepared = prepare(config, rows=rows)
    assert [len(split.table) for split in prepared.splits.values()] == [100, 20]


def test_the_messages_say_what_cannot_be_known(tmp_path: Path) -> None:
    prepared = prepare(config_file.load(without_validation(settings(tmp_path))))
    texts = json.dumps(prepared.findings.to_json())
    assert "no validation rows: the model of the last step is kept" in texts
    assert "it will not be known how well it predicts other rows" in texts

"""Averages of several evaluations: which ones, their mean, when it is kept, and exact resume."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from tests.quick import slow_except
from tests.runs_in_memory import (
    job_of,
    never,
    prepared_run,
    settings,
    whole_run,
    writing_settings,
)
from warmstart import config_file
from warmstart.errors import ConfigError, Interrupted
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training.average import keep_average, mean_weights, remembered
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run

SETTINGS: dict[str, Any] = {"epochs": 3, "evaluations_per_epoch": 2, "learning_rate": 5e-3}


def kept(run: RunDirectory) -> dict[str, Tensor]:
    return load_file(run.model / "model.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_the_last_models_are_those_of_a_run_on_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    average = {"of": "last", "count": 3}
    prepared = prepared_run(
        tmp_path,
        dropout=0.1,
        weight_decay=0.5,
        max_gradient_norm=100.0,
        average=average,
        **SETTINGS,
    )
    job = job_of(prepared, tmp_path / "run")
    assert job.vocabulary is not None
    progress = fit(job, resume=False, stop_requested=never)
    folders = remembered(job.run)
    assert [folder.name for folder in folders] == [f"step-{n:08d}" for n in (23, 29, 35)]

    monkeypatch.setattr("warmstart.training.job.whole_because", lambda *_: "to compare")
    plain = prepared_run(
        tmp_path,
        dropout=0.1,
        weight_decay=0.5,
        max_gradient_norm=100.0,
        checkpoint_every_steps=6,
        keep_checkpoints=9,
        **SETTINGS,
    )
    whole = job_of(plain, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)
    checkpoints = [whole.run.entry("checkpoint") / folder.name for folder in folders]
    for found, expected in zip(folders, checkpoints, strict=True):
        weights = load_file(expected / "model.safetensors")
        assert same(load_file(found / "model.safetensors"), weights)

    keep_average(job, replace(progress, best=-1.0))
    mean = kept(job.run)
    for name, tensor in mean.items():
        three = [load_file(folder / "model.safetensors")[name] for folder in checkpoints]
        torch.testing.assert_close(tensor, sum(three) / 3, atol=1e-6, rtol=1e-6)
    bare, report = AutoModelForSequenceClassification.from_pretrained(
        job.run.model, output_loading_info=True
    )
    assert not any(report.values())
    assert same({n: t for n, t in bare.state_dict().items() if n in mean}, mean)


@pytest.mark.parametrize("of", slow_except(["last", "best"], "last"))
def test_a_mean_that_is_worse_is_not_kept(tmp_path: Path, of: str) -> None:
    job = job_of(
        prepared_run(tmp_path, average={"of": of, "count": 2}, **SETTINGS), tmp_path / "run"
    )
    progress = fit(job, resume=False, stop_requested=never)
    before = kept(job.run)
    keep_average(job, replace(progress, best=2.0))
    assert same(kept(job.run), before)
    events = read_events(job.log.path)
    (event,) = events_of(events, "average")
    assert event["kept"] is False
    assert event["best"] == 2.0
    notice = events_of(events, "notice")[-1]["text"]
    assert "the best single model 2.0000: the single model is kept" in notice


def test_the_best_are_the_best(tmp_path: Path) -> None:
    average = {"of": "best", "count": 2}
    job = job_of(prepared_run(tmp_path, average=average, **SETTINGS), tmp_path / "run")
    fit(job, resume=False, stop_requested=never)
    evaluations = events_of(read_events(job.log.path), "evaluation")
    name = evaluations[0]["metric"]
    ranked = sorted(evaluations, key=lambda e: (e["scores"][name]["value"], -e["loss"]))
    expected = sorted(event["step"] for event in ranked[-2:])
    assert [int(folder.name[5:]) for folder in remembered(job.run)] == expected


def test_a_whole_run_reports_both_scores_and_leaves_no_files(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, average={"of": "last", "count": 2}, **SETTINGS)
    finished = train_run(prepared, tmp_path / "run")
    assert not (tmp_path / "run" / "average").exists()
    events = read_events(tmp_path / "run" / "events.jsonl")
    (event,) = events_of(events, "average")
    best = max(e["scores"][event["metric"]]["value"] for e in events_of(events, "evaluation"))
    assert event["best"] == best
    better = (event["value"], -event["loss"]) >= (best, -event["best_loss"])
    assert event["kept"] == better
    score = finished.evaluations["validation"]["scores"][event["metric"]]["value"]
    assert score == max(event["value"], best)
    notices = [notice["text"] for notice in events_of(events, "notice")]
    mean = f"after steps 29, 35 has a validation {event['metric']} of {event['value']:.4f}"
    assert any(mean in text for text in notices)


@pytest.fixture(scope="module", params=slow_except(["last", "best"], "last"))
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Prepared, Job]:
    """The same run as below, without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    average = {"of": request.param, "count": 3}
    train = {**SETTINGS, "average": average, "checkpoint_every_steps": 5}
    return whole_run(prepared_run(folder, dropout=0.1, **train), folder / "run")


@pytest.mark.parametrize("stop_after", slow_except([7, 20, 35], 20))
def test_a_resumed_run_keeps_the_same_mean(
    whole: tuple[Prepared, Job], tmp_path: Path, stop_after: int
) -> None:
    prepared, unbroken = whole
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        fit(
            job_of(prepared, tmp_path / "run"),
            resume=False,
            stop_requested=lambda: next(calls) + 1 >= stop_after,
        )
    # Killed after its newest checkpoint: later files exist already.
    later = job_for(prepared, RunDirectory(tmp_path / "run"))
    (later.run.entry("average") / "step-00000099").mkdir(parents=True, exist_ok=True)
    fit(later, resume=True, stop_requested=never)
    folders = [remembered(job.run) for job in (unbroken, later)]
    assert [f.name for f in folders[0]] == [f.name for f in folders[1]]
    assert same(*map(mean_weights, folders))


def test_a_decoder_whose_output_layer_is_tied(tmp_path: Path) -> None:
    content = writing_settings(tmp_path, epochs=2, average={"of": "last", "count": 2})
    train_run(prepare(config_file.load(content)), tmp_path / "run")
    (event,) = events_of(read_events(tmp_path / "run" / "events.jsonl"), "average")
    assert event["metric"] == "bits_per_byte"
    assert event["kept"] == (event["value"] <= event["best"])


def test_training_that_ends_early_averages_what_there_is(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, average={"count": 6}, **SETTINGS), tmp_path / "run")
    progress = fit(job, resume=False, stop_requested=never)
    *_, first, second = remembered(job.run)
    for folder in remembered(job.run)[:-2]:
        (folder / "score.json").unlink()
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    keep_average(job, progress)
    assert (
        f"steps {int(first.name[5:])}, {int(second.name[5:])} (train.average.count is 6)"
        in (events_of(read_events(job.log.path), "notice")[-1]["text"])
    )
    for file in first.iterdir():
        file.unlink()
    first.rmdir()
    keep_average(job, progress)
    assert (
        "weights are not averaged: only 1 evaluation took place"
        in (events_of(read_events(job.log.path), "notice")[-1]["text"])
    )


# Errors


def test_one_is_no_average(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.load(settings(tmp_path, average={"count": 1}))
    assert "train.average.count is 1" in caught.value.found
    assert caught.value.expected == "a whole number ≥ 2"


def test_more_than_there_are_evaluations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepared_run(tmp_path, epochs=2, average={"count": 5})
    assert caught.value.found == "train.average.count is 5 and the run evaluates 2 times"
    assert "--set train.evaluations_per_epoch=3" in caught.value.do


def test_adapters_have_no_mean(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the mean of several adapters has a higher rank"):
        config_file.load(settings(tmp_path, lora={"save": "adapter"}, average={}))

"""A new head starts as a linear probe: its optimum, what changes, the run around it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression, Ridge

from tests.runs_in_memory import (
    filling_settings,
    job_of,
    never,
    number_settings,
    prepared_run,
    ranking_settings,
    settings,
    tagging_settings,
    topic_settings,
    writing_settings,
)
from warmstart import api, config_file
from warmstart.errors import ConfigError, Interrupted
from warmstart.evaluation.evaluate import evaluate
from warmstart.models.checkpoints.classifier_heads import last_layer
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.models.packed.forward import padded_forward
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training import head_start
from warmstart.training.head_start import fit_head
from warmstart.training.job import Job
from warmstart.training.train_run import train_run

PROBE: dict[str, Any] = {"head_start": "linear-probe"}
TASKS = {
    "classification": settings,
    "labels": topic_settings,
    "numbers": number_settings,
    "rankings": ranking_settings,
    "tags": tagging_settings,
}


def fitted_features(job: Job) -> head_start.Features:
    """The features of the rows on which the head is fitted."""
    layer, _ = last_layer(job.model, job.task.head)
    (rows, positions), _ = head_start.rows_of_fit(job, layer.in_features) or ()
    return head_start._features(job, layer, rows, positions)


def validation_loss(job: Job) -> float:
    labels = job.validation_split.labels
    return evaluate(job.task, job.model, job.forward, job.validation, labels, job.accelerator).loss


@pytest.mark.parametrize("task", TASKS)
def test_only_the_last_layer_changes_and_the_loss_falls(tmp_path: Path, task: str) -> None:
    job = job_of(prepare(config_file.load(TASKS[task](tmp_path, **PROBE))), tmp_path / "run")
    before = {name: weight.clone() for name, weight in job.model.state_dict().items()}
    modes = {name: module.training for name, module in job.model.named_modules()}
    loss = validation_loss(job)
    assert fit_head(job, never) is None
    assert validation_loss(job) < 0.98 * loss
    _, names = last_layer(job.model, job.task.head)
    changed = {n for n, weight in job.model.state_dict().items() if not weight.equal(before[n])}
    assert changed == set(names)
    assert {name: module.training for name, module in job.model.named_modules()} == modes


@pytest.mark.parametrize("strength", [1e-1, 1e-3])
def test_the_optimum_is_that_of_a_logistic_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strength: float
) -> None:
    """The same predictions as scikit-learn's on the same features, with the same penalty."""
    monkeypatch.setattr(head_start, "STRENGTHS", (strength,))
    job = job_of(prepared_run(tmp_path, **PROBE), tmp_path / "run")
    features, labels, values = features_of(job)
    assert fit_head(job, never) is None
    # The sum of losses plus |w|^2 / (2 C) there; the mean plus strength · |w|^2 for each of two
    # rows of weights, w / 2 and -w / 2, here.
    fitted = LogisticRegression(C=1 / (len(labels) * strength), tol=1e-8, max_iter=2000)
    expected = fitted.fit(features, labels).decision_function(features)
    logits = last_layer(job.model, job.task.head)[0](values).detach().numpy()
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=0.02)


def test_the_optimum_is_that_of_a_ridge_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_start, "STRENGTHS", (1e-2,))
    job = job_of(prepare(config_file.load(number_settings(tmp_path, **PROBE))), tmp_path / "run")
    features, labels, values = features_of(job)
    scale = job.task.scale
    assert fit_head(job, never) is None
    fitted = Ridge(alpha=1e-2 * len(labels), tol=1e-10).fit(features, labels)
    found = last_layer(job.model, job.task.head)[0](values).detach().numpy()[:, 0]
    expected = fitted.predict(features)
    np.testing.assert_allclose(found / scale.deviation, expected / scale.deviation, atol=0.02)


def features_of(job: Job) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Standardised features of the training rows, their labels, and the features themselves."""
    with evaluation_mode(job.model):
        found = fitted_features(job)
    values = found.values.clone()
    head_start._standardise(found.values, centred=True)
    return found.values.numpy(), found.batch.targets.values.numpy(), values


@pytest.mark.parametrize("task", ["classification", "numbers", "tags"])
@pytest.mark.parametrize("how", ["packed", "padded", "windows"])
def test_the_last_layer_gives_the_logits_of_its_features(
    tmp_path: Path, how: str, task: str
) -> None:
    """In the order of the rows, also if the model runs padded or rows are cut into windows."""
    made = TASKS[task](tmp_path, **PROBE)
    made["model"]["max_tokens"] = 128
    if how == "windows":
        made["data"]["long_documents"] = "chunk"
        made["model"]["max_tokens"] = 8
    if how == "windows" and task == "tags":
        del made["data"]["long_documents"]  # tags are always predicted in windows
    job = job_of(prepare(config_file.load(made)), tmp_path / "run")
    if how == "padded":
        job = replace(job, forward=padded_forward(job.model, job.task.head))
    layer, _ = last_layer(job.model, job.task.head)
    with evaluation_mode(job.model), torch.no_grad():
        found = fitted_features(job)
        expected = job.forward.run(job.model, found.batch)
    torch.testing.assert_close(layer(found.values), expected, rtol=1e-4, atol=1e-5)


def test_of_a_large_split_random_rows_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(prepared_run(tmp_path, **PROBE), tmp_path / "run")
    layer, _ = last_layer(job.model, job.task.head)
    monkeypatch.setattr(head_start, "MAX_FEATURE_BYTES", 20 * 4 * layer.in_features)
    found = fitted_features(job)
    assert len(found.values) == len(found.batch) == 16  # two batches of 8
    assert set(found.batch.rows.tolist()) < set(job.train.rows.tolist())


def test_without_validation_rows_a_tenth_of_the_batches_chooses_the_penalty(tmp_path: Path) -> None:
    made = settings(tmp_path, **PROBE)
    made["data"]["validation"] = "none"
    job = job_of(prepare(config_file.load(made)), tmp_path / "run")
    (_, fitted), (_, held_out) = head_start.rows_of_fit(job, 8) or ()
    assert sorted([*fitted, *held_out]) == list(range(120))
    assert len(held_out) == 8  # one batch of 15


@pytest.mark.parametrize("bias", [True, False])
def test_features_that_never_change(tmp_path: Path, bias: bool) -> None:
    """The same text in every row: nothing can be learned but how frequent the labels are."""
    made = settings(tmp_path, **PROBE)
    lines = ["text,label", *("the cat was very old,good" for _ in range(30))]
    lines += ["the cat was very old,bad" for _ in range(10)]
    Path(made["data"]["train"]).write_text("\n".join(lines) + "\n", "utf-8")
    made["data"]["duplicates"] = "keep"
    job = job_of(prepare(config_file.load(made)), tmp_path / "run")
    layer, _ = last_layer(job.model, job.task.head)
    if not bias:
        layer.bias = None
    assert fit_head(job, never) is None
    assert all(parameter.isfinite().all() for parameter in layer.parameters())
    if bias:
        labels = job.validation_split.labels
        share = float(np.mean(job.train.targets.values == 0))
        least = -float(np.mean(np.where(labels == 0, np.log(share), np.log(1 - share))))
        assert validation_loss(job) == pytest.approx(least, abs=1e-3)


def test_noise_in_a_dead_feature_gets_no_weight(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, **PROBE), tmp_path / "run")
    layer, _ = last_layer(job.model, job.task.head)
    with torch.no_grad():
        job.model.bert.pooler.dense.weight[3] *= 1e-20
        job.model.bert.pooler.dense.bias[3] = 0.0
    assert fit_head(job, never) is None
    others = layer.weight[:, [index for index in range(layer.in_features) if index != 3]]
    assert layer.weight[:, 3].abs().max() < others.abs().max()


def test_outputs_that_are_not_numbers_leave_the_head_random(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, **PROBE), tmp_path / "run")
    before = last_layer(job.model, job.task.head)[0].weight.clone()
    with torch.no_grad():
        job.model.bert.pooler.dense.bias[0] = torch.nan
    assert fit_head(job, never) == "its inputs are not finite numbers"
    assert last_layer(job.model, job.task.head)[0].weight.equal(before)


def test_a_run_evaluates_the_probe_first_and_scores_it_as_a_baseline(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, **PROBE, learning_rate=1e-6)
    finished = train_run(prepared, tmp_path / "run", stop_requested=never)
    events = read_events(tmp_path / "run" / "events.jsonl")
    first, *others = events_of(events, "evaluation")
    assert (first["step"], first["epoch"], first["best"]) == (-1, 0, True)
    assert first["train_loss"] is None
    assert all(event["train_loss"] > 0 for event in others)
    content = finished.evaluations["validation"]
    name = first["metric"]
    assert content["baselines"]["linear-probe"][name]["value"] == first["scores"][name]["value"]
    assert content["scores"][name]["value"] >= first["scores"][name]["value"]
    assert any("starts as a linear probe" in e["text"] for e in events_of(events, "notice"))


def interrupted_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("steps", [3, 15])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, steps: int) -> None:
    prepared = prepared_run(tmp_path, **PROBE)
    train_run(prepared, tmp_path / "whole", stop_requested=never)
    with pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "run", stop_requested=interrupted_after(steps))
    train_run(prepared, tmp_path / "run", resume=True, stop_requested=never)
    whole, resumed = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "run")
    )
    assert all(weight.equal(resumed[name]) for name, weight in whole.items())


def test_a_head_of_the_checkpoint_is_kept(tmp_path: Path) -> None:
    first = prepared_run(tmp_path, epochs=1)
    train_run(first, tmp_path / "first", stop_requested=never)
    made = settings(tmp_path, **PROBE)
    made["model"]["name"] = str(tmp_path / "first")
    train_run(prepare(config_file.load(made)), tmp_path / "second", stop_requested=never)
    events = read_events(tmp_path / "second" / "events.jsonl")
    said = [event["text"] for event in events_of(events, "notice")]
    assert any("not start as a linear probe: the head of the checkpoint is kept" in t for t in said)
    assert all(event["step"] >= 0 for event in events_of(events, "evaluation"))
    assert not RunDirectory(tmp_path / "second").entry("head_start").exists()


def test_a_language_model_has_no_such_head(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.head_start"):
        config_file.load(writing_settings(tmp_path, **PROBE))


def test_with_a_frozen_backbone_the_probe_is_the_whole_training(tmp_path: Path) -> None:
    """No step, a scored model, and the head of a later run is fitted again."""
    content = settings(tmp_path, freeze="backbone", head_start="auto")
    del content["train"]["epochs"], content["train"]["learning_rate"]
    finished = train_run(prepare(config_file.load(content)), tmp_path / "run")
    assert finished.steps == 0
    scores = finished.evaluations["validation"]
    assert "linear-probe" not in scores["baselines"]  # it is the model
    again = {**content, "model": {"name": str(tmp_path / "run" / "model")}}
    second = train_run(prepare(config_file.load(again)), tmp_path / "again")
    assert second.evaluations["validation"]["loss"] == pytest.approx(scores["loss"], rel=1e-3)
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert api.resume(tmp_path / "run").scores
    assert (tmp_path / "run" / "events.jsonl").read_text() == events


@pytest.mark.parametrize("given", [{"head_start": "random"}, {}])
def test_no_epoch_and_no_probe_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    content = settings(tmp_path, **given) if given else filling_settings(tmp_path)
    content["train"]["epochs"] = 0
    with pytest.raises(ConfigError, match="nothing would be trained") as error:
        prepare(config_file.load(content))
    for advice in error.value.do.split(" or "):
        prepare(config_file.load(content, [advice.removeprefix("--set ")]))


def test_a_fit_that_predicts_little_is_not_used(tmp_path: Path) -> None:
    """Labels that have nothing to do with the texts: training starts from the random head."""
    content = settings(tmp_path, head_start="linear-probe", epochs=1)
    path = Path(content["data"]["train"])
    header, *rows = path.read_text().splitlines()
    texts = [row.rpartition(",")[0] for row in rows]
    path.write_text(
        "\n".join([header, *(f"{t},{'ab'[n % 2]}" for n, t in enumerate(texts))]) + "\n"
    )
    job = job_of(prepare(config_file.load(content)), tmp_path / "run")
    before = {name: weight.clone() for name, weight in job.model.state_dict().items()}
    reason = fit_head(job, never, head_start.LEAST_GAIN)
    assert reason is not None
    assert reason.startswith("it predicts little: its validation loss is 0.7")
    assert all(weight.equal(before[name]) for name, weight in job.model.state_dict().items())
    assert fit_head(job, never) is None  # alone, it is the best head there is

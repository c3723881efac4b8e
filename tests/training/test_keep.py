"""Kept models: the first evaluated one, better ones after it, and never one that outputs NaN."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.runs_in_memory import job_of, never, prepared_run
from warmstart.data.examples.batches import Batch
from warmstart.errors import RunError
from warmstart.models.packed.forward import Forward
from warmstart.runs.events import events_of, read_events
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job
from warmstart.training.keep import evaluate_and_keep_best
from warmstart.training.loop import fit


def always(job: Job, factor: float) -> Job:
    """The job with a model whose logits are multiplied outside of training."""

    def run(model: nn.Module, batch: Batch) -> Tensor:
        logits = job.forward.run(model, batch)
        return logits if model.training else logits * factor

    return replace(job, forward=Forward(run, ""))


def test_outputs_that_are_not_finite_are_an_error_and_not_kept(tmp_path: Path) -> None:
    """Half precision can overflow on a long validation row although every training loss is fine."""
    job = job_of(prepared_run(tmp_path, epochs=1), tmp_path / "run")
    with pytest.raises(RunError, match="the loss of step 12 is not a finite number") as caught:
        fit(always(job, float("nan")), resume=False, stop_requested=never)
    assert "train.precision=float32" in caught.value.do
    assert not job.run.model.exists()
    assert not job.run.entry("checkpoint").exists()


def test_the_first_model_is_kept_and_then_only_a_better_one(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    weights = job.run.model / "model.safetensors"
    first = evaluate_and_keep_best(job, Progress(step=1), epoch=0.5)
    assert (first.best_step, first.evaluations_without_gain) == (0, 0)
    kept = load_file(weights)["classifier.bias"].tolist()
    nn.init.constant_(job.model.get_parameter("classifier.bias"), 5.0)
    same = evaluate_and_keep_best(job, replace(first, step=2, best=1.0), epoch=1.0)
    assert (same.best, same.best_step, same.evaluations_without_gain) == (1.0, 0, 1)
    assert load_file(weights)["classifier.bias"].tolist() == kept
    better = evaluate_and_keep_best(job, replace(same, step=3, best=-1.1), epoch=1.5)
    assert (better.best_step, better.evaluations_without_gain) == (2, 0)
    assert load_file(weights)["classifier.bias"].tolist() == [5.0, 5.0]
    events = events_of(read_events(job.log.path), "evaluation")
    assert [event["best"] for event in events] == [True, False, True]


def test_of_two_equally_good_models_the_surer_one_is_kept(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, best_metric="accuracy"), tmp_path / "run")
    first = evaluate_and_keep_best(job, Progress(step=1), epoch=0.5)
    unsure = replace(first, best_loss=first.best_loss + 0.1, step=2)
    second = evaluate_and_keep_best(job, unsure, epoch=1.0)
    assert (second.best, second.best_step) == (first.best, 1)
    assert second.best_loss == first.best_loss
    assert second.evaluations_without_gain == 1

"""The loop compared with plain PyTorch, and its behaviour after errors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.quick import slow_except
from tests.runs_in_memory import job_of, never, prepared_run
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.targets import RowTargets, of_kind
from warmstart.errors import RunError
from warmstart.models.packed.forward import Forward
from warmstart.preparation.plan import Plan
from warmstart.preparation.schedule import schedule_for
from warmstart.runs.events import events_of, read_events
from warmstart.training.job import Job
from warmstart.training.loop import fit


def losses_of(job: Job) -> list[float]:
    return [event["loss"] for event in events_of(read_events(job.log.path), "step")]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, atol=tolerance, rtol=0, msg=name)


def plain_losses(job: Job, model: nn.Module, steps: int) -> list[float]:
    """A tutorial's loop over the same rows: the tokenizer pads, Transformers computes the loss."""
    plan, config = Plan(job.train.lengths, job.config), job.config
    share_at = schedule_for(config, plan.total_steps)
    spared = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for p in model.parameters() if not any(p is other for other in spared)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": spared, "weight_decay": 0.0}],
        weight_decay=config.weight_decay,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _step: 1.0)
    model.train()
    losses = []
    for step in range(steps):
        epoch, index = divmod(step, plan.steps_per_epoch)
        rows = np.concatenate(plan.epoch_windows(epoch)[index])
        batch = job.tokenizer.pad(
            {"input_ids": [job.train.tokens.ids_of(row).tolist() for row in rows]},
            return_tensors="pt",
        )
        labels = torch.from_numpy(of_kind(job.train.targets, RowTargets).values[rows])
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * share_at(step)
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def test_fifty_steps_equal_a_plain_transformers_loop(tmp_path: Path) -> None:
    prepared = prepared_run(
        tmp_path, dropout=0.0, epochs=5, weight_decay=0.1, max_gradient_norm=0.5
    )
    job = job_of(prepared, tmp_path / "run")
    twin = job_of(prepared, tmp_path / "twin").model
    fit(job, resume=False, stop_requested=never)
    ours = losses_of(job)[:50]
    assert len(ours) == 50
    np.testing.assert_allclose(ours, plain_losses(job, twin, steps=50), atol=1e-5)


def test_it_learns(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, epochs=6, learning_rate=1e-2), tmp_path / "run")
    assert (fit(job, resume=False, stop_requested=never).best or 0.0) > 0.8


@pytest.mark.parametrize("accumulation", slow_except([2, 5], 2))
def test_accumulated_batches_are_the_big_batch(tmp_path: Path, accumulation: int) -> None:
    whole = prepared_run(tmp_path, dropout=0.0, batch_size=20, epochs=2)
    one = job_of(whole, tmp_path / "one")
    fit(one, resume=False, stop_requested=never)
    parts = prepared_run(
        tmp_path,
        dropout=0.0,
        batch_size=20 // accumulation,
        gradient_accumulation=accumulation,
        epochs=2,
    )
    many = job_of(parts, tmp_path / "many")
    fit(many, resume=False, stop_requested=never)
    # 96 rows: the last step of an epoch has 16 rows in an uneven window, for which a mean of
    # means would be wrong.
    np.testing.assert_allclose(losses_of(one), losses_of(many), atol=1e-5)
    assert_close(weights_of(one.model), weights_of(many.model), 2e-5)


def short_of_memory(forward: Forward, rows: int) -> Forward:
    """A forward pass that runs out of memory above this number of rows."""

    def run(model: nn.Module, batch: Batch) -> Tensor:
        if model.training and len(batch) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward.run(model, batch)

    return Forward(run, forward.path)


def test_when_memory_runs_out_the_step_is_the_same(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, dropout=0.0, batch_size=12, epochs=1)
    roomy = job_of(prepared, tmp_path / "roomy")
    fit(roomy, resume=False, stop_requested=never)
    tight = job_of(prepared, tmp_path / "tight")
    tight = replace(tight, forward=short_of_memory(tight.forward, rows=3))
    progress = fit(tight, resume=False, stop_requested=never)
    assert progress.micro_batches == 4
    np.testing.assert_allclose(losses_of(roomy), losses_of(tight), atol=1e-5)
    assert_close(weights_of(roomy.model), weights_of(tight.model), 2e-5)
    notices = [event["text"] for event in events_of(read_events(tight.log.path), "notice")]
    assert len(notices) == 2
    assert "each batch is now computed in 4 pieces" in notices[1]


def test_a_single_row_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    job = replace(job, forward=short_of_memory(job.forward, rows=0))
    with pytest.raises(RunError, match="--set model.max_tokens=128"):
        fit(job, resume=False, stop_requested=never)


def test_other_errors_are_not_taken_for_memory(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")

    def run(_model: nn.Module, _batch: Batch) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        fit(replace(job, forward=Forward(run, "")), resume=False, stop_requested=never)


def nan_at(job: Job, step: int) -> Job:
    """The job with logits that are not finite from one step on."""
    steps = iter(range(10**6))

    def run(model: nn.Module, batch: Batch) -> Tensor:
        logits = job.forward.run(model, batch)
        return logits * float("nan") if model.training and next(steps) >= step else logits

    return replace(job, forward=Forward(run, ""))


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    job = nan_at(job_of(prepared_run(tmp_path, batch_size=8), tmp_path / "run"), step=15)
    with pytest.raises(RunError) as caught:
        fit(job, resume=False, stop_requested=never)
    assert "the loss of step 16 is not a finite number" in caught.value.found
    assert "checkpoint after step 12" in caught.value.found
    assert "train.learning_rate" in caught.value.do
    assert [path.name for path in job.run.entry("checkpoint").iterdir()] == ["step-00000011"]


def test_a_gradient_that_is_no_number_is_not_kept(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, batch_size=8, checkpoint_every_steps=1, keep_checkpoints=99)
    job = job_of(prepared, tmp_path / "run")
    # The loss of the step itself is finite; only the updated weights are not.
    weight = job.model.classifier.weight
    calls = iter(range(10**6))
    weight.register_hook(lambda g: g * float("nan") if next(calls) == 4 else g)
    with pytest.raises(RunError, match="the loss of step 5"):
        fit(job, resume=False, stop_requested=never)
    assert max(path.name for path in job.run.entry("checkpoint").iterdir()) == "step-00000003"


def test_early_stopping_and_best_model(tmp_path: Path) -> None:
    prepared = prepared_run(
        tmp_path, epochs=30, early_stopping=3, best_metric="accuracy", learning_rate=1e-2
    )
    job = job_of(prepared, tmp_path / "run")
    progress = fit(job, resume=False, stop_requested=never)
    evaluations = events_of(read_events(job.log.path), "evaluation")
    values = [event["scores"]["accuracy"]["value"] for event in evaluations]
    assert len(values) < 30
    assert progress.best == max(values)
    equally_good = [e for e, value in zip(evaluations, values, strict=True) if value == max(values)]
    assert min(equally_good, key=lambda e: e["loss"])["step"] == progress.best_step
    assert [e["step"] for e in evaluations if e["best"]][-1] == progress.best_step
    assert len(values) - 1 - values.index(max(values)) == 3
    assert "stopped early" in events_of(read_events(job.log.path), "notice")[-1]["text"]


def test_training_loss_of_an_evaluation_is_the_mean_over_rows(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, batch_size=7, evaluations_per_epoch=2), tmp_path / "run")
    fit(job, resume=False, stop_requested=never)
    events = read_events(job.log.path)
    for event in events_of(events, "evaluation"):
        before = [e for e in events_of(events, "step") if e["step"] <= event["step"]]
        last = [e["step"] for e in events_of(events, "evaluation") if e["step"] < event["step"]]
        since = [e for e in before if e["step"] > max(last, default=-1)]
        mean = sum(e["loss"] * e["rows"] for e in since) / sum(e["rows"] for e in since)
        assert event["train_loss"] == pytest.approx(mean, abs=1e-6)


def test_dropout_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    def trained(name: str, before: Callable[[], Any], **train: Any) -> list[float]:
        job = job_of(prepared_run(tmp_path, **train), tmp_path / name)
        before()
        fit(job, resume=False, stop_requested=never)
        return losses_of(job)

    first = trained("a", lambda: torch.manual_seed(1))
    assert trained("b", lambda: torch.manual_seed(2)) == first
    assert trained("c", lambda: torch.manual_seed(1), seed=7) != first

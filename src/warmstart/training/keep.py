"""What the loop keeps: the best model so far, and checkpoints to go on from."""

import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from warmstart.evaluation.evaluate import evaluate
from warmstart.metrics.scores import Score
from warmstart.models.tuning.adapters import merged
from warmstart.models.tuning.parts import peak_rates
from warmstart.preparation.plan import Plan
from warmstart.preparation.schedule import schedule_for
from warmstart.runs.model_folder import save_adapter_folder
from warmstart.training import average, checkpoint
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job
from warmstart.training.model_saving import save_run_model
from warmstart.training.monitoring.recorder import NotFinite
from warmstart.training.optimizer import decay_only
from warmstart.training.unfreezing import trains_embeddings


def evaluate_and_keep_best(job: Job, progress: Progress, epoch: float) -> Progress:
    """Score the validation split; where that is the best so far, the weights become ``model/``.

    Of two models that are equally good by the metric, the one with the lower loss is kept; patience
    counts the metric alone.

    Args:
        job: what is trained.
        progress: after a flush, so that its sums hold every step.
        epoch: passes over the training rows done.

    Returns:
        Progress with the best noted and the sums since the last evaluation begun anew.

    Raises:
        NotFinite: the model's answers are no numbers, though its last training loss was one.
    """
    began = time.perf_counter()
    found = evaluate(
        job.task,
        job.model,
        job.forward,
        job.validation,
        job.validation_split.labels,
        job.accelerator,
        job.processes,
    )
    step = progress.step - 1
    if not math.isfinite(found.loss):
        raise NotFinite(step)
    score = found.scores.metrics[job.best_metric]
    # The first evaluation is kept whatever it says, so that there is always a model to go on with.
    gain = progress.best_step is None or score.better_than(_score_of(progress.best, score))
    best = gain or (score.value == progress.best and _lower(found.loss, progress.best_loss))
    if job.processes.first:
        _write_models(job, progress.step, score, found.loss, best=best)
    seconds = time.perf_counter() - began
    job.log.write(
        {
            "event": "evaluation",
            "step": step,
            "epoch": epoch,
            "split": "validation",
            "loss": found.loss,
            "train_loss": progress.loss_sum / max(progress.loss_count, 1),
            "train_seconds": progress.train_seconds,
            "seconds": seconds,
            "metric": job.best_metric,
            "best": best,
            "scores": found.scores.metrics_json(),
        }
    )
    progress = replace(
        progress,
        best=score.value if best else progress.best,
        best_loss=found.loss if best else progress.best_loss,
        best_step=step if best else progress.best_step,
        evaluations_without_gain=0 if gain else progress.evaluations_without_gain + 1,
        loss_sum=0.0,
        loss_count=0,
        train_seconds=0.0,
        total_seconds=progress.total_seconds + seconds,
    )
    # What is best and when patience ends is one process's word, and ``model/`` is written by now.
    return job.processes.from_first(progress)


def restored(job: Job, optimizer: torch.optim.Optimizer) -> Progress:
    """Load the newest checkpoint, take back the events after it, say so in the events.

    Raises:
        RunError: there is no checkpoint, or it cannot be read.
    """
    progress, scaler_state = checkpoint.restore(job.run, job.model, optimizer)
    if job.accelerator.scaler is not None:
        job.accelerator.scaler.load_state_dict(scaler_state)
    job.log.rewind(progress.step - 1)
    if job.processes.first:
        average.forget(job.run, after=progress.step - 1)
    job.log.write({"event": "resume", "step": progress.step - 1})
    return progress


def patience_ended(job: Job, progress: Progress) -> bool:
    """Whether so many evaluations brought no gain that training ends; says so if it does."""
    patience = job.config.early_stopping
    if patience is None or progress.evaluations_without_gain < patience:
        return False
    job.log.notice(f"stopped early: {patience} evaluations without a better {job.best_metric}")
    return True


def save_checkpoint(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a checkpoint of the loop as it is, and say so in the events.

    Raises:
        RunError: no room, or no right to write; older checkpoints are intact.
    """
    if not job.processes.first:
        return
    scaler = job.accelerator.scaler
    state = scaler.state_dict() if scaler is not None else {}
    checkpoint.save(job.run, job.model, optimizer, state, progress, job.config.keep_checkpoints)
    job.log.write({"event": "checkpoint", "step": progress.step - 1})


def _write_models(job: Job, steps: int, score: Score, loss: float, *, best: bool) -> None:
    """Write ``model/`` where this is the best, its adapters, and what is to be averaged."""
    if not best and job.config.average is None:
        return
    weights = whole_weights(job, steps)
    if best:
        save_run_model(job, job.model, weights)
    if best and job.config.lora is not None and job.config.lora.save == "adapter":
        save_adapter_folder(job.run, job.model, job.adapters)
    if job.config.average is not None:
        average.remember(job, steps - 1, score, loss, weights)


def whole_weights(job: Job, steps: int) -> dict[str, Tensor] | None:
    """The weights under Transformers' names: every row of the vocabulary, adapters merged.

    Args:
        job: what is trained.
        steps: made so far.

    Returns:
        None where they are the model's own.
    """
    vocabulary = job.vocabulary
    if job.adapters is not None:
        return merged(job.model, job.model.state_dict())
    if vocabulary is None:
        return None
    if steps < vocabulary.steps:
        raise ValueError(f"the vocabulary is at step {vocabulary.steps}, past step {steps}")
    plan = Plan.of(job.train, job.config)
    share_at = schedule_for(job.config, plan.total_steps)
    shares = [
        share_at(step)
        for step in range(vocabulary.steps, steps)
        if trains_embeddings(job.model, job.config, step // plan.steps_per_epoch)
    ]
    rate = peak_rates(job.model, job.config)[f"{vocabulary.name}.weight"]
    decay_only(vocabulary.table, shares, job.config, job.accelerator.device, rate)
    vocabulary.steps = steps
    return vocabulary.weights(job.model)


def _lower(loss: float, than: float | None) -> bool:
    return than is not None and loss < than


def _score_of(best: float | None, like: Score) -> Score | None:
    return None if best is None else replace(like, value=best)

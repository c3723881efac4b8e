"""What the loop saves: the best model so far, and checkpoints to resume from."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from warmstart import errors
from warmstart.errors.counts import counted
from warmstart.evaluation.evaluate import evaluate
from warmstart.metrics.scores import Score
from warmstart.models.output_scale import folded
from warmstart.models.tuning.adapters import merged
from warmstart.models.tuning.parts import peak_rates
from warmstart.preparation.plan import Plan
from warmstart.preparation.schedule import schedule_for
from warmstart.runs.model_folder import save_adapter_folder
from warmstart.runs.safe_files import remove
from warmstart.tasks.capabilities import ScalesOutput
from warmstart.training import average, checkpoint
from warmstart.training.budget import extended
from warmstart.training.checkpoint import Progress
from warmstart.training.head_start import start_head
from warmstart.training.job import Job
from warmstart.training.model_saving import save_run_model
from warmstart.training.monitoring.recorder import NotFinite
from warmstart.training.optimizer import decay_only
from warmstart.training.unfreezing import trains_embeddings


def evaluate_and_keep_best(job: Job, progress: Progress, epoch: float) -> Progress:
    """Score the validation split; save the model in ``model/`` if it is the best so far.

    If two models are equal by the metric, the one with the lower loss is better. Early stopping
    uses the metric only. Without validation rows nothing is scored, and every model is saved.

    Args:
        job: the training job.
        progress: the progress after a flush of the recorder, so that its sums include every step.
        epoch: completed passes over the training rows.

    Returns:
        The progress with the best model updated and the sums since the last evaluation reset.

    Raises:
        NotFinite: the validation loss is not finite.
    """
    if job.validation is None or job.validation_split is None:
        return _keep_latest(job, progress, epoch)
    began = time.perf_counter()
    step = progress.step - 1
    try:
        result = evaluate(
            job.task,
            job.model,
            job.forward,
            job.validation,
            job.validation_split.labels,
            job.accelerator,
            job.processes,
        )
    except errors.ModelError as error:  # the outputs are not numbers
        raise NotFinite(step) from error
    score = result.scores.metrics[job.best_metric]
    # The first evaluation always counts as the best, even with an undefined score, so that there
    # is always a saved model.
    gain = progress.best_step is None or score.better_than(_score_of(progress.best, score))
    best = gain or (score.value == progress.best and _lower(result.loss, progress.best_loss))
    if job.processes.first:
        _write_models(job, progress.step, score, result.loss, best=best)
    seconds = time.perf_counter() - began
    event = {"event": "evaluation", "step": step, "epoch": epoch, "split": "validation"}
    losses = {"loss": result.loss, "train_loss": progress.train_loss}
    times = {"train_seconds": progress.train_seconds, "seconds": seconds}
    scores = {"metric": job.best_metric, "best": best, "scores": result.scores.metrics_json()}
    job.log.write({**event, **losses, **times, **scores})
    progress = replace(
        progress.after_evaluation(seconds),
        best=score.value if best else progress.best,
        best_loss=result.loss if best else progress.best_loss,
        best_step=step if best else progress.best_step,
        evaluations_without_gain=0 if gain else progress.evaluations_without_gain + 1,
    )
    # All ranks continue with rank 0's progress, so they agree on early stopping. Waiting for it
    # also ensures that ``model/`` is complete.
    return job.processes.from_first(progress)


def _keep_latest(job: Job, progress: Progress, epoch: float) -> Progress:
    """Save the model in place of the one before; the arguments are as above."""
    began = time.perf_counter()
    step = progress.step - 1
    if job.processes.first:
        _save_model(job, whole_weights(job, progress.step))
    seconds = time.perf_counter() - began
    event = {"event": "epoch", "step": step, "epoch": epoch, "train_loss": progress.train_loss}
    job.log.write({**event, "train_seconds": progress.train_seconds, "seconds": seconds})
    return job.processes.from_first(replace(progress.after_evaluation(seconds), best_step=step))


def begun(
    job: Job, stop_requested: Callable[[], bool], earlier: Progress | None = None
) -> Progress:
    """The progress before the first step, after noting how the frozen part is computed.

    If the head is fitted before the first step, the model can predict already: it is evaluated and
    stays the best one until another is better.

    Args:
        job: the training job, with features if they could be computed.
        stop_requested: as for ``loop.fit``.
        earlier: as for ``loop.fit``.
    """
    if job.frozen is not None and job.processes.first and _noted(job) is not None:
        job.run.write_json("environment.json", {**_noted(job), "features": _features(job)})
    progress = Progress()
    if earlier is not None:
        progress = Progress(
            attempt=earlier.attempt + 1,
            total_seconds=earlier.total_seconds,
            used_seconds=earlier.used_seconds,
        )
    if start_head(job, stop_requested):
        return evaluate_and_keep_best(job, progress, epoch=0)
    return progress


def _features(job: Job) -> str:
    return "computed in every epoch" if job.train.computed is None else "computed once"


def _noted(job: Job) -> Any:
    """The content of ``environment.json``; None if the loop runs without it."""
    known = job.run.entry("environment.json").exists()
    return job.run.read_json("environment.json") if known else None


def restored(job: Job, optimizer: torch.optim.Optimizer) -> Progress:
    """Load the newest checkpoint, remove later events from the log, and log a resume event.

    Raises:
        RunError: there is no checkpoint, it cannot be read, or the processes found different ones
            (on a file system that they do not share, or that is slow to show new files).
    """
    progress = job.processes.agreed(lambda: _restored_alone(job, optimizer))
    steps = job.processes.gather(progress.step)
    for rank, step in enumerate(steps):
        if step != steps[0]:
            found = f"the newest checkpoint (of step {step - 1}; rank 0 has step {steps[0] - 1})"
            raise errors.launch.processes_differ(rank, [found])
    return progress


def _restored_alone(job: Job, optimizer: torch.optim.Optimizer) -> Progress:
    then = (_noted(job) or {}).get("features")
    if job.frozen is not None and then not in (None, now := _features(job)):
        # Other batches give other rounding errors, and so another model.
        raise errors.run.changed_since(
            job.run.path, [f"the outputs of the frozen part ({then}, now {now})"]
        )
    progress, scaler_state, damaged = checkpoint.restore(job.run, job.model, optimizer)
    if job.accelerator.scaler is not None:
        job.accelerator.scaler.load_state_dict(scaler_state)
    job.log.rewind(progress.step - 1)
    if job.processes.first:
        average.forget(job.run, after=progress.step - 1)
        for folder in damaged:  # otherwise it would count as the newest checkpoint
            remove(folder)
    job.log.write({"event": "resume", "step": progress.step - 1})
    if progress.rounds > 1:
        # The event is in the file already; the listeners of this process have not seen it.
        for listener in job.log.listeners:
            listener(extended(job, Plan.of(job.train, job.config), progress))
    for folder, damage in damaged.items():
        job.log.notice(
            f"the checkpoint {folder.name} is damaged ({damage}); the run resumes from the older "
            f"one after step {progress.step - 1}"
        )
    return progress


def patience_ended(job: Job, progress: Progress) -> bool:
    """Whether early stopping ends the training; if so, logs a notice."""
    patience = job.config.early_stopping
    if patience is None or progress.evaluations_without_gain < patience:
        return False
    job.log.notice(
        f"stopped early: {counted(patience, 'evaluation')} without a better {job.best_metric}"
    )
    return True


def save_checkpoint(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a checkpoint of the loop's current state, and log it.

    Rank 0 writes, and the others wait: when the processes stop, the checkpoint is complete.

    Raises:
        RunError: the disk is full, or writing is not permitted; older checkpoints are intact.
    """

    def write() -> None:
        if not job.processes.first:
            return
        scaler = job.accelerator.scaler
        state = scaler.state_dict() if scaler is not None else {}
        checkpoint.save(job.run, job.model, optimizer, state, progress, job.config.keep_checkpoints)
        job.log.write({"event": "checkpoint", "step": progress.step - 1})

    job.processes.agreed(write)


def _write_models(job: Job, steps: int, score: Score, loss: float, *, best: bool) -> None:
    """Save ``model/`` and its adapters if this is the best model, and a copy for the average."""
    if not best and job.config.average is None:
        return
    weights = whole_weights(job, steps)
    if best:
        _save_model(job, weights)
    if job.config.average is not None and steps:
        average.remember(job, steps - 1, score, loss, weights)


def _save_model(job: Job, weights: dict[str, Tensor] | None) -> None:
    """Save ``model/`` and its adapters; ``weights`` are those of ``whole_weights``."""
    save_run_model(job, job.model, weights)
    if job.config.lora is not None and job.config.lora.save == "adapter":
        save_adapter_folder(job.run, job.model, job.adapters, weights or {})


def whole_weights(job: Job, steps: int) -> dict[str, Tensor] | None:
    """The weights to save: Transformers' names, the whole vocabulary, adapters merged, no hook.

    Args:
        job: the training job.
        steps: number of steps made so far.

    Returns:
        None if the model's own ``state_dict`` has these weights already.
    """
    weights = _own_weights(job, steps)
    if not isinstance(job.task, ScalesOutput):
        return weights
    return folded(job.model, job.task.head, job.task.scale, weights)


def _own_weights(job: Job, steps: int) -> dict[str, Tensor] | None:
    vocabulary = job.vocabulary
    if job.adapters is not None:
        return merged(job.model, job.model.state_dict())
    if vocabulary is None:
        return None
    if steps < vocabulary.steps:
        raise ValueError(f"the vocabulary is at step {vocabulary.steps}, past step {steps}")
    # Apply to the unused rows the weight decay of all steps since the last call.
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

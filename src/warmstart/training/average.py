"""Average the weights of several evaluations; keep the mean if it is no worse than the best model.

    average/step-00000267/   the whole model after that step, and its score; removed at the end
    average/mean/            the mean of the models, while it is scored

At each evaluation the whole model is saved, in the format of ``model/`` and with every row of the
vocabulary. The last ``count`` models, or the best by ``train.best_metric``, are kept. After
training their mean is scored once on the validation split. A resumed run uses the same files.

Source: Izmailov et al. 2018, arXiv:1803.05407 (averages along one run); Vaswani et al. 2017,
arXiv:1706.03762, section 6.1 (the last checkpoints).
"""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from warmstart import errors
from warmstart.evaluation.evaluate import evaluate
from warmstart.metrics.scores import Score
from warmstart.models.checkpoints.load import load_run_model
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.packed.forward import forward_for
from warmstart.runs.directory import RunDirectory
from warmstart.runs.manifest import damage_in, write_manifest
from warmstart.runs.safe_files import remove, write_folder
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job
from warmstart.training.model_saving import save_run_model

SCORE = "score.json"


def remember(
    job: Job, step: int, score: Score, loss: float, weights: dict[str, Tensor] | None
) -> None:
    """Save the model for the average, and remove a saved model that is no longer needed.

    Args:
        job: the training job.
        step: step after which the model was evaluated.
        score: its value of ``train.best_metric``.
        loss: its validation loss, in nats.
        weights: weights by name to save instead of the model's own; None for its own.

    Raises:
        RunError: the disk is full, or writing is not permitted.
    """
    setting = job.config.average
    assert setting is not None

    def fill(folder: Path) -> None:
        with quiet():
            job.model.save_pretrained(folder, state_dict=weights)
        # Compared in this order: a defined score first, then the score, then the loss.
        sort_key = [score.value is not None, _higher_is_better(score), -loss]
        (folder / SCORE).write_text(json.dumps(sort_key), encoding="utf-8")
        write_manifest(folder)

    write_folder(job.run.entry("average") / f"step-{step:08d}", fill)
    folders = _intact(remembered(job.run))
    if setting.of == "best":
        folders.sort(key=lambda folder: json.loads((folder / SCORE).read_text(encoding="utf-8")))
    for folder in folders[: -setting.count]:
        remove(folder)


def _intact(folders: list[Path]) -> list[Path]:
    """The same folders.

    Raises:
        RunError: one of them changed since it was written.
    """
    for folder in folders:
        if (damage := damage_in(folder)) is not None:
            raise errors.run.damaged_average(folder, damage)
    return folders


def _higher_is_better(score: Score) -> float:
    """The value, negated if lower is better; 0 if it is undefined."""
    value = score.value or 0.0
    return value if score.higher_is_better else -value


def remembered(run: RunDirectory) -> list[Path]:
    """The folders of the models to average, in the order of their steps.

    Args:
        run: the run directory.
    """
    folder = run.entry("average")
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def forget(run: RunDirectory, after: int = -1) -> None:
    """Remove the models saved for the average: all of them, or those after a step.

    Args:
        run: the run directory.
        after: models after this step are removed; -1 removes everything.
    """
    for folder in remembered(run):
        if _step(folder) > after:
            remove(folder)
    if after < 0:
        remove(run.entry("average"))


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def mean_weights(folders: list[Path]) -> dict[str, Tensor]:
    """The mean of the weights of several models, computed in double precision.

    Args:
        folders: folders of at least one model of the same architecture, each with a
            ``model.safetensors``.
    """
    mean: dict[str, Tensor] = {}
    for folder in folders:
        for name, tensor in load_file(folder / "model.safetensors").items():
            if not tensor.is_floating_point():
                mean[name] = tensor
            elif name in mean:
                mean[name] += tensor
            else:
                mean[name] = tensor.double()
    return {
        name: (tensor / len(folders)).float() if tensor.dtype == torch.float64 else tensor
        for name, tensor in mean.items()
    }


def keep_average(job: Job, progress: Progress) -> None:
    """Score the mean of the saved models; save it as ``model/`` if it is no worse than the best.

    Worse means a worse ``train.best_metric``, or an equal metric and a higher loss.

    Args:
        job: the training job, after training.
        progress: the progress at the end of training.

    Raises:
        RunError: the disk is full, or writing is not permitted.
    """
    setting = job.config.average
    if setting is None:
        return
    folders = _intact(remembered(job.run))
    steps = [_step(folder) for folder in folders]
    if len(folders) < 2:
        job.log.notice(f"weights are not averaged: only {len(folders)} evaluation took place")
        return
    model = _mean_model(job, folders)
    forward = forward_for(model, job.task.head, job.train, job.accelerator.autocast)
    assert job.validation is not None
    assert job.validation_split is not None
    labels = job.validation_split.labels
    result = evaluate(
        job.task, model, forward, job.validation, labels, job.accelerator, job.processes
    )
    score = result.scores.metrics[job.best_metric]
    best = replace(score, value=progress.best)
    # If the metric is equal, the lower loss decides, as it does between single models.
    as_good = score.value == best.value and result.loss <= (progress.best_loss or math.inf)
    kept = math.isfinite(result.loss) and (score.better_than(best) or as_good)
    kept = job.processes.from_first(kept)
    if kept and job.processes.first:
        save_run_model(job, model)
    job.log.write(
        {
            "event": "average",
            "of": setting.of,
            "steps": steps,
            "metric": job.best_metric,
            "value": score.value,
            "best": best.value,
            "loss": result.loss,
            "best_loss": progress.best_loss,
            "kept": kept,
        }
    )
    requested = f" (train.average.count is {setting.count})" * (len(steps) < setting.count)
    job.log.notice(
        f"the mean of the weights after steps {', '.join(map(str, steps))}{requested} has a "
        f"validation {job.best_metric} of {_shown(score)}, the best single model {_shown(best)}: "
        f"{'the mean' if kept else 'the single model'} is kept"
    )


def _mean_model(job: Job, folders: list[Path]) -> PreTrainedModel:
    """The mean of saved models, on the job's device; rank 0 writes it and all ranks load it."""
    mean = job.run.entry("average") / "mean"

    def fill(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(folders[-1] / "config.json", folder)
        save_file(mean_weights(folders), folder / "model.safetensors", metadata={"format": "pt"})

    job.processes.agreed(lambda: write_folder(mean, fill) if job.processes.first else None)
    model = load_run_model(mean, job.task.head)
    model.to(job.accelerator.device)
    return model


def _shown(score: Score) -> str:
    return "undefined" if score.value is None else f"{score.value:.4f}"

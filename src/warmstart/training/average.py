"""The mean of the weights at several evaluations, kept where it is no worse than the best model.

    average/step-00000267/   the whole model after that step, and its score; removed at the end
    average/mean/            their mean, while it is scored

At each evaluation the model is written down as ``model/`` would hold it, every row of the
vocabulary included; the last ``count`` of them, or the best by ``train.best_metric``, stay. When
training ends their mean is scored on the validation split, once. A resumed run goes on from the
same files: an evaluation that has left them would leave them again.

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

from warmstart.evaluation.evaluate import evaluate
from warmstart.metrics.scores import Score
from warmstart.models.checkpoints.load import load_run_model
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.packed.forward import forward_for
from warmstart.runs.directory import RunDirectory, write_folder
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job
from warmstart.training.model_saving import save_run_model

SCORE = "score.json"


def remember(
    job: Job, step: int, score: Score, loss: float, weights: dict[str, Tensor] | None
) -> None:
    """Write the model down as one of those to be averaged, and let go of what no longer is.

    Args:
        job: what is trained.
        step: after which it was evaluated.
        score: by the metric that chooses.
        loss: of the validation split, in nats.
        weights: in place of the model's own, by name.

    Raises:
        RunError: no room, or no right to write.
    """
    setting = job.config.average
    assert setting is not None

    def fill(folder: Path) -> None:
        with quiet():
            job.model.save_pretrained(folder, state_dict=weights)
        rank = [score.value is not None, _upwards(score), -loss]
        (folder / SCORE).write_text(json.dumps(rank), encoding="utf-8")

    write_folder(job.run.average / f"step-{step:08d}", fill)
    kept = remembered(job.run)
    if setting.of == "best":
        kept.sort(key=lambda folder: json.loads((folder / SCORE).read_text(encoding="utf-8")))
    for folder in kept[: -setting.count]:
        shutil.rmtree(folder)


def _upwards(score: Score) -> float:
    """The value, turned so that more is better; 0 where it is undefined."""
    value = score.value or 0.0
    return value if score.higher_is_better else -value


def remembered(run: RunDirectory) -> list[Path]:
    """The models to be averaged, in the order of their steps.

    Args:
        run: the run directory.
    """
    return sorted(run.average.glob("step-*")) if run.average.is_dir() else []


def forget(run: RunDirectory, after: int = -1) -> None:
    """Remove what was written for an average: all of it, or the models after a step.

    Args:
        run: the run directory.
        after: the last step that counts; -1 for none.
    """
    for folder in remembered(run):
        if _step(folder) > after:
            shutil.rmtree(folder)
    if after < 0:
        shutil.rmtree(run.average, ignore_errors=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def mean_weights(folders: list[Path]) -> dict[str, Tensor]:
    """The mean of the weights in several folders, summed in double precision.

    Args:
        folders: of models of one kind, one at least; each with a ``model.safetensors``.
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
    """Score the mean of what was remembered; it becomes ``model/`` where it is no worse.

    Worse is a worse ``train.best_metric``, or a higher loss where the metric is the same.

    Args:
        job: trained.
        progress: where training ended.

    Raises:
        RunError: no room, or no right to write.
    """
    setting = job.config.average
    if setting is None:
        return
    folders = remembered(job.run)
    steps = [_step(folder) for folder in folders]
    if len(folders) < 2:
        job.log.notice(f"no average: training ended after {len(folders)} evaluation")
        return
    mean = job.run.average / "mean"

    def fill(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(folders[-1] / "config.json", folder)
        save_file(mean_weights(folders), folder / "model.safetensors", metadata={"format": "pt"})

    job.processes.agreed(lambda: write_folder(mean, fill) if job.processes.first else None)
    model = load_run_model(mean, job.task.head).to(job.accelerator.device)
    forward = forward_for(model, job.task.head, job.train, job.accelerator.autocast)
    labels = job.validation_split.labels
    found = evaluate(
        job.task, model, forward, job.validation, labels, job.accelerator, job.processes
    )
    score = found.scores.metrics[job.best_metric]
    best = replace(score, value=progress.best)
    # Of two that are equally good the one with the lower loss is kept, as among single models.
    as_good = score.value == best.value and found.loss <= (progress.best_loss or math.inf)
    kept = math.isfinite(found.loss) and (score.better_than(best) or as_good)
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
            "loss": found.loss,
            "best_loss": progress.best_loss,
            "kept": kept,
        }
    )
    asked = f" ({setting.count} were asked for)" * (len(steps) < setting.count)
    job.log.notice(
        f"the mean of the weights after steps {', '.join(map(str, steps))}{asked} has "
        f"{_shown(score)} {job.best_metric} on the validation rows, the best single model "
        f"{_shown(best)}: {'the mean' if kept else 'the single model'} is kept"
    )


def _shown(score: Score) -> str:
    return "undefined" if score.value is None else f"{score.value:.4f}"

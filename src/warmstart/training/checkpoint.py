"""Checkpoints: everything that is needed to resume a run as if it had not been interrupted.

    checkpoint/step-00000267/model.safetensors       weights after that step
                             optimizer.safetensors   AdamW's moments, as PARAMETER/exp_avg, …
                             state.json              progress, best score so far, loss scale
                             manifest.json           SHA-256 of the other files

No state of random generators is saved, because none is needed: the order of the rows is a function
of (seed, epoch), and dropout is a function of (seed, step), since each step seeds the generator
(``seed_step``).

A checkpoint is written into a temporary folder, flushed to disk, then renamed. A crash or a full
disk therefore never damages older checkpoints. If the newest one was damaged later, the next older
one is used.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn

from warmstart import errors
from warmstart.runs.directory import RunDirectory
from warmstart.runs.manifest import damage_in, write_manifest
from warmstart.runs.safe_files import remove, write_folder


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run; with weights and optimiser state, it determines the next step.

    Args:
        step: the next step, counted from 0.
        best: value of ``best_metric`` for the best model; None before the first defined value.
        best_loss: validation loss of the best model, in nats.
        best_step: step after which the best model was evaluated.
        evaluations_without_gain: number of evaluations since the metric last improved.
        loss_sum: training loss since the last evaluation, in nats, summed over labels.
        loss_count: number of labels in ``loss_sum``.
        train_seconds: time spent in steps since the last evaluation.
        total_seconds: time spent in steps and evaluations since the run began.
        micro_batches: number of pieces each batch is split into because memory ran out.
        rounds: how often the planned epochs are trained, with ``train.extend``.
        attempt: 2 in the second try of ``train.retry``.
        used_seconds: time that counts for ``train.budget_minutes``, when it was last saved.
        out_of_time: whether the budget has ended training.
    """

    step: int = 0
    best: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    evaluations_without_gain: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    micro_batches: int = 1
    rounds: int = 1
    attempt: int = 1
    used_seconds: float = 0.0
    out_of_time: bool = False

    @property
    def train_loss(self) -> float | None:
        """Mean training loss since the last evaluation, in nats; None if no step was made."""
        return self.loss_sum / self.loss_count if self.loss_count > 0 else None

    def after_evaluation(self, seconds: float) -> Self:
        """The progress with the sums since the last evaluation reset.

        Args:
            seconds: time that the evaluation took.
        """
        return replace(
            self,
            loss_sum=0.0,
            loss_count=0,
            train_seconds=0.0,
            total_seconds=self.total_seconds + seconds,
        )


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed torch's generators so that dropout depends only on (seed, step, process).

    Args:
        seed: seed of the run.
        step: number of the next step.
        process: rank of this process.
    """
    # The odd constants of SplitMix64 give neighbouring steps and ranks seeds that are far apart
    # (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").
    number = (seed + step * 0x9E3779B97F4A7C15 + process * 0xBF58476D1CE4E5B9) % 2**63
    if torch.accelerator.is_available():
        torch.manual_seed(number)
    else:  # torch.manual_seed would also format a traceback, for a GPU that never starts
        torch.default_generator.manual_seed(number)


@contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Restore PyTorch's global generators afterwards: ``seed_step`` must not affect the caller.

    Args:
        device: device of the model; if it is a GPU, its generator is restored as well as the CPU's.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        yield


def save(
    run: RunDirectory,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: dict[str, Any],
    progress: Progress,
    keep: int,
) -> None:
    """Write a checkpoint, then remove all but the newest ``keep``.

    Args:
        run: the run directory.
        model: the model, not wrapped by accelerate.
        optimizer: its optimiser, not wrapped by accelerate.
        scaler: state of the float16 loss scaler, or {}.
        progress: the progress of the run.
        keep: number of checkpoints to keep on disk.

    Raises:
        RunError: the disk is full, or writing is not permitted; older checkpoints are intact.
    """

    def fill(folder: Path) -> None:
        save_model(model, str(folder / "model.safetensors"))
        save_file(_moments(model, optimizer), folder / "optimizer.safetensors")
        state = {"progress": asdict(progress), "scaler": scaler}
        (folder / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        write_manifest(folder)

    write_folder(run.entry("checkpoint") / f"step-{progress.step - 1:08d}", fill)
    remove_old(run, keep)


def remove_old(run: RunDirectory, keep: int) -> None:
    """Remove all checkpoints but the newest.

    Args:
        run: the run directory.
        keep: number of checkpoints to keep on disk.
    """
    for old in checkpoints(run)[:-keep]:
        remove(old)


def checkpoints(run: RunDirectory) -> list[Path]:
    """The complete checkpoints, oldest first."""
    folder = run.entry("checkpoint")
    return sorted(f for f in folder.glob("step-*") if f.name.removeprefix("step-").isdigit())


def newest_step(run: RunDirectory) -> int | None:
    """The step after which the newest checkpoint was written; None without a checkpoint."""
    folders = checkpoints(run)
    return _step(folders[-1]) if folders else None


def newest_progress(run: RunDirectory) -> Progress | None:
    """The progress of the newest checkpoint that can be read; None if there is none.

    Args:
        run: the run directory.
    """
    for folder in reversed(checkpoints(run)):
        try:
            return _progress_in(folder)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _progress_in(folder: Path) -> Progress:
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return TypeAdapter(Progress).validate_python(state["progress"])


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def restore(
    run: RunDirectory, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Any], dict[Path, str]]:
    """Load the newest intact checkpoint into model and optimiser.

    Args:
        run: the run directory.
        model: the model on its device, not wrapped by accelerate.
        optimizer: its optimiser, not wrapped by accelerate.

    Returns:
        Its progress, its scaler state, and for each newer checkpoint what is damaged in it.

    Raises:
        RunError: there is no checkpoint, or none is intact.
    """
    folders = checkpoints(run)
    if not folders:
        raise errors.run.nothing_to_resume(run.path)
    damaged: dict[Path, str] = {}
    for folder in reversed(folders):
        damage = damage_in(folder)
        if damage is None:
            try:
                progress, scaler = _load(folder, model, optimizer)
            except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as e:
                damage = f"it does not fit this run ({e})"
            else:
                return progress, scaler, damaged
        damaged[folder] = damage
    raise errors.run.damaged_checkpoints(run.path, damaged)


def _load(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Any]]:
    """Load one checkpoint; everything is checked before the first tensor is changed."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    progress = TypeAdapter(Progress).validate_python(state["progress"])
    if progress.step != _step(folder) + 1:
        raise ValueError(f"its state is of step {progress.step - 1}")
    moments = load_file(folder / "optimizer.safetensors")
    _refuse_other_shapes(model, moments)
    load_model(model, folder / "model.safetensors")
    _restore_moments(model, optimizer, moments)
    return progress, dict(state["scaler"])


def _refuse_other_shapes(model: nn.Module, moments: dict[str, torch.Tensor]) -> None:
    """AdamW computes with the moments without a check; another shape could end the process.

    Raises:
        ValueError: a moment has another shape than its parameter, or there is no such parameter.
    """
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name, moment in moments.items():
        parameter, _, key = name.rpartition("/")
        expected = torch.Size() if key == "step" else shapes.get(parameter)
        if moment.shape != expected:
            raise ValueError(f"{name} has the shape {list(moment.shape)}")


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state tensors, named ``PARAMETER/exp_avg`` and so on."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value.detach().contiguous()
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def _restore_moments(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    """Load the output of ``_moments`` into the optimiser."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    # `load_state_dict` expects the state by the position of a parameter over all groups.
    state: dict[int, dict[str, torch.Tensor]] = {}
    position = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            prefix = names[id(parameter)] + "/"
            state[position] = {
                key.removeprefix(prefix): value
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
            position += 1
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )

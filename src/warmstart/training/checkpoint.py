"""Checkpoints: what a run needs to go on as if it had never stopped.

    checkpoint/step-00000267/model.safetensors       weights after that step
                             optimizer.safetensors   AdamW's moments, as PARAMETER/exp_avg, …
                             state.json              position, best so far, loss scale

There is no random state in it, because there is none to keep: the order of the rows is a function
of (seed, epoch) and the dropout of (seed, step) – each step seeds its own generator
(``seed_step``).

A checkpoint is written into a temporary folder, flushed, then renamed; a crash or a full disk in
the middle leaves the older ones as they were.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn

from warmstart import errors
from warmstart.runs.directory import RunDirectory, write_folder


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: enough, with the weights and the optimiser, to compute the next step.

    Args:
        step: the next step to make, counted from 0.
        best: value of the best metric so far; None before the first defined one.
        best_loss: validation loss of the kept model, in nats.
        best_step: the step after which that model was evaluated.
        evaluations_without_gain: evaluations since then.
        loss_sum: training loss in nats since the last evaluation, summed over labels.
        loss_count: labels it was summed over.
        train_seconds: time spent in steps since the last evaluation.
        total_seconds: time spent in steps and evaluations since the run began.
        micro_batches: pieces each batch is cut into because memory ran out.
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


def seed_step(seed: int, step: int, process: int) -> None:
    """Make dropout a function of (seed, step, process) alone.

    Args:
        seed: of the run.
        step: about to be made.
        process: index of this process among those that train together.
    """
    # SplitMix64's odd constants keep neighbouring steps and processes far apart (Steele, Lea &
    # Flood 2014, "Fast splittable pseudorandom number generators").
    torch.manual_seed((seed + step * 0x9E3779B97F4A7C15 + process * 0xBF58476D1CE4E5B9) % 2**63)


@contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Put PyTorch's global generators back afterwards: ``seed_step`` is no business of the caller.

    Args:
        device: of the model. Its generator is kept if it is a GPU, and the CPU's always.
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
        model: unwrapped.
        optimizer: unwrapped, over this model's parameters.
        scaler: state of the float16 loss scaler, or {}.
        progress: where the run is.
        keep: checkpoints to leave on disk.

    Raises:
        RunError: no room, or no right to write; older checkpoints are intact.
    """

    def fill(folder: Path) -> None:
        save_model(model, str(folder / "model.safetensors"))
        save_file(_moments(model, optimizer), folder / "optimizer.safetensors")
        state = {"progress": asdict(progress), "scaler": scaler}
        (folder / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")

    write_folder(run.checkpoints / f"step-{progress.step - 1:08d}", fill)
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def checkpoints(run: RunDirectory) -> list[Path]:
    """The complete checkpoints, oldest first."""
    return sorted(run.checkpoints.glob("step-*")) if run.checkpoints.is_dir() else []


def newest_step(run: RunDirectory) -> int | None:
    """The step after which the newest checkpoint was written."""
    found = checkpoints(run)
    return int(found[-1].name.removeprefix("step-")) if found else None


def restore(
    run: RunDirectory, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Any]]:
    """Load the newest checkpoint into model and optimiser; its progress and scaler state.

    Args:
        run: the run directory.
        model: unwrapped, on its device.
        optimizer: unwrapped, over this model's parameters.

    Raises:
        RunError: there is no checkpoint, or it cannot be read.
    """
    found = checkpoints(run)
    if not found:
        raise errors.run.nothing_to_resume(run.path)
    newest = found[-1]
    try:
        state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
        load_model(model, newest / "model.safetensors")
        _restore_moments(model, optimizer, load_file(newest / "optimizer.safetensors"))
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise errors.run.unreadable(newest, error) from error
    return Progress(**state["progress"]), state["scaler"]


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's tensors, named by parameter instead of by position."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value.detach().contiguous()
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def _restore_moments(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
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

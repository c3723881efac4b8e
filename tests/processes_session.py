"""Scenes with several processes, one after the other; rank 0 prints the results of each.

Run by ``training/test_processes.py``, once in each of the processes that it starts.
"""

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.runs_in_memory import never
from tests.tiny import ARCHITECTURES
from warmstart import cli, config_file, errors
from warmstart.data.examples.batches import Batch
from warmstart.devices.processes import Processes, join, leave
from warmstart.evaluation import evaluate
from warmstart.models.packed.forward import Forward
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.training import checkpoint, keep
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.optimizer import build_optimizer

Settings = dict[str, Any]


def job_in(folder: Path, settings: Settings, processes: Processes, name: str) -> Job:
    """A job of all processes in a run directory that rank 0 creates."""
    if processes.first:
        RunDirectory.create(folder / name)
    processes.agreed(lambda: None)
    return job_for(prepare(config_file.load(settings)), RunDirectory(folder / name))


def train(folder: Path, settings: Settings, processes: Processes, name: str) -> int:
    """All steps; returns their number."""
    job = job_in(folder, settings, processes, name)
    if not processes.first:  # it gets the weights of rank 0
        nn.init.normal_(job.model.get_input_embeddings().weight)
    return fit(job, resume=False, stop_requested=never).step


def run_out_of_memory(folder: Path, settings: Settings, processes: Processes, name: str) -> int:
    """The second process has room for two rows, the first for any number."""
    job = job_in(folder, settings, processes, name)
    original = job.forward

    def run(model: nn.Module, batch: Batch) -> Tensor:
        logits = original.run(model, batch)
        if not processes.first and model.training and len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return logits

    job = replace(job, forward=Forward(run, original.path))
    return fit(job, resume=False, stop_requested=never).micro_batches


def stop_and_resume(folder: Path, settings: Settings, processes: Processes, name: str) -> str:
    """The second process is asked to stop in the middle of an epoch; then all resume."""
    asked = count(1)
    job = job_in(folder, settings, processes, name)
    try:
        fit(
            job,
            resume=False,
            stop_requested=lambda: not processes.first and next(asked) >= 5,
        )
    except errors.Interrupted as error:
        again = job_for(prepare(config_file.load(settings)), RunDirectory(folder / name))
        nn.init.normal_(again.model.get_input_embeddings().weight)
        fit(again, resume=True, stop_requested=never)
        return str(error)
    return "never stopped"


def diverge(folder: Path, settings: Settings, processes: Processes, name: str) -> str:
    """The second process's logits are not finite from its fourth batch."""
    job = job_in(folder, settings, processes, name)
    original, batches = job.forward, count()

    def run(model: nn.Module, batch: Batch) -> Tensor:
        logits = original.run(model, batch)
        bad = not processes.first and model.training and next(batches) >= 3
        return logits * float("nan") if bad else logits

    try:
        fit(replace(job, forward=Forward(run, "")), resume=False, stop_requested=never)
    except errors.RunError as error:
        return error.found
    return "never diverged"


def resume_apart(folder: Path, settings: Settings, processes: Processes, name: str) -> str:
    """The second process sees an older checkpoint than the first."""
    job = job_for(prepare(config_file.load(settings)), RunDirectory(folder / "whole"))
    original = checkpoint.restore

    def older(*given: Any) -> Any:
        progress, *others = original(*given)
        return replace(progress, step=progress.step - 1 + int(processes.first)), *others

    checkpoint.restore = older
    try:
        keep.restored(job, build_optimizer(job.model, job.config))
    except errors.RunError as error:
        return error.found
    finally:
        checkpoint.restore = original
    return "no difference was seen"


def fail_alone(processes: Processes) -> str:
    """Only the second process finds that something is missing."""

    def work() -> None:
        if not processes.first:
            raise errors.run.not_a_run(Path("gone"))

    try:
        processes.agreed(work)
    except errors.RunError as error:
        return error.found
    return "nobody failed"


def mistyped(rank: int) -> dict[str, Any]:
    """A command with a wrong setting; its exit code in this process, and its output."""
    out, err = io.StringIO(), io.StringIO()
    os.environ["MASTER_PORT"] = os.environ["SECOND_PORT"]  # they leave the group and join again
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(["train", "demo", "--set", "x=1"])
    return {"rank": rank, "code": code, "out": out.getvalue(), "err": err.getvalue()}


def main(folder: Path) -> None:
    """Run every scene for which the test wrote settings into the folder."""
    settings: dict[str, Settings] = json.loads((folder / "settings.json").read_text())
    evaluate.MAX_TOKENS_PER_BATCH["cpu"] = 40  # so that there are batches to share
    processes = join()
    scenes: dict[str, Callable[[Path, Settings, Processes, str], Any]] = {
        "accumulated": train,
        "memory": run_out_of_memory,
        "whole": train,
        "stopped": stop_and_resume,
        "diverged": diverge,
        "apart": resume_apart,
        "windows": train,
        "fill-mask": train,
        **dict.fromkeys(ARCHITECTURES, train),
    }
    found = {
        name: processes.gather(scene(folder / "two", settings[name], processes, name))
        for name, scene in scenes.items()
        if name in settings
    }
    found["alone"] = processes.gather(fail_alone(processes))
    leave()
    found["mistyped"] = [mistyped(processes.index)]
    if processes.first:
        print(json.dumps(found))
    else:
        (folder / "mistyped.json").write_text(json.dumps(found["mistyped"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

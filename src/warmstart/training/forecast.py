"""Forecast the time, memory and disk space of a run before it starts.

The run is built as for training. A few of its steps are timed, chosen from the first epoch so that
all sizes occur; the step with the largest batch shows the peak memory. Every other part is timed on
a sample of the rows and multiplied. The sizes of files follow from the sizes of the tensors.

Nothing of this is written to the run directory, and a later training gives the same weights as
without a forecast. Units: seconds, bytes; MiB in words and JSON.
"""

import time
from dataclasses import asdict, dataclass, replace
from math import floor
from pathlib import Path
from typing import Any

import psutil
import torch

from warmstart import errors
from warmstart.config import ResolvedTrainConfig
from warmstart.devices import memory
from warmstart.devices.processes import current
from warmstart.errors.counts import counted
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory
from warmstart.runs.words import duration
from warmstart.training.checkpoint import generators_kept
from warmstart.training.job import Job, job_for
from warmstart.training.measuring import Measured, Seconds, measure
from warmstart.training.space import existing_parent
from warmstart.training.timings import Clock

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will need.

    Args:
        seconds: its time. Report, model card and export come after it.
        steps: number of optimiser updates.
        rows: number of training rows.
        evaluations: number of evaluations on the validation rows.
        at_most: whether the run may be shorter, because of early stopping or of parts that train
            later.
        memory: peak memory in bytes: of the process, or on a GPU of its tensors.
        on_gpu: whether this is the memory of a GPU.
        largest: largest size of the run directory in bytes.
        at_end: its size at the end.
        notes: sentences for the user, the warnings first.
    """

    seconds: Seconds
    steps: int
    rows: int
    evaluations: int
    at_most: bool
    memory: int
    on_gpu: bool
    largest: int
    at_end: int
    notes: tuple[str, ...] = ()

    def repeated(self, count: int) -> "Forecast":
        """The forecast of several such runs, one after the other, which read the data once.

        Args:
            count: number of runs.
        """
        parts = {name: count * seconds for name, seconds in asdict(self.seconds).items()}
        return replace(
            self,
            seconds=Seconds(**{**parts, "preparing": self.seconds.preparing}),
            largest=self.largest + (count - 1) * self.at_end,
            at_end=count * self.at_end,
        )

    def in_words(self) -> list[str]:
        """The forecast for the terminal, a sentence for each line."""
        names = {
            "steps": counted(self.steps, "step"),
            "evaluations": counted(self.evaluations, "evaluation"),
        }
        parts = [
            f"{names.get(name, name.replace('_', ' '))} {duration(seconds)}"
            for name, seconds in asdict(self.seconds).items()
            if seconds
        ]
        about = "at most about" if self.at_most else "about"
        where = "GPU memory" if self.on_gpu else "memory"
        return [
            f"{about} {duration(self.seconds.total)}: {', '.join(parts)}",
            f"{where} {_size(self.memory)}; disk {_size(self.largest)}, at the end "
            f"{_size(self.at_end)}",
            *self.notes,
        ]

    def to_json(self) -> dict[str, Any]:
        """As in the output of ``train --dry-run --json``."""
        return {
            "seconds": {
                "total": round(self.seconds.total, 3),
                **{name: round(value, 3) for name, value in asdict(self.seconds).items()},
            },
            "at_most": self.at_most,
            "steps": self.steps,
            "rows": self.rows,
            "evaluations": self.evaluations,
            "memory_mib": round(self.memory / MIB, 1),
            "memory_of": "gpu" if self.on_gpu else "process",
            "disk_mib": {
                "largest": round(self.largest / MIB, 1),
                "end": round(self.at_end / MIB, 1),
            },
            "notes": list(self.notes),
        }


def why_no_forecast(prepared: Prepared) -> str | None:
    """Why the run cannot be forecast, as a sentence; None if it can.

    Args:
        prepared: the prepared run.
    """
    if current().count > 1:
        return "no forecast: it is made for one process only"
    if not all(path.exists() for path in prepared.checkpoint.weight_paths):
        return (
            f"no forecast: the weights of {prepared.checkpoint.name} are not on this computer yet; "
            "training downloads them"
        )
    return None


def forecast(
    prepared: Prepared,
    output: Path,
    *,
    preparing: float = 0.0,
    clock: Clock = time.perf_counter,
) -> Forecast:
    """Forecast a run of one process; takes about as long as loading the weights and 20 seconds.

    The memory is the peak of this process since it started, unless the model is on a GPU. So for a
    process that did other things before, it may be too high.

    Args:
        prepared: a run for which ``why_no_forecast`` returns None.
        output: the run directory, which is not created.
        preparing: time that reading, checking and tokenising took, in seconds.
        clock: tells the time.

    Raises:
        RunError: gradients and optimiser, or a single row, do not fit into memory.
        WarmstartError: the weights cannot be read, or the device is not usable.
    """
    began = clock()
    job = job_for(prepared, RunDirectory(output))
    job = replace(job, log=replace(job.log, silent=True))
    loading = clock() - began
    device = job.accelerator.device
    loaded = memory.used(device)
    _refuse_too_large(job)
    with generators_kept(device):
        measured = measure(job, prepared, loading, existing_parent(output), clock)
    peak = _peak(device, loaded, (1 + measured.scores_start) * measured.sizes.model)
    plan = Plan.of(job.train, job.config)
    once = measured.seconds
    rounds = _rounds(job.config, once)
    made = Forecast(
        seconds=replace(once, preparing=preparing, loading=loading).with_rounds(rounds),
        steps=floor(plan.total_steps * rounds),
        rows=len(job.train),
        evaluations=0 if job.validation is None else max(round(measured.evaluations * rounds), 1),
        at_most=_at_most(job.config),
        memory=peak + measured.features * (device.type == "cpu"),
        on_gpu=device.type == "cuda",
        largest=measured.sizes.largest(plan, measured.evaluations),
        at_end=measured.sizes.at_end(plan),
    )
    free_memory = memory.free(device) + memory.used(device)
    return replace(made, notes=tuple(_notes(job, measured, made, output, free_memory)))


def _peak(device: torch.device, loaded: int, later: int) -> int:
    """The peak memory of the run in bytes, from that of the timed steps.

    Args:
        device: where the model is.
        loaded: memory of this process after the model was loaded.
        later: size of the models that are loaded to be scored at the end. A GPU then has the memory
            of the optimiser again. In the memory of the machine they are mapped from their files,
            and what the steps have used stays with the process (``devices.allocator``).
    """
    peak = memory.peak_used(device)
    return max(peak, loaded + later) if device.type == "cuda" else peak + later


def _rounds(config: ResolvedTrainConfig, one: Seconds) -> float:
    """How often the planned epochs are trained: less than once if the budget ends them."""
    if config.budget_minutes is None:
        return 1.0
    fits = 60 * config.budget_minutes / max(one.steps + one.evaluations + one.saving, 1e-9)
    return floor(fits) if config.extend and fits >= 1 else min(fits, 1.0)


def _at_most(config: ResolvedTrainConfig) -> bool:
    return (
        config.early_stopping is not None
        or config.extend
        or config.unfreeze_layers_per_epoch is not None
    )


def _refuse_too_large(job: Job) -> None:
    """Refuse a model whose gradients and moments alone do not fit into memory.

    Raises:
        RunError: they do not fit.
    """
    if job.config.epochs == 0:
        return
    needed = 3 * sum(p.nbytes for p in job.model.parameters() if p.requires_grad)
    available = memory.free(job.accelerator.device)
    if needed > available:
        raise errors.run.too_large_to_train(needed, available)


def _notes(
    job: Job, measured: Measured, made: Forecast, output: Path, free_memory: int
) -> list[str]:
    """The sentences beside the numbers; too little memory or disk first."""
    notes = []
    disk = existing_parent(output)
    free_disk = psutil.disk_usage(str(disk)).free
    if made.largest > free_disk:
        notes.append(
            f"this run needs {_size(made.largest)} of disk; {_size(free_disk)} are free in {disk}: "
            "free some space, or choose another folder with --output"
        )
    if made.memory > free_memory:
        notes.append(
            f"this run needs {_size(made.memory)} of memory; {_size(free_memory)} are free: lower "
            "train.batch_size or model.max_tokens, or end other programs"
        )
    if measured.pieces > 1:
        notes.append(
            f"a batch does not fit into memory: it is computed in {measured.pieces} pieces, which "
            "is slower. A lower train.batch_size with train.gradient_accumulation avoids this"
        )
    if job.config.retry:
        notes.append("if the model learns nothing, a second try takes its steps again")
    return notes


def _size(count: int) -> str:
    """Bytes in words.

    >>> _size(3 * 2**20), _size(3 * 2**29)
    ('3 MiB', '1.5 GiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(count / MIB, 1):.0f} MiB"

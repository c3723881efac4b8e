"""The space that a run needs: files on the disk, and memory.

All sizes are in bytes and follow from the sizes of the tensors; tests compare them with the files
of a run.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from torch import Tensor

from warmstart.models.checkpoints.load import Checkpoint
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.runs.safe_files import write_errors
from warmstart.training.job import Job

EVENT_BYTES = 300
"""One step in ``events.jsonl``."""

TRIED_BYTES = 2**25
"""Size of the file whose writing is timed (32 MiB)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of what a run writes.

    Args:
        model: ``model/``.
        checkpoint: one checkpoint.
        start: ``start/``, for pretraining.
        adapter: ``adapter/``.
        others: predictions and events.
    """

    model: int
    checkpoint: int
    start: int
    adapter: int
    others: int

    def at_end(self, plan: Plan) -> int:
        """Size of the run directory of a finished run.

        Args:
            plan: of the run.
        """
        kept = min(plan.config.keep_checkpoints, saved_checkpoints(plan))
        return self.model + self.adapter + self.start + self.others + kept * self.checkpoint

    def largest(self, plan: Plan, evaluations: int) -> int:
        """Largest size of the run directory: a file is replaced after the new one is complete.

        Args:
            plan: of the run.
            evaluations: number of evaluations; after each, a better model may be written.
        """
        average = plan.config.average
        averaged = (min(average.count, evaluations) + 1) * self.model if average else 0
        models, saved = min(evaluations, 2), saved_checkpoints(plan)
        before = min(plan.config.keep_checkpoints, max(saved - 1, 0))
        while_model = models * (self.model + self.adapter) + before * self.checkpoint
        while_checkpoint = self.model + self.adapter + min(before + 1, saved) * self.checkpoint
        rest = self.start + self.others + averaged
        return max(while_model, while_checkpoint) + rest


def sizes_of(job: Job, prepared: Prepared, weights: int, moments: int) -> Sizes:
    """The sizes of what a run writes.

    Args:
        job: its training job.
        prepared: the prepared run.
        weights: size of the weights that are saved.
        moments: size of the optimiser's state.
    """
    plan = Plan.of(job.train, job.config)
    folder = prepared.checkpoint.folder
    held_out = [table for name, table in prepared.tables.items() if name != "train"]
    lora = job.config.lora
    trained = sum(p.nbytes for p in job.model.parameters() if p.requires_grad)
    return Sizes(
        model=weights + _tokenizer_bytes(prepared.checkpoint),
        checkpoint=distinct_bytes(job.model.state_dict().values()) + moments,
        start=_folder_bytes(folder) if prepared.config.pretrain is not None else 0,
        adapter=trained if lora is not None and lora.save == "adapter" else 0,
        others=sum(table.columns.nbytes for table in held_out) + EVENT_BYTES * plan.total_steps,
    )


def saved_checkpoints(plan: Plan) -> int:
    """Number of checkpoints that a run writes.

    Args:
        plan: of the run.
    """
    every = plan.config.checkpoint_every_steps
    return plan.evaluations if every is None else ceil(plan.total_steps / every)


def distinct_bytes(tensors: Iterable[Tensor]) -> int:
    """Size of tensors, of which those with the same memory count once (tied weights).

    Args:
        tensors: on any device.
    """
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _tokenizer_bytes(checkpoint: Checkpoint) -> int:
    """Size of the files of a checkpoint that are not weights: mainly ``tokenizer.json``."""
    return sum(
        file.stat().st_size
        for file in checkpoint.folder.glob("*.json")
        if not file.name.endswith(".index.json")
    )


def existing_parent(path: Path) -> Path:
    """The folder in which a path would be created.

    Args:
        path: a run directory, which need not exist.
    """
    return next(one for one in (path, *path.absolute().parents) if one.is_dir())


def seconds_per_byte(folder: Path) -> float:
    """Time to write one byte of a large file to the disk, and to hash it.

    The file has no name, so it disappears with this process.

    Args:
        folder: on the disk.

    Raises:
        RunError: the disk is full, or the folder is not writable.
    """
    content = np.random.default_rng(0).bytes(TRIED_BYTES)
    with write_errors(folder), TemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        hashlib.sha256(content)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        return (time.perf_counter() - began) / TRIED_BYTES

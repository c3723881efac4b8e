"""The environment of a run: versions, device, precision, and what its result depends on.

Saved once and compared on resume: a resumed run must end as if it had not been interrupted. The
data are compared with ``data.json``.
"""

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import warmstart
from warmstart import config_file
from warmstart.data.reading.fetch import sha256_of
from warmstart.devices.device import precision_of
from warmstart.models.checkpoints.weight_files import SMALL_FILES
from warmstart.preparation.prepare import Prepared
from warmstart.tasks.settings_check import leaves
from warmstart.training.graphs.graphed_steps import execution
from warmstart.training.job import Job

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "numpy")
"""Packages whose version can affect results."""

MUST_MATCH = ("torch", "transformers", "device", "precision", "execution", "vocabulary")
"""Keys that must be equal for a resumed run to be bit-identical to an uninterrupted one."""

FREE = re.compile(
    r"generate\..*|export\..*|data\.(train|test|dir|allow_same_file)"
    r"|model\.(name|revision|allow_pickle)|train\.lora\.save|train\.(device|precision|tensorboard"
    r"|keep_checkpoints|checkpoint_every_steps|sample_every_steps)"
)
"""Settings that may change before a resume: they do not affect the weights, or what they name (the
data, the checkpoint, the device) is compared itself."""

EQUAL_ON_ALL_RANKS = ("torch", "transformers", "precision", "execution", "vocabulary")
"""Keys that must be equal on all ranks of a run."""


def environment(job: Job) -> dict[str, Any]:
    """The content of ``environment.json``.

    Args:
        job: the training job on this machine.
    """
    device = job.accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "warmstart": warmstart.__version__,
        **{package: version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": name,
        "processes": job.processes.count,
        "precision": precision_of(job.accelerator),
        "execution": execution(job),
        "vocabulary": job.rows,
        "trains": [part.to_json() for part in job.trains],
    }


def inputs(prepared: Prepared) -> dict[str, Any]:
    """The part of ``environment.json`` that is compared in detail: settings and base checkpoint.

    Args:
        prepared: the prepared run; its weights are on this machine.

    Returns:
        ``settings``, by name, and ``base``: the SHA-256 of each file of the checkpoint.
    """
    settings = leaves(config_file.settings_read(prepared.config))
    kept = {name: value for name, value in settings.items() if not FREE.fullmatch(name)}
    if not isinstance(prepared.config.data.validation, float):
        kept.pop("data.validation", None)
    checkpoint = prepared.checkpoint
    names = [name for name in SMALL_FILES if (checkpoint.folder / name).is_file()]
    return {
        "settings": json.loads(json.dumps(kept)),  # as it is when it is read back
        "base": {
            name: sha256_of(checkpoint.folder / name) for name in [*names, *checkpoint.weights]
        },
    }


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changed since a run was started so that its result would change, as short texts.

    Args:
        then: the content of its ``environment.json``.
        now: the same for this process.
    """
    found = [
        f"{name} ({then.get(name)}, now {now[name]})"
        for name in MUST_MATCH
        if then.get(name) != now[name]
    ]
    if now["device"] == "cpu" and then.get("threads") != now["threads"]:
        count = then.get("threads")
        found.append(f"the threads ({count}, now {now['threads']}: set OMP_NUM_THREADS={count})")
    before, after = then.get("settings", {}), now["settings"]
    found += [
        f"{name} ({_shown(before.get(name))}, now {_shown(after.get(name))})"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    before, after = then.get("base", {}), now["base"]
    return found + [
        f"{name} of the checkpoint that training started from"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _shown(value: Any) -> str:
    """The value of a setting as in a config."""
    return json.dumps(value, ensure_ascii=False)


def _cpu_name() -> str:
    """The name of the processor; on Linux from ``/proc/cpuinfo``."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""The environment of a run: versions, device, precision. Saved once and compared on resume."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import warmstart
from warmstart.devices.device import precision_of
from warmstart.training.graphs.graphed_steps import execution
from warmstart.training.job import Job

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "numpy")
"""Packages whose version can affect results."""

MUST_MATCH = ("torch", "transformers", "device", "precision", "execution", "vocabulary")
"""Keys that must be equal for a resumed run to be bit-identical to an uninterrupted one."""

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


def _cpu_name() -> str:
    """The name of the processor; on Linux from ``/proc/cpuinfo``."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

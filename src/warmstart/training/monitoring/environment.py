"""What a run was made with: versions, device, precision. Written once, compared on resume."""

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
"""Packages whose version can change a number."""

MUST_MATCH = ("torch", "transformers", "device", "precision", "execution", "vocabulary")
"""What a resumed run must share with the run it continues, to be that run bit for bit."""

MUST_BE_ALIKE = ("torch", "transformers", "precision", "execution", "vocabulary")
"""What the processes of a run must have in common."""


def environment(job: Job) -> dict[str, Any]:
    """The content of ``environment.json``.

    Args:
        job: put together on this machine.
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
    """The processor's name as the system gives it; Linux keeps it in ``/proc/cpuinfo``."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""Facts about the machine, and a separate process for each measurement.

With one process per measurement, the peak memory belongs to that measurement, and no engine warms
up caches, allocators or thread pools for the next. No folder or host names are recorded, because
results are published.
"""

import os
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import psutil

from warmstart.devices.memory import peak_resident

P = ParamSpec("P")
R = TypeVar("R")

PACKAGES = ("warmstart", "torch", "transformers", "accelerate", "tokenizers", "numpy", "pyarrow")
"""Packages whose version can affect a result."""
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
"""Instruction sets that make matrix products faster."""


def machine() -> dict[str, Any]:
    """Processor, cores, instruction sets, memory, and the load of the machine."""
    facts = _cpu_facts()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if facts else psutil.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in facts.get("flags", "").split()],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        # Above the number of cores, other processes were running, and times are not reliable.
        "load_average_before": round(psutil.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can affect a result."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def own_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``function`` in a new Python process and return its result.

    Args:
        function: a function at the top level of a module.
        args: its arguments; they and the result must be picklable.
        kwargs: its keyword arguments; they must be picklable.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def peak_mib() -> float:
    """Peak resident memory of this process, in MiB."""
    return peak_resident() / 2**20


def _cpu_facts() -> dict[str, str]:
    """The entry of the first processor in Linux's ``/proc/cpuinfo``; empty on other systems."""
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return {}
    entry = listing.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    fields = (line.partition(":") for line in entry.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}

"""What a measurement ran on, and a process of its own for each.

One process per measurement: its peak memory is its own, and no engine warms caches, allocators or
thread pools for the next. Nothing here names a folder or a host: results are published.
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

P = ParamSpec("P")
R = TypeVar("R")

PACKAGES = ("warmstart", "torch", "transformers", "accelerate", "tokenizers", "numpy", "pyarrow")
"""Packages whose version can change a figure."""
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
"""What the processor can do that matrix products profit from."""


def machine() -> dict[str, Any]:
    """The processor, its cores and instructions, the memory, and how busy it was already."""
    facts = _cpu_facts()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if facts else psutil.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in facts.get("flags", "").split()],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        # Above the number of cores, somebody else was computing: do not trust the times.
        "load_average_before": round(psutil.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Python and every package whose version can change a figure."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def own_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``function`` in a new interpreter and return what it returns.

    Args:
        function: defined at the top of a module.
        args: for the function; must survive pickling, as must what it returns.
        kwargs: likewise.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def peak_mib() -> float:
    """The most memory that this process ever held resident, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum outlives exec, so a child inherits its parent's.
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    import resource  # absent on Windows, where these benchmarks do not run

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def _cpu_facts() -> dict[str, str]:
    """The first processor's entry in Linux's ``/proc/cpuinfo``; empty elsewhere."""
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return {}
    entry = listing.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    fields = (line.partition(":") for line in entry.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}

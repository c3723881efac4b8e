"""Peak memory of a process, and the memory that is still free.

Units: bytes.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

STATUS = Path("/proc/self/status")


def peak_resident() -> int:
    """Peak resident memory of this process since it started."""
    if STATUS.exists():
        # On Linux, getrusage's maximum is kept across exec, so a child would have its parent's.
        lines = STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 2**10
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # does not exist on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes


def peak_used(device: "torch.device") -> int:
    """Peak memory of this process where it computes.

    Args:
        device: a GPU, whose peak is that of PyTorch's tensors; for any other device the peak is
            that of the process.
    """
    import torch

    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_resident()


def used(device: "torch.device") -> int:
    """Memory of this process at this moment, as in ``peak_used``.

    Args:
        device: as for ``peak_used``.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def free(device: "torch.device") -> int:
    """Memory that this process can still get.

    Args:
        device: a GPU; for any other device, the memory of the machine counts.
    """
    import torch

    if device.type == "cuda":
        # PyTorch keeps memory that its tensors no longer use: this process can have it again.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return int(psutil.virtual_memory().available)

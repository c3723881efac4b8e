"""Keep freed memory in the process, so that the next step or batch can reuse it.

On a CPU, PyTorch allocates memory with the C library. By default, glibc returns free memory at the
end of the heap, and every large block, to the operating system. Each step then requests the same
pages again, and the kernel fills them with zeros again. This costs about 7 % of a training step of
a small encoder, and more of a prediction (``benchmarks/log.md``).

Source: mallopt(3) of the Linux manual pages: ``M_MMAP_THRESHOLD``, ``M_TRIM_THRESHOLD``,
``M_TOP_PAD``.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameter numbers from glibc's ``malloc.h``."""


def keep_freed_memory() -> bool:
    """Configure glibc to keep freed memory in this process; peak memory does not change.

    Returns:
        Whether glibc accepted the settings. On systems other than Linux with glibc, nothing is
        done.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    # Older versions accept no threshold above 32 MiB.
    accepted = [
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1),
        mallopt(M_TOP_PAD, 2**26),
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25),
    ]
    return all(accepted)

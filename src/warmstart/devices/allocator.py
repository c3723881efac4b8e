"""Memory that a step or a batch frees is kept for the next, instead of going back to the system.

On a CPU PyTorch takes its memory from the C library. glibc hands back what lies free at the end of
the heap, and every large block at once, so that each step asks for the same pages again and the
kernel fills them with zeros again: some 7 % of a step of a small encoder, and more of a prediction
(``benchmarks/log.md``).

Source: mallopt(3) of the Linux manual pages: ``M_MMAP_THRESHOLD``, ``M_TRIM_THRESHOLD``,
``M_TOP_PAD``.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters' numbers in glibc's ``malloc.h``."""


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for this process; the peak stays what it was.

    Returns:
        Whether it was asked: elsewhere than on Linux with glibc nothing is done.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    # Older versions take no threshold above 32 MiB.
    taken = [
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1),
        mallopt(M_TOP_PAD, 2**26),
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25),
    ]
    return all(taken)

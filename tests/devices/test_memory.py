"""Memory of this process, and what is free."""

import mmap

import psutil
import torch

from warmstart.devices import memory

CPU = torch.device("cpu")


def test_the_peak_stays_when_memory_is_released() -> None:
    size = max(memory.peak_used(CPU) - memory.used(CPU), 0) + 2**27
    before = memory.peak_used(CPU)
    block = mmap.mmap(-1, size)  # given back to the system at its end, unlike an array
    for place in range(0, size, mmap.PAGESIZE):
        block[place] = 1
    block.close()
    assert memory.peak_used(CPU) >= before + 2**26
    assert memory.used(CPU) < memory.peak_used(CPU) - 2**26
    assert memory.peak_resident() == memory.peak_used(CPU)


def test_free_memory_is_that_of_the_machine() -> None:
    assert 0 < memory.free(CPU) <= psutil.virtual_memory().total

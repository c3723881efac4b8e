"""Memory of this process, and what is free."""

import numpy as np
import psutil
import torch

from warmstart.devices import memory

CPU = torch.device("cpu")


def test_the_peak_stays_when_memory_is_released() -> None:
    size = max(memory.peak_used(CPU) - memory.used(CPU), 0) + 2**27
    before = memory.peak_used(CPU)
    block = np.ones(size, dtype=np.uint8)
    assert block.all()
    del block
    assert memory.peak_used(CPU) >= before + 2**26
    assert memory.used(CPU) < memory.peak_used(CPU) - 2**26
    assert memory.peak_resident() == memory.peak_used(CPU)


def test_free_memory_is_that_of_the_machine() -> None:
    assert 0 < memory.free(CPU) <= psutil.virtual_memory().total

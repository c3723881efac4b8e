"""Capturing work on a GPU: the one call of a captured step that needs the device.

All else of it (``graphs``) takes a ``Capture`` as an argument, and is tested with one that runs the
work anew each time.
"""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from warmstart.devices.device import precision_of

Work = Callable[[], None]
"""Work on the device; what it reads and writes lies where it lay the last time."""

Capture = Callable[[Work], Work]
"""From work to what does the same again. It may do the work a few times first."""

WARM_UPS = 3
"""Runs before the capture, in which libraries set themselves up; as PyTorch's documentation has."""


def capture_for(accelerator: Accelerator) -> Capture | None:
    """How to capture on this device: into CUDA graphs that share their memory.

    A graph owns the memory of all that is made in it, and writes it anew at every replay. Graphs
    may share it when nothing in it is read after another has run: results are copied out, and
    gradients are gone by the end of a step.

    Dropout is drawn anew at every replay: PyTorch registers its default generator with a graph,
    which reads seed and offset as they are when it is replayed.

    Args:
        accelerator: the device and its precision.

    Returns:
        None where there is no GPU, or it does not compute in bfloat16.

    Source: PyTorch documentation, "CUDA semantics", section "CUDA Graphs" (whole-network capture,
    graph memory management); ``torch.cuda.graph``, ``torch.cuda.graph_pool_handle``.
    """
    if accelerator.device.type != "cuda" or precision_of(accelerator) != "bfloat16":
        return None
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Work) -> Work:
        current = torch.cuda.current_stream()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                work()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            work()
        return graph.replay

    return capture

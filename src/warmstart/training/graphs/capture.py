"""Capture work as a CUDA graph; the only part of the graphed steps that needs a GPU.

``graphed_steps`` gets the ``Capture`` from its job. Tests pass one that simply runs the work again
at every replay.
"""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from warmstart.devices.device import precision_of

Work = Callable[[], None]
"""Work on the device. Its inputs and outputs are at the same memory addresses at every call."""

Capture = Callable[[Work], Work]
"""Turns work into its replay. It may run the work a few times first."""

WARM_UPS = 3
"""Runs before the capture, in which libraries initialise; the number is from PyTorch's examples."""


def capture_for(accelerator: Accelerator) -> Capture | None:
    """The capture for this device: CUDA graphs that share one memory pool.

    A graph owns the memory of all tensors created in it and overwrites it at every replay. Graphs
    can share a pool if no tensor of one graph is used after another graph has run. This holds
    here: results are copied out, and gradients are released at the end of a step.

    Every replay has new dropout masks: PyTorch registers its default generator with a graph, which
    reads the generator's current seed and offset when it is replayed.

    Args:
        accelerator: the device and its precision.

    Returns:
        None if there is no GPU, or the precision is not bfloat16.

    Source: PyTorch documentation, "CUDA semantics", section "CUDA Graphs" (whole-network capture,
    graph memory management); ``torch.cuda.graph``, ``torch.cuda.graph_pool_handle``.
    """
    if accelerator.device.type != "cuda" or precision_of(accelerator) != "bfloat16":
        return None
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Work) -> Work:
        # PyTorch requires that the warm-up runs on a stream other than the default one.
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

"""The logits in the output of a Transformers model, in one tensor for every head.

Letters: R rows and W width of a rectangle, C classes, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor


def logits_of(output: Any) -> Tensor:
    """The logits: [R, C], [R, W, C] or [R, W, V]; of start and end of an answer, [R, W, 2].

    Args:
        output: the output of a model with a head.
    """
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    logits: Tensor = output.logits
    return logits

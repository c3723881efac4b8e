"""PyTorch's flash attention operators on a CPU, by their definition: what a GPU's kernels compute.

The operators themselves stay as they are: their argument order, their types, their autograd
formula. Only the kernel beneath is ours, so that code which calls them is tested as it runs on a
GPU, bar dropout and half precision.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    scale: float,
    window: tuple[int, int],
) -> Tensor:
    """Softmax of a product of all tokens with all, hidden where rows or windows differ."""
    places, rows = [], []
    for states, bound, most in zip((query, key), bounds, longest, strict=True):
        assert bound.dtype == torch.int32
        assert bound.is_contiguous()
        assert bound[0] == 0
        assert bound[-1] == len(states)
        assert 0 < bound.diff().min() <= bound.diff().max() <= most
        row = torch.repeat_interleave(torch.arange(len(bound) - 1), bound.diff().long())
        rows.append(row)
        # Counted from the end of a row: a window is aligned there.
        places.append(torch.arange(len(states)) - bound[1:].long()[row])
    ahead = places[1][None] - places[0][:, None]
    seen = rows[0][:, None] == rows[1][None]
    if window[0] >= 0:
        seen &= ahead >= -window[0]
    if window[1] >= 0:
        seen &= ahead <= window[1]
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


def _forward(  # type: ignore[no-untyped-def]
    query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, debug, **options
):
    assert dropout_p == 0
    assert not is_causal
    assert not debug
    window = options["window_size_left"], options["window_size_right"]
    bounds, longest = (cum_seq_q, cum_seq_k), (max_q, max_k)
    out = _attend(query, key, value, bounds, longest, options["scale"], window)
    nothing = torch.zeros(0)
    return out, nothing, torch.zeros(2), nothing, nothing


def _backward(  # type: ignore[no-untyped-def]
    grad, query, key, value, out, lse, cum_seq_q, cum_seq_k, max_q, max_k, *_rest, **options
):
    window = options["window_size_left"], options["window_size_right"]
    bounds, longest = (cum_seq_q, cum_seq_k), (max_q, max_k)
    states = [x.detach().requires_grad_() for x in (query, key, value)]
    with torch.enable_grad():
        again = _attend(*states, bounds, longest, options["scale"], window)
    return torch.autograd.grad(again, states, grad)


@contextmanager
def flash_kernels() -> Iterator[None]:
    """Within the block, the operators run on a CPU."""
    library = torch.library.Library("aten", "IMPL")
    library.impl("_flash_attention_forward", _forward, "CPU")
    library.impl("_flash_attention_backward", _backward, "CPU")
    try:
        yield
    finally:
        library._destroy()

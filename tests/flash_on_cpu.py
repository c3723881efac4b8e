"""PyTorch's flash attention operators on a CPU, by their definition: the result of GPU kernels.

The operators themselves are not changed: their argument order, their types, their autograd formula.
Only the kernel is replaced, so that code that calls them is tested as it runs on a GPU, except for
half precision. Dropout is sampled from a seed that the forward pass passes to the backward pass, as
in the kernels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def _weights(
    query: Tensor,
    key: Tensor,
    bounds: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    scale: float,
    window: tuple[int, int],
) -> Tensor:
    """Softmax of the product of all tokens, masked between rows and outside of windows."""
    places, rows = [], []
    for states, bound, most in zip((query, key), bounds, longest, strict=True):
        assert bound.dtype == torch.int32
        assert bound.is_contiguous()
        assert states.stride(-1) == 1
        assert states.shape[-1] % 8 == 0
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
    return scores.masked_fill(~seen, -torch.inf).softmax(-1)


def _kept(weights: Tensor, dropout_p: float, seed: Tensor) -> Tensor:
    """The dropout factor of each weight, scaled; 1 without dropout."""
    if not dropout_p:
        return torch.ones_like(weights)
    draw = torch.Generator().manual_seed(int(seed))
    return (torch.rand(weights.shape, generator=draw) >= dropout_p) / (1 - dropout_p)


def _forward(  # type: ignore[no-untyped-def]
    query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, debug, **options
):
    assert not is_causal
    assert not debug
    window = options["window_size_left"], options["window_size_right"]
    bounds, longest = (cum_seq_q, cum_seq_k), (max_q, max_k)
    weights = _weights(query, key, bounds, longest, options["scale"], window)
    seed = torch.randint(2**62, (1,)) if dropout_p else torch.zeros(1, dtype=torch.int64)
    out = torch.einsum("hqk,khd->qhd", weights * _kept(weights, dropout_p, seed), value)
    return out, torch.zeros(0), seed, torch.zeros(0), torch.zeros(0)


def _backward(  # type: ignore[no-untyped-def]
    grad, query, key, value, out, lse, cum_seq_q, cum_seq_k, max_q, max_k, *rest, **options
):
    window, scale = (options["window_size_left"], options["window_size_right"]), options["scale"]
    bounds, longest = (cum_seq_q, cum_seq_k), (max_q, max_k)
    weights = _weights(query, key, bounds, longest, scale, window)
    dropout_p, _is_causal, seed, _unused = rest
    kept = _kept(weights, dropout_p, seed)
    above = torch.einsum("qhd,khd->hqk", grad, value) * kept * weights
    above -= weights * above.sum(-1, keepdim=True)
    return (
        torch.einsum("hqk,khd->qhd", above, key) * scale,
        torch.einsum("hqk,qhd->khd", above, query) * scale,
        torch.einsum("hqk,qhd->khd", weights * kept, grad),
    )


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

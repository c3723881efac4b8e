"""Calls of PyTorch's flash attention: their arguments, and when it is not called."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tests.flash_on_cpu import flash_kernels
from warmstart.models.packed.dropout import Noise
from warmstart.models.packed.packed_attention import flash_serves, packed_attention
from warmstart.models.packed.packing import pack

CPU = torch.device("cpu")


def test_the_operator_takes_what_it_is_given() -> None:
    """A changed signature must be noticed even without a GPU that refuses the call."""
    schema = torch.ops.aten._flash_attention_forward.default._schema
    positional = [argument.name for argument in schema.arguments if not argument.kwarg_only]
    assert positional == [
        *("query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k"),
        *("dropout_p", "is_causal", "return_debug_mask"),
    ]
    named = {argument.name for argument in schema.arguments if argument.kwarg_only}
    assert {"scale", "window_size_left", "window_size_right"} <= named
    assert schema.returns[0].name == "output"


# No layer with a window runs for first tokens only.
@pytest.mark.parametrize(("window", "first"), [(None, False), (3, False), (None, True)])
def test_it_attends_as_rectangles_do(window: int | None, first: bool) -> None:
    """With the operator's own autograd formula, and a CPU kernel for the operator."""
    offsets, heads = np.array([0, 5, 6, 16]), 4
    draw = torch.Generator().manual_seed(0)
    count = 3 if first else 16
    states = [
        torch.randn(1, heads, size, 8, generator=draw).requires_grad_() for size in (count, 16, 16)
    ]
    upstream = torch.randn(1, count, heads, 8, generator=draw)
    results = []
    with flash_kernels():
        for rectangles in (True, False):
            packing = pack(offsets, heads, Noise(), CPU, rectangles=rectangles)
            assert bool(packing.rectangles) == rectangles
            out, _ = packed_attention(
                nn.Identity(), *states, None, scaling=0.3, sliding_window=window, packing=packing
            )
            results.append((out, *torch.autograd.grad(out, states, upstream)))
    for one, two in zip(*results, strict=True):
        assert (one - two).abs().max() < 1e-5


def test_the_layout_is_the_same_without_rectangles() -> None:
    offsets = np.array([0, 5, 6, 16])
    plain, none = (pack(offsets, 4, Noise(), CPU, rectangles=flag) for flag in (True, False))
    assert none.longest == plain.longest == 10
    for name in ("positions", "row", "first", "bounds"):
        assert getattr(plain, name).equal(getattr(none, name)), name
    assert all(start < end for start, end in pairwise(none.bounds.tolist()))


@pytest.mark.parametrize(
    ("width", "dtype", "capability", "served"),
    [
        (64, torch.bfloat16, (9, 0), True),
        (32, torch.float16, (8, 0), True),
        (64, torch.float32, (9, 0), False),
        (12, torch.bfloat16, (9, 0), False),
        (264, torch.bfloat16, (9, 0), False),
        (64, torch.float16, (7, 5), False),
    ],
)
def test_what_flash_attention_refuses_goes_another_way(
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    dtype: torch.dtype,
    capability: tuple[int, int],
    served: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    assert flash_serves(width, dtype, torch.device("cuda")) == served
    assert not flash_serves(width, dtype, CPU)

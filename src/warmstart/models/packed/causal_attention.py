"""Causal attention without dropout, over rectangles on a CPU.

PyTorch's flash attention for CPUs never stores the [W, W] matrix of a row, and skips the half of it
that is masked. It does not support dropout; with dropout ``packed_attention`` uses its own
``RectangleAttention``. The internal operator is called instead of
``scaled_dot_product_attention``, so that gradients can be gathered by index as in
``RectangleAttention``, without zeroed buffers.

Letters as in ``packing``: T tokens, h heads, d width of a head, R rows and W width of a rectangle,
S slots.

Source: Dao et al. 2022, arXiv:2205.14135; ``FlashAttentionKernel.cpp`` of PyTorch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from warmstart.models.packed.packing import Packing


class CausalAttention(Function):
    """softmax(Q Kᵀ · scaling) V within the rows of a packed batch, without later tokens."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float
    ) -> Tensor:
        """Attend. Tensors are [T · h, d]."""
        slots = packing.tokens
        states = [x.index_select(0, slots.gather) for x in (query, key, value)]
        found = [
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                *parts, 0.0, True, scale=scaling
            )
            for parts in zip(*(_rectangles(x, packing) for x in states), strict=True)
        ]
        ctx.save_for_backward(*states, *(x for pair in found for x in pair))
        ctx.layout = packing, scaling
        return _together([out for out, _ in found], query).index_select(0, slots.scatter)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Gradients of query, key and value, in their shapes."""
        packing, scaling = ctx.layout
        slots = packing.tokens
        states, rest = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
        # Padding slots also gathered the gradient of some real token: without zeros there, it would
        # be added to the gradients of keys and values.
        grad = grads[0].index_select(0, slots.gather).index_fill_(0, slots.padding, 0)
        parts = zip(
            _rectangles(grad, packing),
            *(_rectangles(x, packing) for x in states),
            rest[::2],
            rest[1::2],
            strict=True,
        )
        found = [
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                g, q, k, v, out, norm, 0.0, True, scale=scaling
            )
            for g, q, k, v, out, norm in parts
        ]
        d_states = [
            _together(list(of_each), grad).index_select(0, slots.scatter)
            for of_each in zip(*found, strict=True)
        ]
        return *d_states, None, None


def _rectangles(states: Tensor, packing: Packing) -> Iterator[Tensor]:
    """Views [R, h, W, d] of slots [S, d]."""
    width, heads = states.shape[-1], packing.heads
    sizes = [r.rows * r.width * heads for r in packing.rectangles]
    for part, rectangle in zip(torch.split(states, sizes), packing.rectangles, strict=True):
        yield part.view(rectangle.rows, heads, rectangle.width, width)


def _together(rectangles: list[Tensor], like: Tensor) -> Tensor:
    """Slots [S, d] from rectangles [R, h, W, d] each."""
    width = like.shape[-1]
    return torch.cat([x.reshape(-1, width) for x in rectangles])

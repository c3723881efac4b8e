"""Attention over a packed batch, as an implementation that Transformers' own layers call.

It is registered as ``PACKED`` with Transformers' ``AttentionInterface``. A layer called with
``packing=...`` attends within the rows of the batch; called without it, it behaves as with
``sdpa``. There are two ways to compute it:

- On any device: tokens are gathered into rectangles of rows of similar length (``packing``),
  multiplied, and scattered back, in one ``autograd.Function``. It stores the probabilities once and
  a dropout mask of one byte each, where PyTorch's own path stores the probabilities twice. Its
  backward pass gathers gradients as well, which needs no zeroed buffers.
- On a GPU in half precision, if ``flash_serves``: PyTorch's flash attention for rows of unequal
  length. The operator is called directly, because its public function ``varlen_attn`` allows no
  dropout (torch 2.13, ``torch/nn/attention/varlen.py``). Such a batch has no rectangles.

Letters: B rows, T tokens, h heads, d width of a head; R, W, S as in ``packing``.

Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1; Dao 2023, arXiv:2307.08691;
Transformers documentation, "Attention Interface".
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from warmstart.models.packed.causal_attention import CausalAttention
from warmstart.models.packed.dropout import dropped_share
from warmstart.models.packed.packing import Packing, Rectangle, Slots

PACKED = "warmstart_packed"
"""Name of the implementation, for ``PreTrainedModel.set_attn_implementation``."""

SAFE_SPREAD = 80
"""Largest range of scores for one common shift: e to the -80 is still a normal float32 number."""

HIDDEN = -1e4
"""Score of a masked token; finite, because a row of -inf only would give NaN."""


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend within the rows of a packed batch; the signature is Transformers' own.

    Args:
        module: The layer's attention module.
        query: [1, h, T, d]; or [1, h, B, d], for the first token of each row only.
        key: [1, h, T, d], or fewer heads, each shared by a group of query heads.
        value: As ``key``.
        attention_mask: For calls without ``packing``; otherwise None.
        scaling: Factor of the scores.
        dropout: Probability of dropping an attention probability.
        sliding_window: Tokens at this distance or further do not attend to each other.
        packing: Layout of the batch.
        kwargs: Arguments for other implementations.

    Returns:
        [1, T or B, h, d], and None instead of the probabilities.
    """
    if packing is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    alone = len(packing.first) == 1 and query.device.type == "cpu"
    if alone and sliding_window is None and not torch.is_grad_enabled():
        return _single_row(query, key, value, packing, scaling), None
    # [1, h, T, d] to [T, h, d]
    query, key, value = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))
    # Grouped-query attention: several query heads share a key and value head (arXiv:2305.13245).
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    first = len(query) != len(key)
    if not packing.rectangles:
        out = _flash(query, key, value, packing, first, scaling, dropout, sliding_window)
        return out[None], None
    slots = packing.firsts if first else packing.tokens
    heads, width = query.shape[1:]
    flat = (states.reshape(-1, width) for states in (query, key, value))  # [T, h, d] to [T * h, d]
    attend: Any = RectangleAttention.apply
    if packing.causal and not dropout and sliding_window is None and query.device.type == "cpu":
        look_back: Any = CausalAttention.apply
        rows: Tensor = look_back(*flat, packing, scaling)
    else:
        rows = attend(*flat, packing, slots, scaling, dropout, sliding_window)
    return rows.view(1, -1, heads, width), None  # [T * h, d] to [1, T, h, d]


def _single_row(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float
) -> Tensor:
    """A single row without gradients has no other row to exclude and no probabilities to store."""
    grouped = query.shape[1] != key.shape[1]
    out = nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=packing.causal, scale=scaling, enable_gqa=grouped
    )
    return out.transpose(1, 2)  # [1, h, T, d] to [1, T, h, d]


def flash_serves(width: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether PyTorch's flash attention supports such heads; otherwise attention uses rectangles.

    Args:
        width: Width of a head, d.
        dtype: Type of queries, keys and values.
        device: Device of queries, keys and values.

    Source: the checks of ``mha_varlen_fwd`` in PyTorch 2.13,
    ``aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp``. AMD's GPUs have other
    kernels and are excluded.
    """
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and width % 8 == 0
        and width <= 256
        and torch.version.hip is None
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    first: bool,
    scaling: float,
    dropout: float,
    sliding_window: int | None,
) -> Tensor:
    """Flash attention over rows of unequal length: [T or B, h, d].

    With fewer queries than keys, the kernel aligns windows and causal masks with the end of a row.
    ``first`` is therefore for layers without a window in models that are not causal.
    """
    bounds = packing.bounds
    # For first tokens each row has one query, so the bounds of the queries are 0, 1, ..., B.
    queries = torch.arange(len(bounds), dtype=torch.int32, device=bounds.device)
    window = -1 if sliding_window is None else sliding_window - 1
    ahead = 0 if packing.causal else window
    out: Tensor = torch.ops.aten._flash_attention_forward(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        queries if first else bounds,
        bounds,
        1 if first else packing.longest,
        packing.longest,
        dropout,
        packing.causal,
        False,
        scale=scaling,
        window_size_left=window,
        window_size_right=ahead,
    )[0]
    return out


class RectangleAttention(Function):
    """softmax(Q Kᵀ · scaling) V within the rows of a packed batch, rectangle by rectangle."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        packing: Packing,
        slots: Slots,
        scaling: float,
        dropout: float,
        sliding_window: int | None,
    ) -> Tensor:
        """Attend. Tensors are [T · h, d]; for first tokens query and result are [B · h, d]."""
        gathered = (  # [S, d] each
            query.index_select(0, slots.gather),
            key.index_select(0, packing.tokens.gather),
            value.index_select(0, packing.tokens.gather),
        )
        out = torch.empty_like(gathered[0])
        probabilities, kept = [], []
        scale = 1 / (1 - dropped_share(dropout))
        with torch.autocast(query.device.type, enabled=False):
            for rectangle, q, k, v, o in _by_rectangle(packing, slots, *gathered, out):
                # [R · h, W, W]; [R · h, 1, W] for first tokens
                p = _probabilities(q, k, rectangle, scaling, sliding_window, packing.causal)
                probabilities.append(p)
                if dropout:
                    keep = packing.noise.keep(tuple(p.shape), dropout, p.device)
                    kept.append(keep)
                    p = p * keep.to(p.dtype)
                torch.baddbmm(o, p, v, beta=0, alpha=scale, out=o)  # o is a view of ``out``
        ctx.save_for_backward(*gathered, *probabilities, *kept)
        ctx.layout = packing, slots, scaling, scale
        return out.index_select(0, slots.scatter)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Gradients of query, key and value, in their shapes."""
        packing, slots, scaling, scale = ctx.layout
        count = len(packing.rectangles)
        queries, keys, values, *rest = ctx.saved_tensors
        probabilities, kept = rest[:count], rest[count:] or [None] * count
        # Padding slots also gathered the gradient of some real token: without zeros there, it would
        # be added to the gradients of keys and values.
        grad = grads[0].index_select(0, slots.gather).index_fill_(0, slots.padding, 0)
        found = [torch.empty_like(states) for states in (queries, keys, values)]
        parts = _by_rectangle(packing, slots, queries, keys, values, grad, *found)
        for (_, q, k, v, g, dq, dk, dv), p, keep in zip(parts, probabilities, kept, strict=True):
            dp = torch.bmm(g, v.transpose(1, 2))
            dropped = p
            if keep is not None:
                stays = keep.to(p.dtype)
                dropped = p * stays
                dp.mul_(stays)
            torch.baddbmm(dv, dropped.transpose(1, 2), g, beta=0, alpha=scale, out=dv)
            # Gradient of softmax: p · (dp - sum(p · dp)). In place: ``dp`` becomes p · dp first.
            ds = dp.mul_(p).sub_(p * _row_sums(dp))
            torch.baddbmm(dq, ds, k, beta=0, alpha=scale * scaling, out=dq)
            torch.baddbmm(dk, ds.transpose(1, 2), q, beta=0, alpha=scale * scaling, out=dk)
        scatters = (slots.scatter, packing.tokens.scatter, packing.tokens.scatter)
        states = [x.index_select(0, scatter) for x, scatter in zip(found, scatters, strict=True)]
        return *states, None, None, None, None, None


def _by_rectangle(
    packing: Packing,
    slots: Slots,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    *grads: Tensor,
) -> Iterator[tuple[Any, ...]]:
    """(rectangle, q, k, v, o, dq, dk, dv) of each rectangle: views [R · h, W, d] of tensors [S, d].

    Queries, outputs and their gradients have W = 1 for first tokens.
    """
    tokens = packing.tokens
    layouts = (slots, tokens, tokens, slots, slots, tokens, tokens)  # of q, k, v, o, dq, dk, dv
    views = []
    for states, layout in zip((query, key, value, out, *grads), layouts, strict=False):
        sizes = [
            rectangle.rows * packing.heads * width
            for rectangle, width in zip(packing.rectangles, layout.widths, strict=True)
        ]
        parts = zip(torch.split(states, sizes), layout.widths, strict=True)
        views.append([part.view(-1, width, states.shape[1]) for part, width in parts])
    return zip(packing.rectangles, *views, strict=True)


def _probabilities(
    query: Tensor,
    key: Tensor,
    rectangle: Rectangle,
    scaling: float,
    window: int | None,
    causal: bool,
) -> Tensor:
    """Attention probabilities of one rectangle, [R · h, W or 1, W]."""
    scores = torch.baddbmm(query.new_empty(1), query, key.transpose(1, 2), beta=0, alpha=scaling)
    by_row = scores.view(rectangle.rows, -1, *scores.shape[1:])  # a view [R, h, W or 1, W]
    real = rectangle.real
    reach = rectangle.width if window is None else window
    windowed = reach < rectangle.width
    if scores.device.type == "cpu" and not windowed and not causal:
        # PyTorch's softmax on a CPU is many times slower for short rows. If all scores are close to
        # the largest one, this one can be subtracted in every row instead of each row's own
        # maximum: nothing overflows, and no row underflows to zeros.
        low, high = scores.aminmax()
        if high - low < SAFE_SPREAD:
            scores.sub_(high).exp_()
            if real is not None:
                by_row *= real
            return scores.div_(_row_sums(scores))
    if real is not None:
        by_row.masked_fill_(real == 0, HIDDEN)
    if windowed or causal:
        place = torch.arange(rectangle.width, device=query.device)
        back = place[:, None] - place  # [W, W]: how far the key is behind the query
        by_row.masked_fill_((back < 0) | (back >= reach) if causal else back.abs() >= reach, HIDDEN)
    return scores.softmax(-1)


def _row_sums(matrices: Tensor) -> Tensor:
    """Sums over the last dimension, [N, W, 1] of [N, W, V], as one matrix-vector product."""
    ones = matrices.new_ones(matrices.shape[-1])
    return (matrices.view(-1, len(ones)) @ ones).view(*matrices.shape[:-1], 1)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, sdpa_mask)

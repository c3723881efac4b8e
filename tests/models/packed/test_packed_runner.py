"""Packed and padded execution give the same result: loss, every gradient, fifty steps.

The reference is always a second copy of the model, called as in Transformers' documentation: one
rectangle, an attention mask. Rows differ in length: one has a single word, one has the pad token as
a word, one is as long as the model allows.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models.packed.pairs import (
    LABELS,
    LIKE_ROBERTA,
    assert_same,
    loss_of,
    packed_runner,
    plain_logits,
    rows_for,
    twice,
)
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import collate
from warmstart.models.checkpoints.load import find, sequence_classifier
from warmstart.models.packed import packed_attention as attention
from warmstart.models.packed.dropout import Noise, dropped_share
from warmstart.models.packed.packing import pack


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *LIKE_ROBERTA])
def test_loss_and_gradients(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    assert_same(pair, packed_runner(pair.packed).logits)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *LIKE_ROBERTA])
def test_a_single_row_without_gradients(tmp_path: Path, architecture: str) -> None:
    """Attention then uses PyTorch's own operation instead of rectangles."""
    pair = twice(tmp_path, architecture)
    run = packed_runner(pair.packed).logits
    longest = int(np.argmax(pair.examples.lengths))
    for model in (pair.plain, pair.packed):
        model.eval()
    for row in (0, longest):
        batch = collate(pair.examples, np.array([row]))
        with torch.no_grad():
            found, expected = run(pair.packed, batch), plain_logits(pair, batch)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("causal", "first"), [(False, False), (False, True), (True, False)])
def test_attention_of_a_single_row_with_and_without_gradients(
    *, causal: bool, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three query heads share a key and value head; ``first``: one query, of the first token."""
    packing = pack(np.array([0, 7]), 6, Noise(), torch.device("cpu"), causal=causal)
    draw = torch.Generator().manual_seed(1)
    query = torch.randn(1, 6, 1 if first else 7, 4, generator=draw)
    key, value = (torch.randn(1, 2, 7, 4, generator=draw) for _ in range(2))
    states = nn.Identity(), query, key, value, None
    expected, _ = attention.packed_attention(*states, scaling=0.5, packing=packing)
    for used_with_gradients in ("RectangleAttention", "CausalAttention"):
        monkeypatch.delattr(attention, used_with_gradients)
    with torch.no_grad():
        found, _ = attention.packed_attention(*states, scaling=0.5, packing=packing)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "electra"])
def test_pairs_of_texts_with_segments(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture, pairs=True)
    assert pair.examples.tokens.token_type_ids is not None
    assert_same(pair, packed_runner(pair.packed).logits)


@pytest.mark.parametrize(
    "config",
    [
        {"classifier_pooling": "mean"},
        {"layer_types": ["full_attention", *["sliding_attention"] * 3]},
        {"attention_bias": True, "norm_bias": True, "mlp_bias": True},
    ],
    ids=["mean over tokens", "a window in the last layer", "biases"],
)
def test_modernbert_in_other_configurations(tmp_path: Path, config: dict[str, Any]) -> None:
    pair = twice(tmp_path, "modernbert", **config)
    assert_same(pair, packed_runner(pair.packed).logits)


def test_scores_too_far_apart_for_one_shift(tmp_path: Path) -> None:
    """One row's largest score would make another row underflow: the safe softmax is used."""
    pair = twice(tmp_path, "bert")
    for model in (pair.plain, pair.packed):
        with torch.no_grad():
            model.bert.encoder.layer[0].attention.self.query.weight.mul_(60)
    batch = collate(pair.examples, np.arange(len(pair.examples)))
    expected = plain_logits(pair, batch)
    found = packed_runner(pair.packed).logits(pair.packed, batch)
    assert found.isfinite().all()
    assert (expected - found).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fifty_steps_compared_with_a_plain_loop(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    run = packed_runner(pair.packed).logits
    optimizers = [torch.optim.AdamW(m.parameters(), lr=1e-3) for m in (pair.plain, pair.packed)]
    draw = np.random.default_rng(0)
    for _ in range(50):
        batch = collate(pair.examples, draw.permutation(len(pair.examples))[:8])
        losses = [
            loss_of(plain_logits(pair, batch), batch),
            loss_of(run(pair.packed, batch), batch),
        ]
        for loss, optimizer in zip(losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert (losses[0] - losses[1]).detach().abs() < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_set_to_packed_still_reads_rectangles(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    packed_runner(pair.packed)
    batch = collate(pair.examples, np.arange(8))
    found = pair.packed(**batch.padded(pair.pad_token_id)).logits
    assert found.equal(plain_logits(pair, batch))


def test_attention_with_dropout_is_what_its_formula_says() -> None:
    """Values and gradients compared with PyTorch's own operations, with the same masks."""
    drawn: list[Tensor] = []

    class Noted(Noise):
        def keep(self, *args: Any) -> Tensor:
            drawn.append(super().keep(*args))
            return drawn[-1]

    heads, width, probability, scaling = 2, 4, 0.3, 0.5
    packing = pack(np.array([0, 5, 10]), heads, Noted(), torch.device("cpu"))
    states = [torch.randn(1, heads, 10, width, requires_grad=True) for _ in range(3)]
    out, _ = attention.packed_attention(
        nn.Identity(), *states, None, scaling=scaling, dropout=probability, packing=packing
    )
    upstream = torch.randn(out.shape)
    found = torch.autograd.grad(out, states, upstream)

    # Both rows have five tokens, so they share one rectangle: rows, heads, queries, keys.
    query, key, value = (x[0].unflatten(1, (2, 5)).transpose(0, 1) for x in states)
    weights = (query @ key.transpose(2, 3) * scaling).softmax(-1)
    weights = weights * drawn[0].view(2, heads, 5, 5) / (1 - dropped_share(probability))
    expected = (weights @ value).permute(0, 2, 1, 3).reshape(1, 10, heads, width)
    assert torch.allclose(out, expected, atol=1e-6)
    for one, two in zip(found, torch.autograd.grad(expected, states, upstream), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_a_pass_with_dropout_is_a_function_of_the_seed(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path, "bert")
    checkpoint = find(ModelConfig(name=str(tmp_path)))
    model = sequence_classifier(checkpoint, LABELS, seed=0).train()
    batch, run = collate(rows_for(checkpoint), np.arange(6)), packed_runner(model).logits

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return run(model, batch)

    assert drawn(1).equal(drawn(1))
    assert not drawn(1).equal(drawn(2))


def test_a_second_runner_of_a_model_seeds_all_its_dropout(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path, "bert")
    checkpoint = find(ModelConfig(name=str(tmp_path)))
    batch = collate(rows_for(checkpoint), np.arange(6))

    def logits(runners: int) -> Tensor:
        model = sequence_classifier(checkpoint, LABELS, seed=0).train()
        run = [packed_runner(model) for _ in range(runners)][-1].logits
        run(model, batch)  # random bits of an earlier pass must have no effect
        torch.manual_seed(1)
        found = run(model, batch)
        assert isinstance(found, Tensor)
        return found

    assert logits(1).equal(logits(2))


def test_packed_execution_is_for_one_model(tmp_path: Path) -> None:
    pair = twice(tmp_path, "bert")
    with pytest.raises(ValueError, match="another model"):
        packed_runner(pair.packed).logits(pair.plain, collate(pair.examples, np.arange(2)))


def test_bfloat16_on_a_cpu(tmp_path: Path) -> None:
    pair = twice(tmp_path, "bert")
    batch = collate(pair.examples, np.arange(8))
    run = packed_runner(pair.packed).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run(pair.packed, batch)
    assert found.dtype == torch.bfloat16
    loss_of(found.float(), batch).backward()
    expected = plain_logits(pair, batch)
    assert (found - expected).norm() < 0.1 * expected.norm()


# Choice of the execution

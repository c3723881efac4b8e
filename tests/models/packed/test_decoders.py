"""Packed execution of decoders: the same loss and gradients as one document at a time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.tiny.decoders import DECODERS, make_decoder
from warmstart.data.examples.batches import Batch, Examples, collate, split_batch
from warmstart.data.examples.targets import NO_LABEL, NoTargets, of_kind
from warmstart.data.examples.token_targets import NextTokens, TokenBatchTargets
from warmstart.data.examples.tokens import Tokens
from warmstart.models.packed import packed_runner, token_logits
from warmstart.models.packed.forward import Forward, forward_for, padded_forward
from warmstart.models.packed.token_logits import DenseLogits, LazyLogits

LENGTHS = (9, 31, 3, 17, 30)
VOCABULARY = 320


def documents(lengths: tuple[int, ...] = LENGTHS, predict_from: int = 1) -> Examples:
    """Random documents; each row is one document."""
    count = len(lengths)
    tokens = Tokens(
        input_ids=np.random.default_rng(0).integers(0, VOCABULARY, sum(lengths)).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        rows=np.arange(count),
        full_lengths=np.array(lengths),
    )
    return Examples(tokens, NextTokens(np.full(count, predict_from), np.array(lengths)))


def ids_of(batch: Batch) -> Tensor:
    """The token to predict at each token of a batch, or ``NO_LABEL``, int64 [T]."""
    return of_kind(batch.targets, TokenBatchTargets).ids


def loss_and_gradients(
    model: Any, forward: Forward, batch: Batch
) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad()
    loss = forward.run(model, batch).loss(ids_of(batch))
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("predict_from", [1, 2])
def test_packed_documents_have_the_loss_and_gradients_of_padded_ones(
    family: str, predict_from: int
) -> None:
    examples = documents(predict_from=predict_from)
    batch = collate(examples, np.arange(len(examples)))
    model = make_decoder(family)
    expected = loss_and_gradients(model, padded_forward(model, "causal-lm"), batch)
    forward = forward_for(model, "causal-lm", examples)
    assert forward.path == "packed: real tokens only, no padding"
    found = loss_and_gradients(model, forward, batch)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("family", DECODERS)
def test_the_loss_is_that_of_transformers(family: str) -> None:
    examples = documents((12,))
    batch = collate(examples, np.arange(1))
    model: Any = make_decoder(family)
    ids = batch.input_ids[None]
    expected = model(input_ids=ids, labels=ids).loss.item()
    found = forward_for(model, "causal-lm", examples).run(model, batch).loss(ids_of(batch)).item()
    assert found / batch.count == pytest.approx(expected, rel=1e-6)


def test_documents_do_not_see_each_other_nor_what_comes_after() -> None:
    examples = documents()
    model = make_decoder()
    forward = forward_for(model, "causal-lm", examples)
    batch = collate(examples, np.arange(len(examples)))
    before = forward.run(model, batch).losses(ids_of(batch))[0]
    other = batch.input_ids.clone()
    other[9 + 20] = (other[9 + 20] + 1) % VOCABULARY  # the 21st token of the second document
    after = forward.run(model, _with_ids(batch, other)).losses(ids_of(batch))[0]
    changed = (before - after).abs() > 1e-6
    # Only its own document changes, starting at that token; targets are those of the first text.
    assert not changed[: 8 + 20].any()
    assert changed[8 + 20 : 8 + 30].all()
    assert not changed[8 + 30 :].any()


def _with_ids(batch: Batch, ids: Tensor) -> Batch:
    return replace(batch, input_ids=ids)


def test_a_window_is_kept_to() -> None:
    from transformers import AutoModelForCausalLM, MistralConfig

    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    examples = documents()
    batch = collate(examples, np.arange(len(examples)))
    expected = padded_forward(model, "causal-lm").run(model, batch).losses(ids_of(batch))[0]
    forward = forward_for(model, "causal-lm", examples)
    assert forward.packed is not None
    torch.testing.assert_close(forward.run(model, batch).losses(ids_of(batch))[0], expected)


def test_documents_without_targets_are_tried_too() -> None:
    """Texts to be continued have no targets; their logits at every token are compared."""
    examples = replace(documents(), targets=NoTargets())
    assert forward_for(make_decoder(), "causal-lm", examples).packed is not None


def test_attention_that_ignores_the_packing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(packed_runner.PackedRunner):
        def _pack(self, batch: Batch) -> Any:
            whole = np.array([0, batch.tokens])
            return packed_runner.pack(whole, 4, self._noise, batch.input_ids.device, causal=True)

    monkeypatch.setattr("warmstart.models.packed.forward.PackedRunner", Blind)
    forward = forward_for(make_decoder(), "causal-lm", documents())
    assert forward.packed is None
    assert "gave different logits" in forward.path


def test_pieces_of_a_batch_add_up() -> None:
    examples = documents()
    batch = collate(examples, np.arange(len(examples)))
    pieces = split_batch(batch, 3)
    assert sum(piece.count for piece in pieces) == batch.count == sum(LENGTHS) - len(LENGTHS)
    assert examples.count_of(np.arange(len(examples))) == batch.count
    model = make_decoder()
    run = forward_for(model, "causal-lm", examples).run
    whole = run(model, batch).loss(ids_of(batch))
    parts = [run(model, piece).loss(ids_of(piece)) for piece in pieces]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_chunks_of_logits_have_the_loss_and_gradients_of_all(
    bias: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_logits, "CHUNK_NUMBERS", chunk * 11)
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, requires_grad=True)
    output = torch.nn.Linear(5, 11, bias=bias)
    targets = torch.tensor([3, NO_LABEL, 10, 0, NO_LABEL, 3, 7])

    def gradients(loss: Tensor) -> list[Tensor]:
        wanted = [hidden, *output.parameters()]
        found: tuple[Tensor, ...] = torch.autograd.grad(loss * 0.3, wanted, retain_graph=True)
        return list(found)

    dense, lazy = DenseLogits(output(hidden)), LazyLogits(hidden, lambda states: states, output)
    plain = functional.cross_entropy(output(hidden), targets, reduction="sum")
    for logits in (dense, lazy):
        loss = logits.loss(targets)
        torch.testing.assert_close(loss, plain)
        for one, two in zip(gradients(loss), gradients(plain), strict=True):
            torch.testing.assert_close(one, two)
        nats, right = logits.losses(targets)
        torch.testing.assert_close(nats.sum(), plain.detach())
        asked = targets != NO_LABEL
        assert right.tolist() == (output(hidden).argmax(-1) == targets)[asked].tolist()
        torch.testing.assert_close(logits.at(targets != NO_LABEL), output(hidden)[targets != -100])


def test_an_output_layer_that_does_not_train_gets_no_gradient() -> None:
    hidden = torch.randn(3, 5, requires_grad=True)
    output = torch.nn.Linear(5, 11).requires_grad_(requires_grad=False)
    LazyLogits(hidden, lambda states: states, output).loss(torch.tensor([1, 2, 3])).backward()
    assert hidden.grad is not None
    assert output.weight.grad is None

"""Packed token classification: the same logits and gradients as Transformers at ``asked``."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification

from tests.models.packed.pairs import (
    LIKE_ROBERTA,
    Pair,
    assert_same_gradients,
    rows_for,
    set_weights,
)
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import Batch, collate
from warmstart.data.examples.targets import of_kind
from warmstart.data.examples.token_targets import WordBatchTargets
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.models.checkpoints.load import find
from warmstart.models.packed import forward as forward_module
from warmstart.models.packed import packed_attention as attention
from warmstart.models.packed.forward import forward_for, padded_forward
from warmstart.models.packed.packed_runner import PackedRunner
from warmstart.models.tuning.features import with_features
from warmstart.models.tuning.freezing import freeze, frozen_part

HEAD: Head = "token-classification"
LABELS = ["O", "B-PER", "I-PER", "B-LOC"]


def twice(folder: Path, architecture: str) -> Pair:
    base = "roberta" if architecture in LIKE_ROBERTA else architecture
    tiny_checkpoint(folder, base, layers=4)
    checkpoint = find(ModelConfig(name=str(folder), dropout=0.0), HEAD)
    config = with_labels(checkpoint.config, LABELS, None)
    models = [AutoModelForTokenClassification.from_config(config).train() for _ in range(2)]
    for model in models:
        set_weights(model)
    if architecture in LIKE_ROBERTA:
        models[1].config.model_type = architecture
    return Pair(*models, rows_for(checkpoint), checkpoint.tokenizer.pad_token_id)


def asking(batch: Batch) -> Batch:
    """Every third token, including special tokens of some rows and the very last token."""
    return asked_at(batch, torch.tensor([*range(1, batch.tokens - 1, 3), batch.tokens - 1]))


def asked_at(batch: Batch, places: Tensor) -> Batch:
    """The batch with a class to predict at each of these tokens, int64 [A], ascending."""
    row = np.searchsorted(batch.offsets[1:], places.numpy(), side="right")
    targets = WordBatchTargets(
        asked=places,
        values=torch.arange(len(places)) % len(LABELS),
        word_counts=np.bincount(row, minlength=len(batch)),
        words=places.numpy(),
        count=len(places),
    )
    return replace(batch, targets=targets)


def expected_logits(pair: Pair, batch: Batch) -> Tensor:
    """As computed by Transformers: one rectangle, a mask, all tokens; then those in ``asked``."""
    inputs = batch.padded(pair.pad_token_id)
    logits: Tensor = pair.plain(**inputs).logits
    assert batch.asked is not None
    return logits[inputs["attention_mask"].bool()][batch.asked]


@pytest.fixture
def collating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches with ``asked`` tokens, like those of a token-classification task."""
    monkeypatch.setattr(forward_module, "collate", lambda *arguments: asking(collate(*arguments)))


Run = Callable[[Any, Batch], Any]


def assert_same(pair: Pair, run: Run) -> None:
    batch = asking(collate(pair.examples, np.arange(len(pair.examples))))
    assert batch.asked is not None
    targets = of_kind(batch.targets, WordBatchTargets).values
    expected, found = expected_logits(pair, batch), run(pair.packed, batch)
    assert found.shape == (len(batch.asked), len(LABELS))
    assert (expected - found).abs().max() < 2e-5 * expected.abs().max()
    for logits in (expected, found):
        nn.functional.cross_entropy(logits, targets).backward()
    assert_same_gradients(pair)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *LIKE_ROBERTA])
def test_packed_logits_and_gradients(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    assert_same(pair, PackedRunner(pair.packed, HEAD).logits)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padded_logits_and_gradients(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    assert_same(pair, padded_forward(pair.packed, HEAD).run)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.usefixtures("collating")
def test_it_is_verified_and_chosen(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert forward.path == "packed: real tokens only, no padding"
    assert_same(pair, forward.run)


@pytest.mark.usefixtures("collating")
def test_attention_that_ignores_the_packing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(module: nn.Module, *states: Tensor, **kwargs: Any) -> tuple[Tensor, None]:
        out = nn.functional.scaled_dot_product_attention(*states[:3])
        return out.transpose(1, 2), None

    pair = twice(tmp_path, "bert")
    monkeypatch.setitem(attention.AttentionInterface._global_mapping, attention.PACKED, blind)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert "different logits" in forward.path
    assert_same(pair, forward.run)


@pytest.mark.usefixtures("collating")
def test_another_family_runs_padded(tmp_path: Path) -> None:
    pair = twice(tmp_path, "bert")
    pair.packed.config.model_type = "albert"
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert forward.path.endswith(": no packed execution for albert models")
    assert_same(pair, forward.run)


def test_rows_that_ask_for_nothing_prove_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = torch.empty(0, dtype=torch.int64)
    monkeypatch.setattr(
        forward_module, "collate", lambda *arguments: asked_at(collate(*arguments), none)
    )
    pair = twice(tmp_path, "bert")
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert forward.path.endswith(": no tokens to try packed execution on")


def test_the_classifier_runs_on_asked_tokens_only(tmp_path: Path) -> None:
    pair = twice(tmp_path, "bert")
    model: Any = pair.packed
    runner, seen = PackedRunner(model, HEAD), []
    model.classifier.register_forward_hook(lambda _module, _in, out: seen.append(len(out)))
    batch = asking(collate(pair.examples, np.arange(5)))
    runner.logits(model, batch)
    assert batch.asked is not None
    assert seen == [len(batch.asked)]
    assert len(batch.asked) < batch.tokens


@pytest.mark.parametrize("setting", ["backbone", "embeddings+layers:0", "embeddings+layers:2"])
@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_features_of_a_frozen_part_are_kept_for_every_token(
    tmp_path: Path, architecture: str, setting: str
) -> None:
    pair = twice(tmp_path, architecture)
    model: Any = pair.packed
    frozen = frozen_part(setting, model.config, HEAD)
    freeze(model, frozen, new_pooler=False)
    runner = PackedRunner(model, HEAD)
    computed = with_features(pair.examples, model, runner, frozen, nullcontext, 500)
    assert computed.computed is not None
    assert computed.computed.values.shape == (len(pair.examples.tokens.input_ids), 32)
    assert model.training
    positions = np.arange(len(pair.examples))[::-1]
    batch = asking(collate(computed, positions))
    found = runner.logits(model, batch)
    assert isinstance(found, Tensor)
    assert (found - expected_logits(pair, batch)).abs().max() < 2e-5 * found.abs().max()
    found.sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {name for name, p in model.named_parameters() if p.requires_grad}

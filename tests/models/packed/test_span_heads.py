"""Packed question answering: the same logits and gradients as Transformers' start and end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering

from tests.models.packed.pairs import (
    LIKE_ROBERTA,
    Pair,
    assert_same_gradients,
    rows_for,
    set_weights,
)
from tests.models.packed.test_token_classification import Run, asked_at
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import Batch, collate
from warmstart.models.checkpoints.classifier_heads import last_layer
from warmstart.models.checkpoints.configuration import BORDERS, Head, with_labels
from warmstart.models.checkpoints.load import find
from warmstart.models.packed.forward import padded_forward
from warmstart.models.packed.packed_runner import PackedRunner

HEAD: Head = "question-answering"


def twice(folder: Path, architecture: str) -> Pair:
    base = "roberta" if architecture in LIKE_ROBERTA else architecture
    tiny_checkpoint(folder, base, layers=2)
    checkpoint = find(ModelConfig(name=str(folder), dropout=0.0), HEAD)
    config = with_labels(checkpoint.config, BORDERS, None)
    models = [AutoModelForQuestionAnswering.from_config(config).train() for _ in range(2)]
    for model in models:
        set_weights(model)
    if architecture in LIKE_ROBERTA:
        models[1].config.model_type = architecture
    return Pair(*models, rows_for(checkpoint), checkpoint.tokenizer.pad_token_id)


def assert_same(pair: Pair, run: Run) -> None:
    batch: Batch = collate(pair.examples, np.arange(len(pair.examples)))
    batch = asked_at(batch, torch.arange(batch.tokens))
    inputs = batch.padded(pair.pad_token_id)
    output = pair.plain(**inputs)
    real = inputs["attention_mask"].bool()
    expected = torch.stack([output.start_logits[real], output.end_logits[real]], dim=1)  # [T, 2]
    found: Tensor = run(pair.packed, batch)
    assert found.shape == (batch.tokens, 2)
    assert (expected - found).abs().max() < 2e-5 * expected.abs().max()
    targets = torch.arange(batch.tokens) % 2
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
def test_the_last_layer_has_two_outputs(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    layer, names = last_layer(pair.plain, HEAD)
    assert layer.out_features == 2
    assert [name.rpartition(".")[2] for name in names] == ["weight", "bias"]

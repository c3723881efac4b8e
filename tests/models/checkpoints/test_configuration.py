"""Dropout replaced in the configuration of every model family, or not changed."""

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from tests.resolved import resolved
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import LoraConfig, ModelConfig
from warmstart.errors import ModelError
from warmstart.models.checkpoints.configuration import (
    READS,
    Head,
    auto_class,
    read_config,
    skeleton,
    with_labels,
)
from warmstart.models.checkpoints.description import describe_training
from warmstart.models.checkpoints.load import find, sequence_classifier


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_is_replaced_everywhere(tmp_path: Path, architecture: str) -> None:
    folder = tiny_checkpoint(tmp_path / "model", architecture)
    checkpoint = find(ModelConfig(name=str(folder), dropout=0.0))
    model = sequence_classifier(checkpoint, ["no", "yes"], seed=0)
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    before = model(**inputs).logits
    model.train()
    assert torch.equal(model(**inputs).logits, before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_a_setting_it_stays(tmp_path: Path, architecture: str) -> None:
    folder = tiny_checkpoint(tmp_path / "model", architecture)
    kept = find(ModelConfig(name=str(folder))).config
    assert kept.to_dict() == read_config("tiny", folder, None).to_dict()


def test_equal_configurations_share_a_model_that_describing_does_not_change(
    tmp_path: Path,
) -> None:
    folder = tiny_checkpoint(tmp_path / "model")
    checkpoint, again = find(ModelConfig(name=str(folder))), find(ModelConfig(name=str(folder)))
    two, three = (with_labels(checkpoint.config, [*"abc"[:count]]) for count in (2, 3))
    one = skeleton(with_labels(again.config, ["LABEL_0", "LABEL_1"]), checkpoint.head)
    assert skeleton(two, checkpoint.head) is not one
    assert skeleton(three, checkpoint.head).num_labels == 3
    assert skeleton(two, "masked-lm") is not skeleton(two, checkpoint.head)
    before = [name for name, _ in one.named_parameters()]
    describe_training(checkpoint, resolved(lora=LoraConfig(rank=2)))
    assert skeleton(with_labels(checkpoint.config, ["LABEL_0", "LABEL_1"]), checkpoint.head) is one
    assert [name for name, _ in one.named_parameters()] == before
    assert all(parameter.requires_grad for parameter in one.parameters())


def test_every_head_has_a_class_and_reads_some_tokens() -> None:
    heads: tuple[Head, ...] = get_args(Head)
    assert len(heads) == len(READS) == 7
    assert len({auto_class(head) for head in heads}) == len(heads)


@pytest.mark.parametrize(
    ("model_type", "found"),
    [
        ("gpt2", "a decoder (model_type 'gpt2')"),
        ("t5", "an encoder-decoder (model_type 't5')"),
        ("vit", "a model without a token-classification head (model_type 'vit')"),
    ],
)
def test_who_cannot_classify_tokens(tmp_path: Path, model_type: str, found: str) -> None:
    folder = tiny_checkpoint(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name=str(folder)), "token-classification")
    assert found in raised.value.found
    assert "an encoder with a token-classification head" in raised.value.expected
    assert "--set model.name=bundled/minilm-l6" in raised.value.do

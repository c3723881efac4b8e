"""Dropout replaced in every family's configuration, or left alone."""

from pathlib import Path

import pytest
import torch

from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.models.checkpoints.configuration import read_config
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

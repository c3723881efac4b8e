"""The compact word embedding: the same vectors, the same gradients, never a wrong row."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.models.tuning.vocabulary import CompactEmbedding, compact, used_ids, whole_because


def some(size: int, *ids: int) -> np.ndarray:
    """Only these ids are used."""
    return used_ids([np.array(ids, dtype=np.int32)], size)


def classifier(folder: Path, architecture: str = "bert") -> PreTrainedModel:
    if not folder.exists():
        tiny_checkpoint(folder, architecture)
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)


def logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def test_ids_are_gathered_over_all_splits_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmstart.models.tuning.vocabulary.CHUNK", 3)
    ids = np.array([9, 9, 9, 2, 9, 9, 9, 4], dtype=np.int32)
    ids.tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", dtype=np.int32, mode="r")
    assert np.flatnonzero(used_ids([mapped, np.array([0])], 11)).tolist() == [0, 2, 4, 9]
    with pytest.raises(IndexError):
        used_ids([mapped], 9)


def test_vectors_and_gradients_are_those_of_the_table() -> None:
    torch.manual_seed(1)
    table = nn.Embedding(50, 8, padding_idx=3)
    embedding = CompactEmbedding(table, some(50, 3, 7, 9, 41, 44))
    assert embedding.weight.shape == (5, 8)
    ids = torch.tensor([[41, 7, 41, 9], [7, 41, 3, 3]])
    weights = torch.randn(2, 4, 8)
    for module in (table, embedding):
        (module(ids) * weights).sum().backward()
    assert torch.equal(embedding(ids), table(ids))
    assert table.weight.grad is not None
    assert torch.equal(embedding.weight.grad, table.weight.grad[[3, 7, 9, 41, 44]])
    assert table.weight.grad[3].count_nonzero() == 0 < table.weight.grad[7].count_nonzero()


@pytest.mark.parametrize("wrong", [8, 0, 48, 50, -1, -43])
def test_an_id_outside_the_table_is_an_error(wrong: int) -> None:
    embedding = CompactEmbedding(nn.Embedding(50, 8), some(50, 3, 7, 9, 49))
    with pytest.raises(IndexError):
        embedding(torch.tensor([[3, wrong]]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_model_predicts_as_before_and_its_weights_are_whole(
    tmp_path: Path, architecture: str
) -> None:
    model = classifier(tmp_path / "checkpoint", architecture)
    ids = torch.tensor([[2, 50, 51, 60, 3], [2, 200, 201, 70, 3]])
    before, answers = {k: v.clone() for k, v in model.state_dict().items()}, logits(model, ids)
    used = some(model.config.vocab_size, *ids.flatten().tolist())
    vocabulary = compact(model, used)
    assert vocabulary.embedding is model.get_input_embeddings()
    pad = model.config.pad_token_id
    assert len(vocabulary.embedding.weight) == len({*ids.flatten().tolist(), pad})
    assert str(vocabulary) == f"9 of {model.config.vocab_size} rows"
    assert torch.equal(logits(model, ids), answers)
    # A row of padding is the model's own padding: RoBERTa's positions depend on the padding id.
    padded = torch.tensor([[2, 50, 3, pad, pad]])
    mask = (padded != pad).long()
    whole = classifier(tmp_path / "checkpoint", architecture).eval()
    whole.load_state_dict(before)
    inputs = {"input_ids": padded, "attention_mask": mask}
    assert torch.equal(model(**inputs).logits, whole(**inputs).logits)

    after = vocabulary.weights(model)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_trained_rows_go_back_to_their_places_and_the_file_stays(tmp_path: Path) -> None:
    model = classifier(tmp_path / "checkpoint")
    file = tmp_path / "checkpoint" / "model.safetensors"
    content = file.read_bytes()
    vocabulary = compact(model, some(model.config.vocab_size, 7, 20))
    original = load_file(file)["bert.embeddings.word_embeddings.weight"]
    with torch.no_grad():
        vocabulary.embedding.weight += 1
    table = vocabulary.weights(model)["bert.embeddings.word_embeddings.weight"]
    changed = (table != original).any(dim=1).nonzero().flatten().tolist()
    assert changed == [model.config.pad_token_id, 7, 20]
    assert torch.equal(table[20], original[20] + 1)
    assert file.read_bytes() == content


def test_weights_restored_from_a_checkpoint_bring_their_own_rows(tmp_path: Path) -> None:
    """For any table that a process creates, no id gets the vector of another id."""
    size = classifier(tmp_path / "checkpoint").config.vocab_size
    one, other = classifier(tmp_path / "checkpoint"), classifier(tmp_path / "checkpoint")
    first = compact(one, some(size, 7, 20))
    second = compact(other, some(size, 9, 30))
    with torch.no_grad():
        first.embedding.weight += 1
    other.load_state_dict(one.state_dict())
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(second.weights(other)[name], first.weights(one)[name])
    with pytest.raises(IndexError):
        second.embedding(torch.tensor([9]))


class Scaled(nn.Embedding):
    """An embedding that does more than look up."""


def test_a_whole_table_has_a_reason(tmp_path: Path) -> None:
    model = classifier(tmp_path / "checkpoint")
    size = model.config.vocab_size
    few = some(size, 7, 20)
    assert whole_because(model, few) is None
    most = some(size, *range(int(size * 0.95)))
    assert "the data use" in str(whole_because(model, most))
    model.get_input_embeddings().requires_grad_(False)
    assert whole_because(model, few) == "its word embedding is not trained"
    for special in (Scaled(size, 32), nn.Embedding(size, 32, max_norm=1.0)):
        model.set_input_embeddings(special)
        assert "does more than look up rows" in str(whole_because(model, few))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_table_that_the_output_shares_stays_whole(tmp_path: Path, architecture: str) -> None:
    tiny_checkpoint(tmp_path, architecture)
    model = AutoModelForMaskedLM.from_pretrained(tmp_path)
    few = some(model.config.vocab_size, 7, 20)
    assert whole_because(model, few) == "its output layer shares the table"

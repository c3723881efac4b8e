"""Packed execution of masked language models: the loss and gradients of padded Transformers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from tests.models.packed.pairs import set_weights
from tests.tiny import ARCHITECTURES as TINY
from tests.tiny import tiny_checkpoint, tiny_sentences
from warmstart.config import DataConfig, ModelConfig
from warmstart.data.examples.batches import Batch, Examples, collate, split_batch
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.targets import of_kind
from warmstart.data.examples.token_targets import TokenBatchTargets
from warmstart.data.table import SourceFile, Table
from warmstart.errors import ModelError
from warmstart.models.checkpoints.load import find, pretraining_model
from warmstart.models.checkpoints.missing_parts import new_parts
from warmstart.models.packed.architectures import ARCHITECTURES
from warmstart.models.packed.forward import forward_for, padded_forward
from warmstart.tasks.fill_mask import FillMask

LIKE_ROBERTA = ("xlm-roberta", "camembert")


def model_and_rows(folder: Path, architecture: str) -> tuple[Any, Examples]:
    base = "roberta" if architecture in LIKE_ROBERTA else architecture
    tiny_checkpoint(folder, base, layers=4)
    checkpoint = find(ModelConfig(name=str(folder), dropout=0.0), "masked-lm")
    model = pretraining_model(checkpoint, seed=0)
    set_weights(model)
    model.config.model_type = architecture
    texts = [*tiny_sentences(15), "a", " ".join(tiny_sentences(30, seed=3)), "it <pad> [PAD] is"]
    task, table = FillMask(DataConfig(train="t.csv")), _table(texts)
    return model, task.encode(table, task.labels(table), checkpoint.tokenizer, 128)


def ids_of(batch: Batch) -> Tensor:
    """The token to predict at each token of a batch, or ``NO_LABEL``, int64 [T]."""
    return of_kind(batch.targets, TokenBatchTargets).ids


def _table(texts: list[str]) -> Table:
    count = len(texts)
    return Table(
        columns=pa.table({"text": texts}),
        rows=np.arange(count),
        files=(SourceFile("t.csv", sha256="", encoding=None, rows=count),),
        file_index=np.zeros(count, dtype=np.int32),
        lines=np.arange(count),
    )


@pytest.mark.parametrize("architecture", [*TINY, *LIKE_ROBERTA])
def test_loss_and_gradients_are_those_of_transformers(tmp_path: Path, architecture: str) -> None:
    model, examples = model_and_rows(tmp_path, architecture)
    batch = collate(examples, np.arange(len(examples)), Draw(0, 0))
    inputs = batch.padded(model.config.pad_token_id)
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[inputs["attention_mask"].bool()] = ids_of(batch)
    model.train()
    expected = model(**inputs, labels=labels).loss
    expected.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    forward = forward_for(model, "masked-lm", examples)
    assert forward.path == "packed: real tokens only, no padding"
    loss = forward.run(model, batch).loss(ids_of(batch)) / batch.count
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert gradients
    for name, parameter in model.named_parameters():
        wanted = gradients[name]
        assert (wanted is None) == (parameter.grad is None), name
        if wanted is not None:
            scale = max(float(wanted.abs().max()), 1e-2)
            assert (wanted - parameter.grad).abs().max() < 5e-5 * scale, name


def test_the_head_runs_on_hidden_tokens_alone(tmp_path: Path) -> None:
    model, examples = model_and_rows(tmp_path, "bert")
    forward = forward_for(model, "masked-lm", examples)
    seen = []
    model.cls.predictions.transform.register_forward_hook(
        lambda _module, _inputs, output: seen.append(len(output))
    )
    batch = collate(examples, np.arange(len(examples)), Draw(0, 0))
    logits = forward.run(model, batch)
    logits.loss(ids_of(batch))
    nats, right = logits.losses(ids_of(batch))
    assert seen == [batch.count, batch.count]
    assert batch.count < 0.2 * batch.tokens
    assert len(nats) == len(right) == batch.count


def test_pieces_of_a_batch_add_up(tmp_path: Path) -> None:
    model, examples = model_and_rows(tmp_path, "distilbert")
    batch = collate(examples, np.arange(len(examples)), Draw(0, 2))
    run = forward_for(model.eval(), "masked-lm", examples).run
    pieces = split_batch(batch, 4)
    assert sum(piece.count for piece in pieces) == batch.count
    parts = [run(model, piece).loss(ids_of(piece)).item() for piece in pieces]
    assert sum(parts) == pytest.approx(run(model, batch).loss(ids_of(batch)).item(), rel=1e-5)


def test_a_head_with_different_outputs_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = model_and_rows(tmp_path, "bert")
    bare = replace(ARCHITECTURES["bert", "masked-lm"], head=lambda _model, states: states)
    monkeypatch.setitem(ARCHITECTURES, ("bert", "masked-lm"), bare)
    forward = forward_for(model, "masked-lm", examples)
    assert forward.packed is None
    assert "gave different logits" in forward.path
    batch = collate(examples, np.arange(4))
    expected = padded_forward(model, "masked-lm").run(model, batch).losses(ids_of(batch))[0]
    torch.testing.assert_close(forward.run(model, batch).losses(ids_of(batch))[0], expected)


def test_a_missing_head_is_initialised_with_the_seed_and_reported(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "whole")
    body = AutoModel.from_pretrained(tmp_path / "whole")
    tiny_checkpoint(tmp_path / "body")
    body.save_pretrained(tmp_path / "body")
    whole = find(ModelConfig(name=str(tmp_path / "whole")), "masked-lm")
    bare = find(ModelConfig(name=str(tmp_path / "body")), "masked-lm")
    assert [
        text
        for text in new_parts(whole, whole.config)
        if "has no masked-language-model head" in text
    ] == []
    said = new_parts(bare, bare.config)
    assert any("no masked-language-model head: it starts new" in text for text in said)
    assert any("output layer is the word embedding" in text for text in said)
    assert any("has a pooler" in text for text in said)
    one, two, other = (pretraining_model(bare, seed).state_dict() for seed in (1, 1, 2))
    dense = "cls.predictions.transform.dense.weight"
    assert torch.equal(one[dense], two[dense])
    assert not torch.equal(one[dense], other[dense])
    words = one["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(words, one["cls.predictions.decoder.weight"])
    assert torch.equal(words, body.get_input_embeddings().weight)


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    content = json.loads(path.read_text("utf-8"))
    del content["mask_token"]
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ModelError, match='no mask_token(.|\n)*try: +add "mask_token"'):
        find(ModelConfig(name=str(tmp_path)), "masked-lm")

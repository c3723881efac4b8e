"""Packed execution of BERT's pretraining heads: losses and gradients of padded Transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.models.packed.pairs import set_weights
from tests.runs_in_memory import pairing_settings
from tests.tiny import tiny_checkpoint
from warmstart import config_file
from warmstart.data.examples.batches import Batch, Examples, collate, split_batch
from warmstart.data.examples.masked_pairs import MaskedPairs
from warmstart.data.examples.masking import Draw
from warmstart.errors import ModelError
from warmstart.models.checkpoints.load import find
from warmstart.models.packed.forward import forward_for, padded_forward
from warmstart.preparation.prepare import Prepared, prepare


def prepared_of(folder: Path, task: str) -> Prepared:
    tiny_checkpoint(folder / "checkpoint", layers=3)
    made = pairing_settings(folder, dropout=0.0)
    return prepare(config_file.load({**made, "task": task}))


def model_of(prepared: Prepared) -> Any:
    model = prepared.task.model(prepared.checkpoint, seed=0)
    set_weights(model)
    return model.train()


def expected_loss(model: Any, batch: Batch, examples: Examples) -> torch.Tensor:
    """The loss of Transformers' own class, with its own arguments for labels."""
    inputs = batch.padded(model.config.pad_token_id)
    if not isinstance(examples.targets, MaskedPairs):
        return model(**inputs, labels=batch.targets.values).loss
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[inputs["attention_mask"].bool()] = batch.targets.tokens.ids
    return model(**inputs, labels=labels, next_sentence_label=batch.targets.labels.values).loss


@pytest.mark.parametrize("task", ["next-sentence", "bert-pretraining"])
def test_loss_and_gradients_are_those_of_transformers(tmp_path: Path, task: str) -> None:
    prepared = prepared_of(tmp_path, task)
    model, examples = model_of(prepared), prepared.examples["validation"]
    # All rows as they are evaluated: there the weight of the labels is exact.
    batch = collate(examples, np.arange(len(examples)))
    assert batch.token_type_ids is not None
    expected = expected_loss(model, batch, examples)
    expected.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    forward = forward_for(model, prepared.task.head, examples)
    assert forward.path == "packed: real tokens only, no padding"
    assert type(model).__name__ in ("BertForNextSentencePrediction", "BertForPreTraining")
    total, count = prepared.task.loss(forward.run(model, batch), batch)
    loss = total / count
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        wanted = gradients[name]
        assert (wanted is None) == (parameter.grad is None), name
        if wanted is not None:
            scale = max(float(wanted.abs().max()), 1e-2)
            assert (wanted - parameter.grad).abs().max() < 5e-5 * scale, name


def test_both_heads_run_padded_with_the_same_logits(tmp_path: Path) -> None:
    prepared = prepared_of(tmp_path, "bert-pretraining")
    model, examples = model_of(prepared).eval(), prepared.examples["train"]
    batch = collate(examples, np.arange(len(examples)), Draw(0, 0))
    head = prepared.task.head
    padded = padded_forward(model, head).run(model, batch)
    packed = forward_for(model, head, examples).run(model, batch)
    torch.testing.assert_close(packed.of_rows, padded.of_rows, atol=1e-5, rtol=1e-4)
    every = torch.arange(batch.tokens)
    torch.testing.assert_close(
        packed.of_tokens.at(every), padded.of_tokens.at(every), atol=1e-4, rtol=1e-4
    )


def test_type_ids_of_the_second_segment_reach_the_model(tmp_path: Path) -> None:
    prepared = prepared_of(tmp_path, "next-sentence")
    model, examples = model_of(prepared).eval(), prepared.examples["validation"]
    batch = collate(examples, np.arange(4))
    run = forward_for(model, prepared.task.head, examples).run
    before = run(model, batch)
    with torch.no_grad():
        model.bert.embeddings.token_type_embeddings.weight[1] += torch.arange(32.0) / 32
    assert (run(model, batch) - before).abs().max() > 1e-4


def test_pieces_of_a_batch_have_the_weight_of_the_whole(tmp_path: Path) -> None:
    prepared = prepared_of(tmp_path, "bert-pretraining")
    model, examples = model_of(prepared).eval(), prepared.examples["train"]
    draw = Draw(3, 1)
    epoch = examples.of_epoch(draw)
    batch = collate(epoch, np.arange(len(epoch)), draw)
    run = forward_for(model, prepared.task.head, examples).run
    logits = run(model, batch)
    targets = batch.targets
    masked = logits.of_tokens.loss(targets.tokens.ids)
    labels = targets.labels.values
    pairs = functional.cross_entropy(logits.of_rows, labels, reduction="sum")
    expected = (masked + targets.label_weight * pairs).item()
    assert 1 < targets.label_weight < 4
    parts = [prepared.task.loss(run(model, one), one) for one in split_batch(batch, 5)]
    assert sum(loss.item() for loss, _ in parts) == pytest.approx(expected, rel=1e-5)
    assert sum(count for _, count in parts) == epoch.count_of(np.arange(len(epoch)), draw)


@pytest.mark.parametrize("head", ["next-sentence", "pretraining"])
def test_a_family_without_next_sentences_is_refused(tmp_path: Path, head: Any) -> None:
    folder = tiny_checkpoint(tmp_path / "model", "roberta")
    with pytest.raises(ModelError, match="a model without a (next-sentence|pretraining) head") as e:
        find(config_file.load({"data": {"train": "a"}, "model": {"name": str(folder)}}).model, head)
    assert "BERT, MobileBERT" in e.value.expected

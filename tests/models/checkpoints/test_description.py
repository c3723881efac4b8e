"""The description of a model, from its configuration alone."""

import json
from pathlib import Path

import pytest
from transformers import BertConfig, DebertaV2Config, DebertaV2ForSequenceClassification

from tests.resolved import resolved
from tests.tiny import ARCHITECTURES, tiny_checkpoint, tiny_tokenizer
from warmstart.config import ModelConfig
from warmstart.models.checkpoints.description import describe, describe_training
from warmstart.models.checkpoints.load import (
    Checkpoint,
    find,
    pretraining_model,
    sequence_classifier,
    token_classifier,
)


def bert_base(labels: int = 2) -> Checkpoint:
    """BERT-base as a configuration; there are no weights anywhere."""
    return Checkpoint(
        "bert-base", Path("nowhere"), BertConfig(), tiny_tokenizer(), (), "sequence-classification"
    )


def test_bert_base_has_the_201_parameters_of_the_tutorials() -> None:
    description = describe(bert_base())
    assert description.named_parameters == 201
    assert description.parameters == 109_483_778
    groups = {group.name: group for group in description.groups}
    assert list(groups) == ["embeddings", *(f"layer {n}" for n in range(12)), "output head"]
    first, *_, last = groups["embeddings"].parameters
    assert (first.name, first.shape) == ("bert.embeddings.word_embeddings.weight", (30522, 768))
    assert last.name == "bert.embeddings.LayerNorm.bias"
    assert len(groups["layer 0"].parameters) == 16
    assert [(p.name, p.shape) for p in groups["output head"].parameters] == [
        ("bert.pooler.dense.weight", (768, 768)),
        ("bert.pooler.dense.bias", (768,)),
        ("classifier.weight", (2, 768)),
        ("classifier.bias", (2,)),
    ]


def test_memory_is_four_bytes_a_parameter_and_four_copies_in_training() -> None:
    description = describe(bert_base())
    assert description.weights_mib == pytest.approx(109_483_778 * 4 / 2**20)
    assert description.training_mib == pytest.approx(109_483_778 * 16 / 2**20)


def test_the_head_has_the_requested_number_of_classes() -> None:
    description = describe(bert_base(), labels=5)
    assert description.labels == tuple(f"LABEL_{index}" for index in range(5))
    assert description.groups[-1].parameters[-1].shape == (5,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_checkpoint_is_described_as_the_model_it_becomes(
    tmp_path: Path, architecture: str
) -> None:
    checkpoint = find(ModelConfig(name=str(tiny_checkpoint(tmp_path, architecture))))
    model = sequence_classifier(checkpoint, ["LABEL_0", "LABEL_1", "LABEL_2"], seed=1)
    unread, read = describe(checkpoint, labels=3), describe(model)
    assert unread.groups == read.groups
    assert unread.labels == read.labels
    assert unread.config == read.config
    assert unread.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert [group.name for group in unread.groups] == [
        "embeddings", "layer 0", "layer 1", "output head"
    ]  # fmt: skip


def test_a_trained_classifier_keeps_its_labels(tmp_path: Path) -> None:
    start = find(ModelConfig(name=str(tiny_checkpoint(tmp_path / "start"))))
    run = tmp_path / "run"
    sequence_classifier(start, ["a", "b", "c"], seed=1).save_pretrained(run)
    start.tokenizer.save_pretrained(run)
    content = json.loads((run / "config.json").read_text())
    content["id2label"] = {"2": "c", "0": "a", "1": "b"}  # JSON objects have no order
    (run / "config.json").write_text(json.dumps(content))
    assert describe(find(ModelConfig(name=str(run)))).labels == ("a", "b", "c")


def test_a_trained_token_classifier_keeps_its_labels(tmp_path: Path) -> None:
    start = find(ModelConfig(name=str(tiny_checkpoint(tmp_path / "start"))), "token-classification")
    new = describe(start, labels=5)
    assert new.architecture == "BertForTokenClassification"
    assert new.labels == tuple(f"LABEL_{index}" for index in range(5))
    model = token_classifier(start, ["O", "B-PER", "I-PER"], seed=1)
    assert describe(model).labels == ("O", "B-PER", "I-PER")
    model.save_pretrained(tmp_path / "run")
    start.tokenizer.save_pretrained(tmp_path / "run")
    again = find(ModelConfig(name=str(tmp_path / "run")))  # without a task that names the head
    assert again.head == "token-classification"
    assert describe(again, labels=9).labels == ("O", "B-PER", "I-PER")
    names = [parameter.name for parameter in describe(again).groups[-1].parameters]
    assert names == ["classifier.weight", "classifier.bias"]


def test_a_model_that_fills_masks_has_no_labels(tmp_path: Path) -> None:
    start = find(ModelConfig(name=str(tiny_checkpoint(tmp_path))), "masked-lm")
    assert describe(start).labels == ()
    assert describe(pretraining_model(start, seed=1)).labels == ()


def test_training_a_token_classifier_is_described_with_its_parts(tmp_path: Path) -> None:
    start = find(ModelConfig(name=str(tiny_checkpoint(tmp_path))), "token-classification")
    described = describe_training(start, resolved(freeze="backbone"), labels=4)
    assert [(part.name, part.trained > 0) for part in described.trains] == [
        ("embeddings", False),
        ("layers 0-1", False),
        ("head", True),
    ]
    assert described.trains[-1].trained == 4 * 32 + 4


def test_parameters_defined_out_of_order_still_find_their_group() -> None:
    """DeBERTa defines its relative embeddings after its layers."""
    config = DebertaV2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        relative_attention=True,
    )
    description = describe(DebertaV2ForSequenceClassification(config))
    embeddings = [parameter.name for parameter in description.groups[0].parameters]
    assert "deberta.encoder.rel_embeddings.weight" in embeddings
    assert [g.name for g in description.groups] == [
        "embeddings",
        "layer 0",
        "layer 1",
        "output head",
    ]


def test_json_holds_the_whole_description() -> None:
    content = json.loads(json.dumps(describe(bert_base()).to_json()))
    assert content["named_parameters"] == 201
    assert content["config"]["hidden_size"] == 768
    assert content["memory_mib"].keys() == {"weights", "adamw_training"}
    listed = [tensor for group in content["groups"] for tensor in group["tensors"]]
    assert len(listed) == 201
    assert {"name": "classifier.weight", "shape": [2, 768]} in listed
    assert sum(group["parameters"] for group in content["groups"]) == content["parameters"]

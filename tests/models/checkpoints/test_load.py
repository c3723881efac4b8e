"""Correct checkpoints: found, loaded, and given a head."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, pipeline

from tests.tiny import ARCHITECTURES, tiny_checkpoint, tiny_sentences
from warmstart.config import ModelConfig
from warmstart.errors import ModelError
from warmstart.models.checkpoints.load import (
    Checkpoint,
    find,
    load_run_model,
    resolve_max_tokens,
    sequence_classifier,
    token_classifier,
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT that is not changed by any test."""
    return tiny_checkpoint(tmp_path_factory.mktemp("bert"))


def answering(model: PreTrainedModel) -> PreTrainedModel:
    """The model without dropout."""
    return model.train(False)  # type: ignore[no-any-return]


def found(folder: Path, **settings: object) -> Checkpoint:
    return find(ModelConfig.model_validate({"name": str(folder), **settings}))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_family_loads_and_predicts(tmp_path: Path, architecture: str) -> None:
    checkpoint = found(tiny_checkpoint(tmp_path, architecture, max_positions=40))
    model = answering(sequence_classifier(checkpoint, ["no", "so-so", "yes"], seed=1))
    inputs = checkpoint.tokenizer(tiny_sentences(4), padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    logits = model(**inputs).logits
    assert logits.shape == (4, 3)
    assert logits.dtype == torch.float32
    assert model.config.id2label == {0: "no", 1: "so-so", 2: "yes"}
    assert model.config.label2id == {"no": 0, "so-so": 1, "yes": 2}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_longest_input_is_the_longest_that_runs(tmp_path: Path, architecture: str) -> None:
    checkpoint = found(tiny_checkpoint(tmp_path, architecture, max_positions=40))
    checkpoint.tokenizer.model_max_length = 10**30  # leaves the model's own limit
    assert checkpoint.max_positions == 40
    model = answering(sequence_classifier(checkpoint, ["no", "yes"], seed=1))
    token = checkpoint.tokenizer.get_vocab()["a"]
    model(input_ids=torch.full((1, 40), token))
    if architecture != "modernbert":  # its rotary positions have no limit
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, 41), token))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_body_is_the_file_s_and_the_head_the_seed_s(tmp_path: Path, architecture: str) -> None:
    checkpoint = found(tiny_checkpoint(tmp_path, architecture))
    weights = load_file(tmp_path / "model.safetensors")
    first, again, other = (
        sequence_classifier(checkpoint, ["no", "yes"], seed=seed).state_dict() for seed in (1, 1, 2)
    )
    drawn = [name for name in first if name not in weights]
    assert drawn
    assert len(drawn) < len(first) / 2
    assert all(torch.equal(first[name], weights[name]) for name in first if name in weights)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in drawn)


def tagger_of(folder: Path) -> Checkpoint:
    return find(ModelConfig(name=str(folder)), "token-classification")


TAGS = ["O", "B-PER", "I-PER"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_token_classifier_of_every_family(tmp_path: Path, architecture: str) -> None:
    checkpoint = tagger_of(tiny_checkpoint(tmp_path, architecture))
    weights = load_file(tmp_path / "model.safetensors")
    before = torch.random.get_rng_state()
    models = [answering(token_classifier(checkpoint, TAGS, seed=seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    model = models[0]
    assert type(model).__name__.endswith("ForTokenClassification")
    assert model.config.id2label == dict(enumerate(TAGS))
    assert model.config.label2id == {"O": 0, "B-PER": 1, "I-PER": 2}
    assert model.config.problem_type is None
    first, again, other = (model.state_dict() for model in models)
    new = [name for name in first if name not in weights]
    assert "classifier.weight" in new
    assert not any("pooler" in name for name in first)
    assert all(torch.equal(first[name], weights[name]) for name in first if name in weights)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in new)
    ids = torch.tensor([[2, 9, 10, 11, 3]])
    assert model(input_ids=ids).logits.shape == (1, 5, 3)


def test_a_saved_token_classifier_comes_back_and_keeps_its_head(bert: Path, tmp_path: Path) -> None:
    model = token_classifier(tagger_of(bert), TAGS, seed=1)
    model.save_pretrained(tmp_path)
    tagger_of(bert).tokenizer.save_pretrained(tmp_path)
    loaded = load_run_model(tmp_path, "token-classification")
    continued = token_classifier(tagger_of(tmp_path), TAGS, seed=7)
    for other in (loaded, continued):
        weights = other.state_dict()
        assert all(torch.equal(tensor, weights[n]) for n, tensor in model.state_dict().items())
    tag = pipeline("token-classification", str(tmp_path), device="cpu")
    assert {found["entity"] for found in tag(tiny_sentences(1)[0])} <= set(TAGS)


def test_a_body_that_lacks_weights_is_no_token_classifier(bert: Path, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    weights = load_file(bert / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    kept = {key: value for key, value in weights.items() if key != name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack 1 tensor that its config.json requires"):
        token_classifier(tagger_of(tmp_path), TAGS, seed=1)


def test_no_global_generator_moves(bert: Path) -> None:
    before = torch.random.get_rng_state()
    sequence_classifier(found(bert), ["no", "yes"], seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_half_precision_weights_become_float32(bert: Path, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    weights = load_file(bert / "model.safetensors")
    half = {name: tensor.half() for name, tensor in weights.items()}
    save_file(half, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = sequence_classifier(found(tmp_path), ["no", "yes"], seed=1)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_body_pretrained_without_a_pooler_gets_a_new_one(bert: Path, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    weights = load_file(bert / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = sequence_classifier(found(tmp_path), ["no", "yes"], seed=1)
    assert model.get_parameter("bert.pooler.dense.weight").std() > 0


def test_a_classifier_of_other_labels_gives_its_body(bert: Path, tmp_path: Path) -> None:
    three = sequence_classifier(found(bert), ["a", "b", "c"], seed=1)
    three.config.problem_type = "regression"
    three.save_pretrained(tmp_path)
    found(bert).tokenizer.save_pretrained(tmp_path)
    two = sequence_classifier(found(tmp_path), ["no", "yes"], seed=1)
    assert two.config.problem_type == "single_label_classification"
    assert two.get_parameter("classifier.weight").shape == (2, 32)
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(two.get_parameter(name), three.get_parameter(name))


def test_pickled_weights_load_when_they_are_allowed(bert: Path, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    torch.save(load_file(bert / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    checkpoint = found(tmp_path, allow_pickle=True)
    assert checkpoint.weights == ("pytorch_model.bin",)
    pickled = sequence_classifier(checkpoint, ["no", "yes"], seed=1).state_dict()
    safe = sequence_classifier(found(bert), ["no", "yes"], seed=1).state_dict()
    assert all(torch.equal(pickled[name], safe[name]) for name in safe)


def test_safetensors_are_preferred_to_pickles(bert: Path, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    assert found(tmp_path, allow_pickle=True).weights == ("model.safetensors",)
    sequence_classifier(found(tmp_path), ["no", "yes"], seed=1)


def test_a_saved_model_comes_back_and_runs_in_a_bare_pipeline(bert: Path, tmp_path: Path) -> None:
    checkpoint = found(bert)
    model = sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    model.save_pretrained(tmp_path)
    checkpoint.tokenizer.save_pretrained(tmp_path)
    loaded = load_run_model(tmp_path, "sequence-classification")
    assert type(loaded) is type(model)
    weights = model.state_dict()
    assert all(torch.equal(tensor, weights[n]) for n, tensor in loaded.state_dict().items())
    sentence = tiny_sentences(1)[0]
    classify = pipeline("text-classification", str(tmp_path), device="cpu")
    (answer,) = classify(sentence)
    with torch.no_grad():
        logits = answering(loaded)(**checkpoint.tokenizer(sentence, return_tensors="pt")).logits
    best = logits.softmax(-1)[0].max()
    assert answer["label"] in ("no", "yes")
    assert answer["score"] == pytest.approx(best.item(), abs=1e-5)


def test_auto_is_all_the_model_reads_and_less_is_allowed(bert: Path) -> None:
    checkpoint = found(bert)
    assert resolve_max_tokens(checkpoint, "auto") == 128
    assert resolve_max_tokens(checkpoint, 128) == 128
    assert resolve_max_tokens(checkpoint, 7) == 7


def test_more_tokens_than_positions_are_refused(bert: Path) -> None:
    with pytest.raises(ModelError) as raised:
        resolve_max_tokens(found(bert), 129)
    assert "model.max_tokens is 129" in raised.value.found
    assert "3 to 128" in raised.value.expected
    assert "--set model.max_tokens=128" in raised.value.do


def test_a_tokenizer_s_shorter_limit_counts(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "model_max_length": 20}))
    assert found(tmp_path).max_positions == 20
    del content["model_max_length"]
    path.write_text(json.dumps(content))
    assert found(tmp_path).max_positions == 128


def test_a_model_that_names_no_limit_needs_a_number(tmp_path: Path) -> None:
    from transformers import FunnelConfig, FunnelForMaskedLM

    tiny_checkpoint(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    content = json.loads(path.read_text())
    del content["model_max_length"]
    path.write_text(json.dumps(content))
    sizes: dict[str, Any] = {
        "d_model": 16,
        "n_head": 2,
        "d_head": 8,
        "d_inner": 16,
        "block_sizes": [1, 1],
    }
    model = FunnelForMaskedLM(FunnelConfig(vocab_size=500, **sizes))
    model.save_pretrained(tmp_path)
    checkpoint = found(tmp_path)
    assert checkpoint.max_positions is None
    assert resolve_max_tokens(checkpoint, 700) == 700
    with pytest.raises(ModelError) as raised:
        resolve_max_tokens(checkpoint, "auto")
    assert "model.max_tokens is auto" in raised.value.found
    assert "--set model.max_tokens=512" in raised.value.do

"""Unusable checkpoints: each error message has what was found and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.errors import ModelError
from warmstart.errors.model import LAYOUT
from warmstart.models.checkpoints.load import find, load_run_model, sequence_classifier


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A correct checkpoint."""
    return tiny_checkpoint(tmp_path_factory.mktemp("whole"))


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; ``None`` removes one."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Rewrite the weights after applying ``change``."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pickle_instead(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def shards_without_one(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    index = {"metadata": {}, "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def broken_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weights": []}')


def half_the_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_architecture(folder: Path, **config: Any) -> None:
    (folder / "config.json").write_text(json.dumps({"vocab_size": 500, **config}))


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def tokenizer_in_python(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    kind = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "character"}
    content = {"tokenizer_class": "BertJapaneseTokenizer", **kind}
    (folder / "tokenizer_config.json").write_text(json.dumps(content))


def no_pickle_after_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")


def inside_a_run(folder: Path) -> None:
    model = folder / "model"
    model.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(model / path.name)


class Case(NamedTuple):
    """An error, and texts that each part of its message must contain."""

    fault: Callable[[Path], object]
    found: str
    expected: str
    do: str
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed


BEFORE_WEIGHTS = {
    "no config": Case(
        lambda f: (f / "config.json").unlink(), "has no config.json", LAYOUT, "config.json"
    ),
    "a run directory": Case(inside_a_run, "has no config.json", LAYOUT, "/model"),
    "config no JSON": Case(
        lambda f: (f / "config.json").write_text("{"), "config.json", "config.json", "again"
    ),
    "config no object": Case(
        lambda f: (f / "config.json").write_text("[1]"), "config.json", "config.json", "again"
    ),
    "config contradicts itself": Case(
        lambda f: edit(f / "config.json", num_attention_heads=5),
        "not a multiple of",
        "belongs to the weights",
        "again",
    ),
    "no model type": Case(
        lambda f: edit(f / "config.json", model_type=None), "None", "ModernBERT", "-U transformers"
    ),
    "unknown model type": Case(
        lambda f: edit(f / "config.json", model_type="bart9"), "'bart9'", "BERT", "-U transformers"
    ),
    "remote code": Case(
        lambda f: edit(f / "config.json", model_type="mine", auto_map={"AutoConfig": "x.Y"}),
        "auto_map",
        "never run",
        "DistilBERT",
    ),
    "a decoder": Case(
        lambda f: other_architecture(f, model_type="gpt2"),
        "a decoder (model_type 'gpt2')",
        "an encoder",
        "--set model.name=bundled/minilm-l6",
    ),
    "an encoder-decoder": Case(
        lambda f: other_architecture(f, model_type="t5"),
        "an encoder-decoder (model_type 't5')",
        "RoBERTa",
        "--set model.name=",
    ),
    "an image model": Case(
        lambda f: other_architecture(f, model_type="vit"),
        "without a sequence-classification head",
        "RoBERTa",
        "--set model.name=",
    ),
    "no tokenizer": Case(no_tokenizer, "has no tokenizer", "vocab.txt", "tokenizer.json"),
    "broken tokenizer": Case(
        lambda f: (f / "tokenizer.json").write_text("{"),
        "cannot open the tokenizer",
        "tokenizer.json",
        "again",
    ),
    "tokenizer in Python alone": Case(
        tokenizer_in_python,
        "(BertJapaneseTokenizer) has no fast version",
        "tokenizer.json",
        "model.name",
    ),
    "no padding token": Case(
        lambda f: edit(f / "tokenizer_config.json", pad_token=None),
        "has no padding token",
        "a padding token, as in every",
        '"pad_token": "[PAD]"',
    ),
    "tokenizer larger than the embedding": Case(
        lambda f: edit(f / "config.json", vocab_size=100),
        "only 100 embeddings",
        "at most as many tokens as embeddings",
        "resize_token_embeddings",
    ),
    "no weights": Case(
        lambda f: (f / "model.safetensors").unlink(), "has no weights", LAYOUT, "download"
    ),
    "weights of other libraries": Case(
        lambda f: (f / "model.safetensors").rename(f / "tf_model.h5"),
        "tf_model.h5",
        LAYOUT,
        "download",
    ),
    "pickle alone": Case(
        pickle_instead, "pytorch_model.bin", "model.safetensors", "--set model.allow_pickle=true"
    ),
    "a shard missing": Case(shards_without_one, "b.safetensors", "index", "download"),
    "broken index": Case(broken_index, "model.safetensors.index.json", "complete file", "again"),
    "half a file": Case(half_the_file, "model.safetensors", "complete file", "download it again"),
}

WITH_WEIGHTS = {
    "weights of the body missing": Case(
        lambda f: change_weights(f, lambda w: w.pop("bert.encoder.layer.1.output.dense.bias")),
        "lack 1 tensor that its config.json requires: bert.encoder.layer.1.output.dense.bias",
        "same checkpoint",
        "model.name",
    ),
    "weights of another size": Case(
        lambda f: edit(f / "config.json", intermediate_size=48),
        "is [64] but should be [48]",
        "same checkpoint",
        "model.name",
    ),
    "a pickle that is none": Case(
        no_pickle_after_all,
        "pytorch_model.bin",
        "complete file",
        "again",
        {"allow_pickle": True},
    ),
}


def assert_says(error: ModelError, case: Case) -> None:
    assert case.found in error.found
    assert case.expected in error.expected
    assert case.do in error.do


@pytest.mark.parametrize("case", BEFORE_WEIGHTS.values(), ids=BEFORE_WEIGHTS.keys())
def test_refused_before_any_weight_is_read(case: Case, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    case.fault(tmp_path)
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name=str(tmp_path), **case.settings), "sequence-classification")
    assert_says(raised.value, case)
    assert str(tmp_path) in raised.value.found


@pytest.mark.parametrize("case", WITH_WEIGHTS.values(), ids=WITH_WEIGHTS.keys())
def test_refused_when_the_weights_are_read(case: Case, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    case.fault(tmp_path)
    checkpoint = find(ModelConfig(name=str(tmp_path), **case.settings), "sequence-classification")
    with pytest.raises(ModelError) as raised:
        sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    assert_says(raised.value, case)
    assert str(tmp_path) in raised.value.found


def test_a_pickle_that_would_run_code_is_not_run(whole: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "it ran",))

    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"weight": Payload()}, tmp_path / "pytorch_model.bin")
    checkpoint = find(ModelConfig(name=str(tmp_path), allow_pickle=True))
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    assert not (tmp_path / "it ran").exists()


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name=str(tmp_path / "absent")))
    assert "absent does not exist" in raised.value.found
    assert "check the path" in raised.value.do
    with pytest.raises(ModelError, match="does not exist"):
        find(ModelConfig(name="./absent"))


def test_a_file_leads_to_its_folder(whole: Path) -> None:
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name=str(whole / "model.safetensors")))
    assert "is a file" in raised.value.found
    assert raised.value.do == f"--set model.name={whole}"


def test_a_hub_id_without_the_network() -> None:
    """The tests run with ``HF_HUB_OFFLINE``, which has the same effect as ``local_files_only``."""
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name="nobody/nothing-of-the-kind"))
    assert "HF_HUB_OFFLINE" in raised.value.found
    assert LAYOUT in raised.value.expected
    assert "unset HF_HUB_OFFLINE" in raised.value.do


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (half_the_file, "cannot read"),
        (lambda f: change_weights(f, lambda w: w.pop("classifier.bias")), "classifier.bias"),
        (
            lambda f: change_weights(f, lambda w: w.update({"classifier.bias": torch.zeros(3)})),
            r"classifier.bias is \[3\] but should be \[2\]",
        ),
    ],
)
def test_a_run_s_model_must_be_whole(
    fault: Callable[[Path], object], words: str, whole: Path, tmp_path: Path
) -> None:
    checkpoint = find(ModelConfig(name=str(whole)))
    sequence_classifier(checkpoint, ["no", "yes"], seed=1).save_pretrained(tmp_path)
    load_run_model(tmp_path, "sequence-classification")
    fault(tmp_path)
    with pytest.raises(ModelError, match=words):
        load_run_model(tmp_path, "sequence-classification")

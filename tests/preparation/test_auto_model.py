"""``model.name: auto`` chooses a checkpoint by language, number of rows and device."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.checking.test_language import TEXTS
from tests.launched import in_another_process
from tests.models.checkpoints.test_mean_pooling import MEAN, declare
from tests.runs_in_memory import settings
from tests.tiny import tiny_checkpoint
from warmstart import api, config_file, errors
from warmstart.config import ModelConfig
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.fitting_model import fitting_model
from warmstart.preparation.prepare import prepare

FR = "Ma carte n'est pas encore arrivée, pouvez-vous me dire ce qui s'est passé avec elle ?"


def write_texts(path: Path, text: str) -> Path:
    lines = [f'"{text} {number}",{number % 2}' for number in range(24)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was chosen; the hub has the multilingual model, and none for Chinese."""
    folder = tmp_path_factory.mktemp("auto")
    declare(tiny_checkpoint(folder / "repos/intfloat/multilingual-e5-small"), MEAN)
    for name, text in {"en": TEXTS["en"], "fr": FR, "zh": TEXTS["zh"]}.items():
        write_texts(folder / f"{name}.csv", text)
    ran = in_another_process("tests.preparation.auto_model_session", folder)
    content: dict[str, dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return content


def test_english_on_a_cpu_is_bundled(found: dict[str, dict[str, Any]]) -> None:
    assert found["en"]["name"] == "bundled/minilm-l6"
    assert "model.name" in found["en"]["chosen"]


def test_another_language_comes_from_the_hub_with_its_pooling(
    found: dict[str, dict[str, Any]],
) -> None:
    assert found["fr"]["name"] == "intfloat/multilingual-e5-small"
    assert found["fr"]["pooling"] == "mean"
    assert any("(French, 12 rows, a CPU)" in text for text in found["fr"]["messages"])


def test_a_model_out_of_reach_is_replaced_with_a_warning(found: dict[str, dict[str, Any]]) -> None:
    assert found["zh"]["name"] == "bundled/minilm-l6"
    (text,) = [text for text in found["zh"]["messages"] if "used instead" in text]
    assert "BAAI/bge-small-zh-v1.5" in text


@pytest.mark.parametrize(
    ("language", "head", "large", "few", "name"),
    [
        ("en", "sequence-classification", False, False, "bundled/minilm-l6"),
        ("en", "sequence-classification", True, False, "google-bert/bert-base-uncased"),
        ("en", "token-classification", True, True, "sentence-transformers/all-distilroberta-v1"),
        ("zh", "sequence-classification", True, False, "google-bert/bert-base-chinese"),
        ("ja", "sequence-classification", True, False, "intfloat/multilingual-e5-base"),
        ("ja", "masked-lm", False, False, "google-bert/bert-base-multilingual-cased"),
        ("en", "causal-lm", False, False, "openai-community/gpt2"),
        ("ja", "causal-lm", True, False, None),
    ],
)
def test_the_table(language: str, head: Head, *, large: bool, few: bool, name: str | None) -> None:
    assert fitting_model(language, head, large=large, few=few) == name


def test_a_language_without_a_decoder_is_refused(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "ja.csv", TEXTS["ja"])
    content = {"task": "text-generation", "model": {"name": "auto"}, "data": {"train": str(path)}}
    with pytest.raises(errors.ConfigError, match="no model is known that writes Japanese"):
        prepare(config_file.load(content))


def test_a_revision_needs_a_name(tmp_path: Path) -> None:
    content = settings(tmp_path)
    content["model"] = {"name": "auto", "revision": "main"}
    with pytest.raises(errors.ConfigError, match="model.revision is main"):
        prepare(config_file.load(content))


def test_info_does_not_read_rows(tmp_path: Path) -> None:
    content = settings(tmp_path)
    content["model"] = {"name": "auto"}
    path = tmp_path / "config.yaml"
    path.write_text(config_file.dump(config_file.load(content)))
    with pytest.raises(errors.ConfigError, match="depends on the training rows"):
        api.info(path)
    assert api.check(path).config.model.name == ModelConfig().name

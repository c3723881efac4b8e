"""Texts in another language than that of the bundled model are named, with models that know it."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from warmstart.config import DataConfig
from warmstart.data.checking.language import about_language
from warmstart.data.reading.sources import read
from warmstart.data.table import Table

TEXTS = {
    "en": "My card has not arrived yet, can you tell me what happened to it?",
    "zh": "我的银行卡还没有寄到，请问现在是什么情况？我已经等了两个星期了。",
    "de": "Meine Karte ist noch nicht angekommen, können Sie mir sagen, was passiert ist?",
    "ja": "カードがまだ届いていないのですが、どうなっているのか教えていただけますか。",
    "mixed": "1234 5678 :-) :-( http",
}


def table(folder: Path, *names: str, rows: int = 40) -> Table:
    lines = [f'"{TEXTS[names[i % len(names)]]}"' for i in range(rows)]
    (folder / "a.csv").write_text("\n".join(["text", *lines]) + "\n", encoding="utf-8")
    return read(str(folder / "a.csv"), DataConfig(train="a.csv"), "data.train")


def texts(folder: Path, *names: str, model: str = "bundled/minilm-l6") -> list[str]:
    found = about_language(table(folder, *names), {"text"}, model, generates=False)
    assert all(one.level == "warning" for one in found)
    return [one.text for one in found]


@pytest.mark.parametrize(
    ("name", "language", "model"),
    [
        ("zh", "Chinese", "google-bert/bert-base-chinese"),
        ("de", "German", "google-bert/bert-base-german-cased"),
        ("ja", "Japanese", "intfloat/multilingual-e5-small"),
    ],
)
def test_another_language_is_named_with_models(
    tmp_path: Path, name: str, language: str, model: str
) -> None:
    (text,) = texts(tmp_path, name)
    assert text.startswith(f"the training texts look like {language}, but bundled/minilm-l6 was")
    assert model in text
    assert texts(tmp_path, name, model="klue/bert-base") == []


@pytest.mark.parametrize("names", [("en",), ("en", "en", "en", "en", "en", "zh"), ("mixed",)])
def test_english_and_texts_without_a_language_are_not(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert texts(tmp_path, *names) == []


def test_a_decoder_is_named_for_text_generation(tmp_path: Path) -> None:
    (found,) = about_language(table(tmp_path, "zh"), {"text"}, "bundled/gpt2-mini", generates=True)
    assert "gpt2-chinese" in found.text
    (found,) = about_language(table(tmp_path, "de"), {"text"}, "bundled/gpt2-mini", generates=True)
    assert "choose a model for German" in found.text


def test_lists_of_words_are_texts(tmp_path: Path) -> None:
    plain = table(tmp_path, "de")
    words = [text.split() for text in plain.columns.column("text").to_pylist()]
    listed = replace(plain, columns=pa.table({"words": words}))
    (found,) = about_language(listed, {"words"}, "bundled/minilm-l6", generates=False)
    assert "German" in found.text

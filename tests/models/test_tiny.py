"""The tiny checkpoints that other tests use."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import ARCHITECTURES, WORDS, tiny_checkpoint, tiny_tokenizer

ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
TOKENIZERS = {name: tiny_tokenizer(name) for name in ARCHITECTURES}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@given(text=ASCII)
def test_any_english_text_tokenises_without_an_unknown_token(architecture: str, text: str) -> None:
    tokenizer = TOKENIZERS[architecture]
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.cls_token_id
    assert ids[-1] == tokenizer.sep_token_id
    assert tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_known_words_are_one_token_each(architecture: str) -> None:
    ids = TOKENIZERS[architecture](" ".join(WORDS))["input_ids"]
    assert len(ids) == len(WORDS) + 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, architecture: str) -> None:
    one, two, other = (
        tiny_checkpoint(tmp_path / name, architecture, seed=seed)
        for name, seed in (("one", 0), ("two", 0), ("other", 1))
    )
    names = sorted(path.name for path in one.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
    weights = "model.safetensors"
    assert (one / weights).read_bytes() != (other / weights).read_bytes()

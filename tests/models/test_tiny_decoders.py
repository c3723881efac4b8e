"""The tiny decoders have the properties that the tests assume."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny.decoders import DECODERS, END, byte_tokenizer, make_decoder, tiny_gpt2


@pytest.mark.parametrize("model_type", DECODERS)
def test_weights_come_from_the_seed_alone(model_type: str) -> None:
    before = torch.get_rng_state()
    model, again, other = (make_decoder(model_type, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert model.config.model_type == model_type
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    assert any(
        not torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize("model_type", DECODERS)
def test_dropout_is_as_requested(model_type: str) -> None:
    ids = torch.arange(12)[None]
    for dropout in (0.0, 0.5):
        model = make_decoder(model_type, dropout=dropout).train()
        same = torch.equal(model(ids).logits, model(ids).logits)
        assert same == (dropout == 0)


def test_the_tokenizer_reads_any_text_and_has_no_pad_token() -> None:
    tokenizer = byte_tokenizer()
    for text in ("the cat sat", " two\n\nlines\t", "猫坐在垫子上 🐈", "\x00\x07"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
    assert tokenizer.pad_token is None
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0
    assert tokenizer.convert_ids_to_tokens(0) == END
    assert len(tokenizer("the cat")["input_ids"]) < len("the cat")


def test_a_folder_loads_with_nothing_missing(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path / "gpt2", hidden=16, seed=1)
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    expected = make_decoder(hidden=16, seed=1, vocabulary=model.config.vocab_size)
    assert torch.equal(model.lm_head.weight, expected.lm_head.weight)
    assert len(AutoTokenizer.from_pretrained(folder)) == model.config.vocab_size

"""New tokenizers and models: any text can be decoded, the same texts give the same bytes."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from tests.tiny import tiny_sentences
from warmstart.config import PretrainConfig
from warmstart.errors import ConfigError, RunError
from warmstart.models.checkpoints.new_model import (
    END_OF_TEXT,
    SPECIAL,
    new_checkpoint,
    tokenizer_for,
)

TEXTS = [*tiny_sentences(400), "雨下了一天。雨停了。 Ünïcödé!", "雨下了一天。雨停了。 Ünïcödé!"]
GPT2 = PretrainConfig(architecture="gpt2", size="tiny", context=32, vocabulary=300)
BERT = PretrainConfig(architecture="bert", size="tiny", context=32, vocabulary=250)
both = pytest.mark.parametrize("config", [GPT2, BERT], ids=lambda config: config.architecture)


@pytest.fixture(scope="module")
def gpt2() -> PreTrainedTokenizerFast:
    return tokenizer_for(TEXTS, GPT2)


@pytest.fixture(scope="module")
def bert() -> PreTrainedTokenizerFast:
    return tokenizer_for(TEXTS, BERT)


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
def test_any_text_comes_back_from_bytes(gpt2: PreTrainedTokenizerFast, text: str) -> None:
    assert gpt2.decode(gpt2(text).input_ids) == text


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(0x100))),
        "👩‍👩‍👧 🇨🇳 🙂",
        "中文　全角。",
        "e\u0301 is not é; ﬁ is not fi",
        "  two  spaces , and . marks n't\r\n\t\n",
        "\ufeff\u2028\uffff\U0010ffff",
    ],
)
def test_these_too(gpt2: PreTrainedTokenizerFast, tmp_path: Path, text: str) -> None:
    gpt2.save_pretrained(tmp_path)
    for tokenizer in (gpt2, AutoTokenizer.from_pretrained(tmp_path)):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_gpt2_has_one_special_token(gpt2: PreTrainedTokenizerFast) -> None:
    assert len(gpt2) == GPT2.vocabulary
    assert gpt2.all_special_tokens == [END_OF_TEXT]
    assert gpt2.bos_token == gpt2.eos_token == END_OF_TEXT
    assert gpt2.pad_token is None
    assert gpt2.model_max_length == 32
    assert set(gpt2("a cat")) == {"input_ids", "attention_mask"}
    assert gpt2.bos_token_id not in gpt2("a cat").input_ids


def test_bert_has_the_usual_special_tokens_and_template(bert: PreTrainedTokenizerFast) -> None:
    assert len(bert) == BERT.vocabulary
    assert bert.convert_ids_to_tokens(range(5)) == list(SPECIAL)
    assert sorted(bert.all_special_tokens) == sorted(SPECIAL)
    pair = bert("A cat.", "The dog")
    assert pair.token_type_ids == [0, 0, 0, 0, 0, 1, 1, 1]
    words = bert.convert_ids_to_tokens(pair.input_ids)
    assert words == ["[CLS]", "a", "cat", ".", "[SEP]", "the", "dog", "[SEP]"]
    assert bert.decode(bert("CAT").input_ids, skip_special_tokens=True) == "cat"
    assert bert.tokenize("雨🙂") == ["雨", "[UNK]"]
    with_mask = bert.convert_ids_to_tokens(bert(f"a {bert.mask_token}").input_ids)
    assert with_mask == ["[CLS]", "a", "[MASK]", "[SEP]"]


def test_characters_inside_words_are_no_special_tokens(bert: PreTrainedTokenizerFast) -> None:
    inside = [token for token in bert.get_vocab() if token.startswith("##")]
    assert "##a" in inside
    assert not any(token[2:] in "。!雨" for token in inside)
    assert bert.tokenize("##a") == ["[UNK]", "[UNK]", "a"]


def test_a_small_vocabulary_keeps_the_commonest_characters() -> None:
    config = BERT.model_copy(update={"vocabulary": 20})
    tokenizer = tokenizer_for(["eeee eeee eeee bbb cc d aa"] * 2, config.model_copy())
    assert len(tokenizer) <= 20
    assert tokenizer.unk_token_id not in tokenizer("eb").input_ids


@both
def test_no_list_of_texts_is_needed(config: PretrainConfig) -> None:
    class Texts:
        rounds = 0

        def __iter__(self) -> Iterator[str]:
            self.rounds += 1
            yield from TEXTS

    texts = Texts()
    assert len(tokenizer_for(texts, config)) == config.vocabulary
    assert texts.rounds == {"gpt2": 1, "bert": 2}[config.architecture]


@pytest.mark.parametrize("texts", [[], ["a"], TEXTS], ids=len)
@both
def test_a_vocabulary_that_the_texts_do_not_give(config: PretrainConfig, texts: list[str]) -> None:
    greedy = config.model_copy(update={"vocabulary": 5000})
    with pytest.raises(ConfigError) as caught:
        tokenizer_for(texts, greedy)
    error = caught.value
    assert error.found.startswith("pretrain.vocabulary is 5000, but the training rows give ")
    assert "at least twice" in error.expected
    if error.do == "train on more text":
        assert texts != TEXTS
        return
    given = int(error.do.partition("=")[2].partition(",")[0])
    assert error.do == f"--set pretrain.vocabulary={given}, or train on more text"
    assert len(tokenizer_for(texts, config.model_copy(update={"vocabulary": given}))) == given


@pytest.mark.parametrize("words", [[], ["abc", "abd", "naïve"] * 4])
def test_the_advised_vocabulary_works_for_texts_of_many_characters(words: list[str]) -> None:
    """Chinese characters are words: most of them have no token for the inside of a word."""
    texts = ["".join(chr(0x4E00 + (7 * i + j) % 300) for j in range(30)) for i in range(60)]
    texts += words
    asked = BERT.model_copy(update={"vocabulary": 4000})
    with pytest.raises(ConfigError) as caught:
        tokenizer_for(texts, asked)
    advised = int(caught.value.do.partition("=")[2].partition(",")[0])
    assert advised >= 5 + 300
    fits = asked.model_copy(update={"vocabulary": advised})
    assert len(tokenizer_for(texts, fits)) == advised
    with pytest.raises(ConfigError):
        tokenizer_for(texts, asked.model_copy(update={"vocabulary": advised + 1}))


@both
def test_a_new_checkpoint_opens_as_any_other(
    config: PretrainConfig, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(config.architecture)
    before = torch.random.get_rng_state()
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        new_checkpoint(tmp_path / folder, tokenizer, config, seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    family = AutoModelForCausalLM if config is GPT2 else AutoModelForMaskedLM
    model, info = family.from_pretrained(tmp_path / "a", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.dtype == torch.float32
    ids = AutoTokenizer.from_pretrained(tmp_path / "a")("the cat", return_tensors="pt")
    assert model(**ids).logits.shape[-1] == config.vocabulary
    said = json.loads((tmp_path / "a" / "config.json").read_text())
    assert said["architectures"] == [type(model).__name__]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


PROGRAM = """
import sys, hashlib
from tests.models.checkpoints.test_new_model import BERT, GPT2, TEXTS
from warmstart.models.checkpoints.new_model import tokenizer_for
for config in (GPT2, BERT):
    text = tokenizer_for(TEXTS, config).backend_tokenizer.to_str()
    print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_another_process_learns_the_same_tokenizer(
    gpt2: PreTrainedTokenizerFast, bert: PreTrainedTokenizerFast
) -> None:
    """The order of hash tables differs between processes."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.split()
    here = [tokenizer.backend_tokenizer.to_str() for tokenizer in (gpt2, bert)]
    assert found == [hashlib.sha256(text.encode()).hexdigest() for text in here]


def test_a_folder_that_cannot_be_written(gpt2: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write") as caught:
        new_checkpoint(tmp_path / "file" / "start", gpt2, GPT2, 1)
    assert "--output DIR" in caught.value.do

"""Tokenise into flat arrays, and count the tokens that truncation removes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.tiny import ARCHITECTURES, TYPED, tiny_checkpoint, tiny_tokenizer
from warmstart.config import ModelConfig
from warmstart.data import mapped
from warmstart.data.examples.tokenise import RowTokeniser
from warmstart.data.examples.tokens import Tokens
from warmstart.errors import DataError
from warmstart.models.checkpoints.load import find

TEXTS = ["the cat sat", "a very long story about the old house and the cat that saw it", "no"]


def encode(tokenizer: PreTrainedTokenizerBase, chunks: Any, max_tokens: int, **how: Any) -> Tokens:
    """The rows 5, 6, … of these texts or pairs."""
    rows = np.arange(sum(map(len, chunks))) + 5
    return RowTokeniser.of(tokenizer).tokenise(chunks, rows, max_tokens, **how)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("max_tokens", [3, 8, 100])
def test_ids_are_the_tokenizers_own(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    examples = encode(tokenizer, [TEXTS[:2], TEXTS[2:]], max_tokens)
    expected = tokenizer(TEXTS, truncation=True, max_length=max_tokens)["input_ids"]
    assert [examples.ids_of(i).tolist() for i in range(3)] == expected
    assert examples.rows.tolist() == [5, 6, 7]


@pytest.mark.parametrize("max_tokens", [3, 8, 100])
def test_full_lengths_do_not_depend_on_truncation(
    tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> None:
    examples = encode(tokenizer, [TEXTS], max_tokens)
    whole = [len(ids) for ids in tokenizer(TEXTS)["input_ids"]]
    assert examples.full_lengths.tolist() == whole
    assert examples.lengths.tolist() == [min(length, max_tokens) for length in whole]
    assert examples.input_ids.dtype == np.int32


def test_a_tokenizers_own_padding_is_not_applied(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.backend_tokenizer.enable_padding(length=50)
    examples = encode(tokenizer, [TEXTS], 100)
    assert examples.lengths.max() < 50


PAIRS = [
    ("the cat sat", "no"),
    ("no", "a very long story about the old house and the cat that saw it"),
    ("a very long story about the old house", "a very long story about the cat that saw it"),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("max_tokens", [8, 11, 100])
def test_pairs_are_the_tokenizers_own(tmp_path: Path, architecture: str, max_tokens: int) -> None:
    checkpoint = find(ModelConfig(name=str(tiny_checkpoint(tmp_path, architecture))))
    tokenizer = checkpoint.tokenizer
    examples = encode(tokenizer, [PAIRS[:2], PAIRS[2:]], max_tokens)
    texts, seconds = map(list, zip(*PAIRS, strict=True))
    expected = tokenizer(texts, seconds, truncation="longest_first", max_length=max_tokens)
    assert [examples.ids_of(i).tolist() for i in range(3)] == expected["input_ids"]
    whole = tokenizer(texts, seconds)["input_ids"]
    assert examples.full_lengths.tolist() == list(map(len, whole))
    assert (examples.token_type_ids is not None) == (architecture in TYPED)
    if examples.token_type_ids is not None:
        types = np.split(examples.token_type_ids, examples.offsets[1:-1])
        assert [part.tolist() for part in types] == expected["token_type_ids"]
        assert examples.token_type_ids.dtype == np.int8


def test_tokens_on_disk_are_the_tokens(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = encode(tokenizer, [PAIRS[:2], PAIRS[2:]], 11)
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 0)
    on_disk = encode(tokenizer, [PAIRS[:2], PAIRS[2:]], 11)
    for name in ("input_ids", "token_type_ids", "offsets", "full_lengths"):
        one, other = getattr(in_memory, name), getattr(on_disk, name)
        assert one.tolist() == other.tolist()
        assert one.dtype == other.dtype


def test_no_texts_are_no_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    examples = encode(tokenizer, [], 8)
    assert (len(examples), len(examples.input_ids), examples.offsets.tolist()) == (0, 0, [0])


def test_single_texts_have_no_type_ids(tokenizer: PreTrainedTokenizerBase) -> None:
    assert "token_type_ids" in tokenizer.model_input_names
    assert encode(tokenizer, [TEXTS], 8).token_type_ids is None


def test_a_model_of_one_type_is_given_none(tmp_path: Path) -> None:
    """Transformers opens a DistilBERT with BERT's tokenizer, including type ids."""
    tiny_checkpoint(tmp_path, "distilbert")
    tiny_tokenizer("bert").save_pretrained(tmp_path)
    tokenizer = find(ModelConfig(name=str(tmp_path))).tokenizer
    examples = encode(tokenizer, [PAIRS], 20)
    assert examples.token_type_ids is None


@pytest.mark.parametrize("max_tokens", [12, 14])
def test_the_second_text_alone_may_be_cut(
    tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> None:
    pairs = [("the cat sat", TEXTS[1]), ("no", "no"), (TEXTS[0], "the old house and the cat")]
    found = encode(tokenizer, [pairs], max_tokens, truncation="second_only")
    firsts, seconds = zip(*pairs, strict=True)
    expected = tokenizer(
        list(firsts), list(seconds), truncation="only_second", max_length=max_tokens
    )
    assert [found.ids_of(i).tolist() for i in range(3)] == expected["input_ids"]
    assert found.lengths.max() == max_tokens


def test_what_is_cut_is_counted_by_side(tokenizer: PreTrainedTokenizerBase) -> None:
    long = " ".join(["cat"] * 20)
    pairs = [(long, "no"), ("no", long), (long, long), ("no", "no")]
    found = encode(tokenizer, [pairs[:1], pairs[1:]], max_tokens=13)
    # 13 minus three special tokens leaves 10: one word if the other text is short, five of both.
    assert found.cut == ((2, 11 + 15), (2, 11 + 15))
    second = encode(tokenizer, [[("no", long)]], 13, truncation="second_only")
    assert second.cut == ((0, 0), (1, 11))
    assert encode(tokenizer, [["no"]], 13).cut is None


def test_a_first_text_that_leaves_no_room_is_named(tokenizer: PreTrainedTokenizerBase) -> None:
    long = " ".join(["cat"] * 10)
    with pytest.raises(DataError) as caught:
        encode(
            tokenizer,
            [[("no", "no")], [("no", "no"), (long, "no")]],
            max_tokens=13,
            truncation="second_only",
            where=lambda row: f"pairs.csv:{row + 2}",
        )
    assert caught.value.found.startswith("pairs.csv:4: the first text alone has 10 tokens")
    assert "data.truncation=longest_first" in caught.value.do

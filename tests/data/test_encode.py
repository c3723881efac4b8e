"""Tokenising into flat arrays, and counting what truncation takes away."""

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.tiny import tiny_checkpoint
from warmstart.data.encode import encode

TEXTS = ["the cat sat", "a very long story about the old house and the cat that saw it", "no"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("max_tokens", [3, 8, 100])
def test_ids_are_the_tokenizers_own(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    labels, rows = np.array([0, 1, 0]), np.array([5, 6, 7])
    examples = encode(tokenizer, [TEXTS[:2], TEXTS[2:]], labels, rows, max_tokens)
    expected = tokenizer(TEXTS, truncation=True, max_length=max_tokens)["input_ids"]
    assert [examples[i].input_ids.tolist() for i in range(3)] == expected
    assert [examples[i].row for i in range(3)] == [5, 6, 7]


@pytest.mark.parametrize("max_tokens", [3, 8, 100])
def test_full_lengths_do_not_depend_on_truncation(
    tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> None:
    examples = encode(tokenizer, [TEXTS], np.zeros(3, int), np.arange(3), max_tokens)
    whole = [len(ids) for ids in tokenizer(TEXTS)["input_ids"]]
    assert examples.full_lengths.tolist() == whole
    assert examples.lengths.tolist() == [min(length, max_tokens) for length in whole]
    assert examples.input_ids.dtype == np.int32


def test_a_tokenizers_own_padding_is_not_applied(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.backend_tokenizer.enable_padding(length=50)
    examples = encode(tokenizer, [TEXTS], np.zeros(3, int), np.arange(3), 100)
    assert examples.lengths.max() < 50

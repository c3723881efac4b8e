"""Long texts are tokenised in pieces, with the same tokens as whole texts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from tests.data.examples.test_tokenise import TEXT, TOKENIZERS, real
from warmstart.data.examples import long_texts
from warmstart.data.examples.long_texts import batches, border_of, encoded_bodies, pieces_of
from warmstart.data.examples.tokenise import RowTokeniser, plain_copy
from warmstart.data.examples.truncation import Truncation
from warmstart.errors import DataError

LONG_TEXT = st.lists(TEXT, max_size=8).map(" a ".join)


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(long_texts, "PIECE", 8)
    monkeypatch.setattr(long_texts, "_LONG", 1)
    monkeypatch.setattr(long_texts, "BATCH", 50)
    return


def cuttable(architecture: str) -> tokenizers.Tokenizer:
    """The tokenizer; without ``add_prefix_space``, with which no text is cut."""
    backend = plain_copy(TOKENIZERS[architecture].backend_tokenizer)
    if architecture == "roberta":
        assert border_of(backend) is None
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return backend


def word_begins(words: list[int | None]) -> list[bool]:
    return [first != second for first, second in pairwise([None, *words])]


def assert_same_bodies(backend: tokenizers.Tokenizer, texts: list[str]) -> None:
    found = encoded_bodies(backend, texts, border_of(backend))
    for whole, body in zip(
        backend.encode_batch(texts, add_special_tokens=False), found, strict=True
    ):
        assert body.ids.tolist() == whole.ids
        assert list(map(body.span, range(len(body.ids)))) == whole.offsets
        assert body.begins_word() == word_begins(whole.word_ids)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
@settings(max_examples=40)
@given(texts=st.lists(LONG_TEXT, min_size=1, max_size=3))
def test_pieces_have_the_tokens_of_the_text(architecture: str, texts: list[str]) -> None:
    backend = cuttable(architecture)
    assert len(pieces_of("one two three four five", border_of(backend))) == 2
    assert_same_bodies(backend, texts)


WITHOUT_SPACES = st.lists(
    st.sampled_from(
        [*"ab1_'é!?.(#<。、，", "\u0338", "\u0301", "我", "的", "中", "[UNK]", "'s", "'re", "##s"]
    ),
    max_size=60,
).map("".join)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
@pytest.mark.parametrize("added", [(), ("[UNK]",), ("的",), ("a", "!")])
@settings(max_examples=25)
@given(texts=st.lists(WITHOUT_SPACES, min_size=1, max_size=3))
def test_texts_without_spaces(architecture: str, added: tuple[str, ...], texts: list[str]) -> None:
    backend = cuttable(architecture)
    backend.add_tokens([tokenizers.AddedToken(one, single_word=len(one) == 1) for one in added])
    assert_same_bodies(backend, texts)


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        ("bert", "我的" * 20),
        ("bert", "!?" * 20),
        ("bert", "http://x.y/a-b?c=d&"),
        ("bert", "word\n\n" * 9),
        ("roberta", "word\n\n" * 9),
        ("roberta", "a=b&" * 9),
        ("roberta", "我的，" * 9),
    ],
)
def test_they_are_cut_at_marks_and_chinese_characters(architecture: str, text: str) -> None:
    backend = cuttable(architecture)
    assert len(pieces_of(text, border_of(backend))) > 1
    assert_same_bodies(backend, [text])


@pytest.mark.parametrize("truncation", ["longest_first", "second_only"])
@pytest.mark.parametrize("architecture", ["bert", "roberta"])
@settings(max_examples=40)
@given(
    pairs=st.lists(st.tuples(LONG_TEXT, LONG_TEXT), min_size=1, max_size=3),
    max_tokens=st.integers(4, 30),
    single=st.booleans(),
)
def test_long_rows_are_truncated_as_whole_rows(
    architecture: str,
    truncation: Truncation,
    pairs: list[tuple[str, str]],
    max_tokens: int,
    single: bool,
) -> None:
    backend = cuttable(architecture)
    tokeniser = RowTokeniser(backend, architecture == "bert", border_of(backend))
    assert tokeniser.border is not None
    rows: Any = [first for first, _ in pairs] if single else pairs

    def result(one: RowTokeniser) -> Any:
        try:
            return one.tokenise([rows], np.arange(len(rows)), max_tokens, truncation=truncation)
        except DataError as error:
            return str(error)

    found, whole = result(tokeniser), result(replace(tokeniser, border=None))
    if isinstance(whole, str):
        assert found == whole
        return
    assert found.input_ids.tolist() == whole.input_ids.tolist()
    assert found.offsets.tolist() == whole.offsets.tolist()
    assert found.full_lengths.tolist() == whole.full_lengths.tolist()
    assert found.cut == whole.cut


@pytest.mark.parametrize("name", ["tokenizers/bert-uncased", "tokenizers/gpt2"])
def test_pieces_of_real_text(shared_data: Callable[[str], Path], name: str) -> None:
    backend = plain_copy(real(shared_data(name)).backend_tokenizer)
    folder = shared_data("short_works")
    text = next(folder.glob("*.csv")).read_text(encoding="utf-8")[:60_000]
    assert len(pieces_of(text, border_of(backend))) > 1000
    assert_same_bodies(backend, [text, "", text[:100]])


def bpe(dropout: float | None = None) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1}, [], dropout=dropout))


def with_parts(before: Any = None, normalizer: Any = None, **of_model: Any) -> Any:
    made = bpe(**of_model)
    if before is not None:
        made.pre_tokenizer = before
    if normalizer is not None:
        made.normalizer = normalizer
    return made


BERT = pre_tokenizers.BertPreTokenizer()


@pytest.mark.parametrize(
    "backend",
    [
        with_parts(),  # a word is the whole text
        with_parts(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        with_parts(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        with_parts(pre_tokenizers.Metaspace()),
        with_parts(pre_tokenizers.Punctuation()),
        with_parts(BERT, normalizers.NFKC()),
        with_parts(BERT, normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" a", "")])),
        with_parts(BERT, dropout=0.1),
    ],
)
def test_other_tokenizers_get_whole_texts(backend: tokenizers.Tokenizer) -> None:
    assert border_of(backend) is None
    assert pieces_of("a b " * 20, None) == ["a b " * 20]


@pytest.mark.parametrize(
    ("token", "local"),
    [
        (tokenizers.AddedToken("new york"), False),
        (tokenizers.AddedToken("x", rstrip=True), False),
        (tokenizers.AddedToken("x", lstrip=True), True),
        (tokenizers.AddedToken("x", single_word=True), True),
    ],
)
def test_added_tokens(token: tokenizers.AddedToken, local: bool) -> None:
    backend = with_parts(pre_tokenizers.ByteLevel(add_prefix_space=False))
    backend.add_tokens([token])
    assert (border_of(backend) is not None) == local
    assert_same_bodies(backend, ["x x new york x a b " * 9, "a x b new york " * 9])


def test_batches_are_bounded() -> None:
    texts = ["a" * 30, "b" * 30, "c" * 90, "", "d"]
    assert [len(batch) for batch in batches(texts)] == [1, 1, 1, 2]
    assert [text for batch in batches(texts) for text in batch] == texts

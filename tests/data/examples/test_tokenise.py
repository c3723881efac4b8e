"""``RowTokeniser``: the same as Transformers, in many threads, and the tokenizer is not changed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, GPT2TokenizerFast, PreTrainedTokenizerBase

from tests.quick import EACH_ARCHITECTURE
from tests.tiny import ARCHITECTURES, WORDS, tiny_tokenizer
from warmstart.data import mapped
from warmstart.data.examples.tokenise import RowTokeniser, plain_copy
from warmstart.data.examples.tokens import NO_PIECE, Tokens, WordTokens
from warmstart.data.examples.truncation import Truncation
from warmstart.errors import DataError

TOKENIZERS = {name: tiny_tokenizer(name) for name in ARCHITECTURES}
REAL = ("tokenizers/bert-uncased", "tokenizers/gpt2")

SPECIAL = ("[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "<mask>", "<|endoftext|>")
ODD = (
    "\u200b",
    "\x00",
    "\x07",
    "\ufeff",
    " ",
    "\u00a0",
    "",
    "don't",
    "New York",
    "a-b",
    "é",
    "東京",
)
CHARACTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORD = st.one_of(st.sampled_from(WORDS), st.sampled_from(SPECIAL + ODD), CHARACTERS)
TEXT = st.lists(WORD, max_size=20).map(" ".join)


def gpt2(folder: Path, *, add_prefix_space: bool) -> PreTrainedTokenizerBase:
    files = {"vocab": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}
    return GPT2TokenizerFast(**files, add_prefix_space=add_prefix_space)


def real(folder: Path) -> PreTrainedTokenizerBase:
    """A tokenizer of the shared data; GPT-2's has only its vocabulary and merges."""
    if (folder / "tokenizer.json").exists():
        return AutoTokenizer.from_pretrained(folder)
    return gpt2(folder, add_prefix_space=False)


def rows_of(tokens: Tokens) -> list[list[int]]:
    return [part.tolist() for part in np.split(tokens.input_ids, tokens.offsets[1:-1])]


def types_of(tokens: Tokens) -> list[list[int]]:
    assert tokens.token_type_ids is not None
    return [part.tolist() for part in np.split(tokens.token_type_ids, tokens.offsets[1:-1])]


def assert_equal_to_transformers(
    tokenizer: PreTrainedTokenizerBase,
    rows: list[str] | list[tuple[str, str]],
    max_tokens: int,
    truncation: Truncation,
) -> None:
    """Equal ids, type ids and lengths; or an error if a text that must stay whole has no room."""
    pairs = isinstance(rows[0], tuple)
    only_second = pairs and truncation == "second_only"
    columns = list(map(list, zip(*rows, strict=True))) if pairs else [rows]
    whole = tokenizer(*columns, split_special_tokens=True)
    lengths = list(map(len, whole["input_ids"]))
    kept = [
        sum(side is None or (only_second and side == 0) for side in whole.sequence_ids(row))
        for row in range(len(rows))
    ]
    if any(n > max_tokens and k >= max_tokens for n, k in zip(lengths, kept, strict=True)):
        with pytest.raises(DataError):
            tokenised(tokenizer, rows, max_tokens, truncation)
        return
    strategy = "only_second" if only_second else "longest_first"
    expected = tokenizer(
        *columns, truncation=strategy, max_length=max_tokens, split_special_tokens=True
    )
    found = tokenised(tokenizer, rows, max_tokens, truncation)
    assert rows_of(found) == expected["input_ids"]
    assert found.full_lengths.tolist() == lengths
    assert found.truncated.tolist() == [n > max_tokens for n in lengths]
    assert (found.cut is None) == (not pairs)
    if found.cut is not None:
        assert sum(cut.tokens for cut in found.cut) == sum(lengths) - len(found.input_ids)
    typed = pairs and "token_type_ids" in tokenizer.model_input_names
    assert (found.token_type_ids is not None) == typed
    if typed:
        assert types_of(found) == expected["token_type_ids"]


def tokenised(
    tokenizer: PreTrainedTokenizerBase,
    rows: Any,
    max_tokens: int,
    truncation: Truncation = "longest_first",
) -> Tokens:
    """In two chunks if there are two rows."""
    chunks = [chunk for chunk in (rows[:1], rows[1:]) if chunk]
    return RowTokeniser.of(tokenizer).tokenise(
        chunks, np.arange(len(rows)), max_tokens, truncation=truncation
    )


@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
@given(rows=st.lists(TEXT, min_size=1, max_size=4), max_tokens=st.integers(3, 40))
def test_single_texts_are_cut_as_transformers_cuts_them(
    architecture: str, rows: list[str], max_tokens: int
) -> None:
    assert_equal_to_transformers(TOKENIZERS[architecture], rows, max_tokens, "longest_first")


@pytest.mark.parametrize("truncation", ["longest_first", "second_only"])
@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), max_tokens=st.integers(3, 40))
@settings(max_examples=60)
def test_pairs_are_cut_as_transformers_cuts_them(
    architecture: str, truncation: Truncation, rows: list[tuple[str, str]], max_tokens: int
) -> None:
    assert_equal_to_transformers(TOKENIZERS[architecture], rows, max_tokens, truncation)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("truncation", ["longest_first", "second_only"])
def test_real_tokenizers_cut_the_same_way(
    shared_data: Callable[[str], Path], name: str, truncation: Truncation
) -> None:
    tokenizer = real(shared_data(name))
    texts = [" ".join(WORDS[start : start + 40]) for start in range(0, len(WORDS), 40)]
    singles, pairs = [*texts, *SPECIAL], list(zip(texts, reversed(texts), strict=True))
    for max_tokens in (3, 7, 48, 64, 500):
        assert_equal_to_transformers(tokenizer, singles, max_tokens, truncation)
        assert_equal_to_transformers(tokenizer, pairs, max_tokens, truncation)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_copy_is_the_tokenizer_without_truncation_and_padding(architecture: str) -> None:
    tokenizer = tiny_tokenizer(architecture)
    tokenizer.add_tokens(["wug", "blicket"])
    tokenizer.add_tokens(["<query>"], special_tokens=True)
    tokenizer.add_tokens(["dax"])
    backend = tokenizer.backend_tokenizer
    plain = backend.to_str()
    backend.enable_padding(length=50)
    backend.enable_truncation(5)
    before = backend.to_str()
    assert before != plain
    assert plain_copy(backend).to_str() == plain
    assert backend.to_str() == before


def test_the_copy_reads_names_of_control_tokens_as_text() -> None:
    """Except for those that are named; a token that an author added as text stays a token."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["wug"])
    backend = tokenizer.backend_tokenizer

    def tokens(text: str, control: tuple[str, ...] = ()) -> list[str]:
        return plain_copy(backend, control).encode(text, add_special_tokens=False).tokens

    assert len(tokens("[MASK]")) == 6
    assert tokens("a [MASK] wug", ("[MASK]",)) == ["a", "[MASK]", "wug"]
    assert len(tokens("[SEP]", ("[MASK]",))) == 5
    assert backend.encode("[MASK]", add_special_tokens=False).tokens == ["[MASK]"]


@pytest.mark.parametrize("name", REAL)
def test_the_copy_of_a_real_tokenizer_is_the_tokenizer(
    shared_data: Callable[[str], Path], name: str
) -> None:
    backend = real(shared_data(name)).backend_tokenizer
    before = backend.to_str()
    copy = plain_copy(backend)
    assert backend.to_str() == before
    backend.no_padding()
    backend.no_truncation()
    assert copy.to_str() == backend.to_str()


THREADS, TEXTS = 8, 64


@pytest.mark.parametrize("rounds", [4, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("words", [False, True])
def test_threads_get_what_one_thread_gets(words: bool, rounds: int) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.enable_padding(length=50)
    tokenizer.backend_tokenizer.enable_truncation(6)
    before = tokenizer.backend_tokenizer.to_str()
    tokeniser = RowTokeniser.of(tokenizer)
    choose = np.random.default_rng(0)
    texts = [" ".join(choose.choice(WORDS, size=1 + 3 * (n % 17))) for n in range(TEXTS)]
    seconds = [None if n % 3 == 0 else texts[-n] for n in range(TEXTS)]
    limits = [(7, 12, 30, 100)[n % 4] for n in range(TEXTS)]

    def one(index: int) -> list[list[int]]:
        text, second, row = texts[index], seconds[index], np.arange(1)
        if words:
            return rows_of(tokeniser.tokenise_words([[text.split()]], row).tokens)
        if second is None:
            return rows_of(tokeniser.tokenise([[text]], row, limits[index]))
        return rows_of(tokeniser.tokenise([[(text, second)]], row, limits[index]))

    serial = [one(index) for index in range(TEXTS)]
    lengths = {len(row) for (row,) in serial}
    assert len(lengths) > 10 if words else lengths >= {7, 12, 30}
    together = Barrier(THREADS)

    def work(thread: int) -> bool:
        """Every thread starts with a different text."""
        together.wait()
        order = [(n + 8 * thread) % TEXTS for n in range(TEXTS)]
        return all(one(n) == serial[n] for _ in range(rounds) for n in order)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(work, range(THREADS))) == [True] * THREADS
    assert tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize(("architecture", "special"), [("bert", 3), ("roberta", 4)])
def test_a_pair_without_room_for_text_is_refused(architecture: str, special: int) -> None:
    tokenizer = TOKENIZERS[architecture]
    pairs = [("the cat", "sat")]
    with pytest.raises(DataError) as caught:
        tokenised(tokenizer, pairs, max_tokens=special)
    assert caught.value.found == (
        f"0: the tokenizer adds {special} special tokens to the row, and "
        f"model.max_tokens is {special}"
    )
    assert f"model.max_tokens={special + 1}" in caught.value.do
    assert tokenised(tokenizer, pairs, max_tokens=special + 1).lengths.tolist() == [special + 1]


def words_by_transformers(
    tokenizer: PreTrainedTokenizerBase, rows: list[list[str]]
) -> Iterator[tuple[list[int], list[int]]]:
    """The ids of each row, and the position of the first piece of each word."""
    for row in rows:
        encoding = tokenizer(row, is_split_into_words=True, split_special_tokens=True)
        words = encoding.word_ids()
        places = [words.index(n) if n in words else NO_PIECE for n in range(len(row))]
        yield encoding["input_ids"], places


def firsts_of(found: WordTokens) -> list[list[int]]:
    """For each word of each row, the position of its first piece in the row."""
    rows = np.split(found.first_pieces, found.word_offsets[1:-1])
    starts = found.tokens.offsets[:-1]
    return [
        np.where(row == NO_PIECE, NO_PIECE, row - start).tolist()
        for row, start in zip(rows, starts, strict=True)
    ]


def assert_words_equal_transformers(
    tokenizer: PreTrainedTokenizerBase, rows: list[list[str]], like: PreTrainedTokenizerBase
) -> None:
    chunks = [chunk for chunk in (rows[:1], rows[1:3], rows[3:]) if chunk]
    found = RowTokeniser.of(tokenizer).tokenise_words(chunks, np.arange(len(rows)))
    expected = list(words_by_transformers(like, rows))
    assert rows_of(found.tokens) == [ids for ids, _ in expected]
    assert firsts_of(found) == [places for _, places in expected]
    assert found.without_piece.tolist() == [
        [row, word]
        for row, (_, places) in enumerate(expected)
        for word, place in enumerate(places)
        if place == NO_PIECE
    ]
    copy = plain_copy(like.backend_tokenizer)
    bodies = [
        copy.encode(row, is_pretokenized=True, add_special_tokens=False).ids if row else []
        for row in rows
    ]
    ids = found.tokens.input_ids
    assert [ids[start:stop].tolist() for start, stop in found.bodies] == bodies


@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
@given(rows=st.lists(st.lists(WORD, max_size=12), min_size=1, max_size=4))
def test_words_are_what_transformers_gives(architecture: str, rows: list[list[str]]) -> None:
    tokenizer = TOKENIZERS[architecture]
    assert_words_equal_transformers(tokenizer, rows, like=tokenizer)


SENTENCES = [
    ["\u200b"],
    [],
    ["The", "U.S.", "", "\u200b", "don't", "\x00", "[MASK]", "<|endoftext|>", "New York", " x"],
    ["unbelievably", "東京", "e\u0301", "\u00a0", "…", "\ufeff"],
]


@pytest.mark.parametrize("name", REAL)
def test_real_words_are_what_transformers_gives(
    shared_data: Callable[[str], Path], name: str
) -> None:
    folder = shared_data(name)
    tokenizer = real(folder)
    like = tokenizer if "bert" in name else gpt2(folder, add_prefix_space=True)
    assert_words_equal_transformers(tokenizer, SENTENCES, like)
    assert_words_equal_transformers(like, SENTENCES, like)


def test_a_word_without_piece_shifts_no_other() -> None:
    """BERT drops the control character and the zero-width space; byte-level BPE keeps both."""
    rows = [["the", "\u200b", "cat"], [], ["\x07", "sat"]]
    found = RowTokeniser.of(TOKENIZERS["bert"]).tokenise_words([rows], np.array([5, 6, 7]))
    assert found.without_piece.tolist() == [[0, 1], [2, 0]]
    pieces = [n for n in found.first_pieces.tolist() if n != NO_PIECE]
    ids = TOKENIZERS["bert"].convert_tokens_to_ids(["the", "cat", "sat"])
    assert found.tokens.input_ids[pieces].tolist() == ids
    assert found.tokens.rows.tolist() == [5, 6, 7]
    bytewise = RowTokeniser.of(TOKENIZERS["roberta"]).tokenise_words([rows], np.arange(3))
    assert bytewise.without_piece.tolist() == []


def test_words_get_their_space_where_the_tokenizer_adds_none() -> None:
    """Like RoBERTa's checkpoint: without ``add_prefix_space``, and with its own pre-tokenizer."""
    from tokenizers import Regex, pre_tokenizers

    with_option = tiny_tokenizer("roberta")
    words = ["the", "<mask>", "cat"]
    ((expected, _),) = words_by_transformers(with_option, [words])
    without = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own_split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\w+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    for pre_tokenizer in (without, own_split):
        tokenizer = tiny_tokenizer("roberta")
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizer
        found = RowTokeniser.of(tokenizer).tokenise_words([[words]], np.arange(1))
        assert rows_of(found.tokens) == [expected]


def test_many_words_are_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    tokeniser = RowTokeniser.of(TOKENIZERS["bert"])
    chunks = [SENTENCES[:2], SENTENCES[2:]]
    in_memory = tokeniser.tokenise_words(chunks, np.arange(4))
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 0)
    on_disk = tokeniser.tokenise_words(chunks, np.arange(4))
    assert rows_of(on_disk.tokens) == rows_of(in_memory.tokens)
    assert on_disk.first_pieces.tolist() == in_memory.first_pieces.tolist()

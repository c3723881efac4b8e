"""Documents as rows: begin, text, end; no token and no byte is lost between rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs_in_memory import filling_settings, writing_settings
from tests.tiny.decoders import byte_tokenizer
from warmstart import config_file
from warmstart.data.examples.chunking import Documents, Layout, encode_documents
from warmstart.data.examples.token_targets import lengths_of_documents
from warmstart.errors import ConfigError
from warmstart.preparation.prepare import prepare

TEXTS = ["a cat", "漢字 and 🙂🙂 and the rest", "the boy went to school every day", "x"]
TOKENIZER = byte_tokenizer()
END = TOKENIZER.eos_token_id


def encoded(max_tokens: int, overlap: int | None = None, texts: list[str] = TEXTS) -> Documents:
    layout = Layout(begin=END, end=END, max_tokens=max_tokens, overlap=overlap)
    return encode_documents(TOKENIZER, [texts[:2], texts[2:]], np.arange(len(texts)) * 10, layout)


def whole(text: str) -> list[int]:
    return [END, *TOKENIZER(text, add_special_tokens=False)["input_ids"], END]


def test_a_document_is_its_text_between_begin_and_end() -> None:
    documents = encoded(64)
    for position, text in enumerate(TEXTS):
        assert documents.tokens.ids_of(position).tolist() == whole(text)
    assert documents.tokens.rows.tolist() == [0, 10, 20, 30]
    assert set(documents.predict_from) == {1}
    assert documents.text_bytes.tolist() == [len(text.encode()) for text in TEXTS]


def test_truncation_keeps_the_beginning_and_counts_the_bytes_it_read() -> None:
    documents = encoded(8)
    for position, text in enumerate(TEXTS):
        ids = whole(text)
        row = documents.tokens.ids_of(position).tolist()
        assert row == ids[:8]
        assert documents.tokens.full_lengths[position] == len(ids)
        if len(ids) > 8:
            seen = TOKENIZER.decode(row[1:])
            assert text.startswith(seen.rstrip("�"))
            assert abs(documents.text_bytes[position] - len(seen.rstrip("�").encode())) <= 3


@pytest.mark.parametrize("max_tokens", [3, 4, 7, 10, 64])
@pytest.mark.parametrize("overlap", [1, 2])
def test_chunks_predict_every_token_once(max_tokens: int, overlap: int) -> None:
    documents = encoded(max_tokens, overlap)
    predicted: dict[int, list[int]] = {}
    for position, first in enumerate(documents.predict_from.tolist()):
        ids = documents.tokens.ids_of(position)
        assert len(ids) <= max_tokens
        row = int(documents.tokens.rows[position])
        predicted.setdefault(row, []).extend(ids[first:].tolist())
    for row, text in zip((0, 10, 20, 30), TEXTS, strict=True):
        assert predicted[row] == whole(text)[1:]
        assert documents.text_bytes[documents.tokens.rows == row].sum() == len(text.encode())
    lengths = lengths_of_documents(documents.tokens, documents.predict_from)
    assert lengths.tolist() == [len(whole(text)) for text in TEXTS]
    assert (documents.tokens.full_lengths == documents.tokens.lengths).all()


def test_a_chunk_begins_with_the_last_tokens_of_the_row_before() -> None:
    documents = encoded(10, 3)
    tokens, followed = documents.tokens, 0
    for position in range(1, len(tokens)):
        if tokens.rows[position - 1] == tokens.rows[position]:
            followed += 1
            before, after = tokens.ids_of(position - 1), tokens.ids_of(position)
            assert before[-3:].tolist() == after[:3].tolist()
    assert followed > 3


@pytest.mark.parametrize("overlap", [None, 4])
def test_a_prompt_is_read_and_not_predicted(overlap: int | None) -> None:
    layout = Layout(begin=END, end=END, max_tokens=12, overlap=overlap)
    pairs = [("who?", " john"), ("a very long question about a dog", " what it did")]
    documents = encode_documents(TOKENIZER, [pairs], np.array([5, 6]), layout)
    ids = [TOKENIZER(part, add_special_tokens=False)["input_ids"] for part in pairs[0]]
    assert documents.tokens.ids_of(0).tolist() == [END, *ids[0], *ids[1], END]
    assert documents.predict_from[0] == len(ids[0]) + 1
    # The second prompt fills the row: no token of the text can be learned, unless it is cut.
    assert (6 in documents.tokens.rows) == (overlap is not None)
    answer = TOKENIZER(pairs[1][1], add_special_tokens=False)["input_ids"]
    found = [
        token
        for position in np.flatnonzero(documents.tokens.rows == 6)
        for token in documents.tokens.ids_of(int(position))[
            documents.predict_from[position] :
        ].tolist()
    ]
    assert found == ([*answer, END] if overlap is not None else [])


def test_a_document_of_nothing_but_control_characters() -> None:
    text = "\x00\x07\x1b[0m\u200b"
    documents = encoded(64, texts=["a", "b", text])
    assert TOKENIZER.decode(documents.tokens.ids_of(2)[1:-1]) == text


def test_the_tokenizer_is_left_as_it_was() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.enable_padding(length=50)
    tokenizer.backend_tokenizer.enable_truncation(3)
    before = tokenizer.backend_tokenizer.to_str()
    layout = Layout(begin=END, end=END, max_tokens=64, overlap=None)
    found = encode_documents(tokenizer, [TEXTS], np.arange(len(TEXTS)), layout)
    assert found.tokens.input_ids.tolist() == encoded(64).tokens.input_ids.tolist()
    assert tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize("made", [writing_settings, filling_settings])
def test_rows_are_at_most_about_twice_as_many_as_without_overlap(
    made: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    config = made(tmp_path)
    chunks = ["model.max_tokens=24", "data.long_documents=chunk"]
    documents = " ".join(["the cat saw my house"] * 40) + "\n"
    (tmp_path / "long.txt").write_text(documents * 9)
    config["data"] = {"train": str(tmp_path / "long.txt"), "validation": 0.2}

    def rows(overlap: int) -> int:
        loaded = config_file.load(config, [*chunks, f"data.overlap_tokens={overlap}"])
        return len(prepare(loaded).examples["train"])

    assert rows(11) <= 2.5 * rows(1)
    with pytest.raises(ConfigError, match="data.overlap_tokens is 13"):
        rows(13)
    if made is writing_settings:
        with pytest.raises(ConfigError, match="data.overlap_tokens is 0"):
            rows(0)
    else:
        assert rows(0)

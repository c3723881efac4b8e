"""Documents as rows: begin, text, end; cut without losing a token or a byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs_in_memory import filling_settings, writing_settings
from tests.tiny.decoders import byte_tokenizer
from warmstart.config import DataConfig, config_file
from warmstart.data.examples.chunking import Layout, encode_documents, overlap_of
from warmstart.data.examples.encode import Examples
from warmstart.errors import DataError
from warmstart.preparation.prepare import prepare

TEXTS = ["a cat", "漢字 and 🙂🙂 and the rest", "the boy went to school every day", "x"]
TOKENIZER = byte_tokenizer()
END = TOKENIZER.eos_token_id


def encoded(max_tokens: int, overlap: int | None = None, texts: list[str] = TEXTS) -> Examples:
    layout = Layout(begin=END, end=END, max_tokens=max_tokens, overlap=overlap)
    return encode_documents(TOKENIZER, [texts[:2], texts[2:]], np.arange(len(texts)) * 10, layout)


def whole(text: str) -> list[int]:
    return [END, *TOKENIZER(text, add_special_tokens=False)["input_ids"], END]


def test_a_document_is_its_text_between_begin_and_end() -> None:
    examples = encoded(64)
    for position, text in enumerate(TEXTS):
        assert examples[position].input_ids.tolist() == whole(text)
    assert examples.rows.tolist() == [0, 10, 20, 30]
    assert examples.predict_from is not None
    assert set(examples.predict_from) == {1}
    assert examples.text_bytes is not None
    assert examples.text_bytes.tolist() == [len(text.encode()) for text in TEXTS]


def test_truncation_keeps_the_beginning_and_counts_the_bytes_it_read() -> None:
    examples = encoded(8)
    assert examples.text_bytes is not None
    for position, text in enumerate(TEXTS):
        ids = whole(text)
        row = examples[position].input_ids.tolist()
        assert row == ids[:8]
        assert examples.full_lengths[position] == len(ids)
        if len(ids) > 8:
            seen = TOKENIZER.decode(row[1:])
            assert text.startswith(seen.rstrip("�"))
            assert abs(examples.text_bytes[position] - len(seen.rstrip("�").encode())) <= 3


@pytest.mark.parametrize("max_tokens", [3, 4, 7, 10, 64])
@pytest.mark.parametrize("overlap", [1, 2])
def test_chunks_predict_every_token_once(max_tokens: int, overlap: int) -> None:
    examples = encoded(max_tokens, overlap)
    predicted: dict[int, list[int]] = {}
    assert examples.predict_from is not None
    assert examples.text_bytes is not None
    for position, first in enumerate(examples.predict_from.tolist()):
        row = examples[position]
        assert len(row.input_ids) <= max_tokens
        predicted.setdefault(row.row, []).extend(row.input_ids[first:].tolist())
    for row, text in zip((0, 10, 20, 30), TEXTS, strict=True):
        assert predicted[row] == whole(text)[1:]
        assert examples.text_bytes[examples.rows == row].sum() == len(text.encode())
    assert examples.document_lengths.tolist() == [len(whole(text)) for text in TEXTS]
    assert (examples.full_lengths == examples.lengths).all()


def test_a_chunk_begins_with_the_last_tokens_of_the_row_before() -> None:
    examples = encoded(10, 3)
    for position in range(1, len(examples)):
        one, two = examples[position - 1], examples[position]
        if one.row == two.row:
            assert one.input_ids[-3:].tolist() == two.input_ids[:3].tolist()


@pytest.mark.parametrize("overlap", [None, 4])
def test_a_prompt_is_read_and_not_predicted(overlap: int | None) -> None:
    layout = Layout(begin=END, end=END, max_tokens=12, overlap=overlap)
    pairs = [("who?", " john"), ("a very long question about a dog", " what it did")]
    examples = encode_documents(TOKENIZER, [pairs], np.array([5, 6]), layout)
    ids = [TOKENIZER(part, add_special_tokens=False)["input_ids"] for part in pairs[0]]
    assert examples.predict_from is not None
    assert examples[0].input_ids.tolist() == [END, *ids[0], *ids[1], END]
    assert examples.predict_from[0] == len(ids[0]) + 1
    # The second prompt fills the row: nothing of it can be learned, unless it is cut.
    assert (6 in examples.rows) == (overlap is not None)
    answer = TOKENIZER(pairs[1][1], add_special_tokens=False)["input_ids"]
    found = [
        token
        for position in np.flatnonzero(examples.rows == 6)
        for token in examples[int(position)].input_ids[examples.predict_from[position] :].tolist()
    ]
    assert found == ([*answer, END] if overlap is not None else [])


def test_a_document_of_nothing_but_control_characters() -> None:
    text = "\x00\x07\x1b[0m\u200b"
    examples = encoded(64, texts=["a", "b", text])
    assert TOKENIZER.decode(examples[2].input_ids[1:-1]) == text


def test_the_tokenizer_is_left_as_it_was() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.enable_padding(length=50)
    tokenizer.backend_tokenizer.enable_truncation(3)
    before = tokenizer.backend_tokenizer.to_str()
    layout = Layout(begin=END, end=END, max_tokens=64, overlap=None)
    found = encode_documents(tokenizer, [TEXTS], np.arange(len(TEXTS)), layout)
    assert found.input_ids.tolist() == encoded(64).input_ids.tolist()
    assert tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize(
    ("max_tokens", "framing", "limit"), [(64, 0, 32), (64, 2, 32), (7, 0, 3), (4, 2, 1), (3, 0, 1)]
)
def test_a_chunk_adds_as_much_as_it_repeats(max_tokens: int, framing: int, limit: int) -> None:
    def chunked(overlap: int, **data: Any) -> int | None:
        data = {"train": "a", "long_documents": "chunk", "overlap_tokens": overlap, **data}
        return overlap_of(DataConfig(**data), max_tokens, framing)

    assert chunked(limit) == limit
    with pytest.raises(DataError, match=f"data.overlap_tokens is {limit + 1}, ") as caught:
        chunked(limit + 1)
    assert f"at most half of model.max_tokens, here {limit}" in caught.value.expected
    assert f"--set data.overlap_tokens={limit}; or --set model.max_tokens=" in caught.value.do
    enough = int(caught.value.do.rpartition("=")[2])
    data = DataConfig(train="a", long_documents="chunk", overlap_tokens=limit + 1)
    assert overlap_of(data, enough, framing) == limit + 1
    assert chunked(10**6, long_documents="truncate") is None


def test_where_no_overlap_fits_the_advice_is_a_longer_row() -> None:
    data = DataConfig(train="a", long_documents="chunk", overlap_tokens=1)
    with pytest.raises(DataError) as caught:
        overlap_of(data, 3, framing=2)
    assert caught.value.do == "--set model.max_tokens=4"
    assert overlap_of(data, 4, framing=2) == 1


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

    assert rows(12) <= 2.5 * rows(1)
    with pytest.raises(DataError, match="data.overlap_tokens is 13"):
        rows(13)

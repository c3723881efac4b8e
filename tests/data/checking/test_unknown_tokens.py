"""Findings about unknown tokens, and about names of control tokens in the texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import warmstart
from tests.runs_in_memory import (
    filling_settings,
    settings,
    tagging_settings,
    writing_settings,
)
from warmstart.preparation.prepare import Prepared

Make = Callable[[Path], dict[str, Any]]


def checked(folder: Path, make: Make, texts: list[str]) -> Prepared:
    """A run over these texts, as training and as validation rows."""
    rows = [{"text": text, "label": str(place % 2)} for place, text in enumerate(texts)]
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    made = make(folder)
    files = {"train": str(file), "validation": str(file), "allow_same_file": True}
    return warmstart.check({**made, "data": files})


def messages(prepared: Prepared, level: str) -> str:
    found = (one.text for one in prepared.findings.messages if one.level == level)
    return "\n".join(found)


def test_a_large_share_of_unknown_tokens_is_a_warning(tmp_path: Path) -> None:
    """BERT's tokens are words: 2 of 10, and 1 of the 5 rows has no other."""
    texts = ["the cat", "the 猫", "犬", "my old house", "the story"]
    said = messages(checked(tmp_path, settings, texts), "warning")
    assert (
        "20.0% of the tokens of the training rows are [UNK], which stands for all that the "
        "tokenizer does not know (in 2 of 5 rows): a model for the language" in said
    )
    assert "1 of 5 training rows has no token that the tokenizer knows" in said
    assert "of the tokens of the validation rows are [UNK]" in said


def test_few_unknown_tokens_are_information(tmp_path: Path) -> None:
    texts = ["the cat saw my old house and her story"] * 5 + ["the 猫"]
    prepared = checked(tmp_path, settings, texts)
    assert "[UNK]" not in messages(prepared, "warning")
    assert "2.1% of the tokens of the training rows are [UNK]" in messages(prepared, "info")


def test_a_row_without_any_token_counts_as_unknown(tmp_path: Path) -> None:
    prepared = checked(tmp_path, settings, ["the cat", "\u200b", "my house", "\u200b"])
    assert "2 of 4 training rows have no token" in messages(prepared, "warning")


def test_bytes_are_never_unknown(tmp_path: Path) -> None:
    """GPT-2 calls its end-of-text token also its unknown token."""
    prepared = checked(tmp_path, writing_settings, ["the 猫", "\u200b", "a \U0001f600"])
    said = messages(prepared, "warning") + messages(prepared, "info")
    assert "does not know" not in said
    assert "tokenizer knows" not in said


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (settings, "[SEP]"),
        (settings, "[MASK]"),
        (filling_settings, "[MASK]"),
        (filling_settings, "[PAD]"),
        (writing_settings, "<|endoftext|>"),
    ],
)
def test_names_of_control_tokens_are_text_and_counted(
    tmp_path: Path, make: Make, name: str
) -> None:
    texts = ["the cat", f"my {name} house {name}", "a story", f"{name} read"]
    prepared = checked(tmp_path, make, texts)
    said = messages(prepared, "info")
    assert f"2 of 4 training rows contain the name of a control token ({name}, first in" in said
    tokenizer = prepared.checkpoint.tokenizer
    control = tokenizer.convert_tokens_to_ids(name)
    tokens = prepared.examples["train"].tokens
    plain = int(np.count_nonzero(tokens.ids_of(0) == control))  # around every text
    assert all(np.count_nonzero(tokens.ids_of(row) == control) == plain for row in range(4))
    letters = tokenizer.decode(tokens.ids_of(3)[1:-1], skip_special_tokens=True)
    assert letters.replace(" ", "") == f"{name.lower()}read"


def test_names_of_control_tokens_are_counted_in_words(tmp_path: Path) -> None:
    made = tagging_settings(tmp_path)
    file = tmp_path / "tags.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    rows[3]["words"][0] = "[SEP]"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    made["data"] |= {"validation": str(file), "allow_same_file": True}
    prepared = warmstart.check(made)
    said = messages(prepared, "info")
    assert (
        f"1 of 60 training rows contains the name of a control token ([SEP], first in {file}:4"
        in said
    )
    tokens = prepared.examples["train"].tokens
    assert np.count_nonzero(tokens.ids_of(3) == prepared.checkpoint.tokenizer.sep_token_id) == 1


def test_bits_per_byte_count_the_bytes_of_what_is_predicted(tmp_path: Path) -> None:
    """A control token in the text was one easy token that counted as 13 bytes."""
    plain = checked(tmp_path, writing_settings, ["the cat", "my house"])
    marked = checked(tmp_path, writing_settings, ["the cat<|endoftext|>", "my house"])
    for prepared in (plain, marked):
        targets, tokens = prepared.examples["train"].targets, prepared.examples["train"].tokens
        for row, text in enumerate(prepared.tables["train"].columns["text"].to_pylist()):
            ids = tokens.ids_of(row)[1:-1]
            assert prepared.checkpoint.tokenizer.decode(ids) == text
            assert prepared.checkpoint.tokenizer.eos_token_id not in ids
            assert targets.text_bytes[row] == len(text)  # type: ignore[attr-defined]

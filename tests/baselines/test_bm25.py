"""BM25 compared with its formula, and random order."""

import math

import numpy as np
import pyarrow as pa
import pytest

from warmstart.baselines import bm25 as module
from warmstart.baselines.bm25 import K1, B, bm25, chance

TRAINING = ["the cat sat", "a dog ran home", "the cat and the dog", "the house"]


def by_hand(query: str, document: str) -> float:
    bags = [text.split() for text in TRAINING]
    mean = sum(map(len, bags)) / len(bags)
    words = document.split()
    total = 0.0
    for word in set(query.split()) & {word for bag in bags for word in bag}:
        holding = sum(word in bag for bag in bags)
        weight = math.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
        count = words.count(word)
        known = sum(w in {v for bag in bags for v in bag} for w in words)
        total += weight * count * (K1 + 1) / (count + K1 * (1 - B + B * known / mean))
    return total


def pairs(rows: list[tuple[str, str]]) -> pa.Table:
    queries, documents = zip(*rows, strict=True)
    return pa.table({"q": pa.array(queries), "d": pa.array(documents)})


def test_scores_are_the_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmstart.baselines.text_features._PREDICTION_ROWS", 2)
    rows = [
        ("the cat", "the cat sat"),
        ("dog", "a dog saw a dog"),
        ("cat dog", "the house"),
        ("house house", "the house the house the house"),
        ("unknown", "unknown words alone"),
    ]
    found = bm25(pa.chunked_array([TRAINING])).predict(pairs(rows))
    # A word that occurs twice in the query counts twice.
    expected = [by_hand(*row) * (2 if row[0] == "house house" else 1) for row in rows]
    np.testing.assert_allclose(found[:, 0], expected)


def test_text_without_spaces_is_read_by_characters() -> None:
    documents = pa.chunked_array([["今天天气很好", "他说这本书不好看", "我想明天去北京"]])
    found = bm25(documents).predict(pairs([("北京", "去北京"), ("北京", "这本书")]))
    assert found[0, 0] > found[1, 0] == 0


def test_many_documents_are_sampled_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    note = bm25(pa.chunked_array([TRAINING])).note
    assert note == "word weights are from a sample of 2 of 4 documents"


def test_chance_knows_nothing_and_is_always_the_same() -> None:
    rows = pairs([("a", "b")] * 50)
    found = chance().predict(rows)
    np.testing.assert_array_equal(found, chance().predict(rows))
    assert len(np.unique(found)) == 50

"""Masked tokens: how many, what replaces them, and that only their own numbers determine them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.tiny import tiny_sentences, tiny_tokenizer
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.examples.chunking import Layout, encode_documents
from warmstart.data.examples.masking import FIXED, Draw, Masking
from warmstart.data.examples.targets import NO_LABEL, of_kind
from warmstart.data.examples.token_targets import HiddenTokens, TokenBatchTargets

TOKENIZER = tiny_tokenizer()
SPECIAL = frozenset(TOKENIZER.all_special_ids)
CLS, SEP, MASK = (TOKENIZER.cls_token_id, TOKENIZER.sep_token_id, TOKENIZER.mask_token_id)


def masking(share: float = 0.15) -> Masking:
    askable = np.ones(len(TOKENIZER), dtype=np.bool_)
    askable[sorted(SPECIAL)] = False
    return Masking(share, MASK, askable)


def rows(
    texts: list[str], max_tokens: int = 128, overlap: int | None = None, *, words: bool = False
) -> Examples:
    layout = Layout(CLS, SEP, max_tokens, overlap, framed=True, unasked=SPECIAL, words=words)
    found = encode_documents(TOKENIZER, [texts], np.arange(len(texts)) * 7, layout)
    targets = HiddenTokens(found.predict_from, found.text_bytes, masking(), found.begins_word)
    return Examples(found.tokens, targets)


def hidden_tokens(examples: Examples, positions: Any, draw: Draw) -> tuple[Any, Any]:
    """The token ids for the model, and the target at each place or ``NO_LABEL``."""
    batch = collate(examples, positions, draw)
    return batch.input_ids.numpy(), of_kind(batch.targets, TokenBatchTargets).ids.numpy()


def hidden(examples: Examples) -> HiddenTokens:
    return of_kind(examples.targets, HiddenTokens)


LONG = rows([" ".join(tiny_sentences(12, seed=seed)) for seed in range(40)])
ALL = np.arange(len(LONG))


def test_shares_are_those_of_the_paper() -> None:
    found = [hidden_tokens(LONG, ALL, Draw(1, epoch)) for epoch in range(60)]
    ids, targets = (np.concatenate(part) for part in zip(*found, strict=True))
    before = np.tile(LONG.tokens.input_ids, 60)
    asked = targets != NO_LABEL
    assert (targets[asked] == before[asked]).all()
    assert (ids[~asked] == before[~asked]).all()
    content = ~np.isin(before, list(SPECIAL))
    assert not (asked & ~content).any()
    assert asked.sum() / content.sum() == pytest.approx(0.15, abs=0.003)
    count = asked.sum()
    assert (ids[asked] == MASK).sum() / count == pytest.approx(0.8, abs=0.01)
    assert (ids[asked] == before[asked]).sum() / count == pytest.approx(0.1, abs=0.01)
    others = ids[asked & (ids != MASK) & (ids != before)]
    assert not np.isin(others, list(SPECIAL)).any()
    assert len(np.unique(others)) > 0.9 * (len(TOKENIZER) - len(SPECIAL))
    # Each position of a row is selected equally often.
    lengths = np.minimum(LONG.lengths, 100)
    place = np.concatenate([np.arange(length) for length in LONG.lengths])
    often = np.bincount(np.tile(place, 60)[asked], minlength=100)[1 : int(lengths.min()) - 1]
    assert often.std() < 1.6 * np.sqrt(often.mean())


def test_every_row_asks_for_a_token_at_least() -> None:
    short = rows([*tiny_sentences(30), "a", "b c"])
    for position in range(len(short)):
        batch = collate(short, np.array([position]), Draw(3, 0))
        length = short.lengths[position] - 2
        assert batch.count == max(1, round(0.15 * length))
        assert short.count_of(np.array([position]), Draw(3, 0)) == batch.count


@pytest.mark.parametrize("words", [False, True])
def test_the_masks_of_a_row_do_not_depend_on_other_rows(words: bool) -> None:
    examples = rows([" ".join(tiny_sentences(5, seed=seed)) for seed in range(9)], words=words)
    draw = Draw(2**63 - 1, 12)
    order = np.array([4, 0, 8, 2])
    together = collate(examples, order, draw)
    ids, targets = hidden_tokens(examples, order, draw)
    for place, position in enumerate(order):
        here = slice(*together.offsets[place : place + 2])
        ids_alone, targets_alone = hidden_tokens(examples, np.array([position]), draw)
        assert ids[here].tolist() == ids_alone.tolist()
        assert targets[here].tolist() == targets_alone.tolist()
    assert together.count == examples.count_of(order, draw)


def test_seed_and_epoch_decide_and_evaluation_has_one_of_its_own() -> None:
    draws = [Draw(0, 0), Draw(0, 1), Draw(1, 0), FIXED]
    found = [hidden_tokens(LONG, ALL, draw)[1] for draw in draws]
    for one in range(4):
        for two in range(one):
            both = (found[one] != NO_LABEL) & (found[two] != NO_LABEL)
            assert both.sum() < 0.25 * (found[one] != NO_LABEL).sum()
    again = hidden_tokens(LONG, ALL, Draw(0, 1))
    assert (again[1] == found[1]).all()
    assert (hidden_tokens(LONG, ALL, FIXED)[0] == collate(LONG, ALL).input_ids.numpy()).all()


def test_rows_of_the_same_text_are_hidden_differently() -> None:
    text = " ".join(tiny_sentences(10))
    same = rows([text, text])
    one, two = np.split(hidden_tokens(same, np.arange(2), Draw(0, 0))[1], 2)
    assert (one != two).any()
    chunks = rows([text.split()[0] + " " + " ".join(["cat"] * 60)], max_tokens=12, overlap=1)
    masks = [hidden_tokens(chunks, np.array([i]), Draw(0, 0))[1] for i in range(1, len(chunks) - 1)]
    assert len({tuple(mask) for mask in masks}) > 1


def test_whole_words_are_hidden_whole() -> None:
    texts = ["xyzzy plugh the cat quux saw frobozz and grault her house waldo"] * 20
    examples = rows(texts, words=True)
    begins_word = hidden(examples).begins_word
    assert begins_word is not None
    for epoch in range(5):
        positions = np.arange(len(examples))
        targets = hidden_tokens(examples, positions, Draw(0, epoch))[1]
        word = np.cumsum(begins_word)
        asked = np.bincount(word, weights=targets != NO_LABEL)
        size = np.bincount(word)
        assert set(asked[asked > 0] / size[asked > 0]) == {1.0}
        assert (size[asked > 0] > 1).any()
        # 2 of the 12 words of each row.
        assert (asked > 0).sum() == 2 * len(texts)


def test_rows_are_framed_and_every_token_can_be_asked_for_once() -> None:
    texts = [" ".join(tiny_sentences(4, seed=seed)) for seed in range(5)]
    examples = rows(texts, max_tokens=16, overlap=5)
    targets = hidden(examples)
    parts: dict[int, list[int]] = {}
    for position, first in enumerate(targets.predict_from.tolist()):
        ids = examples.tokens.ids_of(position).tolist()
        assert (ids[0], ids[-1]) == (CLS, SEP)
        assert len(ids) <= 16
        parts.setdefault(int(examples.rows[position]), []).extend(ids[first:-1])
    for row, text in enumerate(texts):
        assert [CLS, *parts[row * 7], SEP] == TOKENIZER(text)["input_ids"]
    whole = [len(TOKENIZER(text)["input_ids"]) for text in texts]
    assert examples.document_lengths.tolist() == whole
    almost_all = replace(targets, masking=replace(masking(), share=0.999))
    asked = [
        hidden_tokens(replace(examples, targets=almost_all), np.array([i]), FIXED)[1] != NO_LABEL
        for i in range(len(examples))
    ]
    assert [int(found.sum()) for found in asked] == (
        examples.lengths - targets.predict_from - 1
    ).tolist()


def test_truncation_keeps_the_end_token_and_counts() -> None:
    examples = rows([" ".join(tiny_sentences(9)), "the cat"], max_tokens=10)
    whole = TOKENIZER(" ".join(tiny_sentences(9)))["input_ids"]
    assert examples.tokens.ids_of(0).tolist() == [*whole[:9], SEP]
    assert examples.tokens.full_lengths.tolist() == [len(whole), 4]


def test_a_document_of_special_tokens_alone_has_no_row() -> None:
    examples = rows(["the cat", "漢 漢", "漢", "a dog"])
    assert examples.rows.tolist() == [0, 21]

"""Every kind of targets: its form in a batch, its count, and how a batch is cut."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.examples.batches import Batch, Examples, collate, split_batch
from warmstart.data.examples.masking import FIXED, Draw, Masking
from warmstart.data.examples.targets import (
    NO_GROUP,
    NO_LABEL,
    ListTargets,
    NoBatchTargets,
    NoTargets,
    RowBatchTargets,
    RowTargets,
    Targets,
    of_kind,
)
from warmstart.data.examples.token_targets import (
    HiddenTokens,
    NextTokens,
    TokenBatchTargets,
    WordBatchTargets,
    WordTags,
)
from warmstart.data.examples.tokens import Tokens
from warmstart.tasks.predictions.mask_predictions import MaskBatchTargets, MaskPlaces

MASK, VOCABULARY = 3, 50
LENGTHS = st.lists(st.integers(2, 12), min_size=1, max_size=12)


def tokens_of(lengths: list[int], seed: int = 0) -> Tokens:
    """Random ids above the special ones; rows 100, 101, …"""
    ids = np.random.default_rng(seed).integers(MASK + 1, VOCABULARY, sum(lengths))
    return Tokens(
        input_ids=ids.astype(np.int32),
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        rows=np.arange(len(lengths), dtype=np.int64) + 100,
        full_lengths=np.array(lengths, dtype=np.int64) + np.arange(len(lengths)) % 2,
    )


def no_targets(lengths: list[int]) -> Targets:
    return NoTargets()


def classes(lengths: list[int]) -> Targets:
    return RowTargets(np.arange(len(lengths)) % 3)


def label_sets(lengths: list[int]) -> Targets:
    rows = np.arange(len(lengths))
    return RowTargets((rows[:, None] >> np.arange(4) & 1).astype(np.float32))


def graded_lists(lengths: list[int]) -> Targets:
    """Lists of up to three rows; in every fourth list all grades are equal."""
    rows = np.arange(len(lengths))
    groups = rows // 3
    groups[groups % 4 == 3] = NO_GROUP
    return ListTargets((rows % 3).astype(np.float32), groups)


def next_tokens(lengths: list[int]) -> Targets:
    sizes = np.array(lengths)
    return NextTokens(1 + np.arange(len(sizes)) % (sizes - 1), sizes * 5)


def hidden_tokens(lengths: list[int]) -> Targets:
    askable = np.arange(VOCABULARY) > MASK
    sizes = np.array(lengths)
    return HiddenTokens(np.minimum(sizes - 1, 1), sizes * 5, Masking(0.3, MASK, askable))


def word_tags(lengths: list[int]) -> Targets:
    """A word begins at every second token; every third has no class."""
    places = [np.arange(0, length, 2) for length in lengths]
    counts = np.array(list(map(len, places)))
    words = np.arange(counts.sum())
    values = np.where(words % 3 == 2, NO_LABEL, words % 5)
    return WordTags(
        np.cumsum([0, *counts]), np.concatenate(places), words, values, np.zeros(len(lengths), int)
    )


def mask_places(lengths: list[int]) -> Targets:
    return MaskPlaces(MASK + 1, tokenizer=None)


KINDS = (
    no_targets,
    classes,
    label_sets,
    graded_lists,
    next_tokens,
    hidden_tokens,
    word_tags,
    mask_places,
)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

BY_TOKEN = {TokenBatchTargets: ("ids",), MaskBatchTargets: ("masks",)}
BY_ROW = {RowBatchTargets: ("values",), TokenBatchTargets: ("text_bytes",)}
BY_WORD = {WordBatchTargets: ("values", "words")}


def parts_of(batch: Batch) -> dict[str, list[Any]]:
    """The content of a batch by field; positions of words count from the batch's first token."""
    targets: Any = batch.targets
    names = [
        name
        for fields in (BY_TOKEN, BY_ROW, BY_WORD)
        for name in fields.get(type(targets), ())  # type: ignore[attr-defined]
    ]
    found = {name: getattr(targets, name).tolist() for name in names}
    if batch.asked is not None:
        found["asked"] = batch.asked.tolist()
        found["word_counts"] = targets.word_counts.tolist()
    if targets.groups is not None:
        found["groups"] = targets.groups.tolist()
    return {"input_ids": batch.input_ids.tolist(), "rows": batch.rows.tolist(), **found}


def joined(batches: list[Batch]) -> dict[str, list[Any]]:
    """The content of several batches together."""
    found: dict[str, list[Any]] = {}
    tokens = 0
    for batch in batches:
        for name, values in parts_of(batch).items():
            moved = [place + tokens for place in values] if name == "asked" else values
            found.setdefault(name, []).extend(moved)
        tokens += batch.tokens
    return found


@every_kind
@given(lengths=LENGTHS, data=st.data())
def test_a_batch_holds_what_its_rows_hold_alone(
    kind: Any, lengths: list[int], data: st.DataObject
) -> None:
    examples = Examples(tokens_of(lengths), kind(lengths))
    chosen = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, unique=True))
    draw = Draw(7, 3)
    batch = collate(examples, np.array(chosen), draw)
    alone = [collate(examples, np.array([position]), draw) for position in chosen]
    assert parts_of(batch) == joined(alone)
    assert batch.count == examples.count_of(np.array(chosen), draw)
    # A list counts once, for any number of rows.
    if not isinstance(examples.targets, ListTargets):
        assert batch.count == sum(one.count for one in alone)


@every_kind
@given(lengths=LENGTHS, pieces=st.integers(1, 14))
def test_pieces_are_the_batch_and_their_counts_add_up(
    kind: Any, lengths: list[int], pieces: int
) -> None:
    examples = Examples(tokens_of(lengths), kind(lengths))
    batch = collate(examples, np.arange(len(lengths)), Draw(7, 3))
    parts = split_batch(batch, pieces)
    assert joined(parts) == parts_of(batch)
    assert sum(part.count for part in parts) == batch.count
    for part in parts:
        assert type(part.targets) is type(batch.targets)
        if part.asked is not None and len(part.asked):
            assert 0 <= part.asked.min() <= part.asked.max() < part.tokens
    if examples.targets.groups is None:
        assert len(parts) == min(pieces, len(lengths))
    else:
        lists = [set(part.targets.groups.tolist()) - {NO_GROUP} for part in parts]
        assert sum(map(len, lists)) == len(set().union(*lists))


@every_kind
def test_a_batch_is_moved_whole(kind: Any) -> None:
    lengths = [4, 2, 7]
    batch = collate(Examples(tokens_of(lengths), kind(lengths)), np.arange(3))
    moved = batch.to(torch.device("meta"))
    tensors = [
        value
        for name in moved.targets.__dataclass_fields__
        if torch.is_tensor(value := getattr(moved.targets, name))
    ]
    assert all(tensor.device.type == "meta" for tensor in [moved.input_ids, *tensors])
    assert moved.count == batch.count
    assert moved.to(torch.device("meta")).rows.tolist() == [100, 101, 102]


@every_kind
def test_only_hidden_tokens_change_what_the_model_reads(kind: Any) -> None:
    lengths = [4, 12, 7]
    examples = Examples(tokens_of(lengths), kind(lengths))
    one, other = (collate(examples, np.arange(3), draw).input_ids for draw in (FIXED, Draw(0, 0)))
    plain = torch.from_numpy(examples.tokens.input_ids.astype(np.int64))
    if isinstance(examples.targets, HiddenTokens):
        assert not one.equal(other)
        assert not one.equal(plain)
    else:
        assert one.equal(plain)
        assert other.equal(plain)


@every_kind
def test_documents_are_as_long_as_their_rows_without_truncation(kind: Any) -> None:
    lengths = [4, 12, 7]
    examples = Examples(tokens_of(lengths), kind(lengths))
    assert examples.document_lengths.tolist() == [4, 13, 7]


def test_rows_of_one_document_are_added_up_without_what_they_repeat() -> None:
    lengths = [6, 6, 4, 5]
    tokens = tokens_of(lengths)
    tokens = Tokens(tokens.input_ids, tokens.offsets, np.array([3, 3, 3, 8]), np.array(lengths))
    repeated = np.array([1, 2, 2, 1])
    chunks = NextTokens(repeated, np.zeros(4, dtype=np.int64))
    assert Examples(tokens, chunks).document_lengths.tolist() == [6 + 4 + 2, 5]
    # Each row of a framed document has its own begin and end token.
    masking = Masking(0.3, MASK, np.ones(VOCABULARY, dtype=np.bool_))
    framed = HiddenTokens(repeated, np.zeros(4, dtype=np.int64), masking)
    assert Examples(tokens, framed).document_lengths.tolist() == [6 + 3 + 1, 5]
    windows = WordTags(*(np.zeros(5, dtype=np.int64),) * 4, repeated=repeated)
    assert Examples(tokens, windows).document_lengths.tolist() == [6 + 4 + 2, 5]


def test_what_each_kind_is_in_a_batch() -> None:
    lengths = [4, 3, 2]
    tokens = tokens_of(lengths)
    ids = tokens.input_ids.tolist()

    def batch_of(targets: Targets) -> Any:
        return collate(Examples(tokens, targets), np.array([2, 0])).targets

    assert batch_of(NoTargets()) == NoBatchTargets()
    numbers = batch_of(RowTargets(np.array([0.5, 1.5, 2.5], dtype=np.float32)))
    assert (numbers.values.dtype, numbers.values.tolist()) == (torch.float32, [2.5, 0.5])
    assert (numbers.count, numbers.groups, numbers.asked) == (2, None, None)
    sets = batch_of(RowTargets(np.eye(3, 5, dtype=np.float32)))
    assert (sets.values.shape, sets.count) == ((2, 5), 10)
    lists = batch_of(ListTargets(np.array([1, 0, 2], dtype=np.float32), np.array([4, NO_GROUP, 4])))
    assert (lists.values.tolist(), lists.groups.tolist(), lists.count) == ([2, 1], [4, 4], 1)
    following = batch_of(NextTokens(np.array([2, 1, 1]), np.array([9, 8, 7])))
    # Row 2 has two tokens; in row 0 the first token after its prompt of two tokens is predicted.
    assert following.ids.tolist() == [ids[8], NO_LABEL, NO_LABEL, ids[2], ids[3], NO_LABEL]
    assert (following.text_bytes.tolist(), following.count) == ([7, 9], 3)
    tags = WordTags(
        word_offsets=np.array([0, 2, 2, 3]),
        places=np.array([1, 3, 0]),
        words=np.array([10, 11, 12]),
        values=np.array([4, NO_LABEL, 5]),
        repeated=np.zeros(3, dtype=np.int64),
    )
    words = batch_of(tags)
    assert words.asked.tolist() == [0, 2 + 1, 2 + 3]
    assert words.values.tolist() == [5, 4, NO_LABEL]
    assert (words.words.tolist(), words.word_counts.tolist()) == ([12, 10, 11], [1, 2])
    assert words.count == 2
    masks = batch_of(MaskPlaces(ids[8], None))
    assert masks.masks.tolist() == [token == ids[8] for token in (*ids[7:], *ids[:4])]
    assert masks.count == 0


def test_targets_of_another_kind_are_a_bug_that_is_named() -> None:
    assert of_kind(NoTargets(), NoTargets) == NoTargets()
    with pytest.raises(TypeError, match="expected RowTargets, got NoTargets"):
        of_kind(NoTargets(), RowTargets)

"""Words of texts in any script, and character spans kept, snapped or refused: the counts add up."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.tags.alignment import (
    KEPT,
    REASONS,
    REFUSED,
    SNAPPED,
    Alignment,
    align_spans,
    character_spans,
    joined_words,
    split_words,
    word_offsets,
)
from warmstart.data.tags.spans import spans_from_lists


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!!", "Hello|,|world|!|!"),
        ("it's @user_1 B2B 3.5%", "it|'|s|@|user_1|B2B|3|.|5|%"),
        ("naïve nai\u0308ve", "naïve|nai\u0308ve"),
        ("हिन्दी में", "हिन्दी|में"),
        ("می\u200cروم", "می\u200cروم"),
        ("서울에서 Seoul", "서울에서|Seoul"),
        ("我在London住", "我|在|London|住"),
        ("東京タワーへ", "東|京|タ|ワ|ー|へ"),
        ("ที่นี่", "ที่|นี่"),
        ("a\u200bb \ufeffc\u00add", "a|b|c|d"),
        ("👨🏻 ok ❤️", "👨|🏻|ok|❤️"),
        ("\u0301x", "\u0301|x"),
        (" \n\t", ""),
    ],
)
def test_words_of_many_scripts(text: str, words: str) -> None:
    found = "|".join(text[start:end] for start, end in word_offsets(text))
    assert found == words


@given(st.text())
def test_every_visible_character_is_in_one_word(text: str) -> None:
    offsets = word_offsets(text)
    covered = [place for start, end in offsets for place in range(start, end)]
    assert covered == sorted(set(covered))
    for place in set(range(len(text))) - set(covered):
        character = text[place]
        assert character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    assert all(start < end for start, end in offsets)


def aligned(texts: list[str], *spans: list[tuple[int, int, str]]) -> Alignment:
    found = align_spans(split_words(texts), spans_from_lists(spans))
    assert sum(found.counts().values()) == sum(map(len, spans))
    assert sum(found.refusals().values()) == found.counts()["refused"]
    return found


def test_kept_snapped_and_refused() -> None:
    text = "Anna met Dr. Ng in  Rome"
    given_ = [(0, 4, "P"), (9, 14, "P"), (19, 24, "L"), (18, 20, "L"), (5, 5, "P"), (20, 25, "L")]
    found = aligned(["", text], [], given_)
    assert [text[a:b] for a, b, _ in given_[:3]] == ["Anna", "Dr. N", " Rome"]
    assert found.outcomes.tolist() == [KEPT, SNAPPED, SNAPPED, REFUSED, REFUSED, REFUSED]
    assert [REASONS[code] for code in found.reasons] == [
        "", "", "", "no word inside", "empty", "outside of the text"
    ]  # fmt: skip
    assert found.spans.to_lists(2) == [[], [(0, 1, "P"), (2, 5, "P"), (6, 7, "L")]]
    assert found.source.tolist() == [0, 1, 2]  # where the original offsets are
    assert found.counts() == {"kept": 1, "snapped": 2, "refused": 3}


def test_offsets_outside_of_a_text_do_not_reach_into_the_next() -> None:
    found = aligned(["ab", "cd"], [(0, 5, "A"), (3, 5, "A"), (-1, 2, "A")], [(-3, 0, "A")])
    assert found.refusals() == {"outside of the text": 4}


def test_of_spans_that_share_a_word_the_longest_is_used() -> None:
    text = "University of New York City"
    spans = [(14, 22, "LOC"), (0, 22, "ORG"), (18, 27, "LOC"), (0, 22, "ORG"), (0, 22, "LOC")]
    found = aligned([text], spans)
    assert found.spans.to_lists(1) == [[(0, 4, "ORG")]]
    assert [REASONS[code] for code in found.reasons] == [
        "overlaps another", "", "overlaps another", "repeated", "overlaps another"
    ]  # fmt: skip
    # Equally long: the first in the text is used. Spans that only touch do not overlap.
    found = aligned(["a b c d"], [(2, 5, "A"), (0, 3, "A"), (4, 5, "B")])
    assert found.spans.to_lists(1) == [[(0, 2, "A"), (2, 3, "B")]]
    # Snapped to one word: "New-York" would be three, "NewYork" is one.
    found = aligned(["NewYork"], [(0, 3, "A"), (3, 7, "B")])
    assert found.spans.to_lists(1) == [[(0, 1, "A")]]
    assert found.counts() == {"kept": 0, "snapped": 1, "refused": 1}


def test_predicted_words_get_their_characters_back() -> None:
    texts = ["In New York.", "東京へ"]
    words = split_words(texts)
    spans = character_spans(words, spans_from_lists([[(1, 3, "LOC")], [(0, 2, "LOC")]]))
    assert spans.to_lists(2) == [[(3, 11, "LOC")], [(0, 2, "LOC")]]
    assert words.texts(texts) == [["In", "New", "York", "."], ["東", "京", "へ"]]


def test_words_that_are_given_are_joined_with_spaces() -> None:
    sentences = [["New York", ",", ""], [], ["東", "京"]]
    texts, words = joined_words(sentences)
    assert texts == ["New York , ", "", "東 京"]
    assert words.texts(texts) == sentences
    assert words.lengths.tolist() == [11, 0, 3]
    spans = character_spans(words, spans_from_lists([[(0, 2, "A")], [], [(0, 2, "B")]]))
    assert [texts[row][a:b] for row, a, b in zip(spans.rows, spans.starts, spans.ends, strict=True)]


TEXTS = st.lists(st.text("ab .,東\u200b", max_size=12), min_size=1, max_size=3)
OFFSETS = st.tuples(st.integers(-1, 13), st.integers(-1, 13), st.sampled_from("AB"))


@given(TEXTS, st.data())
def test_any_spans_add_up_and_never_share_a_word(texts: list[str], data: st.DataObject) -> None:
    given_ = [data.draw(st.lists(OFFSETS, max_size=5)) for _ in texts]
    found = aligned(texts, *given_)
    flat = [(row, *span) for row, spans in enumerate(given_) for span in spans]
    words = split_words(texts)
    offsets = [word_offsets(text) for text in texts]
    used: set[tuple[int, int]] = set()
    back = character_spans(words, found.spans)
    for at, source in enumerate(found.source.tolist()):
        row, start, end, kind = flat[source]
        assert found.spans.names[found.spans.types[at]] == kind
        touched = [n for n, (a, b) in enumerate(offsets[row]) if a < end and b > start]
        assert touched == list(range(found.spans.starts[at], found.spans.ends[at]))
        assert not used & {(row, word) for word in touched}
        used |= {(row, word) for word in touched}
        is_exact = (back.starts[at], back.ends[at]) == (start, end)
        assert found.outcomes[source] == (KEPT if is_exact else SNAPPED)
    for code, (row, start, end, _) in zip(found.reasons.tolist(), flat, strict=True):
        touched = [n for n, (a, b) in enumerate(offsets[row]) if a < end and b > start]
        reason = REASONS[code]
        if reason in {"repeated", "overlaps another"}:
            assert used & {(row, word) for word in touched}
        elif reason == "no word inside":
            assert not touched
        elif reason == "outside of the text":
            assert start < 0 or end > len(texts[row]) or start > len(texts[row])
        elif reason == "empty":
            assert start >= end


def test_many_texts_at_once() -> None:
    texts = ["Anna Meyer met Dr. Ng in New York (2024)." for _ in range(50_000)]
    spans = spans_from_lists([[(0, 10, "PER"), (19, 21, "PER"), (25, 33, "LOC")]] * 50_000)
    found = align_spans(split_words(texts), spans)
    assert found.counts() == {"kept": 150_000, "snapped": 0, "refused": 0}
    assert np.array_equal(found.source, np.arange(150_000))

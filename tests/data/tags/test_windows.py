"""Windows: every word is predicted once, where it has most context, and losses are reported."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.tags.windows import Windows, cut_windows


def cut(pieces: list[list[int]], max_pieces: int, overlap: int) -> Windows:
    flat = np.array([count for row in pieces for count in row], np.int64)
    bounds = np.cumsum([0, *(len(row) for row in pieces)])
    return cut_windows(flat, bounds, max_pieces, overlap)


def test_short_sentences_are_one_window_each() -> None:
    found = cut([[1, 2], [], [3]], 3, 1)
    assert found.sentences.tolist() == [0, 2]
    assert found.starts.tolist() == found.first.tolist() == [0, 2]
    assert found.stops.tolist() == found.last.tolist() == [2, 3]
    assert (found.long, found.cut.tolist(), len(found)) == (0, [], 2)


def test_long_sentences_stand_where_they_were() -> None:
    found = cut([[1], [2, 2, 2, 2], [1]], 4, 2)
    assert found.sentences.tolist() == [0, 1, 1, 1, 2]
    assert found.starts.tolist() == [0, 1, 2, 3, 5]
    assert found.stops.tolist() == [1, 3, 4, 5, 6]
    assert found.first.tolist() == [0, 1, 3, 4, 5]
    assert found.long == 1


def test_a_word_that_is_too_long_is_cut_and_counted() -> None:
    found = cut([[2, 9, 0, 3]], 4, 2)
    assert found.pieces.tolist() == [2, 4, 1, 3]
    assert found.cut.tolist() == [1]
    assert found.first.tolist() == [0, 1, 2]
    assert found.stops.tolist() == [1, 2, 4]


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[int]], int, int]:
    largest = draw(st.integers(1, 12))
    counts = st.lists(st.integers(0, largest + 2), max_size=30)
    overlap = draw(st.integers(0, largest // 2))
    return draw(st.lists(counts, max_size=4)), largest, overlap


@given(corpora())
def test_every_word_is_predicted_once_where_it_has_most_context(
    corpus: tuple[list[list[int]], int, int],
) -> None:
    pieces, largest, overlap = corpus
    found = cut(pieces, largest, overlap)
    words = sum(map(len, pieces))
    predicted = [w for a, b in zip(found.first, found.last, strict=True) for w in range(a, b)]
    assert predicted == list(range(words))
    flat = [min(max(count, 1), largest) for row in pieces for count in row]
    assert found.pieces.tolist() == flat
    assert found.cut.tolist() == [
        w for w, count in enumerate(count for row in pieces for count in row) if count > largest
    ]
    ranges = list(zip(found.starts.tolist(), found.stops.tolist(), strict=True))
    sentence_of = [row for row, counts in enumerate(pieces) for _ in counts]

    def context(word: int, window: int) -> int:
        start, stop = ranges[window]
        return min(sum(flat[start:word]), sum(flat[word + 1 : stop]))

    for window, (start, stop) in enumerate(ranges):
        assert start < stop
        assert sum(flat[start:stop]) <= largest
        assert set(sentence_of[start:stop]) == {found.sentences[window]}
        for word in range(found.first[window], found.last[window]):
            holding = [w for w, (a, b) in enumerate(ranges) if a <= word < b]
            best = max(holding, key=lambda w: (context(word, w), -w))
            assert best == window
    for (_, stop), (start, _) in pairwise(ranges):
        assert sum(flat[start:stop]) <= overlap


def test_windows_are_as_long_and_as_many_as_they_should_be() -> None:
    found = cut([[1] * 1000], 100, 20)
    assert set((found.stops - found.starts)[:-1].tolist()) == {100}
    assert len(found) == 13  # 100 words, then 80 new ones at a time


def test_many_sentences_at_once() -> None:
    random = np.random.default_rng(0)
    pieces = random.integers(1, 4, size=2_000_000)
    bounds = np.arange(0, 2_000_001, 20)
    found = cut_windows(pieces, bounds, 48, 8)
    assert found.long > 10

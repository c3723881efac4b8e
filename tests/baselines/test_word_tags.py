"""The most frequent tag of each word, with its rules for ties and unknown words."""

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from warmstart.baselines.word_tags import frequent_tags


def predicted(training: list[tuple[str, str]], *words: str) -> list[str]:
    columns = (pa.array([pair[at] for pair in training], pa.string()) for at in (0, 1))
    return frequent_tags(*columns).predict(pa.array(words, pa.string()))


def test_the_most_frequent_tag_wins() -> None:
    training = [("May", "B-PER"), ("May", "O"), ("May", "B-PER"), ("may", "O")]
    assert predicted(training, "may", "May", "MAY") == ["O", "B-PER", "O"]


def test_ties_go_to_the_tag_with_more_words_and_then_to_the_first_name() -> None:
    assert predicted([("x", "B"), ("x", "A"), ("y", "B"), ("z", "O")], "x") == ["B"]
    assert predicted([("x", "B"), ("x", "A"), ("z", "O")], "x") == ["A"]


def test_unknown_words_without_an_outside_tag_get_the_most_frequent() -> None:
    assert predicted([("a", "DET"), ("b", "NOUN"), ("c", "NOUN")], "d", "a") == ["NOUN", "DET"]
    assert predicted([], "a") == ["O"]


def test_columns_in_chunks_are_the_same() -> None:
    words = pa.chunked_array([["a", "b"], ["a"]])
    tags = pa.chunked_array([["O", "B"], ["I"]])
    learned = frequent_tags(words, tags)
    found = learned.predict(pa.chunked_array([["b"], [], ["a", "c"]], pa.string()))
    assert found == ["B", "I", "O"]


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["O", "A", "B"])), max_size=20)


@given(PAIRS)
def test_any_training_words(training: list[tuple[str, str]]) -> None:
    totals = Counter(tag for _, tag in training)
    for word in "abcd":
        counts = Counter(tag for other, tag in training if other == word)
        ranked = sorted(counts, key=lambda tag: (-counts[tag], -totals[tag], tag))
        if not ranked and training and "O" not in totals:
            ranked = sorted(totals, key=lambda tag: (-totals[tag], tag))
        assert predicted(training, word) == [ranked[0] if ranked else "O"]

"""Copied text: compared with counting by hand, and with a slow exhaustive search."""

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from warmstart.evaluation.novelty import Novelty, novelty

PROUST = "For a long time I used to go to bed early."
ROWS = [f"He wrote: {PROUST} And so on.", "the cat sat on the mat and looked at the dog"]

TEXT = st.lists(st.sampled_from("abc"), max_size=14).map(" ".join)


def by_search(samples: list[str], rows: list[str]) -> tuple[int, float | None]:
    """The longest passage in words and the share of 8-grams that occur, by exhaustive search."""
    known = {
        tuple(row.split()[i:j])
        for row in rows
        for i in range(len(row.split()))
        for j in range(i + 1, len(row.split()) + 1)
    }
    passages = [
        tuple(sample.split()[i:j])
        for sample in samples
        for i in range(len(sample.split()))
        for j in range(i + 1, len(sample.split()) + 1)
    ]
    grams = [passage in known for passage in passages if len(passage) == 8]
    longest = max((len(passage) for passage in passages if passage in known), default=0)
    return longest, sum(grams) / len(grams) if grams else None


@example(samples=["a b", "b c a"], rows=["a b c a"])
@given(samples=st.lists(TEXT, max_size=4), rows=st.lists(TEXT, max_size=4))
def test_the_automaton_finds_what_a_search_through_everything_finds(
    samples: list[str], rows: list[str]
) -> None:
    found = novelty(samples, rows)
    assert (found.longest_words, found.seen_ngrams) == by_search(samples, rows)
    assert len(found.longest_passage.split()) == found.longest_words
    assert any(found.longest_passage in row for row in rows) or not found.longest_words
    whole = {s for s in samples if s and any(f" {s} " in f" {row} " for row in rows)}
    assert set(found.regurgitated) == whole | {
        line for line in found.regurgitated if len(line.split()) >= 8
    }


def test_it_finds_them_in_long_texts_too() -> None:
    pick = random.Random(0)

    def texts() -> list[str]:
        return [" ".join(pick.choices("ab", k=pick.randint(5, 40))) for _ in range(3)]

    for _ in range(60):
        samples, rows = texts(), texts()
        found = novelty(samples, rows)
        assert (found.longest_words, found.seen_ngrams) == by_search(samples, rows)


def test_the_longest_passage_is_counted_in_words_and_characters() -> None:
    found = novelty(["A dog.", "We saw  the cat sat\non the sofa"], ROWS)
    assert found.longest_words == 5
    assert found.longest_passage == "the cat sat\non the"
    assert found.longest_characters == len("the cat sat\non the")
    assert (found.samples, found.words) == (2, 10)
    assert found.regurgitated == ()


def test_eight_words_in_a_row_are_an_ngram() -> None:
    found = novelty(["the cat sat on the mat and looked away", "eight"], ROWS)
    assert (found.ngrams, found.seen_ngrams) == (2, 0.5)
    assert novelty(["one two three four five six seven"], ROWS).seen_ngrams is None


def test_no_passage_runs_from_one_text_into_the_next() -> None:
    assert novelty(["the cat", "sat on"], ["the cat sat on"]).longest_words == 2
    assert novelty(["the cat sat on"], ["the cat", "sat on"]).longest_words == 2


def test_a_sample_or_a_long_sentence_word_for_word_is_listed_once() -> None:
    sample = f"Once more. {PROUST} That was it."
    found = novelty([sample, "the cat", "He wrote: For a long", sample, "the cat ran"], ROWS)
    assert found.regurgitated == (PROUST, "the cat", "He wrote: For a long")
    short = "Well. the cat sat on the mat and\nThe end."
    assert novelty([short], ROWS).regurgitated == ()
    line = "Well\nthe cat sat on the mat and looked\nThe end."
    assert novelty([line], ROWS).regurgitated == ("the cat sat on the mat and looked",)


def test_distinct_counts_different_ngrams() -> None:
    found = novelty(["a b a b", "a b"], [])
    assert (found.distinct_1, found.distinct_2, found.distinct_3) == (2 / 6, 2 / 4, 2 / 2)
    assert novelty(["a"], []).distinct_2 is None


def test_text_without_spaces_is_counted_by_the_character() -> None:
    row = "小猫坐在垫子上，看着窗外的小鸟。然后睡着了。"
    found = novelty(["昨天小猫坐在垫子上，看着窗外的小鸟。", "今天 GPT-2 说话"], [row])
    assert found.longest_passage == "小猫坐在垫子上，看着窗外的小鸟。"
    assert found.longest_words == found.longest_characters == 16
    assert found.words == 18 + 5
    assert (found.ngrams, found.seen_ngrams) == (11, 9 / 11)
    assert novelty(["好。小猫坐在垫子上，看着窗外的小鸟。好"], [row]).regurgitated == (
        "小猫坐在垫子上，看着窗外的小鸟。",
    )


def test_case_and_punctuation_matter() -> None:
    assert novelty(["The cat"], ["the cat"]).longest_passage == "cat"
    assert novelty(["the cat, sat"], ["the cat sat"]).longest_words == 1


def test_training_rows_stream_past_once() -> None:
    """A generator with one row in memory at a time; none is kept."""
    alive: list[int] = []

    class Row(str):
        def __del__(self) -> None:
            alive.pop()

    def rows() -> Iterator[str]:
        for number in range(200):
            alive.append(number)
            assert len(alive) <= 2
            yield Row(f"row number {number} of the cat")

    assert novelty(["row number 17 of the dog"], rows()).longest_words == 5


def test_nothing_is_nothing() -> None:
    expected: dict[str, Any] = dict.fromkeys(Novelty.__dataclass_fields__, 0)
    expected |= {"longest_passage": "", "regurgitated": []}
    expected |= dict.fromkeys(("seen_ngrams", "distinct_1", "distinct_2", "distinct_3"))
    assert novelty([], ROWS).to_json() == expected
    assert novelty([" \n"], ROWS).to_json() == {**expected, "samples": 1}


def test_the_result_is_ready_for_json() -> None:
    content = novelty([PROUST], ROWS).to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["regurgitated"] == [PROUST]

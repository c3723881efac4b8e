"""Entity scores: published examples, an independent implementation, and sums of error counts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tags.chunks import chunks
from warmstart.data.tags.schemes import spans_of_tags, tag_sequences, to_bio
from warmstart.data.tags.spans import Spans, spans_from_lists
from warmstart.metrics.entity_metrics import (
    METRICS,
    UNPAIRED,
    RowWords,
    entity_scores,
    entity_sums,
    error_counts,
    match_spans,
)
from warmstart.metrics.intervals import paired_difference
from warmstart.metrics.scores import Scores

Corpus = Sequence[Sequence[str]]


def spans(corpus: Corpus, scheme: str = "BIO") -> Spans:
    return spans_of_tags(tag_sequences(corpus), scheme).spans


def scored(targets: Corpus, predictions: Corpus, scheme: str = "BIO", **more: Any) -> Scores:
    words = RowWords(
        np.array([len(row) for row in targets]),
        np.array(
            [
                sum(one == other for one, other in zip(*rows, strict=True))
                for rows in zip(targets, predictions, strict=True)
            ],
            np.int64,
        ),
    )
    one, other = spans(targets, scheme), spans(predictions, scheme)
    return entity_scores(one, other, len(targets), words=words, **more)


def values(scores: Scores) -> list[float | None]:
    return [scores.metrics[metric.name].value for metric in METRICS]


def per_type(scores: Scores) -> dict[str, tuple[Any, ...]]:
    keys = ("precision", "recall", "f1", "support")
    return {row["type"]: tuple(row[key] for key in keys) for row in scores.details["per_type"]}


def test_the_example_of_seqevals_readme() -> None:
    """seqeval README: F1 0.50, MISC 0.00 (support 1), PER 1.00 (support 1), macro 0.50."""
    targets = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    predicted = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    scores = scored(targets, predicted)
    assert values(scores) == [0.5, 0.5, 0.5, 0.5, 0.8]  # its accuracy_score is 0.80
    assert per_type(scores) == {"MISC": (0, 0, 0, 1), "PER": (1, 1, 1, 1)}
    assert scores.details["errors"] == {
        "correct": 1, "wrong_type": 0, "wrong_border": 1, "missed": 0, "invented": 0
    }  # fmt: skip


def test_seqevals_example_of_lenient_and_strict_mode() -> None:
    """seqeval README: by default NP has precision and recall 1.00, though it begins with I."""
    targets = [["B-NP", "I-NP", "O"]]
    predicted = [["I-NP", "I-NP", "O"]]
    assert per_type(scored(targets, predicted)) == {"NP": (1, 1, 1, 1)}


def test_the_chunks_of_conll_2000() -> None:
    """The sentence of the CoNLL-2000 task page with two chunks wrong, worked out by hand.

    "He reckons the current account deficit will narrow to only # 1.8 billion in September ." has
    the 8 chunks NP VP NP VP PP NP PP NP.
    """
    targets = "B-NP B-VP B-NP I-NP I-NP I-NP B-VP I-VP B-PP B-NP I-NP I-NP I-NP B-PP B-NP O".split()
    predicted = targets.copy()
    predicted[5] = "B-NP"  # "the current account" and "deficit"
    predicted[13] = "B-NP"  # "in" as NP
    scores = scored([targets], [predicted])
    # 8 targets, 9 predictions, 6 correct; conlleval prints 66.67, 75.00 and 70.59.
    assert values(scores)[:3] == pytest.approx([12 / 17, 6 / 9, 6 / 8])
    assert per_type(scores)["NP"] == pytest.approx((3 / 6, 3 / 4, 0.6, 4))
    assert per_type(scores)["PP"] == (1, 0.5, pytest.approx(2 / 3), 2)
    assert values(scores)[4] == 14 / 16
    assert scores.details["errors"] == {
        "correct": 6, "wrong_type": 1, "wrong_border": 1, "missed": 0, "invented": 1
    }  # fmt: skip
    assert scores.details["confusions"] == [{"target": "PP", "predicted": "NP", "count": 1}]


def slowly(targets: Corpus, predictions: Corpus) -> dict[str, Any]:
    """An independent implementation: sets of chunks and the textbook formulas."""
    gold = {(row, *chunk) for row, tags in enumerate(targets) for chunk in chunks(tags)}
    given_ = {(row, *chunk) for row, tags in enumerate(predictions) for chunk in chunks(tags)}

    def shares(one: set[Any], other: set[Any]) -> tuple[Any, Any, Any]:
        hits = len(one & other)
        precision = hits / len(other) if other else None
        recall = hits / len(one) if one else None
        f1 = None
        if one or other:
            p, r = precision or 0, recall or 0
            f1 = 2 * p * r / (p + r) if p + r else 0
        return precision, recall, f1

    kinds = sorted({chunk[3] for chunk in gold | given_})
    types = {}
    for kind in kinds:
        one, other = ({c for c in side if c[3] == kind} for side in (gold, given_))
        types[kind] = (*shares(one, other), len(one))
    macro = sum(t[2] for t in types.values()) / len(types) if types else None
    precision, recall, f1 = shares(gold, given_)
    return {"values": [f1, precision, recall, macro], "types": types}


PREFIXES = {"BIO": "BI", "IOB1": "BI", "IOBES": "BIES", "BILOU": "BILU"}


@st.composite
def tagged(draw: st.DrawFn) -> tuple[str, list[list[str]], list[list[str]]]:
    scheme = draw(st.sampled_from(sorted(PREFIXES)))
    tags = [f"{p}-{t}" for p in PREFIXES[scheme] for t in "AB"] + ["O"]
    lengths = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    one, other = (
        [draw(st.lists(st.sampled_from(tags), min_size=n, max_size=n)) for n in lengths]
        for _ in range(2)
    )
    return scheme, one, other


@given(tagged())
def test_random_tags_score_as_the_independent_implementation_says(
    corpus: tuple[str, list[list[str]], list[list[str]]],
) -> None:
    scheme, targets, predictions = corpus
    expected = slowly(targets, predictions)
    converted = [to_bio(tag_sequences(side), scheme)[0].to_lists() for side in corpus[1:]]
    for scores in (scored(targets, predictions, scheme), scored(*converted)):
        for value, correct in zip(values(scores), expected["values"], strict=False):
            assert value == (None if correct is None else pytest.approx(correct))
        assert per_type(scores) == {
            kind: tuple(None if x is None else pytest.approx(x) for x in row)
            for kind, row in expected["types"].items()
        }
        counts = scores.details["errors"]
        pairs = counts["correct"] + counts["wrong_type"] + counts["wrong_border"]
        assert pairs + counts["missed"] == len(spans(targets, scheme))
        assert pairs + counts["invented"] == len(spans(predictions, scheme))


def test_each_kind_of_error() -> None:
    targets = spans_from_lists(
        [[(0, 2, "A"), (3, 4, "A")], [(0, 1, "B"), (2, 5, "A")], [(0, 3, "A")], [(1, 2, "B")]]
    )
    predictions = spans_from_lists(
        [[(0, 2, "A"), (3, 4, "B")], [(2, 4, "A"), (4, 5, "A")], [(0, 2, "B")], []]
    )
    outcomes = match_spans(targets, predictions)
    assert error_counts(outcomes) == {
        "correct": 1, "wrong_type": 1, "wrong_border": 1, "missed": 3, "invented": 2
    }  # fmt: skip
    # "wrong border" takes the larger overlap; other borders and another type are two errors.
    assert outcomes.partner.tolist() == [0, 1, 3, -1, -1]
    assert (outcomes.targets == UNPAIRED).tolist() == [False, False, True, False, True, True]


def test_equal_borders_go_before_overlaps_and_doubles_count_once() -> None:
    targets = spans_from_lists([[(0, 2, "A"), (0, 2, "B"), (0, 4, "A")]])
    predictions = spans_from_lists([[(0, 2, "A"), (0, 2, "A"), (0, 2, "C")]])
    counts = Counter(match_spans(targets, predictions).predictions.tolist())
    # The second (0, 2, "A") has the borders of "B"; "C" then finds nothing of its type.
    assert counts == {0: 1, 1: 1, 3: 1}


def test_what_is_not_there_is_undefined() -> None:
    scores = scored([["O", "O"]], [["O", "O"]])
    assert values(scores) == [None, None, None, None, 1]
    assert scores.metrics["entity_f1"].low is None
    assert scores.details["per_type"] == []
    scores = scored([["B-A", "O"]], [["O", "O"]])
    assert values(scores) == [0, None, 0, 0, 0.5]
    empty = entity_scores(spans_from_lists([]), spans_from_lists([]), 0)
    assert values(empty) == [None] * 5
    without = entity_scores(spans([["B-A"]]), spans([["B-A"]]), 1)
    assert values(without) == [1, 1, 1, 1, None]


def made_up(rows: int, right: float, seed: int) -> tuple[Corpus, Corpus]:
    random = np.random.default_rng(seed)
    names = np.array(["B-A", "B-B", "O", "O", "O", "O"])
    targets = names[random.integers(len(names), size=(rows, 6))]
    other = names[random.integers(len(names), size=(rows, 6))]
    return targets.tolist(), np.where(random.random((rows, 6)) < right, targets, other).tolist()


def test_intervals_are_over_rows_or_documents() -> None:
    targets, predictions = made_up(400, 0.8, seed=1)
    over_rows = scored(targets, predictions)
    score = over_rows.metrics["entity_f1"]
    assert score.low is not None
    assert score.high is not None
    assert score.value is not None
    assert score.low < score.value < score.high
    assert score.n == 400
    assert (over_rows.details["resampled"], over_rows.details["units"]) == ("rows", 400)
    a, _ = over_rows.details["per_type"]
    assert a["f1_low"] < a["f1"] < a["f1_high"]
    # Each row ten times, as ten sentences of one document: the interval is that of 400 units.
    ten = (
        [row for row in targets for _ in range(10)],
        [row for row in predictions for _ in range(10)],
    )
    documents = np.repeat(np.arange(400), 10) * 3 + 5
    by_document = scored(*ten, documents=documents)
    assert by_document.details["units"] == 400
    assert by_document.metrics["entity_f1"].low == pytest.approx(score.low)
    assert by_document.metrics["entity_f1"].high == pytest.approx(score.high)
    by_row = scored(*ten).metrics["entity_f1"]
    assert by_row.low is not None
    assert by_row.low > score.low + 0.01


def test_two_predictions_of_the_same_rows_are_compared_in_pairs() -> None:
    targets, good = made_up(300, 0.9, seed=2)
    worse = [["O"] * 6 if index % 10 == 0 else row for index, row in enumerate(good)]
    one, other, gold = spans(good), spans(worse), spans(targets)
    sums = [entity_sums(gold, side, 300) for side in (one, other)]
    difference, low, high = paired_difference(*sums, "entity_f1")
    f1 = [scored(targets, side).metrics["entity_f1"].value for side in (good, worse)]
    assert difference == pytest.approx(f1[0] - f1[1])
    assert 0 < low < difference < high
    assert paired_difference(sums[0], sums[0], "entity_f1") == (0, 0, 0)
    words = RowWords(np.full(300, 6), np.full(300, 5)), RowWords(np.full(300, 6), np.full(300, 4))
    sums = [
        entity_sums(gold, side, 300, words=counts)
        for side, counts in zip((one, other), words, strict=True)
    ]
    found = paired_difference(*sums, "word_accuracy")
    assert found == pytest.approx((1 / 6, 1 / 6, 1 / 6))
    none = spans_from_lists([])
    empty = entity_sums(none, none, 0)
    assert paired_difference(empty, empty, "entity_f1") == (None, None, None)


def test_two_models_with_the_same_tags_have_the_same_columns() -> None:
    gold = spans_from_lists([[(0, 1, "PER")]])
    some = spans_from_lists([[(0, 1, "PER"), (2, 3, "LOC")]])
    kept = [entity_sums(gold, some.select(np.arange(size)), 1) for size in (1, 2)]
    assert [sums.values.tolist() for sums in kept] == [
        [[0, 1, 0, 1, 0, 1, 0, 0]],  # targets, predictions, correct: LOC and PER each; words
        [[0, 1, 1, 1, 0, 1, 0, 0]],
    ]


def test_repairs_are_passed_on() -> None:
    tags = tag_sequences([["I-A", "O", "B-A"]])
    found = spans_of_tags(tags)
    scores = entity_scores(found.spans, found.spans, 1, repaired=int(found.repaired.sum()))
    assert scores.details["repaired"] == 1

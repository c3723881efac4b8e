"""Tag schemes: recognised with evidence, read with conlleval's rules, converted without loss."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tags.chunks import Chunk, chunks
from warmstart.data.tags.schemes import (
    SCHEMES,
    recognise_scheme,
    spans_of_tags,
    tag_sequences,
    tags_of_spans,
    to_bio,
)
from warmstart.data.tags.spans import spans_from_lists
from warmstart.errors import DataError

# "Alex Kim visited New York" with two persons directly after each other, in every scheme.
SENTENCE = [(0, 1, "PER"), (1, 3, "PER"), (4, 6, "LOC"), (6, 7, "ORG")]
WRITTEN = {
    "BIO": "B-PER B-PER I-PER O B-LOC I-LOC B-ORG O",
    "IOB1": "I-PER B-PER I-PER O I-LOC I-LOC I-ORG O",
    "IOBES": "S-PER B-PER E-PER O B-LOC E-LOC S-ORG O",
    "BILOU": "U-PER B-PER L-PER O B-LOC L-LOC U-ORG O",
}


def recognised(*sentences: str) -> tuple[str, str]:
    found = recognise_scheme(tag_sequences([s.split() for s in sentences]), "a.conll")
    return found.scheme, found.evidence


def refused(*sentences: str) -> DataError:
    with pytest.raises(DataError) as caught:
        recognised(*sentences)
    return caught.value


@pytest.mark.parametrize("scheme", WRITTEN)
def test_every_scheme_is_written_and_read(scheme: str) -> None:
    tags = tag_sequences([WRITTEN[scheme].split()])
    found = spans_of_tags(tags, scheme)
    assert found.spans.to_lists(1) == [SENTENCE]
    assert not found.repaired.any()
    written = tags_of_spans(spans_from_lists([SENTENCE]), np.array([0, 8]), scheme)
    assert written.to_lists() == [WRITTEN[scheme].split()]
    converted, repaired = to_bio(tags, scheme)
    assert converted.to_lists() == [WRITTEN["BIO"].split()]
    assert repaired == 0


@pytest.mark.parametrize("scheme", WRITTEN)
def test_a_clear_corpus_is_recognised(scheme: str) -> None:
    name, evidence = recognised(WRITTEN[scheme])
    assert name == scheme
    assert evidence.startswith(f"{scheme}: ")


def test_the_evidence_counts() -> None:
    assert recognised("B-A I-A", "O B-B") == (
        "BIO",
        "BIO: entities that begin with B-: 2, with I-: 0.",
    )
    assert recognised("I-A I-A B-A", "O I-B") == (
        "IOB1",
        "IOB1: entities that begin with B-: 1, with I-: 2.",
    )


def test_bio_and_iob1_are_distinguished_by_the_majority() -> None:
    assert recognised("B-A O", "B-A O", "I-A O") == (
        "BIO",
        "BIO: entities that begin with B-: 2, with I-: 1; repaired: 1.",
    )
    assert recognised("I-A O", "I-A O", "B-A O") == (
        "IOB1",
        "IOB1: entities that begin with B-: 1, with I-: 2; repaired: 1.",
    )
    assert recognised("I-A O", "B-A O")[0] == "BIO"  # a tie
    assert recognised("O O") == ("BIO", "BIO by default: every word has the tag O.")


def test_tags_without_prefixes_are_plain_and_each_word_is_a_span() -> None:
    tags = tag_sequences([["NOUN", "NOUN", "O", "B2"]])
    assert recognise_scheme(tags, "a").scheme == "plain"
    spans = spans_of_tags(tags, "plain").spans
    assert spans.to_lists(1) == [[(0, 1, "NOUN"), (1, 2, "NOUN"), (3, 4, "B2")]]
    assert tags_of_spans(spans, tags.bounds, "plain").to_lists() == tags.to_lists()
    assert to_bio(tags, "plain") == (tags, 0)


def test_prefixes_without_types_are_entities() -> None:
    tags = tag_sequences([["B", "I", "O", "B"]])
    assert recognise_scheme(tags, "a").scheme == "BIO"
    spans = spans_of_tags(tags).spans
    assert spans.to_lists(1) == [[(0, 2, ""), (3, 4, "")]]
    assert tags_of_spans(spans, tags.bounds, "IOBES").to_lists() == [["B", "E", "O", "S"]]


def test_a_type_may_contain_hyphens() -> None:
    tags = tag_sequences([["B-my-type", "I-my-type"]])
    assert spans_of_tags(tags).spans.to_lists(1) == [[(0, 2, "my-type")]]


def test_bmes_is_read_as_iobes() -> None:
    tags = tag_sequences([["B-NAME", "M-NAME", "E-NAME", "S-LOC"]])
    assert recognise_scheme(tags, "a").scheme == "IOBES"
    found = spans_of_tags(tags, "IOBES")
    assert found.spans.to_lists(1) == [[(0, 3, "NAME"), (3, 4, "LOC")]]
    assert not found.repaired.any()


def test_mixed_tags_are_refused_with_a_way_out() -> None:
    error = refused("B-PER O", "NOUN O")
    assert "'NOUN'" in error.found
    assert "'B-PER'" in error.found
    assert "--set data.tag_scheme=plain" in error.do
    error = refused("B-PER E-PER", "U-LOC O")
    assert "B, E, U" in error.found
    assert "--set data.tag_scheme=IOBES" in error.do


def test_invalid_tags_are_repaired_and_counted() -> None:
    tags = tag_sequences([["O", "I-A", "I-B", "B-A", "I-A"], ["I-A"], [], ["B-A", "I-B"]])
    found = spans_of_tags(tags)
    assert found.spans.to_lists(4) == [
        [(1, 2, "A"), (2, 3, "B"), (3, 5, "A")],
        [(0, 1, "A")],
        [],
        [(0, 1, "A"), (1, 2, "B")],
    ]
    assert found.repaired.tolist() == [True, True, False, True, False, True]
    valid, repaired = to_bio(tags, "BIO")
    assert repaired == 4
    assert valid.to_lists()[0] == ["O", "B-A", "B-B", "B-A", "I-A"]
    # The end of the previous sentence is not adjacent.
    tags = tag_sequences([["O", "I-A"], ["I-A"]])
    assert not spans_of_tags(tags, "IOB1").repaired.any()
    # An entity without an end, and an end without a beginning.
    tags = tag_sequences([["B-A", "I-A", "O", "E-A", "S-A"]])
    assert spans_of_tags(tags, "IOBES").repaired.tolist() == [True, True, False]


TAGS = st.sampled_from([*(f"{p}-{t}" for p in "BIESLUM" for t in "AB"), "O", "O", "B", "I"])
CORPUS = st.lists(st.lists(TAGS, max_size=8), max_size=6)


@given(CORPUS, st.sampled_from(["BIO", "IOB1", "IOBES", "BILOU"]))
def test_any_tags_are_read_as_conlleval_reads_them(corpus: list[list[str]], scheme: str) -> None:
    tags = tag_sequences(corpus)
    found = spans_of_tags(tags, scheme)
    assert found.spans.to_lists(len(corpus)) == [chunks(sentence) for sentence in corpus]
    # The repaired tags are valid and give the same spans.
    written = tags_of_spans(found.spans, tags.bounds, scheme)
    again = spans_of_tags(written, scheme)
    assert again.spans.to_lists(len(corpus)) == found.spans.to_lists(len(corpus))
    assert not again.repaired.any()


@st.composite
def sentences_of_spans(draw: st.DrawFn) -> tuple[list[list[Chunk]], list[int]]:
    rows, lengths = [], []
    for _ in range(draw(st.integers(0, 4))):
        spans, at = [], draw(st.integers(0, 2))
        for _ in range(draw(st.integers(0, 3))):
            length = draw(st.integers(1, 3))
            spans.append((at, at + length, draw(st.sampled_from("AB"))))
            at += length + draw(st.integers(0, 1))
        rows.append(spans)
        lengths.append(at + draw(st.integers(0, 2)))
    return rows, lengths


@given(sentences_of_spans(), st.sampled_from(["BIO", "IOB1", "IOBES", "BILOU"]))
def test_spans_survive_every_scheme(
    corpus: tuple[list[list[Chunk]], list[int]], scheme: str
) -> None:
    rows, lengths = corpus
    bounds = np.cumsum([0, *lengths])
    tags = tags_of_spans(spans_from_lists(rows), bounds, scheme)
    assert spans_of_tags(tags, scheme).spans.to_lists(len(rows)) == rows
    assert [len(sentence) for sentence in tags.to_lists()] == lengths


def test_a_column_and_lists_are_the_same_tags() -> None:
    rows = [["B-A", "O"], [], ["O", "I-A"]]
    kind = pa.list_(pa.string())
    column = pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)])
    for given_rows in (column, column.slice(0)):
        found = tag_sequences(given_rows)
        assert found.to_lists() == rows
        assert found.bounds.tolist() == [0, 2, 2, 4]
    assert tag_sequences(column.slice(1)).to_lists() == rows[1:]
    assert tag_sequences([]).to_lists() == []


def test_a_hundred_thousand_sentences_at_once() -> None:
    random = np.random.default_rng(0)
    names = [f"{p}-{t}" for p in "BI" for t in "ABCD"] + ["O"] * 20
    flat = pa.array(np.array(names)[random.integers(len(names), size=1_500_000)])
    column = pa.chunked_array([pa.ListArray.from_arrays(np.arange(0, 1_500_001, 15), flat)])
    tags = tag_sequences(column)
    assert recognise_scheme(tags, "a").scheme == "BIO"
    _, repaired = to_bio(tags, "BIO")
    assert repaired > 100_000


def test_the_schemes_are_the_documented_ones() -> None:
    assert (*WRITTEN, "plain") == SCHEMES

"""Findings: every count, every place, and every message."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.config import DataConfig
from warmstart.data.checking.check import Findings, collect_findings
from warmstart.data.checking.duplicates import find_repeats
from warmstart.data.checking.lengths import describe_lengths
from warmstart.data.labels import label_texts
from warmstart.data.table import SourceFile, Table

DATA = DataConfig(train="train.csv")
TEXT = {"data.text": "text"}

Rows = Sequence[tuple[str, str]]
"""(text, label)."""


def table(split: str, rows: Rows, dropped: int = 0) -> Table:
    """Rows of which the first is on line 2 of ``<split>.csv``."""
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    n = len(rows)
    return Table(
        pa.table({"text": pa.chunked_array([texts[:2], texts[2:]], pa.string()), "label": labels}),
        np.arange(n),
        (SourceFile(f"{split}.csv", split, "utf-8", n + dropped, dropped),),
        np.zeros(n, np.int32),
        np.arange(n) + 2,
        f"data.{split}",
    )


def found(
    splits: Mapping[str, Rows], lengths: Sequence[int] = (), max_tokens: int = 100
) -> Findings:
    """The findings for these splits; ``lengths`` are those of training, others are 5."""
    tables = {split: table(split, rows) for split, rows in splits.items()}
    tokens = {split: np.full(len(rows), 5) for split, rows in splits.items()}
    if lengths:
        tokens["train"] = np.array(lengths)
    return collect_findings(tables, DATA, tokens, max_tokens, dropped={})


def texts(findings: Findings, level: str) -> list[str]:
    return [message.text for message in findings.messages if message.level == level]


def many(rows: int, label: str, prefix: str = "") -> list[tuple[str, str]]:
    return [(f"{prefix}{label} {number}", label) for number in range(rows)]


# --- counts


def test_labels_are_counted_in_one_order_with_zero_where_a_split_has_none() -> None:
    findings = found({"train": [*many(2, "10"), *many(1, "9")], "test": many(3, "10", "other ")})
    train, test = findings.splits
    assert list(train.label_counts.items()) == [("9", 1), ("10", 2)]
    assert list(test.label_counts.items()) == [("9", 0), ("10", 3)]
    assert (train.rows, test.rows) == (3, 3)


def test_rows_left_out_are_counted_once_for_a_setting_that_serves_two_splits() -> None:
    train = table("train", many(20, "a"), dropped=3)
    findings = collect_findings(
        {"train": train, "validation": train.filter(np.arange(20) < 5)},
        DATA,
        {"train": np.full(20, 4), "validation": np.full(5, 4)},
        100,
        dropped={"train": {"empty_text": 1, "missing_label": 0}},
    )
    assert findings.splits[0].dropped == {"ragged": 3, "empty_text": 1, "missing_label": 0}
    assert findings.splits[1].dropped == {"ragged": 0}
    assert texts(findings, "warning")[:2] == [
        "3 training rows dropped: too many or too few fields",
        "1 training row dropped: no text",
    ]


def test_unlabelled_rows_are_checked_without_their_labels() -> None:
    rows = table("test", [("same", ""), ("same", "x"), ("other", "X")])
    findings = collect_findings(
        {"test": rows}, DATA, {"test": np.full(3, 4)}, 100, dropped={}, labels={}
    )
    assert findings.splits[0].label_counts == {}
    assert (findings.repeats[0].rows, findings.repeats[0].conflicting) == (1, 0)


# --- repeats


def test_repeats_are_counted_inside_and_across_with_their_lines() -> None:
    findings = found(
        {
            "train": [("a", "0"), ("b", "1"), ("a", "0"), ("a", "1"), ("c", "1")],
            "validation": [("d", "0"), ("c", "0"), ("b", "1")],
            "test": [("e", "1"), ("d", "0")],
        }
    )
    shown = {(repeat.split, repeat.stands_in): repeat for repeat in findings.repeats}
    assert set(shown) == {("train", "train"), ("validation", "train"), ("test", "validation")}
    inside = shown["train", "train"]
    assert (inside.rows, inside.conflicting) == (2, 1)
    assert inside.examples == (("train.csv:4", "train.csv:2"), ("train.csv:5", "train.csv:2"))
    assert inside.conflicting_examples == (("train.csv:5 '1'", "train.csv:2 '0'"),)
    across = shown["validation", "train"]
    assert (across.rows, across.conflicting) == (2, 1)
    assert across.examples[0] == ("validation.csv:3", "train.csv:6")
    assert across.conflicting_examples == (("validation.csv:3 '0'", "train.csv:6 '1'"),)
    assert shown["test", "validation"].conflicting == 0


def test_repeats_are_said_with_numbers_and_the_first_place() -> None:
    findings = found(
        {
            "train": [*many(12, "a"), *many(12, "b"), ("a 0", "b"), ("b 1", "b")],
            "validation": [*many(10, "a", "new "), *many(10, "b", "new "), ("a 3", "b")],
        }
    )
    assert texts(findings, "warning") == [
        "1 of 26 training rows has another label than an earlier row with the same text "
        "(first: train.csv:26 'b', train.csv:2 'a'); "
        "data.duplicates: drop leaves such training rows out",
        "1 of 21 validation rows has the same text as a training row: the score may be too high "
        "(first: validation.csv:22 = train.csv:5); "
        "data.duplicates: drop leaves such training rows out",
        "1 of 21 validation rows has another label than a training row with the same text "
        "(first: validation.csv:22 'b', train.csv:5 'a')",
    ]
    assert (
        "2 of 26 training rows have the same text as an earlier row "
        "(first: train.csv:26 = train.csv:2)"
    ) in texts(findings, "info")


@given(
    st.lists(st.sampled_from(["", "a", "b", "ab", "ab ", "好"]), min_size=1, max_size=20),
    st.lists(st.sampled_from(["a", "b", "x", "好", "Ab"]), min_size=1, max_size=20),
)
def test_repeats_agree_with_counting_in_python(train: list[str], test: list[str]) -> None:
    tables = {
        "train": table("train", [(text, "0") for text in train]),
        "test": table("test", [(text, "0") for text in test]),
    }
    rows = {(r.split, r.stands_in): r.rows for r in find_repeats(tables, TEXT, {})}
    assert rows.get(("train", "train"), 0) == len(train) - len(set(train))
    assert rows.get(("test", "test"), 0) == len(test) - len(set(test))
    assert rows.get(("test", "train"), 0) == sum(text in train for text in test)


@given(
    st.lists(st.tuples(*[st.sampled_from(["a", "b", "ab", "ba", ""])] * 2), min_size=1, max_size=20)
)
def test_pairs_repeat_where_both_texts_do(pairs: list[tuple[str, str]]) -> None:
    columns = {
        name: list(texts) for name, texts in zip("qa", zip(*pairs, strict=True), strict=True)
    }
    n = len(pairs)
    rows = Table(pa.table(columns), np.arange(n), (), np.zeros(n, np.int32), np.arange(n) + 2)
    rows = replace(rows, files=(SourceFile("a.csv", "0", "utf-8", n),))
    found = find_repeats({"train": rows}, {"data.text": "q", "data.text_pair": "a"}, {})
    assert sum(repeat.rows for repeat in found) == n - len(set(pairs))


def test_texts_with_equal_hashes_are_still_distinguished() -> None:
    tables = {"train": table("train", [("a", "0"), ("b", "0"), ("a", "1"), ("c", "0")])}
    labels = {"train": label_texts(tables["train"], "label")}
    with patch("warmstart.data.checking.duplicates.hash", lambda text: 7, create=True):
        (repeat,) = find_repeats(tables, TEXT, labels)
    assert repeat.examples == (("train.csv:4", "train.csv:2"),)


# --- lengths


def test_truncation_is_counted_in_rows_and_tokens() -> None:
    findings = found({"train": many(4, "a")}, lengths=[2, 10, 12, 16], max_tokens=10)
    lengths = findings.splits[0].lengths
    assert (lengths.truncated_rows, lengths.lost_tokens, lengths.tokens) == (2, 8, 40)
    assert (lengths.mean, lengths.median, lengths.longest) == (10, 11, 16)
    assert lengths.lost_share == 0.2
    assert (
        "2 of 4 training rows longer than 10 tokens and truncated (longest 16): "
        "the model does not see 20.0% of all tokens (model.max_tokens)"
    ) in texts(findings, "warning")


def test_that_nothing_is_truncated_is_said_once() -> None:
    findings = found({"train": many(4, "a"), "test": many(4, "a", "x")}, lengths=[2, 10, 12, 16])
    assert [text for text in texts(findings, "info") if "longer" in text] == [
        "no row is longer than 100 tokens (the longest has 16)"
    ]


@given(
    train=st.lists(st.integers(1, 3000), min_size=1, max_size=50),
    test=st.lists(st.integers(1, 300), min_size=1, max_size=50),
    max_tokens=st.integers(3, 1000),
)
def test_histograms_share_bins_hold_every_row_and_part_at_the_limit(
    train: list[int], test: list[int], max_tokens: int
) -> None:
    described = describe_lengths({"train": np.array(train), "test": np.array(test)}, max_tokens)
    edges = described["train"].edges
    assert described["test"].edges == edges
    assert edges[0] == 0
    assert all(left < right for left, right in pairwise(edges))
    assert len(edges) <= 43
    for split, lengths in {"train": train, "test": test}.items():
        assert sum(described[split].counts) == len(lengths)
    if max([*train, *test]) > max_tokens:
        above = edges.index(max_tokens + 1)
        assert sum(described["train"].counts[above:]) == described["train"].truncated_rows
    else:
        assert edges[-1] > max([*train, *test])


def test_one_very_long_text_does_not_flatten_the_histogram() -> None:
    lengths = describe_lengths({"train": np.array([*range(10, 400), 100_000])}, 128)["train"]
    assert lengths.edges[-1] < 500
    assert lengths.counts[-1] >= 1


# --- sentences about labels


def test_the_largest_class_is_named_for_training() -> None:
    findings = found({"train": [*many(30, "no"), *many(10, "yes")]})
    assert texts(findings, "info")[0] == (
        "75.0% of 40 training rows have the label 'no': "
        "this is the accuracy of always predicting it"
    )


def test_a_very_large_class_is_a_warning_in_every_split() -> None:
    findings = found(
        {
            "train": [*many(20, "no"), *many(20, "yes")],
            "test": [*many(95, "no", "new "), *many(10, "yes", "new ")],
        }
    )
    assert texts(findings, "warning") == [
        "90.5% of 105 test rows have the label 'no': this is the accuracy of always predicting it"
    ]


def test_a_class_with_fewer_than_ten_rows_is_a_warning() -> None:
    findings = found({"train": [*many(10, "a"), *many(9, "b")], "test": many(11, "a", "new ")})
    assert "the label 'b' has 9 training rows: too few for training" in texts(findings, "warning")
    assert "the label 'b' has 0 test rows: too few for a reliable score" in texts(
        findings, "warning"
    )


def test_several_rare_classes_share_a_sentence() -> None:
    findings = found({"train": [*many(20, "a"), *many(4, "b"), *many(2, "c"), *many(9, "d")]})
    assert (
        "3 of 4 labels have fewer than 10 training rows ('c' has 2): too few for training"
    ) in texts(findings, "warning")


# --- saved as JSON


def test_findings_survive_json() -> None:
    findings = found(
        {"train": [("a", "0"), ("a", "1"), ("b", "0")], "test": [("b", "1"), ("c", "0")]},
        lengths=[3, 200, 5],
    )
    assert findings.repeats
    again = Findings.from_json(json.loads(json.dumps(findings.to_json())))
    assert again == findings


def test_warnings_come_first() -> None:
    findings = found({"train": [*many(20, "a"), *many(4, "b")]}, lengths=[5] * 23 + [101])
    levels = [message.level for message in findings.messages]
    assert levels == sorted(levels, reverse=True)
    assert Counter(levels)["warning"] == 2


@pytest.fixture
def cola(shared_data: Callable[[str], Path]) -> dict[str, Table]:
    """The Corpus of Linguistic Acceptability: in-domain training, out-of-domain test."""
    files = {"train": "in_domain_train", "test": "out_of_domain_dev"}
    return {
        split: read_cola(split, shared_data(f"cola/{name}.tsv")) for split, name in files.items()
    }


def read_cola(split: str, path: Path) -> Table:
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    return table(split, [(fields[3], fields[1]) for fields in lines])


def test_cola_repeats_itself(cola: dict[str, Table]) -> None:
    lengths = {split: np.full(len(rows), 8) for split, rows in cola.items()}
    findings = collect_findings(cola, DATA, lengths, 512, dropped={})
    everything = {split: rows.columns["text"].to_pylist() for split, rows in cola.items()}
    train = set(everything["train"])
    rows = {(repeat.split, repeat.stands_in): repeat.rows for repeat in findings.repeats}
    assert rows["train", "train"] == len(everything["train"]) - len(train)
    assert rows["test", "train"] == sum(text in train for text in everything["test"]) > 0


# --- labels that are probably not labels


@pytest.mark.parametrize("label", ["NaN", "NA", "null", "None", "N/A", "<NA>", "#N/A"])
def test_a_label_that_looks_like_a_missing_value(label: str) -> None:
    findings = found({"train": [*many(20, "x"), *many(20, "y"), *many(15, label)]})
    (warning,) = texts(findings, "warning")
    assert warning.startswith(f"15 training rows have the label {label!r}, which is a class like")
    assert "data.missing=drop" in warning


def test_labels_with_decimals_are_probably_amounts() -> None:
    amounts = [f"{number / 4:g}" for number in range(26)]
    rows = [row for label in amounts for row in many(12, label)]
    assert any(
        "the 26 labels are numbers with decimals" in text and "task=text-regression" in text
        for text in texts(found({"train": rows}), "warning")
    )
    for others in (["1", "2", "3", "4", "5"], ["1.5", "2", "3"], ["v1.0", "v1.5", "1", "2", "3"]):
        rows = [row for label in others for row in many(12, label)]
        assert not texts(found({"train": rows}), "warning")


def test_an_encoding_other_than_utf8_is_named() -> None:
    rows = [*many(20, "x"), *many(20, "y")]
    for encoding, named in (("gb18030", True), ("utf-16", True), ("utf-8", False), (None, False)):
        of_rows = table("train", rows)
        file = replace(of_rows.files[0], encoding=encoding)
        tables = {"train": replace(of_rows, files=(file,))}
        lengths = {"train": np.full(len(rows), 5)}
        findings = collect_findings(tables, DATA, lengths, 100, dropped={})
        assert (f"train.csv: the encoding is {encoding}" in texts(findings, "info")) == named


def test_several_labels_are_shown_with_the_separator_of_the_file() -> None:
    rows = table("train", [("same", "a"), ("same", "b")])
    findings = collect_findings(
        {"train": rows},
        DATA.model_copy(update={"label_separator": ","}),
        {"train": np.full(2, 4)},
        100,
        dropped={},
        labels={"train": pa.array([["6", "26"], ["6"]])},
        classes=False,
    )
    assert any("'6,26'" in text for text in texts(findings, "warning"))

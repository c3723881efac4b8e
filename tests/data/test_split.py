"""Splitting: which rows are held out, that it is reproducible, and what cannot be split."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from warmstart.config import DataConfig
from warmstart.data.examples.tokens import Ints
from warmstart.data.split import hold_out, refuse_same_file, sample_rows
from warmstart.data.table import SourceFile, Table
from warmstart.errors import ConfigError, DataError
from warmstart.tasks.text_classification import TextClassification


def table(columns: Mapping[str, Sequence[object]], sha256: str = "0") -> Table:
    """Rows of which the first is on line 2 of ``a.csv``."""
    content = pa.table({name: pa.array(values) for name, values in columns.items()})
    n = content.num_rows
    file = SourceFile("a.csv", sha256, "utf-8", n)
    return Table(
        content, np.arange(n), (file,), np.zeros(n, np.int32), np.arange(n) + 2, "data.train"
    )


def by_label(rows: Table, group: str | None = None) -> Ints:
    """The strata of rows that are classified by the column ``y``."""
    return TextClassification.strata(DataConfig(train="a.csv", label="y", group=group), rows)


def column(part: Table, name: str) -> list[str]:
    values: list[str] = part.columns[name].to_pylist()
    return values


@given(
    labels=st.lists(st.sampled_from("aaaaaabbbc"), min_size=2, max_size=60),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**64),
)
def test_a_stratified_split_parts_the_rows_and_keeps_every_label_on_both_sides(
    labels: list[str], share: float, seed: int
) -> None:
    assume(min(Counter(labels).values()) > 1)
    rows = table({"y": labels})
    train, held = hold_out(rows, share, seed, strata=by_label(rows))
    assert sorted([*train.rows, *held.rows]) == list(range(len(labels)))
    assert list(train.rows) == sorted(train.rows)
    assert list(held.rows) == sorted(held.rows)
    in_train, in_held = Counter(column(train, "y")), Counter(column(held, "y"))
    for label, count in Counter(labels).items():
        assert in_train[label] >= 1
        assert in_held[label] >= 1
        assert in_held[label] <= share * count + 1


@pytest.mark.parametrize(("rows", "share", "held_rows"), [(100, 0.07, 7), (8551, 0.1, 856)])
def test_a_share_is_rounded_up_in_decimal(rows: int, share: float, held_rows: int) -> None:
    whole = table({"y": ["a"] * rows})
    train, held = hold_out(whole, share, 2018)
    assert (len(train), len(held)) == (rows - held_rows, held_rows)


def test_a_split_stays_the_same_for_ever() -> None:
    rows = table({"y": list("aabbaabbaabb"), "g": list("uuvvwwxxyyzz")})
    ways = [
        (1, None, None),
        (2, None, None),
        (1, by_label(rows), None),
        (1, by_label(rows, "g"), "g"),
    ]
    held = [
        hold_out(rows, 0.25, seed, strata=strata, group_by=groups)[1].rows.tolist()
        for seed, strata, groups in ways
    ]
    assert held == [[0, 1, 2], [4, 6, 9], [0, 1, 2, 11], [2, 3, 4, 5]]


def test_every_row_is_held_out_about_equally_often() -> None:
    rows = table({"y": list("aabbbbbbbb")})
    times = Counter(
        int(row)
        for seed in range(400)
        for row in hold_out(rows, 0.25, seed, strata=by_label(rows))[1].rows
    )
    assert all(150 < times[row] < 250 for row in (0, 1)), "one of two"
    assert all(60 < times[row] < 140 for row in range(2, 10)), "two of eight"


@given(
    groups=st.lists(st.integers(0, 8), min_size=2, max_size=60),
    labelled=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_no_group_is_on_both_sides(groups: list[int], labelled: bool, seed: int) -> None:
    assume(len(set(groups)) > 1)
    rows = table({"g": groups, "y": ["x"] * len(groups)})
    strata = by_label(rows, "g") if labelled else None
    train, held = hold_out(rows, 0.3, seed, strata=strata, group_by="g")
    assert not set(column(train, "g")) & set(column(held, "g"))
    assert len(train) + len(held) == len(groups)


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_stratified_by_their_commonest_label(seed: int) -> None:
    groups = [group for group in range(20) for _ in range(3)]
    labels = [label for group in range(20) for label in ("aab" if group < 10 else "bbb")]
    rows = table({"g": groups, "y": labels})
    _, held = hold_out(rows, 0.2, seed, strata=by_label(rows, "g"), group_by="g")
    assert Counter(int(group) < 10 for group in set(column(held, "g"))) == {True: 2, False: 2}


def test_labels_written_as_floats_are_the_same_strata() -> None:
    rows = table({"y": [0.0, 1.0] * 10})
    _, held = hold_out(rows, 0.1, 0, strata=by_label(rows))
    assert sorted(map(float, column(held, "y"))) == [0.0, 1.0]


def test_a_label_with_one_row_cannot_be_stratified() -> None:
    rows = table({"y": list("aabcbb")})
    with pytest.raises(DataError) as error:
        by_label(rows)
    assert error.value.found == "a.csv:5: the label 'c' has only this row"
    assert "--set data.stratify=false" in error.value.do
    train, held = hold_out(rows, 0.5, 0)
    assert (len(train), len(held)) == (3, 3)


def test_several_labels_with_one_row_are_counted() -> None:
    with pytest.raises(DataError, match=r"a.csv:2: .*'x'.*\(2 other labels also"):
        by_label(table({"y": list("xyzaa")}))
    with pytest.raises(DataError, match=r"\(1 other label also has only one row\)"):
        by_label(table({"y": list("xyaa")}))


def test_one_row_cannot_be_split() -> None:
    with pytest.raises(DataError, match="data.validation=0.1 of 1 row leaves one split") as error:
        hold_out(table({"y": ["a"]}), 0.1, 0)
    assert "--set data.validation=FILE" in error.value.do


def test_groups_that_each_have_their_own_label_need_a_split_without_strata() -> None:
    rows = table({"y": list("aabbcc"), "g": list("uuvvww")})
    with pytest.raises(DataError, match="of 3 groups leaves one split empty") as error:
        hold_out(rows, 0.3, 0, strata=by_label(rows, "g"), group_by="g")
    assert "--set data.stratify=false" in error.value.do
    _, held = hold_out(rows, 0.3, 0, group_by="g")
    assert len(held) == 2


def test_a_row_without_group_is_refused() -> None:
    with pytest.raises(DataError) as error:
        hold_out(table({"g": ["u", "", None, "v"]}), 0.5, 0, group_by="g")
    assert error.value.found == (
        "a.csv:3: the column 'g' (data.group) is empty here (the first of 2 rows)"
    )
    assert "--set data.group=null" in error.value.do


def test_a_column_of_lists_is_no_group() -> None:
    with pytest.raises(DataError, match="'g' .data.group. has lists or objects"):
        hold_out(table({"g": [["u"], ["v"]]}), 0.5, 0, group_by="g")


def test_one_file_cannot_be_two_splits_unless_allowed() -> None:
    train = table({"y": ["a", "b"]}, sha256="aa")
    test = replace(table({"y": ["a", "b"]}, sha256="aa"), setting="data.test")
    with pytest.raises(DataError) as error:
        refuse_same_file({"train": train, "test": test}, allow=False)
    assert error.value.found == "data.train (a.csv) and data.test (a.csv) have the same content"
    assert "--set data.allow_same_file=true" in error.value.do
    refuse_same_file({"train": train, "test": test}, allow=True)


def test_other_files_and_two_parts_of_one_setting_are_fine() -> None:
    train, held = hold_out(table({"y": ["a", "b"]}), 0.5, 0)
    test = replace(table({"y": ["a", "b"]}, sha256="bb"), setting="data.test")
    refuse_same_file({"train": train, "validation": held, "test": test}, allow=False)
    # Both would be refused if the content or the settings were those of the other case.
    assert train.files[0].sha256 == held.files[0].sha256 != test.files[0].sha256
    with pytest.raises(DataError):
        refuse_same_file({"train": train, "test": replace(held, setting="data.test")}, allow=False)


@given(
    labels=st.lists(st.sampled_from("aaaaaabbbc"), min_size=12, max_size=80),
    count=st.integers(3, 11),
    seed=st.integers(0, 2**64),
)
def test_a_sample_has_every_label_in_its_proportion(
    labels: list[str], count: int, seed: int
) -> None:
    rows = table({"y": labels})
    strata = TextClassification.strata(DataConfig(train="a.csv", label="y"), rows, parts=1)
    part = sample_rows(rows, count, seed, strata=strata)
    assert len(part) == count
    assert list(part.rows) == sorted(set(part.rows))
    found = Counter(column(part, "y"))
    for label, of_all in Counter(labels).items():
        assert 1 <= found[label] <= of_all
        # Every label has a row, whatever its share: the others have that much less.
        assert abs(found[label] - count * of_all / len(labels)) < 3
    larger = sample_rows(rows, count + 1, seed, strata=strata) if count + 1 < len(labels) else rows
    assert set(part.rows) < set(larger.rows)


def test_a_sample_of_a_file_sorted_by_label_is_no_beginning_and_stays_the_same_for_ever() -> None:
    rows = table({"y": ["a"] * 60 + ["b"] * 30})
    part = sample_rows(rows, 9, 1, strata=by_label(rows))
    assert Counter(column(part, "y")) == {"a": 6, "b": 3}
    assert part.rows.tolist() == [0, 2, 19, 20, 21, 41, 62, 63, 71]
    assert sample_rows(rows, 9, 2, strata=by_label(rows)).rows.tolist() != [
        0,
        2,
        19,
        20,
        21,
        41,
        62,
        63,
        71,
    ]


@given(
    groups=st.lists(st.integers(0, 8), min_size=20, max_size=60),
    count=st.integers(15, 19),
    seed=st.integers(0, 1000),
)
def test_a_sample_of_groups_has_whole_groups(groups: list[int], count: int, seed: int) -> None:
    assume(max(Counter(groups).values()) <= 15)
    rows = table({"g": [str(group) for group in groups]})
    part = sample_rows(rows, count, seed, group_by="g")
    assert 1 <= len(part) <= count
    assert Counter(column(part, "g")).items() <= Counter(column(rows, "g")).items()


@pytest.mark.parametrize(("labelled", "group"), [(True, None), (False, "g")])
def test_a_sample_that_is_too_small_is_refused_with_a_size_that_works(
    labelled: bool, group: str | None
) -> None:
    rows = table({"y": list("abcd" * 5), "g": ["u"] * 10 + ["v"] * 10})
    strata = by_label(rows) if labelled else None
    with pytest.raises(ConfigError) as caught:
        sample_rows(rows, 3, 1, strata=strata, group_by=group)
    size = int(caught.value.do.split("=")[1].split(",")[0])
    assert str(size) in caught.value.expected
    assert len(sample_rows(rows, size, 1, strata=strata, group_by=group)) == size

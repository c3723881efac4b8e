"""Any number of labels per row, in every format."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from warmstart.config import DataConfig
from warmstart.data.label_lists import (
    as_lists,
    as_texts,
    label_lists,
    label_matrix,
    multi_hot,
    names_of,
    rarest_label,
    without_label_list,
    without_separator,
)
from warmstart.data.labels import clean_rows
from warmstart.data.split import hold_out
from warmstart.data.table import SourceFile, Table
from warmstart.errors import DataError


def table_of(**columns: Any) -> Table:
    found = pa.table({name: pa.array(values) for name, values in columns.items()})
    rows = found.num_rows
    return Table(
        columns=found.append_column("text", pa.array([f"text {n}" for n in range(rows)])),
        rows=np.arange(rows, dtype=np.int64),
        files=(SourceFile("l.csv", sha256="", encoding="utf-8", rows=rows),),
        file_index=np.zeros(rows, dtype=np.int32),
        lines=np.arange(rows, dtype=np.int64) + 2,
    )


def data(**settings: Any) -> DataConfig:
    return DataConfig(train="l.csv", **settings)


WRITTEN = {
    "separator": (["b|a", "", " a ", "b| |b"], {}),
    "another separator": (["b, a", "", "a", "b,,b"], {"label_separator": ","}),
    "json lists": (['["b", "a"]', "[]", '["a"]', '["b", "b"]'], {}),
    "lists": ([["b", "a"], [], ["a"], ["b", "b"]], {}),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_labels_are_lists_however_they_are_written(way: str) -> None:
    values, settings = WRITTEN[way]
    table = table_of(label=values)
    lists = label_lists(table, data(**settings))
    assert [sorted(found) for found in lists.to_pylist()] == [["a", "b"], [], ["a"], ["b"]]
    assert names_of(lists) == ("a", "b")
    expected = [[True, True], [False, False], [True, False], [False, True]]
    assert label_matrix(lists, ("a", "b"), table).tolist() == expected
    assert without_separator(table, data(**settings)) is False


def test_columns_of_zero_and_one() -> None:
    table = table_of(rude=["1", "0", " 1"], spam=["0.0", "0", "true"], label=["what", "ever", "x"])
    columns = data(label_columns=["spam", "rude"])
    assert label_lists(table, columns).to_pylist() == [["rude"], [], ["spam", "rude"]]
    assert not without_separator(table, columns)


@pytest.mark.parametrize("bad", ["2", "yes", "0.5"])
def test_anything_else_in_such_a_column_is_named_with_its_line(bad: str) -> None:
    table = table_of(rude=["1", bad], spam=["0", "0"])
    with pytest.raises(DataError) as caught:
        label_lists(table, data(label_columns=["spam", "rude"]))
    assert caught.value.found == f"l.csv:3: the column 'rude' has {bad!r}"
    assert "0 if it does not" in caught.value.expected
    assert "data.label_columns=null" in caught.value.do


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError) as caught:
        label_lists(table_of(rude=["1"]), data(label_columns=["rude", "span"]))
    assert "l.csv has no column 'span'" in caught.value.found
    with pytest.raises(DataError):
        without_label_list(table_of(rude=["1"]), data(label_columns=["rude", "span"]))


def test_no_label_is_an_answer_and_a_missing_one_is_not() -> None:
    table = table_of(label=["a", "", None])
    assert without_label_list(table, data()).tolist() == [False, False, True]
    cells = table_of(rude=["1", "", "0"], spam=["0", "0", None])
    columns = data(label_columns=["rude", "spam"], missing="drop")
    assert without_label_list(cells, columns).tolist() == [False, True, True]
    kept, counts = clean_rows(cells, columns, labelled=True, unlabelled=without_label_list)
    assert (len(kept), counts["missing_label"]) == (1, 2)
    strict = data(label_columns=["rude", "spam"])
    with pytest.raises(DataError, match="l.csv:3: no label in the column 'rude, spam'"):
        clean_rows(cells, strict, labelled=True, unlabelled=without_label_list)


def test_labels_that_training_has_not_are_refused_with_their_line() -> None:
    table = table_of(label=["a", "a|c", "c|d"])
    with pytest.raises(DataError) as caught:
        label_matrix(label_lists(table, data()), ("a", "b"), table)
    assert "l.csv:3: no training row has the label 'c' (2 rows; 1 more such label)" in (
        caught.value.found
    )
    assert "one of the 2 labels of the training rows: 'a', 'b'" in caught.value.expected


def test_one_label_in_two_spellings_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        label_lists(table_of(label=["Spam|a", "b|spam"]), data())
    assert "'Spam' (l.csv:2), 'spam' (l.csv:3)" in caught.value.found


def test_values_of_their_own_are_no_labels() -> None:
    with pytest.raises(DataError, match="1,200 different values in 1,200 rows"):
        label_lists(table_of(label=[f"id{n}" for n in range(1200)]), data())


def test_a_separator_that_occurs_nowhere_is_reported() -> None:
    assert without_separator(table_of(label=["a,b", "b"]), data())
    assert not without_separator(table_of(label=["a,b", "b"]), data(label_separator=","))


def test_lists_and_texts_of_a_matrix() -> None:
    lists = as_lists(np.array([[True, False], [True, True]]), ["x", "y"])
    assert as_texts(lists).to_pylist() == ["x", "x|y"]


def test_a_share_has_some_of_every_label() -> None:
    """Of two rows with the rarest label, each side gets one, for any seed."""
    values = ["a"] * 40 + ["a|b"] * 20 + [""] * 20 + ["a|rare", "b|rare"]
    table = table_of(label=values)
    strata = rarest_label(label_lists(table, data()))
    assert len(set(strata[:40])) == len(set(strata[40:60])) == len(set(strata[80:])) == 1
    assert len(set(strata.tolist())) == 4
    for seed in range(5):
        train, held = hold_out(table, 0.1, seed, strata=strata)
        for side in (train, held):
            assert names_of(label_lists(side, data())) == ("a", "b", "rare")


@pytest.mark.parametrize(
    "text",
    ["['b', 'a']", "('b', 'a')", "{'b', 'a'}", "[\"b\", 'a']", "[ 'b','a' ]", "['b', 'a', None]"],
)
def test_lists_written_by_python_are_lists(text: str) -> None:
    """As pandas writes a column of lists to CSV."""
    table = table_of(label=[text, "['a']", "[]"])
    assert [sorted(one) for one in label_lists(table, data()).to_pylist()] == [
        ["a", "b"],
        ["a"],
        [],
    ]
    assert not without_separator(table, data())


@pytest.mark.parametrize(
    "text",
    ["[b, a]", "{b,a}", "['b' 'a']", "{'b': 1, 'a': 0}", '{"b": 1}', "[['b'], ['a']]", "[1 0 1]",
     '[["b"]]', "array(['b', 'a'])", '["b"', "[" * 10_000 + "]" * 10_000],
)  # fmt: skip
def test_a_text_that_is_almost_a_list_is_refused(text: str) -> None:
    table = table_of(label=["['a']", text])
    if text == '["b"':  # no closing bracket: a text
        assert label_lists(table, data()).to_pylist() == [["a"], ['["b"']]
        return
    with pytest.raises(DataError) as caught:
        label_lists(table, data())
    assert caught.value.found.startswith("l.csv:3: the labels in the column 'label' are ")
    assert len(caught.value.found) < 250
    bare = table_of(label=["a", "b,a"])
    assert "--set data.label_separator=','" in caught.value.do
    assert label_lists(bare, data(label_separator=",")).to_pylist() == [["a"], ["a", "b"]]


@pytest.mark.parametrize("label", ["[POS]", "(other)", "(not spam)", "[POS]|[NEG]"])
def test_labels_in_brackets_are_labels(label: str) -> None:
    lists = label_lists(table_of(label=[label, "x"]), data())
    assert sorted(lists.to_pylist()[0]) == sorted(label.split("|"))


MULTI_HOT: dict[str, list[Any]] = {
    "integers": [[1, 0, 1], [0, 0, 0], [0, 1, 1]],
    "floats": [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]],
    "booleans": [[True, False, True], [False, False, False], [False, True, True]],
    "JSON": ["[1, 0, 1]", "[0, 0, 0]", "[0,1,1]"],
    "Python": ["[True, False, True]", "[False, False, False]", "(False, True, True)"],
    "separated": ["1|0|1", "0|0|0", "0|1|1"],
}


@pytest.mark.parametrize("way", MULTI_HOT)
def test_multi_hot_lists_have_one_value_for_each_label(way: str) -> None:
    table = table_of(label=MULTI_HOT[way])
    assert multi_hot(table, data())
    assert label_lists(table, data()).to_pylist() == [["0", "2"], [], ["1", "2"]]


def test_fixed_size_lists_are_lists() -> None:
    fixed = pa.array([[1, 0], [0, 1]], pa.list_(pa.int8(), 2))
    assert label_lists(table_of(label=fixed), data()).to_pylist() == [["0"], ["1"]]


def test_numbers_of_labels_are_not_multi_hot() -> None:
    table = table_of(label=[[0], [0, 1], []])
    assert not multi_hot(table, data())
    assert label_lists(table, data()).to_pylist() == [["0"], ["0", "1"], []]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([[1, 0, 1], [1, 0]], "have 3 values (l.csv:2) and 2 values (l.csv:3)"),
        ([[1, 0, 1], [1, None, 0]], "l.csv:3: the column 'label' has 'null'"),
        ([[0.9, 0.1], [0.2, 0.8]], "l.csv:2: the lists in the column 'label' have the value '0.9'"),
    ],
)
def test_lists_of_numbers_that_are_not_multi_hot_are_refused(values: list[Any], found: str) -> None:
    with pytest.raises(DataError) as caught:
        label_lists(table_of(label=values), data())
    assert found in caught.value.found


@pytest.mark.parametrize("values", [[[["a"]], [["b"]]], [[b"\xff"], [b"a"]]])
def test_lists_that_do_not_hold_texts_are_refused(values: list[Any]) -> None:
    with pytest.raises(DataError, match="has values of the type list"):
        label_lists(table_of(label=values), data())

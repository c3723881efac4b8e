"""Labels and missing values: what is dropped, what is refused, how labels are spelled."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.config import DataConfig
from warmstart.data.labels import (
    class_index,
    clean_rows,
    label_names,
    label_numbers,
    label_texts,
)
from warmstart.data.table import SourceFile, Table
from warmstart.errors import DataError

FILE = SourceFile("a.csv", "0", "utf-8", 0)


def table(columns: Mapping[str, Sequence[object] | pa.Array], setting: str = "data.train") -> Table:
    """Rows of which the first is on line 2 of ``a.csv``."""
    content = pa.table(dict(columns))
    n = content.num_rows
    rows = np.arange(n)
    return Table(content, rows, (FILE,), np.zeros(n, np.int32), rows + 2, setting)


def labels(*values: object) -> Table:
    return table({"label": pa.array(list(values))})


# --- clean_rows

GAPS = {
    "text": ["good", "", "  \t", None, "\u3000", "fine", "well", ""],
    "label": ["1", "1", "0", "0", "1", " ", None, None],
}


def test_incomplete_rows_are_dropped_counted_and_keep_their_lines() -> None:
    kept, counts = clean_rows(table(GAPS), DataConfig(train="a.csv", missing="drop"), labelled=True)
    assert counts == {"empty_text": 5, "missing_label": 2}
    assert kept.columns["text"].to_pylist() == ["good"]
    assert kept.where(0) == "a.csv:2"


def test_labels_are_not_looked_at_where_none_are_needed() -> None:
    without = table({"text": ["a", ""]})
    kept, counts = clean_rows(without, DataConfig(train="a.csv", missing="drop"), labelled=False)
    assert len(kept) == 1
    assert counts == {"empty_text": 1, "missing_label": 0}


def test_a_complete_table_is_passed_on_as_it_is() -> None:
    whole = table({"text": ["a", "b"], "label": ["x", "y"]})
    kept, counts = clean_rows(whole, DataConfig(train="a.csv"), labelled=True)
    assert kept is whole
    assert counts == {"empty_text": 0, "missing_label": 0}


def test_an_empty_text_is_refused_by_default() -> None:
    with pytest.raises(DataError) as error:
        clean_rows(table(GAPS), DataConfig(train="a.csv"), labelled=True)
    assert (
        error.value.found
        == "a.csv:3: the column 'text' (data.text) is empty here (the first of 5 rows)"
    )
    assert "--set data.missing=drop" in error.value.do


PAIRS = DataConfig(train="a.csv", text="q", text_pair="a")


def test_a_pair_needs_both_its_texts() -> None:
    rows = table({"q": ["x", " ", "z", "w"], "a": ["y", "y", "", "v"], "label": list("0101")})
    kept, counts = clean_rows(rows, PAIRS.model_copy(update={"missing": "drop"}), labelled=True)
    assert counts == {"empty_text": 2, "missing_label": 0}
    assert kept.columns["q"].to_pylist() == ["x", "w"]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"q": ["x", "y"], "a": ["x", None]}, "a.csv:3: the column 'a' (data.text_pair) is empty"),
        ({"q": ["", "y"], "a": ["x", "y"]}, "a.csv:2: the column 'q' (data.text) is empty here"),
        ({"q": ["x", "y"], "a": [1, 2]}, "the column 'a' (data.text_pair) has values"),
        ({"q": ["x", "y"], "b": ["x", "y"]}, "a.csv has no column 'a'"),
    ],
)
def test_the_faulty_one_of_two_texts_is_named(columns: dict[str, list[object]], found: str) -> None:
    with pytest.raises(DataError) as error:
        clean_rows(table({**columns, "label": ["0", "1"]}), PAIRS, labelled=True)
    assert error.value.found.startswith(found)


def test_pairs_that_are_all_dropped_name_both_settings() -> None:
    rows = table({"q": ["", "x"], "a": ["y", ""], "label": ["0", "1"]})
    with pytest.raises(DataError) as error:
        clean_rows(rows, PAIRS.model_copy(update={"missing": "drop"}), labelled=True)
    assert "columns 'q' and 'a'" in error.value.expected
    assert "data.text, data.text_pair and data.label" in error.value.do


@pytest.mark.parametrize("gap", [None, math.nan])
def test_a_missing_label_is_refused_by_default(gap: float | None) -> None:
    rows = table({"text": ["a", "b"], "label": pa.array([1.0, gap])})
    with pytest.raises(DataError) as error:
        clean_rows(rows, DataConfig(train="a.csv"), labelled=True)
    assert error.value.found == "a.csv:3: no label in the column 'label'"
    assert "--set data.missing=drop" in error.value.do


def test_dropping_every_row_is_refused() -> None:
    rows = table({"text": ["", " "], "label": ["0", "1"]})
    with pytest.raises(DataError, match="data.train has 2 rows, which all lack") as error:
        clean_rows(rows, DataConfig(train="a.csv", missing="drop"), labelled=True)
    assert "data.text" in error.value.do


def test_a_text_column_of_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="type int64") as error:
        clean_rows(table({"text": [1, 2]}), DataConfig(train="a.csv"), labelled=False)
    assert "--set data.text=COLUMN" in error.value.do


# --- label_texts


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["1", "0", "1"], ["1", "0", "1"]),
        (["1.0", "0.0", "1.0"], ["1", "0", "1"]),
        ([1.0, 0.0, 1.0], ["1", "0", "1"]),
        ([1, 0, 1], ["1", "0", "1"]),
        ([True, False], ["true", "false"]),
        (["1.0", "1.5"], ["1", "1.5"]),
        ([1.0, 1.5], ["1", "1.5"]),
        (["v1.0", "no. 2"], ["v1.0", "no. 2"]),
    ],
)
def test_labels_become_text_and_whole_floats_integers(
    written: list[object], read: list[str]
) -> None:
    assert label_texts(labels(*written), "label").to_pylist() == read


def test_a_categorical_column_of_labels_is_read() -> None:
    rows = table({"label": pa.array(["no", "yes"]).dictionary_encode()})
    assert label_texts(rows, "label").to_pylist() == ["no", "yes"]


@pytest.mark.parametrize(
    "spellings",
    [("1", "1.0"), ("Yes", "yes "), ("no", "No"), ("2", "02"), ("是", "是 "), ("1", "\uff11")],
)
def test_two_spellings_of_one_label_are_refused_with_the_place_of_each(
    spellings: tuple[str, str],
) -> None:
    one, other = spellings
    with pytest.raises(DataError) as error:
        label_texts(labels(one, "else", other, one), "label")
    assert f"{one!r} (a.csv:2), {other!r} (a.csv:4)" in error.value.found
    assert f"write {one!r} everywhere" in error.value.do


def test_a_column_of_identifiers_is_refused_as_labels() -> None:
    with pytest.raises(DataError, match="1,200 different values in 1,200 rows") as error:
        label_texts(labels(*map(str, range(1200))), "label")
    assert "--set data.label=COLUMN" in error.value.do


def test_a_column_of_lists_is_refused_as_labels() -> None:
    with pytest.raises(DataError, match="type list") as error:
        label_texts(labels(["a"], ["b"]), "label")
    assert "--set data.label=COLUMN" in error.value.do


# --- label_names and class_index


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
    ],
)
def test_label_names_are_sorted_as_numbers_or_as_text(
    written: list[str], names: tuple[str, ...]
) -> None:
    assert label_names(pa.chunked_array([written])) == names


def test_one_label_only_is_refused() -> None:
    with pytest.raises(DataError, match="all 3 training rows have the label 'x'") as error:
        label_names(pa.chunked_array([["x", "x", "x"]]))
    assert "--set data.label=COLUMN" in error.value.do


def test_a_label_never_seen_in_training_is_refused_with_the_nearest_known() -> None:
    rows = table({"label": ["no", "yess", "maybe", "yess"]}, setting="data.test")
    with pytest.raises(DataError) as error:
        class_index(label_texts(rows, "label"), ("no", "yes"), rows)
    assert error.value.found == (
        "a.csv:3: no training row has the label 'yess' (2 rows; 1 more such label)"
    )
    assert error.value.expected == "one of the 2 labels of the training rows: 'no', 'yes'"
    assert "write 'yes' if you meant" in error.value.do
    assert "data.test" in error.value.do


def test_an_unseen_label_unlike_any_other_names_no_nearest_one() -> None:
    rows = table({"label": ["zzz"]})
    with pytest.raises(DataError) as error:
        class_index(label_texts(rows, "label"), tuple(map(str, range(20))), rows)
    assert error.value.do.startswith("correct the label")
    assert error.value.expected.endswith("'9' …")


@given(st.lists(st.integers(-20, 20), min_size=2).filter(lambda values: len(set(values)) > 1))
def test_the_class_index_leads_back_to_the_label(values: list[int]) -> None:
    rows = labels(*(f"{value}.0" for value in values))
    texts = label_texts(rows, "label")
    names = label_names(texts)
    index = class_index(texts, names, rows)
    assert index.dtype == np.int64
    assert [int(names[at]) for at in index] == values
    assert list(names) == [str(value) for value in sorted(set(values))]


# --- labels that look alike

ALIKE = {
    "composed": ("caf\u00e9", "cafe\u0301"),
    "zero-width space": ("good", "good\u200b"),
    "byte order mark": ("good", "\ufeffgood"),
    "soft hyphen": ("good", "go\u00adod"),
    "no-break space": ("very good", "very\u00a0good"),
    "double space": ("very good", "very  good"),
    "ideographic space": ("\u5f88 \u597d", "\u5f88\u3000\u597d"),
    "full width": ("good", "\uff47ood"),
    "ligature": ("final", "\ufb01nal"),
    "variation selector": ("\u2764", "\u2764\ufe0f"),
    "Cyrillic letter": ("cat", "c\u0430t"),
    "Greek letter": ("Beta", "\u0392eta"),
    "hyphen": ("non-toxic", "non\u2011toxic"),
    "dash": ("non-toxic", "non\u2013toxic"),
    "control character": ("good", "good\x7f"),
}


@pytest.mark.parametrize("way", ALIKE)
def test_labels_that_look_alike_are_refused_and_the_difference_is_shown(way: str) -> None:
    clean, other = ALIKE[way]
    with pytest.raises(DataError) as error:
        label_texts(labels(other, "else", clean, other), "label")
    assert "2 labels look like spellings of the same label" in error.value.found
    assert ascii(clean) in error.value.found
    assert ascii(other) in error.value.found
    # The advice: one spelling everywhere.
    assert error.value.do.startswith(f"write {clean!r}")
    assert len(label_names(label_texts(labels(clean, "else", clean, clean), "label"))) == 2


@pytest.mark.parametrize("way", ALIKE)
def test_a_test_label_that_looks_like_a_training_label_is_told_why(way: str) -> None:
    clean, other = ALIKE[way]
    test = table({"label": [other, clean]}, "data.test")
    names = label_names(label_texts(labels(clean, "else"), "label"))
    with pytest.raises(DataError) as error:
        class_index(pa.chunked_array([[other, clean]]), names, test)
    assert f"is written {clean!r}" in error.value.found
    assert ascii(other) in error.value.found
    assert error.value.do.startswith(f"write {clean!r}")
    assert error.value.do.endswith("in data.test too")


@pytest.mark.parametrize(
    "distinct",
    [
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
         "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"),
        ("\u00fcber", "uber"),
        ("\u0432\u043e\u0434\u0430", "\u0432\u0438\u043d\u043e"),
        ("yes", "no"),
        ("0", "false"),
        ("a-b", "ab"),
    ],
)  # fmt: skip
def test_labels_that_look_different_are_different(distinct: tuple[str, str]) -> None:
    assert len(label_names(label_texts(labels(*distinct), "label"))) == 2


@pytest.mark.parametrize(
    "words", [("true", "false", "0", "1"), ("True", "no", "1"), ("yes", "No", "0", "1")]
)
def test_two_ways_to_write_yes_and_no_are_refused(words: tuple[str, ...]) -> None:
    """As in a CSV file with 0 and 1 beside a JSON file with booleans."""
    with pytest.raises(DataError, match="look like spellings of the same label"):
        label_texts(labels(*words), "label")


@pytest.mark.parametrize(("known", "other"), [(("False", "True"), "true"), (("0", "1"), "true")])
def test_a_test_file_with_another_way_to_write_yes(known: tuple[str, str], other: str) -> None:
    with pytest.raises(DataError) as error:
        class_index(pa.chunked_array([[other]]), known, table({"label": [other]}, "data.test"))
    assert error.value.do == f"write {known[1]!r} in data.test too"


def test_the_advice_is_the_spelling_without_space() -> None:
    with pytest.raises(DataError) as error:
        label_texts(labels("negative ", "positive", "negative"), "label")
    assert error.value.do.startswith("write 'negative' everywhere")


def test_numbers_with_several_spellings_may_be_amounts() -> None:
    with pytest.raises(DataError) as error:
        label_texts(labels("1.50", "1.5", "2"), "label")
    assert "--set task=text-regression" in error.value.do
    assert label_numbers(labels("1.50", "1.5", "2"), "label").tolist() == [1.5, 1.5, 2.0]


@pytest.mark.parametrize("label", ['["spam", "rude"]', "['spam', 'rude']", '{"spam": 1}', "[1, 0]"])
def test_a_label_that_is_a_list_is_refused(label: str) -> None:
    with pytest.raises(DataError) as error:
        label_texts(labels("spam", label), "label")
    assert "a.csv:3: the label in the column 'label' is a list or an object" in error.value.found
    assert "--set task=multi-label-classification" in error.value.do


def test_labels_of_many_digits() -> None:
    long = "9" * 5000
    assert label_names(label_texts(labels("1", long, "10"), "label")) == ("1", "10", long)
    with pytest.raises(DataError) as error:
        label_texts(labels(long, f"{long}.0"), "label")
    assert len(str(error.value)) < 1000
    with pytest.raises(DataError) as error:
        class_index(pa.chunked_array([[long]]), ("1", "2"), labels(long))
    assert len(str(error.value)) < 1000
    with pytest.raises(DataError) as error:
        label_numbers(labels("1", long), "label")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "values", [pa.array([b"\xff"]), pa.array([b"\xff"]).dictionary_encode(), pa.array([[1]])]
)
def test_a_label_column_without_texts(values: pa.Array) -> None:
    for read in (label_texts, label_numbers):
        with pytest.raises(DataError, match="has values of the type"):
            read(table({"label": values}), "label")


def test_nan_is_a_missing_label() -> None:
    """Reading turns NaN into null; see the tests of formats."""
    rows = table({"text": ["a", "b", "c"], "label": ["1", None, "2"]})
    kept, counts = clean_rows(rows, DataConfig(train="a.csv", missing="drop"), labelled=True)
    assert counts["missing_label"] == 1
    assert label_names(label_texts(kept, "label")) == ("1", "2")

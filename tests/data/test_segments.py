"""Documents as pairs of segments: how they are cut, and which second segments are drawn."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from warmstart.config import DataConfig
from warmstart.data.examples.masking import Draw
from warmstart.data.reading.sources import read
from warmstart.data.segments import (
    FOLLOWING,
    document_pairs,
    draw_partners,
    drawn_pairs,
    sentences,
    text_segments,
)
from warmstart.data.table import Table
from warmstart.errors import DataError


def cut(text: str, longest: int = 1) -> list[str]:
    return [text[start:stop] for start, stop in sentences(text, longest)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He came. Did she? No!", ["He came.", "Did she?", "No!"]),
        (
            '"Go!" he said. (She went.) It is 3.5 m',
            ['"Go!"', "he said.", "(She went.)", "It is 3.5 m"],
        ),
        ("他来了。她呢？“没有！”他说。", ["他来了。", "她呢？", "“没有！”", "他说。"]),
        ("one line\n\n  another one \r\nthe last", ["one line", "another one", "the last"]),
        (" \n ", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert cut(text) == found


def test_lines_are_sentences_unless_they_are_longer_than_a_segment() -> None:
    text = "One. Two.\nThis line is long. It has two sentences."
    assert cut(text, longest=20) == ["One. Two.", "This line is long.", "It has two sentences."]
    assert cut(text, longest=80) == ["One. Two.", "This line is long. It has two sentences."]


def test_a_segment_has_as_many_sentences_as_fit_and_no_text_is_lost() -> None:
    text = " ".join(f"Sentence {number} of the text." for number in range(40))
    found = text_segments(text, longest=100)
    assert " ".join(found) == text
    assert all(len(one) <= 100 for one in found)
    for one, two in pairwise(found):
        assert len(one) + len(two.split(".")[0]) + 2 > 100


def test_a_long_sentence_is_a_segment_of_its_own() -> None:
    assert text_segments(f"Short. {'a' * 50}. Short.", longest=20) == [
        "Short.",
        f"{'a' * 50}.",
        "Short.",
    ]


def table_of(folder: Path, documents: list[str]) -> Table:
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in documents))
    return read(str(path), data_of(), "data.train")


def data_of(**settings: object) -> DataConfig:
    given = {"text_pair": "next_text", "group": "document", "segment_characters": 12}
    return DataConfig.model_validate({"train": "documents.jsonl", **given, **settings})


def test_each_segment_with_a_next_one_is_a_row_of_its_documents_line(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["A a a. B b b. C c c.", "Only one sentence", "D d d. E e e."])
    pairs, left_out = document_pairs(table, data_of(segment_characters=6))
    assert left_out == {"empty_text": 0, "one_sentence": 1}
    assert pairs.columns.to_pydict() == {
        "text": ["A a a.", "B b b.", "D d d."],
        "next_text": ["B b b.", "C c c.", "E e e."],
        "document": ["0", "0", "2"],
        "label": ["IsNext", "IsNext", "IsNext"],
    }
    assert pairs.rows.tolist() == [0, 1, 2]
    assert pairs.lines.tolist() == [1, 1, 3]
    assert [file.rows for file in pairs.files] == [3]


def test_a_group_of_the_file_is_kept(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["A a. B b.", "C c. D d."])
    grouped = table.columns.append_column("author", [["x", "y"]])
    pairs, _ = document_pairs(Table(grouped, *_others(table)), data_of(group="author"))
    assert pairs.columns["author"].to_pylist() == ["x", "y"]
    with pytest.raises(DataError, match="no column 'writer'"):
        document_pairs(table, data_of(group="writer"))


def _others(table: Table) -> tuple[object, ...]:
    return table.rows, table.files, table.file_index, table.lines, table.setting


DOCUMENTS = np.repeat(np.arange(5), (1, 400, 300, 900, 399))


def test_half_of_the_partners_are_the_row_itself_and_the_others_are_of_other_documents() -> None:
    rows = np.arange(2000)
    partners, classes = draw_partners(rows, DOCUMENTS, Draw(seed=1, epoch=0))
    assert 0.45 < classes.mean() < 0.55
    own = classes == 0
    assert (partners[own] == rows[own]).all()
    assert (DOCUMENTS[partners[~own]] != DOCUMENTS[rows[~own]]).all()
    # All rows of other documents are equally likely: those of the document with 400 rows get 900 of
    # 1,600 partners from the document with 900.
    of_one = DOCUMENTS[partners[~own & (DOCUMENTS == 1)]]
    assert abs((of_one == 3).mean() - 900 / 1600) < 0.12
    assert set(of_one) <= {0, 2, 3, 4}


def test_rows_of_a_single_document_keep_their_next_segment() -> None:
    """A sample of the rows, whose time is measured, may be from one document."""
    rows = np.array([3, 4, 9])
    partners, classes = draw_partners(rows, np.zeros_like(rows), Draw(1, 0))
    assert partners.tolist() == [0, 1, 2]
    assert classes.tolist() == [0, 0, 0]


def test_the_draw_is_a_function_of_seed_epoch_and_row_alone() -> None:
    rows = np.arange(2000)
    np.random.seed(3)
    first = draw_partners(rows, DOCUMENTS, Draw(7, 2))
    state = np.random.get_state()[1].tolist()
    again = draw_partners(rows, DOCUMENTS, Draw(7, 2))
    assert np.random.get_state()[1].tolist() == state
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    for other in (Draw(7, 3), Draw(8, 2)):
        partners, classes = draw_partners(rows, DOCUMENTS, other)
        assert 0.4 < (classes == first[1]).mean() < 0.6
        both = (classes == 1) & (first[1] == 1)
        assert (partners[both] != first[0][both]).mean() > 0.9
    # The label of a row does not depend on the other rows of the split.
    part = np.arange(0, 2000, 2)
    _, classes = draw_partners(rows[part], DOCUMENTS[part], Draw(7, 2))
    assert np.array_equal(classes, first[1][part])


def test_a_split_shows_the_drawn_segments_and_keeps_the_true_ones(tmp_path: Path) -> None:
    documents = [" ".join(f"D{n} s{m}." for m in range(6)) for n in range(8)]
    pairs, _ = document_pairs(table_of(tmp_path, documents), data_of())
    drawn = drawn_pairs(pairs, data_of())
    rows = drawn.columns.to_pylist()
    assert {row["label"] for row in rows} == {"IsNext", "NotNext"}
    for row, before in zip(rows, pairs.columns.to_pylist(), strict=True):
        assert row[FOLLOWING] == before["next_text"]
        is_own = row["next_text"].split()[0] == row["text"].split()[0]
        assert is_own == (row["label"] == "IsNext")
        assert (row["next_text"] == row[FOLLOWING]) == is_own


def test_one_document_has_no_other_to_draw_from(tmp_path: Path) -> None:
    pairs, _ = document_pairs(table_of(tmp_path, ["A a a a. B b b b. C c c c."]), data_of())
    with pytest.raises(DataError, match="there is no other document"):
        drawn_pairs(pairs, data_of())

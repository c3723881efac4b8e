"""Files of words and of spans as a run reads them: nothing is lost, ignored or misread silently."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.reading.sources import read
from warmstart.data.table import Table
from warmstart.data.tags.word_labels import WordLabels, learned_tags, word_labels
from warmstart.data.tags.word_table import layout_of, word_table

BIO = "Mary B-PER\nSmith I-PER\nsaw O\n\nRome B-LOC\n"


def table_of(
    path: Path, content: str | Sequence[Any], **settings: Any
) -> tuple[Table, DataConfig, Mapping[str, int]]:
    """The table for training, its settings, and the numbers of rows left out."""
    if not isinstance(content, str):
        values = [json.dumps(value) for value in content]
        content = "\n".join(values) if path.suffix == ".jsonl" else f"[{','.join(values)}]"
    path.write_text(content, encoding="utf-8")
    data = DataConfig(train=str(path), **settings)
    table, left_out = word_table(read(str(path), data, "data.train"), data, labelled=True)
    return table, data, left_out


def labels_of(path: Path, content: str | Sequence[Any], **settings: Any) -> WordLabels:
    """The labels that training rows have."""
    table, data, _ = table_of(path, content, **settings)
    names, scheme, _ = learned_tags(data, table)
    return word_labels(data, table, names, scheme)


def refused(path: Path, content: str | Sequence[Any], **settings: Any) -> errors.DataError:
    with pytest.raises(errors.DataError) as raised:
        labels_of(path, content, **settings)
    return raised.value


# --- documents


def write(folder: Path, **files: str) -> list[str]:
    paths = []
    for name, content in files.items():
        path = folder / f"{name}.conll"
        path.write_text(content)
        paths.append(str(path))
    return paths


def documents_of(paths: list[str]) -> tuple[list[int] | None, Table]:
    data = DataConfig(train=paths)
    table, _ = word_table(read(paths, data, "data.train"), data, labelled=True)
    documents = layout_of(table, data).documents
    return None if documents is None else documents.tolist(), table


def test_documents_of_several_files_are_numbered_consecutively(tmp_path: Path) -> None:
    two = "-DOCSTART- O\n\nMary B-PER\n\nleft O\n\n-DOCSTART- O\n\nRome B-LOC\n"
    paths = write(tmp_path, a=two, b=two, c="Anna B-PER\n\nleft O\n", d=two)
    documents, table = documents_of(paths)
    assert documents == [0, 0, 1, 2, 2, 3, 4, 4, 5, 5, 6]
    assert table.columns["document"].to_pylist() == documents
    notes = [" ".join(file.notes) for file in table.files]
    assert ["is one document" in note for note in notes] == [False, False, True, False]


def test_without_any_border_rows_have_no_documents(tmp_path: Path) -> None:
    assert documents_of(write(tmp_path, a=BIO, b=BIO))[0] is None


def test_a_border_at_the_end_begins_no_document(tmp_path: Path) -> None:
    _, table = documents_of(write(tmp_path, a="-DOCSTART- O\n\nMary B-PER\n\n-DOCSTART- O\n"))
    assert "Documents: 1." in table.files[0].notes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b.txt", "a.txt", "b.txt"], [0, 1, 0]),
        ([1.5, 2.5, 1.5], [0, 1, 0]),
        (["x", None, "x"], [0, 1, 0]),
        ([None, None, None], None),
    ],
)
def test_a_column_document_may_have_any_values(
    tmp_path: Path, values: list[Any], expected: list[int] | None
) -> None:
    row = {"words": ["Mary", "left"], "tags": ["B-PER", "O"]}
    table, data, _ = table_of(tmp_path / "a.jsonl", [{**row, "document": v} for v in values])
    documents = layout_of(table, data).documents
    assert (None if documents is None else documents.tolist()) == expected


# --- tags of another kind


@pytest.mark.parametrize("content", ["Mary PER\nleft O\n", "A B-X\n\nB O\nMary PER\n", "A b-per\n"])
def test_tags_without_a_prefix_are_refused_if_the_scheme_has_prefixes(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "a.conll"
    error = refused(path, content, tag_scheme="BIO")
    line = 3 if content.startswith("A B-X") else 1
    assert f"a.conll:{line} has the tag" in error.found
    assert "--set data.tag_scheme=plain" in error.do
    labels_of(path, content + "\nX Y\n", tag_scheme="plain")


def scored(folder: Path, trained: str, tested: str, **settings: Any) -> WordLabels:
    """The labels of a second file, for a model that was trained on the first."""
    table, data, _ = table_of(folder / "train.conll", trained, **settings)
    names, scheme, _ = learned_tags(data, table)
    return word_labels(data, table_of(folder / "test.conll", tested)[0], names, scheme)


@pytest.mark.parametrize(
    ("trained", "tested", "kinds"),
    [
        (BIO, "Mary PER\nleft O\n", "'PER', without a prefix"),
        (BIO, "Mary b-per\n", "'b-per', without a prefix"),
        (BIO, "Mary B-PER\n\nRome LOC\n", "test.conll:3 has the tag 'LOC', without a prefix"),
        ("Mary N\nleft V\n", BIO, "'B-PER', with a prefix of a tag scheme"),
        ("Mary N\nleft V\n", "Mary N\nRome B-LOC\n", "'B-LOC', with a prefix"),
    ],
)
def test_a_file_with_tags_of_another_kind_than_the_run_is_refused(
    tmp_path: Path, trained: str, tested: str, kinds: str
) -> None:
    with pytest.raises(errors.DataError) as raised:
        scored(tmp_path, trained, tested)
    assert kinds in raised.value.found
    learned = "with prefixes (BIO)" if trained == BIO else "without prefixes"
    assert f"the model learned tags {learned}" in raised.value.found
    assert "--set data.tags=COLUMN" in raised.value.do


@pytest.mark.parametrize(
    "tested",
    [
        "Mary I-PER\nSmith I-PER\nsaw O\n\nRome I-LOC\n",
        "Mary B-PER\nSmith E-PER\nsaw O\n\nRome S-LOC\n",
        "Mary B-PER\nSmith L-PER\nsaw O\n\nRome U-LOC\n",
        BIO,
    ],
)
def test_a_file_in_another_scheme_with_prefixes_has_the_same_spans(
    tmp_path: Path, tested: str
) -> None:
    for trained in (BIO, "Mary B-PER\nSmith E-PER\n\nRome S-LOC\n"):
        labels = scored(tmp_path, trained, tested)
        found = labels.characters.to_lists(2)
        assert found == [[(0, 10, "PER")], [(0, 4, "LOC")]]
        assert labels.repaired == 0


def test_a_file_without_any_entity_can_be_scored(tmp_path: Path) -> None:
    assert len(scored(tmp_path, BIO, "Mary O\nleft O\n").characters) == 0
    assert len(scored(tmp_path, "Mary N\nleft O\n", "Mary O\nleft O\n").characters) == 0


def test_a_model_of_plain_tags_cannot_be_scored_on_spans(tmp_path: Path) -> None:
    table, data, _ = table_of(tmp_path / "train.conll", "Mary N\nleft V\n")
    names, scheme, _ = learned_tags(data, table)
    spans, own, _ = table_of(tmp_path / "a.jsonl", [{"text": "Anna", "spans": [[0, 4, "N"]]}])
    with pytest.raises(errors.DataError, match="has character spans, and the model learned tags"):
        word_labels(own, spans, names, scheme)


# --- columns

WORDS = {"words": ["Mary", "left"], "tags": ["B-PER", "O"]}
TEXT = {"text": "Mary left", "spans": [[0, 4, "PER"]]}


@pytest.mark.parametrize(
    ("row", "setting", "value", "advice"),
    [
        (WORDS, "tags", "ner_tags", "--set data.tags=tags"),
        (WORDS, "tags", "zzz", "--set data.tags=null"),
        (WORDS, "words", "tokens", "--set data.words=null"),
        (WORDS, "spans", "ents", "--set data.spans=spans"),
        (TEXT, "spans", "zzz", "--set data.spans=spans"),
        (TEXT, "tags", "ner_tags", "--set data.tags=null"),
        (TEXT, "words", "tokens", "--set data.words=null"),
    ],
)
def test_a_column_that_was_named_must_exist(
    tmp_path: Path, row: dict[str, Any], setting: str, value: str, advice: str
) -> None:
    path = tmp_path / "a.jsonl"
    error = refused(path, [row], **{setting: value})
    assert f"has no column {value!r}" in error.found
    assert error.do == advice
    name, _, fixed = advice.removeprefix("--set data.").partition("=")
    labels_of(path, [row], **{name: None if fixed == "null" else fixed})


def test_a_column_that_was_named_must_exist_in_an_export_too(tmp_path: Path) -> None:
    record = {"text": "Mary left", "label": [[0, 4, "PER"]]}
    error = refused(tmp_path / "a.json", [record], spans="label")
    assert error.do == "--set data.spans=spans"
    assert "refused_spans" not in error.expected


@pytest.mark.parametrize(
    ("name", "content", "setting", "value", "default"),
    [
        ("a.conll", BIO, "text", "tweet", "text"),
        ("a.conll", BIO, "spans", "entities", "spans"),
        ("a.jsonl", [{"words": ["a"], "tags": ["O"]}], "text", "tweet", "text"),
        ("a.jsonl", [{"text": "a", "spans": []}], "tag_scheme", "BILOU", "auto"),
    ],
)
def test_a_setting_for_the_other_form_of_labels_is_refused(
    name: str, content: Any, setting: str, value: str, default: str, tmp_path: Path
) -> None:
    error = refused(tmp_path / name, content, **{setting: value})
    assert error.expected == f"a file for which data.{setting} is needed, or no data.{setting}"
    assert error.do == f"--set data.{setting}={default}"
    table_of(tmp_path / name, content, **{setting: default})


def test_words_and_tags_are_read_before_spans_and_a_note_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    both = [{**TEXT, **WORDS, "tags": ["O", "B-PER"]}]
    assert labels_of(path, both).characters.to_lists(1) == [[(5, 9, "PER")]]
    note = table_of(path, both)[0].files[0].notes[-1]
    assert note == "Words and tags are read; the column 'spans' is not."
    # A column of spans that is named is read.
    named = [{**WORDS, "text": "Mary left", "ents": [[0, 4, "PER"]]}]
    assert labels_of(path, named, spans="ents").characters.to_lists(1) == [[(0, 4, "PER")]]


@pytest.mark.parametrize("words", [2, 2.5, "two", None, True, ["keyword"], [1, 2]])
def test_an_unrelated_column_of_that_name_does_not_replace_the_spans(
    tmp_path: Path, words: Any
) -> None:
    rows = [{**TEXT, "words": words}, {**TEXT, "words": words}]
    labels = labels_of(tmp_path / "a.jsonl", rows)
    assert labels.characters.to_lists(2) == [[(0, 4, "PER")]] * 2


def test_words_that_were_named_must_be_lists(tmp_path: Path) -> None:
    rows = [{**TEXT, **WORDS, "words": 2}]
    assert "in the column 'words': 2" in refused(tmp_path / "a.jsonl", rows, words="words").found


# --- annotations that are not finished


def task(text: str, *results: list[Any] | None) -> dict[str, Any]:
    """A task of Label Studio; None is a cancelled annotation."""
    made = [
        {"result": [{"value": one} for one in result or []], "was_cancelled": result is None}
        for result in results
    ]
    return {"data": {"text": text}, "annotations": made}


PER = {"start": 0, "end": 4, "text": "Mary", "labels": ["PER"]}


def test_tasks_without_a_finished_annotation_are_left_out_and_counted(tmp_path: Path) -> None:
    records = [
        task("Mary left", [PER]),
        task("nothing here", []),  # finished, and has no span
        task("not begun"),
        task("skipped", None),
        task("Mary came", None, [PER]),
    ]
    path = tmp_path / "a.json"
    table, data, left_out = table_of(path, records)
    assert table.columns["text"].to_pylist() == ["Mary left", "nothing here", "Mary came"]
    assert left_out["not_annotated"] == 2
    assert "Texts without a finished annotation, not used for training: 2." in table.files[0].notes
    # They can be predicted.
    every, _ = word_table(read(str(path), data, "--data"), data, labelled=False)
    assert len(every) == 5
    assert "no text with spans" in refused(path, [task("not begun")]).found


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_rejected_rows_of_prodigy_are_left_out_and_counted(tmp_path: Path, answer: str) -> None:
    rows = [{**TEXT, "answer": "accept"}, {**TEXT, "answer": answer}, {**WORDS, **TEXT}]
    table, _, left_out = table_of(tmp_path / "a.jsonl", rows[:2])
    assert len(table) == left_out["not_annotated"] == 1
    own = [{**TEXT, "answer": "reject"}, {**TEXT, "answer": "any other text"}]
    assert len(table_of(tmp_path / "b.jsonl", own)[0]) == 2


# --- counts and offsets


def total(labels: WordLabels) -> int:
    return sum(labels.counts[name] for name in ("kept", "snapped", "refused"))


def test_spans_in_texts_that_are_left_out_are_counted(tmp_path: Path) -> None:
    rows = [
        {"text": " ", "spans": [[0, 1, "PER"]]},
        TEXT,
        {"text": "\u200b", "spans": [[0, 1, "PER"], [0, 1, "LOC"]]},
        TEXT,
        {"text": "", "spans": [[0, 1, "PER"]]},
    ]
    labels = labels_of(tmp_path / "a.jsonl", rows, missing="drop")
    assert total(labels) == 6
    assert labels.counts["in a text without words"] == 4
    region = {"start": 0, "end": 1, "text": "x", "labels": ["PER"]}
    records = [task(" ", [region]), task("Mary left", [PER])]
    labels = labels_of(tmp_path / "a.json", records, missing="drop")
    assert total(labels) == 2


def test_a_copy_of_an_overlapping_span_is_missed_once(tmp_path: Path) -> None:
    long, short = [0, 9, "A"], [5, 9, "B"]
    for spans in ([long, short, short], [short, long, short], [short, short, long, long]):
        labels = labels_of(tmp_path / "a.jsonl", [{"text": "Mary left", "spans": spans}])
        assert labels.characters.to_lists(1) == [[(5, 9, "B"), (0, 9, "A")][::-1]]
        assert labels.counts["repeated"] == len(spans) - 2
        assert labels.counts["overlaps another"] == 1


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("far", [10**30, 2**63, -(10**30)])
def test_an_offset_of_any_size_is_outside_of_the_text(tmp_path: Path, name: str, far: int) -> None:
    spans = [[0, 4, "PER"], [0, far, "PER"], [far, 4, "PER"], [far, far, "PER"]]
    labels = labels_of(tmp_path / name, [{"text": "Mary left \U0001f600", "spans": spans}])
    assert total(labels) == 4
    assert labels.counts["kept"] == 1


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("span", [[False, True, "PER"], [0.5, 1, "PER"], [0, None, "PER"]])
def test_offsets_that_are_no_whole_numbers_are_refused(
    tmp_path: Path, name: str, span: list[Any]
) -> None:
    error = refused(tmp_path / name, [{"text": "Mary left", "spans": [span]}])
    assert "PER" in error.found


@pytest.mark.parametrize("form", [float, str, int])
def test_label_studio_may_write_offsets_as_decimals_or_texts(tmp_path: Path, form: Any) -> None:
    region = {**PER, "start": form(0), "end": form(4)}
    labels = labels_of(tmp_path / "a.json", [task("Mary left", [region])])
    assert labels.counts["kept"] == total(labels) == 1


def test_advice_for_spans_that_were_all_refused(tmp_path: Path) -> None:
    region = {**PER, "start": "/div[1]/text()[1]", "end": "/div[1]/text()[1]"}
    error = refused(tmp_path / "a.json", [task("Mary left", [region])])
    assert error.found == "all character spans of the training rows are refused (marked in HTML 1)"
    assert "data.tags" not in error.do
    assert "have no span" in refused(tmp_path / "a.json", [task("Mary left", [])]).found


def test_the_place_in_a_json_array_is_no_line(tmp_path: Path) -> None:
    table, _, _ = table_of(
        tmp_path / "a.json", [task("Mary left", [PER]), task("Mary came", [PER])]
    )
    assert table.where(1) == f"{tmp_path / 'a.json'} (record 2)"
    error = refused(tmp_path / "a.json", [task("Mary left", [PER]), {"data": {}}])
    assert "a.json (record 2) has no text" in error.found
    lines = tmp_path / "a.jsonl"
    table, _, _ = table_of(lines, [task("Mary left", [PER])] * 2, format="spans")
    assert table.where(1) == f"{lines}:2"


def test_a_list_with_a_missing_word_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path / "a.jsonl", [{"words": ["a", None], "tags": ["O", "B-X"]}])
    assert "a.jsonl:1 has in the column 'words'" in error.found


def test_remarks_count_spans_by_type_and_in_the_singular(tmp_path: Path) -> None:
    assert labels_of(tmp_path / "a.conll", BIO).remarks()[0] == "4 words, 2 spans (LOC 1, PER 1)"
    assert labels_of(tmp_path / "b.conll", "Mary B-PER\n").remarks()[0] == "1 word, 1 span (PER 1)"
    labels = labels_of(tmp_path / "a.jsonl", [TEXT])
    assert labels.problems() == []
    assert "1 character span: 1 kept, 0 snapped to words, 0 refused" in labels.remarks()
    assert np.array_equal(labels.bounds, [0, 2])


@pytest.mark.parametrize(("rows", "counted"), [(1, "1 training row"), (3, "3 training rows")])
def test_training_rows_of_one_tag_are_refused(tmp_path: Path, rows: int, counted: str) -> None:
    table, data, _ = table_of(tmp_path / "a.conll", "She O\nleft O\n\n" * rows)
    with pytest.raises(errors.DataError) as caught:
        learned_tags(data, table)
    assert caught.value.found == f"all words of {counted} have the same tag"
    assert caught.value.do.startswith("add rows with other tags to the file")
    table, data, _ = table_of(tmp_path / "a.conll", "She O\n\n" * rows + "Mary B-PER\n")
    assert learned_tags(data, table)[0] == ("O", "B-PER", "I-PER")

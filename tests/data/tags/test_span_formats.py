"""Exports with character spans: recognised, in code points, and every lost span is counted."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.tags.alignment import align_spans, split_words
from warmstart.data.tags.span_formats import (
    SPAN_TYPE,
    SpanFile,
    read_brat,
    read_spans,
    spans_of_column,
)
from warmstart.errors import DataError

TEXT = "Anna met Bo in Rome."
SPANS = [(0, 4, "PER"), (9, 11, "PER"), (15, 19, "LOC")]
EMOJI = "👋 Anna 👋 met Bo"
"""In code points Anna is 2 to 6 and Bo 13 to 15, in UTF-16 code units 3 to 7 and 15 to 17."""


def spans(found: SpanFile) -> list[list[tuple[int, int, str]]]:
    rows = found.columns["spans"].to_pylist()
    return [[(one["start"], one["end"], one["type"]) for one in row] for row in rows]


def read(value: Any, **more: Any) -> SpanFile:
    return read_spans(json.dumps(value), "a.json", **more)


def refused(content: str, **more: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read_spans(content, "a.json", **more)
    return caught.value


def label_studio(text: str, *regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    results = [
        {"id": "x", "from_name": "label", "to_name": "text", "type": "labels", "value": region}
        for region in regions
    ]
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": results}], **more}


def region(start: int, end: int, kind: str, text: str = TEXT) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text[start:end], "labels": [kind]}


REGIONS = [region(*span) for span in SPANS]
LISTS = [list(span) for span in SPANS]
OFFSETS = [{"id": 5, "start_offset": s, "end_offset": e, "label": t} for s, e, t in SPANS]
STARTS = [{"start": s, "end": e, "label": t} for s, e, t in SPANS]

WRITTEN: list[tuple[str, Any]] = [
    ("Label Studio JSON", [label_studio(TEXT, *REGIONS)]),
    ("Label Studio JSON-MIN", [{"id": 1, "text": TEXT, "names": REGIONS}, {"text": TEXT}]),
    ("doccano", {"id": 1, "text": TEXT, "label": LISTS, "Comments": []}),
    ("doccano", [{"text": TEXT, "labels": LISTS}]),
    ("doccano", {"id": 1, "text": TEXT, "entities": OFFSETS, "relations": []}),
    ("doccano", {"id": 1, "text": TEXT, "annotations": OFFSETS}),
    ("spaCy", [TEXT, {"entities": LISTS}]),
    ("spaCy", [[TEXT, {"entities": LISTS}]]),
    ("spaCy", {"classes": ["PER"], "annotations": [None, [TEXT, {"entities": LISTS}]]}),
    ("spaCy", {"text": TEXT, "tokens": [], "spans": [], "ents": STARTS}),
    ("JSON with spans", {"text": TEXT, "spans": STARTS}),
    ("JSON with spans", {"text": TEXT, "entities": LISTS}),
    ("JSON with spans", [{"text": TEXT, "entities": [{"begin": 0, "end": 4, "type": "PER"}]}]),
]


@pytest.mark.parametrize(("kind", "value"), WRITTEN)
def test_every_format_is_recognised(kind: str, value: Any) -> None:
    found = read(value)
    assert found.format == kind
    assert found.notes[0].startswith(f"{kind}; texts: ")
    assert found.columns["text"].to_pylist()[0] == TEXT
    assert found.columns["spans"].type == SPAN_TYPE
    expected = SPANS[:1] if "begin" in json.dumps(value) else SPANS
    assert spans(found)[0] == expected
    assert found.refused == {}


def test_json_lines_keep_their_line_numbers() -> None:
    lines = [{"text": "a", "label": []}, {"text": TEXT, "label": LISTS}]
    content = "\r\n\r\n".join(map(json.dumps, lines)) + "\n"
    found = read_spans(content, "a.jsonl")
    assert found.format == "doccano"  # the first record alone is not sufficient
    assert found.lines.tolist() == [1, 3]
    assert spans(found) == [[], SPANS]
    many = read_spans(
        json.dumps(["a", {"entities": []}]) + "\n" + json.dumps(["b", {"entities": []}]), "a"
    )
    assert (many.format, many.lines.tolist()) == ("spaCy", [1, 2])


def test_the_unit_of_the_offsets() -> None:
    units = [3, 7, "PER"], [15, 17, "PER"]
    found = read({"text": EMOJI, "label": units})
    assert found.unit == "UTF-16 code units"
    assert "offsets count UTF-16 code units." in found.notes[0]
    assert [EMOJI[a:b] for a, b, _ in spans(found)[0]] == ["Anna", "Bo"]
    points = [[2, 6, "PER"], [13, 15, "PER"]]
    found = read([EMOJI, {"entities": points}])
    assert (found.unit, spans(found)[0][0]) == ("code points", (2, 6, "PER"))
    given_unit = read({"text": EMOJI, "label": points}, unit="code points")
    assert spans(given_unit)[0] == [(2, 6, "PER"), (13, 15, "PER")]


@pytest.mark.parametrize(("unit", "start"), [("code points", 2), ("UTF-16 code units", 3)])
def test_texts_of_spans_show_the_unit(unit: str, start: int) -> None:
    value = {"start": start, "end": start + 4, "text": "Anna", "labels": ["PER"]}
    found = read([label_studio(EMOJI, value)])
    assert found.unit == unit
    assert "as the texts of the spans show" in found.notes[0]
    assert spans(found) == [[(2, 6, "PER")]]


def test_shifted_spans_are_refused_and_counted() -> None:
    shifted = {**REGIONS[0], "start": 1, "end": 5}
    found = read([label_studio(TEXT, shifted, REGIONS[2])])
    assert spans(found) == [[(15, 19, "LOC")]]
    assert found.refused == {"its text is not at its offsets": 1}
    assert "Spans refused (its text is not at its offsets): 1." in found.notes
    # White space is written in other ways; this is not a shift.
    lines = {"start": 0, "end": 5, "text": "a\\n b", "labels": ["X"]}
    assert read([label_studio("a\r\n b", lines)]).refused == {}
    literal = {"start": 0, "end": 4, "text": "a\\nb", "labels": ["X"]}
    assert read([label_studio("a\\nb", literal)]).refused == {}


def test_other_annotations_of_label_studio() -> None:
    task = label_studio(TEXT, REGIONS[0], {"choices": ["good"]})
    task["annotations"].insert(0, {"was_cancelled": True, "result": [{"value": REGIONS[1]}]})
    task["annotations"].append({"result": [{"value": REGIONS[2]}]})
    html = {"start": "/p[1]/text()[1]", "end": "/p[1]", "hypertextlabels": ["PER"]}
    both = {**REGIONS[2], "labels": ["LOC", "CITY"]}
    found = read([task, label_studio(TEXT, html, both)])
    assert spans(found) == [SPANS[:1], [(15, 19, "LOC"), (15, 19, "CITY")]]
    assert found.refused == {"marked in HTML": 1}
    assert found.notes[0].startswith("Label Studio JSON; texts: 2; spans: 4;")
    assert set(found.notes[1:]) == {
        "Skipped annotations by other annotators: 1.",
        "Skipped cancelled annotations: 1.",
        "Skipped annotations that are no spans: 1.",
        "Spans refused (marked in HTML): 1.",
        "Spans inside another span: 1; spans that overlap one: 0. If spans share a word, the "
        "longest is used.",
    }


def test_the_text_of_a_label_studio_task_may_have_any_key() -> None:
    task = label_studio(TEXT, *REGIONS)
    task["data"] = {"review": TEXT}
    assert read([task]).columns["text"].to_pylist() == [TEXT]
    task["data"] = {"title": "x", "review": TEXT}
    error = refused(json.dumps([task]))
    assert "no text under the key 'text'" in error.found
    assert error.do == "--set data.text=review"  # the longest
    assert spans(read([task], text_key="review")) == [SPANS]


def test_rejected_records_are_skipped_and_counted() -> None:
    records = [
        {"text": TEXT, "spans": STARTS, "answer": "reject"},
        {"text": TEXT, "spans": STARTS, "answer": "accept"},
    ]
    found = read(records)
    assert found.lines.tolist() == [2]
    assert "Skipped records that were rejected or ignored: 1." in found.notes
    error = refused(json.dumps(records[:1]))
    assert "no text with spans" in error.found
    assert "complete" in error.do


def test_nested_and_overlapping_spans_are_counted_and_left_to_the_alignment() -> None:
    found = read({"text": TEXT, "spans": [*STARTS, *([[0, 8, "X"], [5, 11, "X"], [3, 3, "X"]])]})
    assert found.notes[1] == (
        "Spans inside another span: 2; spans that overlap one: 1. If spans share a word, the "
        "longest is used."
    )
    assert len(spans(found)[0]) == 6
    aligned = align_spans(split_words([TEXT]), spans_of_column(found.columns["spans"]))
    assert aligned.counts() == {"kept": 3, "snapped": 0, "refused": 3}


BRAT = """T1\tPER 0 4\tAnna
T2\tLOC 15 19;25 29\tRome Asia
R1\tLives Arg1:T1 Arg2:T2
#1\tAnnotatorNotes T1\tsure
T3\tLOC 15 19\tRome
"""


def test_brat() -> None:
    crlf = "Anna\r\nmet"
    found = read_brat(
        [("a.ann", TEXT, BRAT), ("b.ann", crlf, "T1\tX 0 9\tAnna  met\r\n"), ("c", "", "")]
    )
    assert found.format == "brat"
    assert spans(found) == [[(0, 4, "PER"), (15, 19, "LOC")], [(0, 9, "X")], []]
    assert found.columns["text"].to_pylist() == [TEXT, crlf, ""]
    assert found.refused == {"discontinuous": 1}
    assert found.notes == (
        "brat; texts: 3; spans: 4; offsets count code points.",
        "Skipped annotations that are no spans: 2.",
        "Spans refused (discontinuous): 1.",
    )
    with pytest.raises(DataError) as caught:
        read_brat([("a.ann", TEXT, "T1\tPER 0 4\tAnna\nT2 PER 0 4 Anna\n")])
    assert caught.value.found.startswith("a.ann:2 ")
    assert "T1 ⇥ PER 0 4 ⇥ Anna" in caught.value.expected
    with pytest.raises(DataError):
        read_brat([])


@pytest.mark.parametrize(
    ("content", "found", "advice"),
    [
        ('{"text": "a", "label": []}\n{"text": ', "a.json:2 is not JSON", "export the file again"),
        ("[]", "a.json has no text with spans", "complete"),
        (
            '[{"text": "a"}]',
            "a.json (record 1) is not a text with spans: text",
            "[] if it has none",
        ),
        ("[3]", "a.json (record 1) is not a text with spans: int", "[] if it has none"),
        ('{"body": "a", "label": [[0, 1, "X"]]}', "'body'", "--set data.text=body"),
        ('{"text": "a", "label": [[0, 1]]}', "cannot be read: [0, 1]", "correct the span"),
        ('{"text": "a", "label": [[0, "1", "X"]]}', "cannot be read", "correct the span"),
        ('{"text": "a", "spans": [{"start": 0, "end": 1}]}', "cannot be read", "correct the span"),
        ('{"text": "a", "label": [[0, 1, ""]]}', "cannot be read", "correct the span"),
        ('{"text": "\\ud83d", "label": []}', "surrogate pair", "remove the \\ud… escape"),
        ('["\\ud83d", {"entities": []}]', "surrogate pair", "remove the \\ud… escape"),
    ],
)
def test_unreadable_files_are_refused(content: str, found: str, advice: str) -> None:
    error = refused(content)
    assert found in error.found
    assert advice in error.do


@given(st.text("a👋 \u0301", max_size=8), st.data())
def test_offsets_in_utf16_become_code_points(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in (start, end)]
    found = read({"text": text, "label": [[*units, "X"]]})
    assert spans(found) == [[(start, end, "X")]]
    # An offset outside of the text stays outside, by the same distance.
    whole = len(text.encode("utf-16-le")) // 2
    found = read({"text": text, "label": [[-1, whole + 2, "X"], [whole + 1, whole + 3, "X"]]})
    n = len(text)
    assert spans(found) == [[(-1, n + 2, "X"), (n + 1, n + 3, "X")]]


def test_half_of_a_character_moves_outwards() -> None:
    assert spans(read({"text": "👋👋", "label": [[1, 3, "X"]]})) == [[(0, 2, "X")]]
    assert spans(read({"text": "a👋👋b", "label": [[2, 4, "X"]]})) == [[(1, 3, "X")]]


def test_a_column_becomes_flat_spans() -> None:
    found = read([{"text": TEXT, "spans": STARTS}, {"text": "a", "spans": []}])
    flat = spans_of_column(found.columns["spans"])
    assert flat.to_lists(2) == [SPANS, []]
    assert flat.names == ("LOC", "PER")
    empty = spans_of_column(found.columns["spans"].slice(1))
    assert (len(empty), empty.names) == (0, ())

"""Answers of every form become the same column; contradictions are refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answering_runs import write_squad
from tests.data.reading_helpers import table, written
from warmstart.config import DataConfig
from warmstart.data.answers.answer_columns import REFERENCES, answer_table
from warmstart.errors import DataError

CONTEXT = "Ada lives in a red house."
RED = {"text": "red", "answer_start": 15}


def cleaned(path: Path, **settings: Any) -> tuple[list[Any], dict[str, int]]:
    """The answers of a file, and the number of rows left out."""
    data = DataConfig(train="x", text="question", text_pair="context", **settings)
    used, counts = answer_table(table(path), data, labelled=True)
    return used.columns.column(REFERENCES).to_pylist(), counts


def lines(folder: Path, *answers: Any, **more: Any) -> Path:
    """JSON lines with one question for each of these values of ``answers``."""
    rows = [{"question": "q", "context": CONTEXT, "answers": one, **more} for one in answers]
    return written(folder, "\n".join(map(json.dumps, rows)), "a.jsonl")


def refused(path: Path, **settings: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        cleaned(path, **settings)
    return caught.value


EXPECTED = [{"text": "red", "start": 15}]


@pytest.mark.parametrize(
    "answers",
    [
        [RED],
        {"text": ["red"], "answer_start": [15]},
        {"text": "red", "answer_start": 15},
        [{"text": "red", "start": 15}],
    ],
)
def test_forms_in_json_lines(tmp_path: Path, answers: Any) -> None:
    assert cleaned(lines(tmp_path, answers))[0] == [EXPECTED]


def test_several_answers_stay_in_order(tmp_path: Path) -> None:
    house = {"text": "house", "answer_start": 19}
    found, _ = cleaned(lines(tmp_path, [house, RED]))
    assert found == [[{"text": "house", "start": 19}, *EXPECTED]]


def test_nested_columns_of_parquet(tmp_path: Path) -> None:
    answers = {"text": ["red", "red house"], "answer_start": [15, 15]}
    rows = pa.table({"question": ["q"], "context": [CONTEXT], "answers": [answers]})
    pq.write_table(rows, tmp_path / "a.parquet")
    expected = [[*EXPECTED, {"text": "red house", "start": 15}]]
    assert cleaned(tmp_path / "a.parquet")[0] == expected


@pytest.mark.parametrize("start", ["15", "15.0"])
def test_a_text_with_its_start_in_another_column(tmp_path: Path, start: str) -> None:
    content = f"question,context,answer,begin\nq,{CONTEXT},red,{start}\nr,{CONTEXT},,-1\n"
    found, _ = cleaned(written(tmp_path, content), answers="answer", answer_start="begin")
    assert found == [EXPECTED, []]


def test_lists_of_texts_and_of_starts(tmp_path: Path) -> None:
    found, _ = cleaned(lines(tmp_path, ["red", "house"], answer_start=[15, 19]))
    assert found == [[*EXPECTED, {"text": "house", "start": 19}]]


def test_squad_gives_no_answer_for_an_impossible_question(tmp_path: Path) -> None:
    found, _ = cleaned(write_squad(tmp_path / "a.json", 20, unanswerable=0.5))
    assert [] in found
    assert any(found)


def test_rows_without_answers_are_incomplete(tmp_path: Path) -> None:
    path = lines(tmp_path, [RED], None)
    error = refused(path)
    assert error.found == f"{path}:2: no label in the column 'answers'"
    found, counts = cleaned(path, missing="drop")
    assert (found, counts["missing_label"]) == ([EXPECTED], 1)


def test_an_empty_question_is_incomplete(tmp_path: Path) -> None:
    content = f"question,context,answers,answer_start\n,{CONTEXT},red,15\n"
    assert "a.csv:2: the column 'question'" in refused(written(tmp_path, content)).found


def test_prediction_reads_no_answers(tmp_path: Path) -> None:
    data = DataConfig(train="x", text="question", text_pair="context")
    path = written(tmp_path, f"question,context\nq,{CONTEXT}\n")
    used, _ = answer_table(table(path), data, labelled=False)
    assert used.columns.column_names == ["question", "context"]


@pytest.mark.parametrize(
    ("answers", "more", "found", "expected", "advice"),
    [
        ([RED], {"is_impossible": True}, "also marked as having none", "empty list", "false"),
        ([RED, {"text": "", "answer_start": 0}], {}, "also marked as having none", "", "remove"),
        ([], {"is_impossible": False}, "and is_impossible is false", "is_impossible: true", "row"),
        ("red", {}, "the answer 'red' has no start in 'answer_start'", "counted from 0", "add"),
        ([{"text": "red"}], {}, "the answer 'red' has no start", "", "data.answer_start"),
        (["red"], {}, "the answer 'red' has no start", "counted from 0", "data.answer_start"),
        ({"a": 1}, {}, "the column 'answers' has", '"answer_start": …', "data.answers=COLUMN"),
        ({"text": ["red"], "answer_start": []}, {}, "1 answer and 0 starts", "for each", "row"),
    ],
)
def test_contradictions_are_refused_with_their_row(
    tmp_path: Path, answers: Any, more: dict[str, Any], found: str, expected: str, advice: str
) -> None:
    error = refused(lines(tmp_path, answers, **more))
    assert "a.jsonl:1: " in error.found
    assert found in error.found
    assert expected in error.expected
    assert advice in error.do


def test_a_missing_column_is_named_with_the_others(tmp_path: Path) -> None:
    path = written(tmp_path, f"question,context,reply\nq,{CONTEXT},red\n")
    error = refused(path)
    assert error.found == f"{path} has no column 'answers' (data.answers)"
    assert error.expected == "one of its columns: question, context, reply"
    assert error.do == "--set data.answers=COLUMN"

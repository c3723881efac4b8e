"""SQuAD's nested JSON: one row for each question, with its place in the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.answering_runs import articles, write_squad
from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading import squad_json


def test_each_question_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_squad(tmp_path / "train.json", 3)
    for block in (squad_json.BLOCK, 1):  # all questions of a context at once, or one by one
        monkeypatch.setattr(squad_json, "BLOCK", block)
        read = table(path)
        assert len(read) == 6
        assert read.files[0].format == "squad"
        assert read.where(2) == f"{path} (question 3)"
        row = {name: read.columns.column(name)[3].as_py() for name in read.columns.column_names}
        (paragraph,) = articles(3)[1]["paragraphs"]
        assert row == {
            "id": "1-1",
            "title": "t1",
            "context": paragraph["context"],
            "question": paragraph["qas"][1]["question"],
            "answers": paragraph["qas"][1]["answers"],
            "is_impossible": None,
        }


def test_version_two_has_questions_without_an_answer(tmp_path: Path) -> None:
    read = table(write_squad(tmp_path / "train.json", 20, unanswerable=0.5))
    marks = read.columns.column("is_impossible").to_pylist()
    answers = read.columns.column("answers").to_pylist()
    assert set(marks) == {"true", "false"}
    assert all(bool(found) == (mark == "false") for found, mark in zip(answers, marks, strict=True))


def test_an_article_without_a_title_gets_its_number(tmp_path: Path) -> None:
    content: dict[str, Any] = {"data": articles(2)}
    del content["data"][1]["title"]
    read = table(written(tmp_path, json.dumps(content), "a.json"))
    assert read.columns.column("title").to_pylist() == ["t0", "t0", "article 2", "article 2"]


def test_questions_to_predict_need_no_answers(tmp_path: Path) -> None:
    content: dict[str, Any] = {"data": articles(1)}
    for question in content["data"][0]["paragraphs"][0]["qas"]:
        del question["answers"], question["id"]
    read = table(written(tmp_path, json.dumps(content), "a.json"))
    assert read.columns.column("answers").to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda q, p: p.pop("context"), "'context' in paragraph 1 of article 1 is missing"),
        (lambda q, p: p.update(qas={}), "'qas' in paragraph 1 of article 1 is not a list"),
        (lambda q, p: q.pop("question"), "'question' in a question of paragraph 1"),
        (lambda q, p: q.update(answers="x"), "'answers' in a question of paragraph 1"),
        (lambda q, p: q["answers"][0].update(answer_start="4"), "is not a whole number"),
        (lambda q, p: q.update(is_impossible="no"), "'no', not true or false"),
        (lambda q, p: q["answers"][0].update(answer_start=10**30), "is 1e+30"),
        (lambda q, p: p.update(context="\ud83d Ada"), "has half of a UTF-16 surrogate pair"),
    ],
)
def test_another_form_is_refused_with_its_place(tmp_path: Path, change: Any, found: str) -> None:
    content: dict[str, Any] = {"data": articles(2)}
    (paragraph,) = content["data"][0]["paragraphs"]
    change(paragraph["qas"][0], paragraph)
    error = refusal(written(tmp_path, json.dumps(content), "a.json"))
    assert "a.json does not have the form of SQuAD's files" in error.found
    assert found in error.found
    assert '"paragraphs"' in error.expected
    assert "JSON lines" in error.do


def test_no_articles_and_no_questions(tmp_path: Path) -> None:
    path = written(tmp_path, '{"data": []}', "a.json")
    assert "no list 'data'" in refusal(path, format="squad").found
    content = {"data": [{"paragraphs": []}]}
    assert "has no rows" in refusal(written(tmp_path, json.dumps(content), "a.json")).found
    assert "is not JSON" in refusal(written(tmp_path, "{", "a.json"), format="squad").found

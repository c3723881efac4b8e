"""Read the JSON files of SQuAD 1.1 and 2.0, and of data sets with the same form (CMRC 2018, XQuAD).

A file has articles, an article has paragraphs, and a paragraph has a context and its questions::

    {"data": [{"title": "Normans", "paragraphs": [{"context": "…", "qas": [
        {"id": "1", "question": "…", "answers": [{"text": "…", "answer_start": 4}],
         "is_impossible": false}]}]}]}

Each question becomes a row. An article without a title gets its number as its title, so that
``data.group: title`` always keeps the questions of an article together.

Source: Rajpurkar et al. 2018, arXiv:1806.03822, and https://rajpurkar.github.io/SQuAD-explorer.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from warmstart import errors
from warmstart.data.mapped import mapped_table
from warmstart.data.reading.content import BLOCK

GIVEN_ANSWERS = pa.list_(pa.struct([("text", pa.string()), ("answer_start", pa.int64())]))
"""Arrow type of the column ``answers``: null for a question whose answers are not in the file."""

_COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("context", pa.string()),
        ("question", pa.string()),
        ("answers", GIVEN_ANSWERS),
        ("is_impossible", pa.string()),
    ]
)


def is_squad(content: Any) -> bool:
    """Whether the content of a JSON file has the form of SQuAD's files.

    Args:
        content: the parsed content; only its first article is looked at.
    """
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list) or not articles:
        return False
    return isinstance(articles[0], dict) and isinstance(articles[0].get("paragraphs"), list)


def read_squad(text: str, path: str) -> pa.Table:
    """The questions of a file, one row each; the columns are those of ``_COLUMNS``.

    Args:
        text: the content of the file.
        path: the file as shown in messages.

    Raises:
        DataError: the file has another form, or no question.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise errors.json_files.broken(path, line, str(error), text[:60]) from None
    if not is_squad(content):
        raise errors.answers.not_squad(path, "it has no list 'data' of articles with paragraphs")
    table = mapped_table(_batches(content["data"], path), _COLUMNS)
    if not table.num_rows:
        raise errors.data.no_rows(path, 0)
    return table


def _batches(articles: list[Any], path: str) -> Iterator[pa.RecordBatch]:
    """The questions of one paragraph after the other."""
    for number, article in enumerate(articles, start=1):
        place = f"article {number}"
        paragraphs = _of(article, "paragraphs", list, place, path)
        title = article.get("title")
        title = str(title) if title else place
        for index, paragraph in enumerate(paragraphs, start=1):
            where = f"paragraph {index} of {place}"
            context = _of(paragraph, "context", str, where, path)
            questions = _of(paragraph, "qas", list, where, path)
            rows = [_row(one, context, title, f"a question of {where}", path) for one in questions]
            # A long context is copied for a few questions at a time.
            count = max(1, BLOCK // (4 * len(context) + 1))
            for start in range(0, len(rows), count):
                yield pa.RecordBatch.from_pylist(rows[start : start + count], schema=_COLUMNS)


def _row(question: Any, context: str, title: str, where: str, path: str) -> dict[str, Any]:
    """One question as a row; whether it is impossible, as text (``true``, ``false``) or None."""
    text = _of(question, "question", str, where, path)
    answers = question.get("answers")
    if answers is not None:
        answers = [_answer(one, where, path) for one in _of(question, "answers", list, where, path)]
    impossible = question.get("is_impossible")
    if impossible is not None and not isinstance(impossible, bool):
        reason = f"'is_impossible' in {where} is {impossible!r}, not true or false"
        raise errors.answers.not_squad(path, reason)
    return {
        "id": None if question.get("id") is None else str(question["id"]),
        "title": title,
        "context": context,
        "question": text,
        "answers": answers,
        "is_impossible": None if impossible is None else str(impossible).lower(),
    }


def _answer(answer: Any, where: str, path: str) -> dict[str, Any]:
    place = f"an answer of {where}"
    start = _of(answer, "answer_start", int, place, path)
    if abs(start) >= 2**63:
        raise errors.answers.not_squad(path, f"'answer_start' of {place} is {start:.3g}")
    return {"text": _of(answer, "text", str, place, path), "answer_start": start}


def _of(content: Any, key: str, kind: type, where: str, path: str) -> Any:
    """A value of an object; raises if it is missing or has another type."""
    names = {list: "a list", str: "a text", int: "a whole number"}
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        reason = f"{key!r} in {where} is missing"
        if value is not None:
            reason = f"{key!r} in {where} is not {names[kind]}"
        raise errors.answers.not_squad(path, reason)
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            reason = f"{key!r} in {where} has half of a UTF-16 surrogate pair"
            raise errors.answers.not_squad(path, reason) from None
    return value

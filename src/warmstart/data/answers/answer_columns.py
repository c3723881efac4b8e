"""The answers of a table: one column, from every form in which files give them.

``answer_table`` adds the column ``reference_answers``, a list of ``{text, start}`` for each row,
which is empty for a question without an answer. It reads:

- SQuAD's JSON files, and lists of ``{"text", "answer_start"}`` in JSON lines or Parquet;
- ``{"text": […], "answer_start": […]}``, as the data sets of the Hugging Face Hub have them;
- a text, or a list of texts, with the start in a column of its own (``data.answer_start``), as a
  CSV file has it. There, an empty text with a start of -1 means that there is no answer.

If the table has a column ``is_impossible`` (SQuAD 2.0), it must agree with the answers.

Letters: N rows.
"""

import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.labels import clean_rows
from warmstart.data.table import Table
from warmstart.data.tags.spans import Bools, offset_of, offset_of_text

REFERENCES = "reference_answers"
"""Name of the column that ``answer_table`` adds."""

REFERENCE_TYPE = pa.list_(pa.struct([("text", pa.string()), ("start", pa.int64())]))
"""Its Arrow type; ``start`` as in the file, not yet checked."""

IMPOSSIBLE = "is_impossible"
"""SQuAD 2.0's column: whether a question has no answer."""

_ROWS = 4096


class Answer(NamedTuple):
    """An answer as a file gives it."""

    text: str
    start: int
    """Its first character in the context, in the unit of the file."""


def answer_table(table: Table, data: DataConfig, *, labelled: bool) -> tuple[Table, dict[str, int]]:
    """The rows with a question, a context and, if needed, answers; number of rows left out.

    Args:
        table: N rows as read from the files.
        data: names the columns.
        labelled: whether every row needs answers (or none, if it is marked so).

    Raises:
        DataError: a column is missing, a row is incomplete and ``data.missing`` is ``error``, or
            answers have an unknown form.
    """
    if not labelled:
        return clean_rows(table, data, labelled=False)
    if data.answers not in table.columns.column_names:
        path = ", ".join(file.path for file in table.files)
        raise errors.answers.no_answers_column(path, data.answers, table.columns.column_names)
    given = _answers_of(table, data)
    missing = np.array([answers is None for answers in given], dtype=np.bool_)
    values = pa.array(given, REFERENCE_TYPE)
    table = replace(table, columns=table.columns.append_column(REFERENCES, values))

    def unlabelled(_table: Table, _data: DataConfig) -> Bools:
        return missing

    # The message about a missing label names ``data.label``.
    named = data.model_copy(update={"label": data.answers})
    return clean_rows(table, named, labelled=True, unlabelled=unlabelled)


def _answers_of(table: Table, data: DataConfig) -> list[list[dict[str, Any]] | None]:
    """The answers of each row; None if they are missing."""
    names = table.columns.column_names
    has_starts = data.answer_start in names
    columns = [data.answers, data.answer_start] if has_starts else [data.answers]
    marks = IMPOSSIBLE in names
    found: list[list[dict[str, Any]] | None] = []
    for begin in range(0, len(table), _ROWS):
        part = table.columns.select([*columns, *[IMPOSSIBLE] * marks]).slice(begin, _ROWS)
        rows = zip(*(column.to_pylist() for column in part.columns), strict=True)
        for place, row in enumerate(rows, start=begin):
            where = table.where(place)
            mark = _truth(row[-1]) if marks else None
            if has_starts:
                answers = _with_starts(row[0], row[1], data, where)
            else:
                answers = _structured(row[0], data, where)
            answers = _agreed(answers, mark, where)
            found.append(None if answers is None else [one._asdict() for one in answers])
    return found


def _truth(value: Any) -> bool | None:
    """``is_impossible`` as a truth value; None if it is missing."""
    text = "" if value is None else str(value).strip().lower()
    return None if not text else text in ("true", "1", "yes")


def _agreed(
    answers: list[Answer] | None, impossible: bool | None, where: str
) -> list[Answer] | None:
    """The answers if ``is_impossible`` agrees with them."""
    texts = [one for one in answers or [] if one.text.strip()]
    if texts and (impossible or len(texts) < len(answers or [])):
        raise errors.answers.impossible_with_answer(where, texts[0].text)
    if texts:
        return texts
    if impossible:
        return []
    if answers is not None and impossible is False:
        raise errors.answers.answerless_with_answers(where)
    return answers if answers is None else []


def _structured(value: Any, data: DataConfig, where: str) -> list[Answer] | None:
    """The answers of a list of objects, or of an object of lists, possibly as JSON text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    content = _json(value)
    if isinstance(content, dict):
        texts, starts = content.get("text"), content.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        return _paired(texts, starts, content, data, where)
    if isinstance(content, list) and all(isinstance(one, dict) for one in content):
        texts = [one.get("text") for one in content]
        starts = [one.get("answer_start", one.get("start")) for one in content]
        return _paired(texts, starts, content, data, where)
    texts = [content] if isinstance(content, str) else content
    if isinstance(texts, list) and texts and isinstance(texts[0], str):
        raise errors.answers.no_start(where, texts[0], data.answer_start)
    raise errors.answers.unreadable(where, data.answers, value)


def _with_starts(value: Any, start: Any, data: DataConfig, where: str) -> list[Answer] | None:
    """The answers of a text or a list of texts, with their starts in another column."""
    starts = _json(start)
    if isinstance(starts, list):
        return _paired(_json(value), starts, value, data, where)
    if value is None or (isinstance(value, str) and not value.strip()):
        return [] if _offset(starts) == -1 else None
    if isinstance(value, list):
        return _paired(value, [starts], value, data, where)
    return _paired([value], [starts], value, data, where)


def _paired(
    texts: Any, starts: Any, value: Any, data: DataConfig, where: str
) -> list[Answer] | None:
    """Texts and starts as answers."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise errors.answers.unreadable(where, data.answers, value)
    if not isinstance(starts, list):
        starts = [starts] * len(texts)
    if len(starts) != len(texts):
        raise errors.answers.unequal_starts(where, len(texts), len(starts))
    answers = []
    for text, start in zip(texts, starts, strict=True):
        offset = _offset(start)
        if offset is None and text.strip():
            raise errors.answers.no_start(where, text, data.answer_start)
        answers.append(Answer(text, -1 if offset is None else offset))
    return answers


def _offset(value: Any) -> int | None:
    """An offset as a number or as text; None for other values."""
    if isinstance(value, str):
        text = value.strip()
        return -1 if text == "-1" else offset_of_text(text.removesuffix(".0"))
    return offset_of(value)


def _json(value: Any) -> Any:
    """The value of a text that is JSON's list or object; any other value as it is."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value

"""Answers are found at their offsets, or repaired and counted, or refused."""

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from warmstart.data.answers.answer_columns import REFERENCE_TYPE, REFERENCES
from warmstart.data.answers.answer_places import (
    UNICODE,
    WHITE_SPACE,
    AnswerPlaces,
    answer_places,
    reference_column,
)
from warmstart.data.answers.contexts import Contexts
from warmstart.data.table import SourceFile, Table
from warmstart.errors import DataError

CONTEXT = "Zoë lives  in\n\nSão Paulo 😀 and works at home."
NFD = unicodedata.normalize("NFD", CONTEXT)
SAO, HOME = CONTEXT.index("São"), CONTEXT.index("home")


def places(*rows: tuple[str, list[tuple[str, int]]]) -> AnswerPlaces:
    """The answers of rows with a context and its answers, each with its start."""
    values = [[{"text": text, "start": start} for text, start in found] for _, found in rows]
    columns = pa.table(
        {
            "context": [context for context, _ in rows],
            REFERENCES: pa.array(values, REFERENCE_TYPE),
        }
    )
    count = len(rows)
    files = (SourceFile("a.jsonl", "", None, count),)
    where = np.arange(1, count + 1)
    table = Table(columns, np.arange(count), files, np.zeros(count, np.int32), where)
    return answer_places(table, Contexts.of(columns.column("context")))


def one(answer: str, start: int, context: str = CONTEXT) -> tuple[str, AnswerPlaces]:
    """The part of the context that an answer gets, and the places."""
    found = places((context, [(answer, start)]))
    return context[int(found.starts[0]) : int(found.ends[0])], found


def test_answers_at_their_offsets_are_kept() -> None:
    found = places(
        (CONTEXT, [("São Paulo", SAO), ("home", HOME)]), (CONTEXT, []), ("a", [("a", 0)])
    )
    assert found.bounds.tolist() == [0, 2, 2, 3]
    assert found.texts == ("São Paulo", "home", "a")
    assert (found.starts.tolist(), found.ends.tolist()) == (
        [SAO, HOME, 0],
        [SAO + 9, HOME + 4, 1],
    )
    assert (found.unit, found.repaired) == ("characters", ())
    assert found.by_question() == [("São Paulo", "home"), (), ("a",)]


@pytest.mark.parametrize(
    ("answer", "start", "part"),
    [
        (" São Paulo", SAO, "São Paulo"),  # white space before it
        ("São Paulo  ", SAO, "São Paulo"),
        ("São Paulo", SAO + 1, "São Paulo"),  # off by one
        ("São Paulo", SAO - 2, "São Paulo"),
        ("lives in São", 4, "lives  in\n\nSão"),  # other white space than in the context
        ("home", len(" ".join(CONTEXT.split())) - 5, "home"),  # counted in a collapsed context
    ],
)
def test_white_space_is_repaired(answer: str, start: int, part: str) -> None:
    text, found = one(answer, start)
    assert text == part
    assert found.repaired == ((WHITE_SPACE, 1),)


@pytest.mark.parametrize(
    ("answer", "start", "context", "part"),
    [
        (unicodedata.normalize("NFD", "São Paulo"), SAO, CONTEXT, "São Paulo"),
        ("São Paulo", NFD.index("Sa"), NFD, unicodedata.normalize("NFD", "São Paulo")),
        ("São Paulo", SAO, NFD, unicodedata.normalize("NFD", "São Paulo")),
        (unicodedata.normalize("NFD", "Paulo 😀"), NFD.index("Paulo"), CONTEXT, "Paulo 😀"),
        ("2 fish", 0, "② ﬁsh", "② ﬁsh"),
    ],
)
def test_normalisation_is_repaired(answer: str, start: int, context: str, part: str) -> None:
    text, found = one(answer, start, context)
    assert text == part
    assert found.texts == (part,)
    reason = WHITE_SPACE if answer == part else UNICODE
    assert found.repaired == ((reason, 1),)


def test_an_answer_never_ends_inside_a_character() -> None:
    with pytest.raises(DataError):
        one("Sa", NFD.index("Sa") + 1, NFD)  # the tilde belongs to the a


def offsets_in(code: str, width: int) -> list[tuple[str, list[tuple[str, int]]]]:
    """Two rows whose offsets count something else."""

    def units(text: str) -> int:
        return len(text.encode(code)) // width

    return [
        (CONTEXT, [("São Paulo", units(CONTEXT[:SAO])), ("home", units(CONTEXT[:HOME]))]),
        ("no other letters", [("letters", 9)]),
    ]


@pytest.mark.parametrize(
    ("code", "width", "unit"), [("utf-8", 1, "UTF-8 bytes"), ("utf-16-le", 2, "UTF-16 units")]
)
def test_other_units_are_recognised(code: str, width: int, unit: str) -> None:
    found = places(*offsets_in(code, width))
    assert found.unit == unit
    assert found.starts.tolist() == [SAO, HOME, 9]
    assert found.repaired == ()


def test_characters_win_if_most_answers_are_right_so() -> None:
    byte = len(CONTEXT[:HOME].encode())
    rows = [(CONTEXT, [("São Paulo", SAO), ("and", CONTEXT.index("and")), ("home", byte)])]
    with pytest.raises(DataError) as caught:
        places(*rows)
    assert "is not at character" in caught.value.found


def test_an_answer_elsewhere_is_refused_with_its_places() -> None:
    with pytest.raises(DataError) as caught:
        places((CONTEXT, []), (CONTEXT, [("works", 4)]))
    error = caught.value
    assert error.found == (
        "a.jsonl:2: the answer 'works' is not at character 4 of its context: there is 'lives'"
    )
    assert "counted in characters from 0" in error.expected
    assert error.do == f"correct the start: the answer is at {CONTEXT.index('works')}"


@pytest.mark.parametrize("start", [4, 999])
def test_an_answer_that_is_nowhere_is_refused(start: int) -> None:
    with pytest.raises(DataError) as caught:
        places((CONTEXT, [("Rio", start)]))
    assert caught.value.do == "correct the answer or its start, or leave this row out"
    assert ("the context is shorter" in caught.value.found) == (start == 999)


def test_the_column_gives_the_same_answers_again() -> None:
    rows: list[Any] = [(CONTEXT, [(" São  Paulo", SAO), ("home", HOME)]), (CONTEXT, [])]
    found = places(*rows)
    again: list[Any] = [
        (CONTEXT, [(one["text"], one["start"]) for one in answers])
        for answers in reference_column(found).to_pylist()
    ]
    second = places(*again)
    assert second.by_question() == found.by_question()
    assert second.repaired == ()

"""Error messages about questions, contexts and their answers."""

from collections.abc import Sequence

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.counts import counted

_SHOWN = 60
"""Characters of a text that a message shows."""

_FORMS = (
    'a list of {"text": …, "answer_start": …}, or {"text": […], "answer_start": […]}; or a text, '
    "with its start in the column data.answer_start"
)


def without_context(task: str) -> ConfigError:
    """Question answering without a column of contexts."""
    return ConfigError(
        f"task is {task} and data.text_pair is not set",
        "questions in the column data.text and contexts in the column data.text_pair",
        "--text question --text-pair context",
    )


def not_squad(path: str, reason: str) -> DataError:
    """A JSON file that is read as SQuAD and has another form."""
    return DataError(
        f"{path} does not have the form of SQuAD's files: {reason}",
        '{"data": [{"title", "paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}',
        "correct this place; or convert the file to JSON lines with the keys question, context "
        "and answers",
    )


def no_answers_column(path: str, column: str, known: Sequence[str]) -> DataError:
    """The column with the answers does not exist."""
    return DataError(
        f"{path} has no column {column!r} (data.answers)",
        f"one of its columns: {', '.join(known)}",
        "--set data.answers=COLUMN",
    )


def unreadable(where: str, column: str, value: object) -> DataError:
    """A value of the column of answers that has none of the known forms."""
    return DataError(
        f"{where}: the column {column!r} has {_short(str(value))}",
        _FORMS,
        "correct this row; or name the column with --set data.answers=COLUMN",
    )


def no_start(where: str, answer: str, column: str) -> DataError:
    """An answer whose start is not given, or is not a whole number."""
    return DataError(
        f"{where}: the answer {_short(answer)} has no start in {column!r}",
        "the position of its first character in the context, counted from 0",
        "add the start; or name the column with --set data.answer_start=COLUMN",
    )


def unequal_starts(where: str, answers: int, starts: int) -> DataError:
    """The numbers of answers and starts of a question differ."""
    return DataError(
        f"{where}: {counted(answers, 'answer')} and {counted(starts, 'start')}",
        "a start for each answer",
        "correct this row",
    )


def impossible_with_answer(where: str, answer: str) -> DataError:
    """A question that is marked as impossible and has an answer."""
    return DataError(
        f"{where}: the question has the answer {_short(answer)}, and is also marked as having none",
        "answers, or no answer: in SQuAD 2.0, an empty list and is_impossible: true",
        "remove the answers, or set is_impossible to false",
    )


def answerless_with_answers(where: str) -> DataError:
    """A question without answers that is marked as possible."""
    return DataError(
        f"{where}: the question has no answer, and is_impossible is false",
        "an answer; or is_impossible: true for a question that its context does not answer",
        "correct this row",
    )


def not_in_context(
    where: str, answer: str, start: int, found: str, elsewhere: Sequence[int]
) -> DataError:
    """An answer that is not at its place in the context; ``found`` is what is there."""
    there = f"there is {_short(found)}" if found else "the context is shorter"
    do = "correct the answer or its start, or leave this row out"
    if elsewhere:
        places = ", ".join(f"{place:,}" for place in elsewhere)
        do = f"correct the start: the answer is at {places}"
    return DataError(
        f"{where}: the answer {_short(answer)} is not at character {start:,} of its context: "
        f"{there}",
        "an answer that is a part of its context; its start is counted in characters from 0",
        do,
    )


def nothing_answered(rows: int) -> DataError:
    """No question of the training rows has an answer."""
    return DataError(
        f"none of {counted(rows, 'training row')} has an answer",
        "questions with answers: without them, no span can be learned",
        "check data.answers, or add rows with answers",
    )


def no_unanswerable_question() -> ConfigError:
    """A threshold for questions without an answer, and there are none in training."""
    return ConfigError(
        "train.choose_threshold is true, and every training question has an answer",
        "questions without an answer, as in SQuAD 2.0: the threshold decides which get none",
        "--set train.choose_threshold=false",
    )


def no_room_for_context(max_tokens: int, needed: int) -> ConfigError:
    """Windows so short that a question leaves no room for a context."""
    return ConfigError(
        f"model.max_tokens is {max_tokens}: a question and a context do not fit into it",
        f"at least {needed}",
        "--set model.max_tokens=auto",
    )


def _short(text: str) -> str:
    """The beginning of a text, in quotes and on one line."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")

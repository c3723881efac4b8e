"""Texts of the errors about labels, grades and pairs that cannot be learned from as they are."""

from warmstart.errors.base import DataError


def no_room_for_second(where: str, tokens: int, max_tokens: int) -> DataError:
    """A pair whose first text fills the model alone, where only the second may be cut."""
    return DataError(
        found=f"{where}: the first text alone has {tokens:,} tokens, with model.max_tokens "
        f"{max_tokens:,} and data.truncation second_only",
        expected="room for the second text, which alone may be cut",
        do="--set data.truncation=longest_first",
    )


def not_a_grade(column: str, value: str, where: str) -> DataError:
    """A relevance that is no number, or below zero."""
    return DataError(
        found=f"{where}: the column {column} has {value!r}",
        expected="how relevant the document is to the query: 0 for not at all, 1 or more",
        do="write 0 and 1 in place of words; or name another column: --label COLUMN",
    )


def graded_for_binary_loss(column: str, grade: float, where: str, loss: str) -> DataError:
    """A grade beyond 0 and 1, for a loss that knows relevant and not relevant alone."""
    return DataError(
        found=f"{where}: the column {column} has the grade {grade:g}, and train.loss is {loss}",
        expected="0 or 1, which is all that this loss tells apart",
        do="--set train.loss=listwise, which learns from grades; or make them 0 and 1",
    )


def one_grade(column: str, grade: float, rows: int) -> DataError:
    """Training rows that are all equally relevant."""
    return DataError(
        found=f"all {rows:,} training rows have the relevance {grade:g} in the column {column}",
        expected="relevant documents and others, to tell them apart",
        do="give documents of both kinds; or name another column: --label COLUMN",
    )


def no_list_to_learn_from(query: str, loss: str) -> DataError:
    """Queries whose documents are all equally relevant, where they are learned by comparing."""
    return DataError(
        found=f"no {query} has documents of different relevance, and train.loss is {loss}",
        expected="queries with relevant documents and others, to compare",
        do="--set train.loss=binary-cross-entropy, which learns from each row alone",
    )

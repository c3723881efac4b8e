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


def no_room_for_text(where: str, special: int, max_tokens: int) -> DataError:
    """A row whose special tokens alone fill the model, so that no token of the text is left."""
    return DataError(
        found=f"{where}: the tokenizer adds {special} special tokens to the row, and "
        f"model.max_tokens is {max_tokens}",
        expected="room for at least one token of the text",
        do=f"--set model.max_tokens={special + 1}, or more",
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


def not_a_number(column: str, value: str, where: str) -> DataError:
    """A label that is no number, or not a finite one, where numbers are learned."""
    return DataError(
        found=f"{where}: the column {column} has {value!r}",
        expected="a number, such as 3, -0.5 or 1e-3 (no thousands separator, no unit)",
        do="correct it, or name the column with the numbers: --label COLUMN; to learn labels that "
        "are words: --set task=text-classification",
    )


def one_number(column: str, value: float, rows: int) -> DataError:
    """Training rows that all have the same number."""
    return DataError(
        found=f"all {rows:,} training rows have {value:g} in the column {column}",
        expected="different numbers, or there is nothing to predict",
        do="add rows with other numbers to data.train; or name another column: --label COLUMN",
    )


def not_zero_or_one(column: str, value: str, where: str) -> DataError:
    """A column of ``data.label_columns`` with something else than whether the label applies."""
    return DataError(
        found=f"{where}: the column {column!r} (data.label_columns) has {value!r}",
        expected="1 where the label applies and 0 where it does not, in every row",
        do="correct it, or take the column out of data.label_columns; where one column lists all "
        "labels: --label COLUMN --set data.label_columns=null",
    )


def same_labels(rows: int, labels: str) -> DataError:
    """Training rows that all have the same labels, or none."""
    return DataError(
        found=f"all {rows:,} training rows have "
        + (f"the labels {labels} and no others" if labels else "no label"),
        expected="labels that some rows have and others have not",
        do="add other rows to data.train; or name another column: --label COLUMN",
    )

"""Error messages about labels, relevance grades and pairs that cannot be used for training."""

from warmstart.errors.base import DataError


def no_room_for_second(where: str, tokens: int, max_tokens: int) -> DataError:
    """A pair whose first text leaves no room for the second, with truncation ``second_only``."""
    return DataError(
        found=f"{where}: the first text alone has {tokens:,} tokens; model.max_tokens is "
        f"{max_tokens:,} and data.truncation is second_only",
        expected="room for the second text: second_only never truncates the first",
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
    """A relevance grade that is not a number, or is negative."""
    return DataError(
        found=f"{where}: the column {column} has {value!r}",
        expected="the relevance of the document: 0 if not relevant, 1 or more if relevant",
        do="write 0 and 1 instead of words; or name another column: --label COLUMN",
    )


def graded_for_binary_loss(column: str, grade: float, where: str, loss: str) -> DataError:
    """A grade other than 0 and 1, for a loss that only supports these two."""
    return DataError(
        found=f"{where}: the column {column} has the grade {grade:g}, and train.loss is {loss}",
        expected="0 or 1, the only grades that this loss supports",
        do="--set train.loss=listwise, which supports more grades; or change the grades to 0 and 1",
    )


def one_grade(column: str, grade: float, rows: int) -> DataError:
    """All training rows have the same relevance."""
    return DataError(
        found=f"all {rows:,} training rows have the relevance {grade:g} in the column {column}",
        expected="relevant and non-relevant documents",
        do="add documents of both kinds; or name another column: --label COLUMN",
    )


def no_list_to_learn_from(query: str, loss: str) -> DataError:
    """No query has documents of different relevance, which a ranking loss compares."""
    return DataError(
        found=f"no {query} has documents of different relevance, and train.loss is {loss}",
        expected="queries with both relevant and non-relevant documents, which this loss compares",
        do="--set train.loss=binary-cross-entropy, which uses each row separately",
    )


def not_a_number(column: str, value: str, where: str) -> DataError:
    """A label that is not a finite number, for regression."""
    return DataError(
        found=f"{where}: the column {column} has {value!r}",
        expected="a number, such as 3, -0.5 or 1e-3 (no thousands separator, no unit)",
        do="correct it, or name the column with the numbers: --label COLUMN; to learn labels that "
        "are words: --set task=text-classification",
    )


def one_label(label: str, rows: int) -> DataError:
    """All training rows have the same label."""
    return DataError(
        f"all {rows:,} training rows have the label {label!r}",
        "at least two different labels",
        "add rows with another label to data.train, or name another column with "
        "--set data.label=COLUMN",
    )


def one_number(column: str, value: float, rows: int) -> DataError:
    """All training rows have the same number, for regression."""
    return DataError(
        found=f"all {rows:,} training rows have {value:g} in the column {column}",
        expected="at least two different numbers",
        do="add rows with other numbers to data.train; or name another column: --label COLUMN",
    )


def not_zero_or_one(column: str, value: str, where: str) -> DataError:
    """A value other than 0 and 1 in a column of ``data.label_columns``."""
    return DataError(
        found=f"{where}: the column {column!r} (data.label_columns) has {value!r}",
        expected="1 if the label applies to the row, 0 if it does not",
        do="correct it, or remove the column from data.label_columns; if one column lists all "
        "labels: --label COLUMN --set data.label_columns=null",
    )


def same_labels(rows: int, labels: str) -> DataError:
    """All training rows have the same labels, or none has a label (``labels`` is empty)."""
    return DataError(
        found=f"all {rows:,} training rows have "
        + (f"the labels {labels} and no others" if labels else "no label"),
        expected="rows with different labels",
        do="add rows with other labels to data.train; or name another column: --label COLUMN",
    )

"""Error messages about labels, relevance grades and pairs that cannot be used for training."""

import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.counts import counted, form
from warmstart.errors.data import _in_all

_LABEL_CHARACTERS = 120
"""Maximum number of characters of a label in a message."""


def no_room_for_second(where: str, tokens: int, max_tokens: int) -> DataError:
    """A pair whose first text leaves no room for the second, with truncation ``second_only``."""
    return DataError(
        found=f"{where}: the first text alone has {counted(tokens, 'token')}; model.max_tokens is "
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


def no_token_in_row(where: str) -> DataError:
    """A row without any token: the text has none, and the tokenizer adds no special tokens."""
    return DataError(
        found=f"{where}: the tokenizer knows no character of this text, and adds no special tokens",
        expected="at least one token, because the model cannot read an empty row",
        do="remove the row; or set model.name to a model whose tokenizer knows these characters",
    )


def not_a_grade(column: str, value: str, where: str) -> DataError:
    """A relevance grade that is not a number, or is negative."""
    return DataError(
        found=f"{where}: the column {column} has {_label(value)}",
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
        found=f"{where}: the column {column} has {_label(value)}",
        expected="a number, such as 3, -0.5 or 1e-3 (no thousands separator, no unit)",
        do="correct it, or name the column with the numbers: --label COLUMN; to learn labels that "
        "are words: --set task=text-classification",
    )


def one_label(label: str, rows: int) -> DataError:
    """All training rows have the same label."""
    return DataError(
        f"all {rows:,} training rows have the label {_label(label)}",
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
    """A value other than 0 and 1 in a column (or a list) that has only these two."""
    return DataError(
        found=f"{where}: the column {column!r} has {_label(value)}",
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


def missing_label(column: str, where: str, rows: int) -> DataError:
    """A row without label, under ``data.missing: error``."""
    return DataError(
        f"{where}: no label in the column {column!r}{_in_all(rows)}",
        "a label in every row",
        "fill it in, or drop such rows with --set data.missing=drop",
    )


def no_label_at_all(column: str, path: str, rows: int) -> DataError:
    """No row of the file(s) has a label, as in the test files of many benchmarks."""
    return DataError(
        f"{path}: none of the {rows:,} rows has a label in the column {column!r}",
        "rows with labels, for training and for scores; test rows of a benchmark often have none",
        "use its validation rows (often called dev) for scores; or only predict these rows: "
        "warmstart predict RUN --data FILE",
    )


def not_labels(column: str, distinct: int, rows: int, *, where: str) -> DataError:
    """Almost every row has a different label: it contains ids, texts or measurements."""
    return DataError(
        f"{where}: the column {column!r} has {distinct:,} different values in {rows:,} rows",
        "labels that each occur in many rows",
        "name the column with the labels: --set data.label=COLUMN",
    )


def label_spellings(
    best: str, places: Mapping[str, str], *, hidden: bool, numbers: bool
) -> DataError:
    """Labels that could be spellings of the same label.

    Args:
        best: the spelling to use, without white space around it.
        places: each spelling, and the ``file:line`` where it first occurs; the best one first.
        hidden: a reader cannot see the difference: it is shown in ASCII.
        numbers: the labels are numbers (1 and 1.0).
    """
    shown = (f"{_label(label, ascii_too=hidden)} ({where})" for label, where in places.items())
    amounts = "; or, if the labels are amounts: --set task=text-regression" if numbers else ""
    return DataError(
        f"{len(places)} labels look like spellings of the same label: {', '.join(shown)}",
        "one spelling for each label",
        f"write {_label(best, ascii_too=hidden)} everywhere, or give the labels "
        f"clearly different names{amounts}",
    )


def several_labels(column: str, label: str, where: str) -> DataError:
    """A label that is the text of a list or an object, for a task with one label per row."""
    return DataError(
        f"{where}: the label in the column {column!r} is a list or an object: {_label(label)}",
        "one label in every row",
        "--set task=multi-label-classification if a row can have several labels; or name another "
        "column: --set data.label=COLUMN",
    )


def unreadable_list(column: str, text: str, where: str) -> DataError:
    """A text that looks like a list of labels, but is not a list as JSON or Python write it."""
    return DataError(
        f"{where}: the labels in the column {column!r} are {_label(text)}",
        'a JSON list of texts, such as ["rude", "spam"], or labels with a separator, such as '
        "rude|spam",
        "correct it; or remove the brackets and name the separator: "
        "--set data.label_separator=','; or write one column of 0 and 1 for each label, and "
        "--set 'data.label_columns=[NAME,NAME,…]'",
    )


def other_separator(
    column: str, label: str, separator: str, counts: tuple[int, int], *, where: str
) -> DataError:
    """Labels that look like several labels with a separator other than the default.

    Args:
        column: the column of the labels.
        label: one of them.
        separator: the text between its parts.
        counts: number of different labels, and of different parts.
        where: ``file:line`` of ``label``.
    """
    return DataError(
        f"{where}: the column {column!r} has {counts[0]:,} different labels such as "
        f"{_label(label)}, made of {counts[1]:,} parts with {separator!r} between them",
        "data.label_separator, the text between the labels of a row; its default is '|'",
        f"--set data.label_separator={shlex.quote(separator)}; or, if these are whole labels: "
        "--set data.label_separator='|'",
    )


def separator_of_lists(column: str, separator: str, where: str) -> DataError:
    """A separator, although every row has a list of labels."""
    return DataError(
        f"{where}: the column {column!r} contains lists of labels, and data.label_separator is "
        f"{separator!r}",
        "texts in which a separator stands between the labels, or no data.label_separator",
        "--set data.label_separator=null",
    )


def numbers_in_lists(column: str, value: str, where: str) -> DataError:
    """Lists of numbers that are neither numbers of labels nor 0 and 1, such as probabilities."""
    return DataError(
        f"{where}: the lists in the column {column!r} have the value {_label(value)}",
        "names or numbers of labels, or 1 if a label applies to the row and 0 if it does not",
        "if the values are probabilities, write 1 for those of at least 0.5 and 0 for the others",
    )


def unequal_multi_hot(column: str, lengths: Sequence[int], where: Sequence[str]) -> DataError:
    """Lists of 0 and 1 (one value for each label) of different lengths.

    Args:
        column: the column of the lists.
        lengths: two different lengths.
        where: ``file:line`` of a list of each length.
    """
    return DataError(
        f"the lists of 0 and 1 in the column {column!r} have {lengths[0]:,} values ({where[0]}) "
        f"and {lengths[1]:,} values ({where[1]})",
        "one value for each label in every row, or lists with the names of the labels",
        "correct the lists; or write the names of the labels instead",
    )


def unseen_label(
    label: str,
    known: Sequence[str],
    *,
    same: str | None,
    best: str | None,
    where: str,
    rows: int,
    other_labels: int,
    setting: str,
) -> DataError:
    """A label of the validation or test split that no training row has.

    Args:
        label: the first such label.
        known: the labels of the training rows.
        same: the label of the training rows of which ``label`` is another spelling, if any.
        best: the spelling to use in all files, if ``same`` is one.
        where: ``file:line`` of its first row.
        rows: number of rows with this label.
        other_labels: number of other labels that no training row has.
        setting: the setting that names the file.
    """
    others = f"; {other_labels:,} more such label{'s' * (other_labels > 1)}" if other_labels else ""
    if same is not None:
        return DataError(
            f"{where}: the label {_label(label, ascii_too=True)} "
            f"({counted(rows, 'row')}{others}) is "
            f"written {_label(same, ascii_too=True)} in the training rows",
            "the same spelling of a label in all files",
            f"write {_label(same, ascii_too=True)} in {setting} too"
            if best in (None, same)
            else f"write {_label(str(best), ascii_too=True)} in data.train and in {setting}",
        )
    listed = ", ".join(map(_label, known[:10])) + (" …" if len(known) > 10 else "")
    nearest = get_close_matches(label.strip(), known, n=1)
    fix = f"write {_label(nearest[0])} if you meant that label" if nearest else "correct the label"
    return DataError(
        f"{where}: no training row has the label {_label(label)} ({counted(rows, 'row')}{others})",
        f"one of the {len(known):,} labels of the training rows: {listed}",
        f"{fix}, remove the rows from {setting}, or add rows with this label to data.train",
    )


def unusable_label_name(name: str) -> ConfigError:
    """A name in ``data.label_names`` that is blank, or the name of two labels."""
    return ConfigError(
        found=f"data.label_names gives the name {name!r} to two labels"
        if name.strip()
        else "data.label_names has an empty name",
        expected="a different name for each label",
        do="write another name",
    )


def label_without_name(label: str, where: str, labels: int, names: Mapping[str, str]) -> DataError:
    """A label that ``data.label_names`` does not name.

    Args:
        label: the first such label.
        where: ``file:line`` of its first row.
        labels: number of such labels.
        names: the name of each label.
    """
    others = f" ({labels - 1:,} more labels have none)" if labels > 1 else ""
    listed = ", ".join(map(_label, list(names)[:10])) + (" …" if len(names) > 10 else "")
    return DataError(
        f"{where}: the label {_label(label)} has no name in data.label_names{others}",
        f"one of the {len(names):,} labels that have a name: {listed}",
        f"add the name of {_label(label)} to data.label_names; or --set data.label_names=null",
    )


def name_without_label(label: str, name: str) -> DataError:
    """A name in ``data.label_names`` whose label no training row has."""
    return DataError(
        f"no training row has the label {_label(label)}, which data.label_names calls "
        f"{_label(name)}",
        "names of labels that occur in the training rows",
        f"leave {_label(name)} out, as in --set 'data.label_names={{0: NAME, 1: NAME}}'; or add "
        "rows with this label to data.train",
    )


def _label(label: str, *, ascii_too: bool = False) -> str:
    """The label in quotes, shortened; ``ascii_too``: also in ASCII if it has other characters."""
    quoted = repr(label)
    if ascii_too and quoted != ascii(label):
        quoted += f" = {label!a}"
    return quoted if len(quoted) <= _LABEL_CHARACTERS else f"{quoted[:_LABEL_CHARACTERS]}…"


def rare_label(label: str, where: str, rows: int, parts: int, labels: int) -> DataError:
    """A label with fewer rows than parts: each part of a stratified split needs a row of it."""
    others = ""
    if labels > 1:
        others = f" ({counted(labels - 1, 'other label')} also {form(labels - 1, 'has', 'have')}"
        others += " only one row)" if parts == 2 else f" fewer than {parts})"
    if parts > 2:
        fewer = f"use fewer folds: --folds {rows}; or " if rows > 1 else ""
        return DataError(
            f"{where}: the label {_label(label)} has only {counted(rows, 'row')}{others}",
            f"at least {parts} rows of each label, so that each of the {parts} folds has one",
            f"{fewer}add rows with this label, or split without regard to labels: "
            "--set data.stratify=false",
        )
    return DataError(
        f"{where}: the label {_label(label)} has only this row{others}",
        "at least two rows of each label, so that training and validation both have one",
        "add rows with this label, or split without regard to labels: --set data.stratify=false",
    )

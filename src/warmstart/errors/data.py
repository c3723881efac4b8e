"""Texts of the errors about the person's files: missing columns, broken rows, unusable labels."""

import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from warmstart.errors.base import DataError
from warmstart.errors.files import _listed

# --- reading rows


def missing_column(name: str, have: Sequence[str], *, path: str, setting: str) -> DataError:
    """A column that a setting names and the file lacks; ``have`` are the columns in file order.

    >>> have = ["id", "text", "label"]
    >>> print(missing_column("labels", have, path="a.csv", setting="data.label"))
    a.csv has no column 'labels'
      expected: one of: id, text, label
      try:      --set data.label=label
    """
    nearest = get_close_matches(name, have, n=1)
    return DataError(
        f"{path} has no column {name!r}",
        f"one of: {_listed([_short(column) for column in have])}",
        f"--set {shlex.quote(f'{setting}={nearest[0]}')}"
        if nearest
        else f"--set {setting}=COLUMN with one of them; or say how the file is written: "
        "--set data.format=tsv, or --set data.columns=[NAME,NAME,…] if its first line is a row",
    )


def header_only(path: str, line: int) -> DataError:
    """A header, and no row under it."""
    return DataError(
        f"{path}:{line} is a header, and no row follows",
        "at least one row",
        "check that the file was written completely; if this line is a row, name its columns: "
        "--set data.columns=[NAME,NAME,…]",
    )


def no_rows(path: str, dropped: int) -> DataError:
    """A file without a row, or none that ``data.ragged: drop`` spares."""
    lost = f": {dropped:,} were dropped for their number of fields" if dropped else ""
    return DataError(
        f"{path} has no row to read{lost}",
        "at least one row with as many fields as there are columns",
        "check data.delimiter, data.columns and data.quoting"
        if dropped
        else "check that the file was written completely",
    )


def unusable_delimiter(delimiter: str) -> DataError:
    """``data.delimiter`` is a quote, a line end, or no ASCII character."""
    return DataError(
        f"data.delimiter is {delimiter!r}",
        "one ASCII character other than a double quote or a line end",
        "--set data.delimiter=';' or another that the file uses, or convert the file",
    )


def wrong_delimiter(path: str, line: int, *, delimiter: str, likely: str) -> DataError:
    """One column where another character would give several."""
    return DataError(
        f"{path}:{line} is one column when split at {delimiter!r}, but contains {likely!r}",
        "columns separated by the delimiter",
        "--set data.format=tsv" if likely == "\t" else f"--set data.delimiter='{likely}'",
    )


def column_count(path: str, line: int, *, columns: int, fields: int) -> DataError:
    """``data.columns`` names more or fewer columns than the rows have fields."""
    return DataError(
        f"{path}:{line} has {fields} field{'s' * (fields != 1)}, and data.columns names {columns}",
        "one name for each field, in file order",
        f"give {fields} names in data.columns; where the file has a header, leave data.columns out",
    )


def duplicate_columns(path: str, line: int, names: Sequence[str]) -> DataError:
    """Columns that cannot be told apart by name."""
    return DataError(
        f"{path}:{line} names columns twice: {_listed([_short(name) for name in names])}",
        "a different name for each column",
        "rename them; if this line is a row and no header: --set data.columns=[NAME,NAME,…]",
    )


def ragged_row(
    path: str, line: int, *, fields: int, columns: int, text: str, quoting: str
) -> DataError:
    """A row with too many or too few fields, under ``data.ragged: error``."""
    stray = ", --set data.quoting=none if quotes are ordinary characters here"
    return DataError(
        f"{path}:{line} has {fields} field{'s' * (fields != 1)}: {_short(text, 60)}",
        f"{columns} fields, as many as there are columns",
        "correct the line, or leave such rows out (they are counted) with --set data.ragged=drop"
        + (stray if quoting == "double" and '"' in text else ""),
    )


def unclosed_quote(path: str, line: int, lines: int) -> DataError:
    """A quote that opens a field and never closes it: the rest of the file would be one field."""
    return DataError(
        f"{path}:{line}: the quote that opens a field here is never closed; it would swallow "
        f"{lines:,} line{'s' * (lines != 1)}",
        "quotes in pairs around a field, quotes inside it doubled",
        "--set data.quoting=none if quotes are ordinary characters in this file, or close it",
    )


def swallowed_rows(path: str, line: int, lines: int) -> DataError:
    """A quoted field over several lines that look like rows, or that ends in the middle of one."""
    return DataError(
        f"{path}:{line}: the quote that opens a field here would swallow the next "
        f"{f'{lines:,} lines' if lines > 1 else 'line'}",
        "quotes in pairs around a field, quotes inside it doubled, and no rows between them",
        "--set data.quoting=none if quotes are ordinary characters in this file, or correct it",
    )


def text_after_quote(path: str, line: int, text: str) -> DataError:
    """A quoted field goes on after its closing quote, so that its quotes would be lost."""
    return DataError(
        f"{path}:{line}: a field goes on after its closing quote: {_short(text, 60)}",
        "a delimiter or the line's end after it; quotes inside a quoted field doubled",
        "--set data.quoting=none if quotes are ordinary characters in this file, or double it",
    )


def endless_row(path: str, limit: int) -> DataError:
    """A row longer than the parser can take; ``limit`` in bytes."""
    return DataError(
        f"{path} has a row of more than {limit:,} bytes",
        "shorter rows; a quote that is never closed makes the rest of a file one row",
        "--set data.quoting=none if quotes are ordinary characters in this file",
    )


def bad_json_line(path: str, line: int, *, reason: str, text: str) -> DataError:
    """A line that is not one JSON object."""
    return DataError(
        f"{path}:{line} is not a JSON object ({reason}): {_short(text, 60)}",
        'one object a line, such as {"text": "…", "label": "…"}',
        "correct the line; if the file is one JSON array, write each of its objects on a line of "
        "its own: jq -c '.[]' FILE > FILE.jsonl",
    )


def columns_differ(
    path: str, other: str, *, missing: Sequence[str], extra: Sequence[str]
) -> DataError:
    """Files of one setting differ in columns; ``missing`` and ``extra`` are those of ``other``."""
    lacks = f"lacks {_listed([_short(name) for name in missing])}" if missing else ""
    adds = f"adds {_listed([_short(name) for name in extra])}" if extra else ""
    return DataError(
        f"{other} {' and '.join(filter(None, (lacks, adds)))}, compared with {path}",
        "the same columns in all files of one setting",
        "give both the same header, or name the columns of files without one in data.columns",
    )


def _short(text: str, characters: int = 30) -> str:
    """The beginning of a text, on one line."""
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


# --- splitting and checking


def empty_text(column: str, where: str, rows: int, *, setting: str) -> DataError:
    """A row without text, under ``data.missing: error``."""
    return DataError(
        f"{where}: the column {column!r} ({setting}) is empty here{_in_all(rows)}",
        "a text in every row",
        "fill it in, or leave such rows out with --set data.missing=drop",
    )


def unusable_text(which: str, value: object) -> DataError:
    """Of the texts to answer one is empty or no text, or a single string came for them all."""
    return DataError(
        f"{which} is {_short(repr(value))}",
        "a list of texts, each with something in it",
        "run.predict(['one text', 'another']); or --text 'one text' --text another",
    )


def no_mask(which: str, text: str, mask: str) -> DataError:
    """A text in which nothing is to be filled in."""
    return DataError(
        f"{which} has no mask: {_short(repr(text))}",
        f"{mask} in place of each token that is asked for",
        f"warmstart predict RUN --text 'The cat {mask} on the mat.'",
    )


def texts_without_pairs(column: str) -> DataError:
    """A model of pairs is given single texts."""
    return DataError(
        "one text, and the run was trained on pairs of texts",
        f"a second text for each, as the column {column!r} (data.text_pair) had in training",
        "run.predict(['first text'], ['second text']); or --text 'first text' --text-pair 'second "
        "text'",
    )


def pairs_without_use(column: str) -> DataError:
    """A model of single texts is given pairs."""
    return DataError(
        "a second text, and the run was trained on single texts",
        f"one text for each answer, as the column {column!r} (data.text) had in training",
        "run.predict(['one text', 'another']); or --text 'one text' --text another",
    )


def unequal_texts(texts: int, pairs: int) -> DataError:
    """First and second texts that do not go together one to one."""
    return DataError(
        f"{texts:,} first and {pairs:,} second text{'s' * (pairs != 1)}",
        "a second text for each first, in the same order",
        "run.predict(['a', 'b'], ['to a', 'to b']); or --text a --text-pair 'to a' --text b "
        "--text-pair 'to b'",
    )


def missing_label(column: str, where: str, rows: int) -> DataError:
    """A row without label, under ``data.missing: error``."""
    return DataError(
        f"{where}: no label in the column {column!r}{_in_all(rows)}",
        "a label in every row",
        "fill it in, or leave such rows out with --set data.missing=drop",
    )


def nothing_left(rows: int, columns: Mapping[str, str], *, setting: str) -> DataError:
    """Every row was dropped for a missing text or label; ``columns`` are of texts, by setting."""
    places = " and ".join(map(repr, columns.values()))
    return DataError(
        f"all {rows:,} rows of {setting} lack a text or their label",
        f"rows with a text in the column{'s' * (len(columns) > 1)} {places}, and a label",
        f"check that {', '.join(columns)} and data.label name the right columns, and "
        "data.delimiter",
    )


def not_text(column: str, kind: str, *, setting: str) -> DataError:
    """A column of a type that cannot be read as text."""
    return DataError(
        f"the column {column!r} ({setting}) holds values of the type {kind}",
        "one text in every row",
        f"name another column with --set {setting}=COLUMN, or write this one as text",
    )


def not_labels(column: str, distinct: int, rows: int, *, where: str) -> DataError:
    """Most rows have a label of their own: an identifier, a text or a measurement."""
    return DataError(
        f"{where} ff.: the column {column!r} has {distinct:,} different values in {rows:,} rows",
        "labels that many rows share",
        "name the column that holds the labels with --set data.label=COLUMN",
    )


def label_spellings(places: Mapping[str, str]) -> DataError:
    """Labels that differ in case, surrounding space or the writing of a number alone.

    Args:
        places: the ``file:line`` at which each spelling is met first.
    """
    listed = ", ".join(f"{label!r} ({where})" for label, where in places.items())
    return DataError(
        f"one label in {len(places)} spellings? {listed}",
        "one spelling for each label",
        f"write {next(iter(places))!r} everywhere, or give the labels clearly different names",
    )


def one_label(label: str, rows: int) -> DataError:
    """All training rows have the same label."""
    return DataError(
        f"all {rows:,} training rows have the label {label!r}",
        "at least two labels, or there is nothing to tell apart",
        "add rows with another label to data.train, or name another column with "
        "--set data.label=COLUMN",
    )


def unseen_label(
    label: str,
    known: Sequence[str],
    *,
    where: str,
    rows: int,
    other_labels: int,
    setting: str,
) -> DataError:
    """A label of validation or test that no training row has.

    Args:
        label: the first one met.
        known: the labels of training.
        where: ``file:line`` of its first row.
        rows: how many rows have it.
        other_labels: further labels with the same fault.
        setting: the setting that names the file.
    """
    others = f"; {other_labels:,} more such label{'s' * (other_labels > 1)}" if other_labels else ""
    listed = ", ".join(map(repr, known[:10])) + (" …" if len(known) > 10 else "")
    nearest = get_close_matches(label.strip(), known, n=1)
    fix = f"write {nearest[0]!r} there if that is meant" if nearest else "correct it there"
    return DataError(
        f"{where}: no training row has the label {label!r} ({_rows(rows)}{others})",
        f"one of the {len(known):,} labels of training: {listed}",
        f"{fix}, take the rows out of {setting}, or add rows with it to data.train",
    )


def single_row_label(label: str, where: str, labels: int) -> DataError:
    """A label with one row, which a stratified split cannot put on both sides."""
    others = f" (so do {labels - 1:,} other labels)" if labels > 1 else ""
    return DataError(
        f"{where}: the label {label!r} has this row alone{others}",
        "two rows of each label or more, so that training and validation both have one",
        "add rows with it, or split regardless of labels with --set data.stratify=false",
    )


def empty_split(share: float, units: int, unit: str, *, stratified: bool) -> DataError:
    """A validation share that leaves nothing on one side."""
    regardless = ", or --set data.stratify=false" if stratified and units > 1 else ""
    return DataError(
        f"data.validation={share:g} of {units:,} {unit}{'s' * (units != 1)} leaves one side empty",
        f"at least one {unit} to train on and one to hold out",
        f"add {unit}s, set another share such as --set data.validation=0.5{regardless}, "
        "or name a file: --set data.validation=FILE",
    )


def missing_group(column: str, where: str, rows: int) -> DataError:
    """A row that belongs to no group."""
    return DataError(
        f"{where}: the column {column!r} (data.group) is empty here{_in_all(rows)}",
        "a group in every row, so that none stands on both sides of the split",
        "fill it in, or split by rows with --set data.group=null",
    )


def same_file(one: tuple[str, str], other: tuple[str, str]) -> DataError:
    """Two splits that read the same bytes.

    Args:
        one: the first setting, and its file as the person wrote it.
        other: the second.
    """
    return DataError(
        f"{one[0]} ({one[1]}) and {other[0]} ({other[1]}) hold the same bytes",
        "other rows to score on than to learn from",
        f"name another file for {other[0]}, or allow it with --set data.allow_same_file=true "
        "(the score is then one of memory)",
    )


def _rows(count: int) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} row{'s' * (count != 1)}"


def _in_all(rows: int) -> str:
    """What to add after the first faulty row where there are more."""
    return f" (the first of {rows:,} rows)" if rows > 1 else ""


# --- the bundled corpus


def overlap_too_long(overlap: int, max_tokens: int, limit: int, enough: int) -> DataError:
    """Chunks would repeat more than they add; rows of ``enough`` tokens would not."""
    fits = f"--set data.overlap_tokens={limit}; or " if limit else ""
    return DataError(
        f"data.overlap_tokens is {overlap:,}, and a row has at most {max_tokens:,} tokens",
        f"at most half of model.max_tokens, here {limit:,}: a larger overlap reads the same tokens "
        "again and again",
        f"{fits}--set model.max_tokens={enough}",
    )

"""Error messages about the user's data: missing columns, broken rows, unusable labels."""

import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.files import _listed

# --- reading rows


def missing_column(name: str, have: Sequence[str], *, path: str, setting: str) -> DataError:
    """A column that a setting names but the file lacks; ``have``: its columns, in file order.

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
        else f"--set {setting}=COLUMN with one of them; or describe the format of the file: "
        "--set data.format=tsv, or --set data.columns=[NAME,NAME,…] if its first line is a row",
    )


def header_only(path: str, line: int) -> DataError:
    """A header without any row below it."""
    return DataError(
        f"{path}:{line} is a header, but no row follows",
        "at least one row",
        "check that the file is complete; if this line is a row, name its columns: "
        "--set data.columns=[NAME,NAME,…]",
    )


def no_rows(path: str, dropped: int) -> DataError:
    """A file without rows, or all of its rows were dropped by ``data.ragged: drop``."""
    lost = f": {dropped:,} were dropped for their number of fields" if dropped else ""
    return DataError(
        f"{path} has no rows{lost}",
        "at least one row with as many fields as there are columns",
        "check data.delimiter, data.columns and data.quoting"
        if dropped
        else "check that the file is complete",
    )


def unusable_delimiter(delimiter: str) -> DataError:
    """``data.delimiter`` is a quote, a line break, or not an ASCII character."""
    return DataError(
        f"data.delimiter is {delimiter!r}",
        "one ASCII character other than a double quote or a line break",
        "--set data.delimiter=';' or another that the file uses, or convert the file",
    )


def wrong_delimiter(path: str, line: int, *, delimiter: str, likely: str) -> DataError:
    """The delimiter gives one column, but another character would give several."""
    return DataError(
        f"{path}:{line} has only one column when split at {delimiter!r}, but contains {likely!r}",
        "columns separated by the delimiter",
        "--set data.format=tsv" if likely == "\t" else f"--set data.delimiter='{likely}'",
    )


def column_count(path: str, line: int, *, columns: int, fields: int) -> DataError:
    """``data.columns`` names more or fewer columns than the rows have fields."""
    return DataError(
        f"{path}:{line} has {fields} field{'s' * (fields != 1)}, but data.columns names {columns}",
        "one name for each field, in file order",
        f"give {fields} names in data.columns; if the file has a header, leave data.columns out",
    )


def duplicate_columns(path: str, line: int, names: Sequence[str]) -> DataError:
    """Several columns with the same name."""
    return DataError(
        f"{path}:{line} has repeated column names: {_listed([_short(name) for name in names])}",
        "a different name for each column",
        "rename them; if this line is a row, not a header: --set data.columns=[NAME,NAME,…]",
    )


def ragged_row(
    path: str, line: int, *, fields: int, columns: int, text: str, quoting: str
) -> DataError:
    """A row with too many or too few fields, under ``data.ragged: error``."""
    stray = ", --set data.quoting=none if quotes are ordinary characters here"
    return DataError(
        f"{path}:{line} has {fields} field{'s' * (fields != 1)}: {_short(text, 60)}",
        f"{columns} fields, as many as there are columns",
        "correct the line, or drop such rows (they are counted) with --set data.ragged=drop"
        + (stray if quoting == "double" and '"' in text else ""),
    )


def unclosed_quote(path: str, line: int, lines: int) -> DataError:
    """An opening quote without a closing quote: the rest of the file would be one field."""
    affected = f"the next {f'{lines:,} lines' if lines > 1 else 'line'} would become part of it"
    return DataError(
        f"{path}:{line}: a field starts with a quote here that is never closed"
        + (f"; {affected}" if lines else ""),
        "an opening and a closing quote around a field; quotes inside it doubled",
        "--set data.quoting=none if quotes are ordinary characters in this file; or close the "
        "quote",
    )


def quote_spans_rows(path: str, line: int, lines: int) -> DataError:
    """A quoted field that spans lines which look like rows, or that ends in the middle of one."""
    return DataError(
        f"{path}:{line}: a field starts with a quote here; up to the closing quote, the next "
        f"{f'{lines:,} lines' if lines > 1 else 'line'} would become part of it",
        "an opening and a closing quote around a field, quotes inside it doubled, and no rows "
        "between them",
        "--set data.quoting=none if quotes are ordinary characters in this file; or correct the "
        "quotes",
    )


def text_after_quote(path: str, line: int, text: str) -> DataError:
    """A quoted field with text after its closing quote, whose quotes would be lost."""
    return DataError(
        f"{path}:{line}: a quoted field has text after its closing quote: {_short(text, 60)}",
        "a delimiter or the end of the line after a closing quote; quotes inside a quoted field "
        "doubled",
        "--set data.quoting=none if quotes are ordinary characters in this file; or double the "
        "quotes inside the field",
    )


def endless_row(path: str, limit: int) -> DataError:
    """A row longer than the parser supports; ``limit`` in bytes."""
    return DataError(
        f"{path} has a row of more than {limit:,} bytes",
        "shorter rows; note that an unclosed quote turns the rest of a file into one row",
        "--set data.quoting=none if quotes are ordinary characters in this file",
    )


def bad_json_line(path: str, line: int, *, reason: str, text: str) -> DataError:
    """A line that is not one JSON object."""
    return DataError(
        f"{path}:{line} is not a JSON object ({reason}): {_short(text, 60)}",
        'one object per line, such as {"text": "…", "label": "…"}',
        "correct the line; if the file is one JSON array, write one object per line: "
        "jq -c '.[]' FILE > FILE.jsonl",
    )


def columns_differ(
    path: str, other: str, *, missing: Sequence[str], extra: Sequence[str]
) -> DataError:
    """Files of one setting have different columns; ``other`` lacks ``missing``, adds ``extra``."""
    lacks = f"lacks {_listed([_short(name) for name in missing])}" if missing else ""
    adds = f"adds {_listed([_short(name) for name in extra])}" if extra else ""
    return DataError(
        f"{other} {' and '.join(filter(None, (lacks, adds)))}, compared with {path}",
        "the same columns in all files of one setting",
        "give both files the same header; if they have none, name their columns in data.columns",
    )


def _short(text: str, characters: int = 30) -> str:
    """The start of a text, on one line."""
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


# --- splitting and checking


def empty_text(column: str, where: str, rows: int, *, setting: str) -> DataError:
    """A row without text, under ``data.missing: error``."""
    return DataError(
        f"{where}: the column {column!r} ({setting}) is empty here{_in_all(rows)}",
        "a text in every row",
        "fill it in, or drop such rows with --set data.missing=drop",
    )


def unusable_text(which: str, value: object) -> DataError:
    """An input text is empty or not a string, or one string was given in place of a list."""
    return DataError(
        f"{which} is {_short(repr(value))}",
        "a list of non-empty texts",
        "run.predict(['one text', 'another']); or --text 'one text' --text another",
    )


def no_mask(which: str, text: str, mask: str) -> DataError:
    """A text without a mask, for fill-mask."""
    return DataError(
        f"{which} has no mask: {_short(repr(text))}",
        f"{mask} in place of each token to predict",
        f"warmstart predict RUN --text 'The cat {mask} on the mat.'",
    )


def texts_without_pairs(column: str) -> DataError:
    """Single texts for a model that was trained on pairs."""
    return DataError(
        "only one text, but the run was trained on pairs of texts",
        f"a second text for each, as in the column {column!r} (data.text_pair) in training",
        "run.predict(['first text'], ['second text']); or --text 'first text' --text-pair 'second "
        "text'",
    )


def pairs_without_use(column: str) -> DataError:
    """Pairs of texts for a model that was trained on single texts."""
    return DataError(
        "a second text, but the run was trained on single texts",
        f"one text for each prediction, as in the column {column!r} (data.text) in training",
        "run.predict(['one text', 'another']); or --text 'one text' --text another",
    )


def unequal_texts(texts: int, pairs: int) -> DataError:
    """The numbers of first and second texts differ."""
    return DataError(
        f"{texts:,} first and {pairs:,} second text{'s' * (pairs != 1)}",
        "one second text for each first text, in the same order",
        "run.predict(['a', 'b'], ['to a', 'to b']); or --text a --text-pair 'to a' --text b "
        "--text-pair 'to b'",
    )


def missing_label(column: str, where: str, rows: int) -> DataError:
    """A row without label, under ``data.missing: error``."""
    return DataError(
        f"{where}: no label in the column {column!r}{_in_all(rows)}",
        "a label in every row",
        "fill it in, or drop such rows with --set data.missing=drop",
    )


def nothing_left(rows: int, columns: Mapping[str, str], *, setting: str) -> DataError:
    """Every row lacks a text or label and was dropped; ``columns``: setting -> text column."""
    places = " and ".join(map(repr, columns.values()))
    return DataError(
        f"all {rows:,} rows of {setting} lack a text or a label",
        f"rows with a text in the column{'s' * (len(columns) > 1)} {places}, and a label",
        f"check that {', '.join(columns)} and data.label name the right columns; check "
        "data.delimiter",
    )


def not_text(column: str, kind: str, *, setting: str) -> DataError:
    """A column whose type cannot be read as text."""
    return DataError(
        f"the column {column!r} ({setting}) has values of the type {kind}",
        "one text in every row",
        f"name another column with --set {setting}=COLUMN, or convert this one to text",
    )


def not_labels(column: str, distinct: int, rows: int, *, where: str) -> DataError:
    """Almost every row has a different label: it contains ids, texts or measurements."""
    return DataError(
        f"{where}: the column {column!r} has {distinct:,} different values in {rows:,} rows",
        "labels that each occur in many rows",
        "name the column with the labels: --set data.label=COLUMN",
    )


def label_spellings(places: Mapping[str, str]) -> DataError:
    """Labels that differ only in case, surrounding space or number format (1 and 1.0).

    Args:
        places: each spelling, and the ``file:line`` where it first occurs.
    """
    listed = ", ".join(f"{label!r} ({where})" for label, where in places.items())
    return DataError(
        f"{len(places)} labels look like spellings of the same label: {listed}",
        "one spelling for each label",
        f"write {next(iter(places))!r} everywhere, or give the labels clearly different names",
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
    """A label of the validation or test split that no training row has.

    Args:
        label: the first such label.
        known: the labels of the training rows.
        where: ``file:line`` of its first row.
        rows: number of rows with this label.
        other_labels: number of other labels that no training row has.
        setting: the setting that names the file.
    """
    others = f"; {other_labels:,} more such label{'s' * (other_labels > 1)}" if other_labels else ""
    listed = ", ".join(map(repr, known[:10])) + (" …" if len(known) > 10 else "")
    nearest = get_close_matches(label.strip(), known, n=1)
    fix = f"write {nearest[0]!r} if you meant that label" if nearest else "correct the label"
    return DataError(
        f"{where}: no training row has the label {label!r} ({_rows(rows)}{others})",
        f"one of the {len(known):,} labels of the training rows: {listed}",
        f"{fix}, remove the rows from {setting}, or add rows with this label to data.train",
    )


def single_row_label(label: str, where: str, labels: int) -> DataError:
    """A label with only one row: a stratified split needs a row of it in both splits."""
    others = f" ({labels - 1:,} other labels also have only one row)" if labels > 1 else ""
    return DataError(
        f"{where}: the label {label!r} has only this row{others}",
        "at least two rows of each label, so that training and validation both have one",
        "add rows with this label, or split without regard to labels: --set data.stratify=false",
    )


def empty_split(share: float, units: int, unit: str, *, stratified: bool) -> DataError:
    """A validation share that leaves the training or the validation split empty."""
    unstratified = ", or --set data.stratify=false" if stratified and units > 1 else ""
    return DataError(
        f"data.validation={share:g} of {units:,} {unit}{'s' * (units != 1)} leaves one split empty",
        f"at least one {unit} for training and one for validation",
        f"add {unit}s, set another share such as --set data.validation=0.5{unstratified}, "
        "or name a file: --set data.validation=FILE",
    )


def missing_group(column: str, where: str, rows: int) -> DataError:
    """A row without a group."""
    return DataError(
        f"{where}: the column {column!r} (data.group) is empty here{_in_all(rows)}",
        "a group in every row, so that no group is in both splits",
        "fill it in, or split by rows with --set data.group=null",
    )


def same_file(one: tuple[str, str], other: tuple[str, str]) -> DataError:
    """Two splits whose files have identical content.

    Args:
        one: the first setting, and its file as the user wrote it.
        other: the second setting and its file.
    """
    return DataError(
        f"{one[0]} ({one[1]}) and {other[0]} ({other[1]}) have the same content",
        "different rows for training and for evaluation",
        f"name another file for {other[0]}, or allow it with --set data.allow_same_file=true "
        "(the score then shows only how well the model remembers its training rows)",
    )


def _rows(count: int) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} row{'s' * (count != 1)}"


def _in_all(rows: int) -> str:
    """Text to add after the first wrong row if there are several."""
    return f" (the first of {rows:,} rows)" if rows > 1 else ""


def overlap_out_of_range(
    overlap: int, least: int, largest: int, max_tokens: int, enough: int
) -> ConfigError:
    """Chunks or windows of a long text would repeat too few tokens, or more than they add.

    ``enough`` is the smallest ``model.max_tokens`` for which the overlap is not too large.
    """
    fits = "remove data.overlap_tokens for the default; or " if least <= largest else ""
    return ConfigError(
        f"data.overlap_tokens is {overlap:,}, and a row has at most {max_tokens:,} tokens",
        f"from {least} to {largest:,} tokens (half of the text in a row)"
        if least <= largest
        else "longer rows",
        f"{fits}--set model.max_tokens={enough}"
        if overlap > largest
        else f"--set data.overlap_tokens={least}",
    )

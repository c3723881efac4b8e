"""Error messages about the user's data: missing columns, broken rows, unusable labels."""

import json
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.counts import counted, form
from warmstart.errors.files import _listed

# --- reading rows


def missing_column(
    name: str, have: Sequence[str], *, same: str | None, path: str, setting: str
) -> DataError:
    """A column that a setting names but the file lacks.

    Args:
        name: the missing column.
        have: the columns of the file, in file order.
        same: a column that looks the same, but has other characters.
        path: the file.
        setting: the setting that names the column.

    >>> have = ["id", "text", "label"]
    >>> print(missing_column("labels", have, same=None, path="a.csv", setting="data.label"))
    a.csv has no column 'labels'
      expected: one of: id, text, label
      try:      --set data.label=label
    """
    if same is not None:
        return DataError(
            f"{path} has no column {name!a}; its column {same!a} looks the same, but is written "
            "with other characters",
            "exactly the name in the file",
            "correct the name in the file; or "
            f"--set {shlex.quote(f'{setting}={json.dumps(same)}')}",
        )
    nearest = get_close_matches(name, have, n=1)
    return DataError(
        f"{path} has no column {name!r}",
        f"one of: {_listed([_short(column) for column in have])}",
        f"--set {shlex.quote(f'{setting}={nearest[0]}')}"
        if nearest
        else f"--set {setting}=COLUMN with one of them; or describe the format of the file: "
        "--set data.format=tsv, or --set 'data.columns=[NAME,NAME,…]' if its first line is a row",
    )


def columns_look_alike(path: str, name: str, other: str) -> DataError:
    """Two columns of a file whose names look the same; ``name`` is the one that is used."""
    return DataError(
        f"{path} has two columns that look the same: {name!a} and {other!a}",
        "names that a reader can distinguish",
        "rename or remove one of them in the file",
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


def bad_json_line(path: str, line: int, *, reason: str, text: str) -> DataError:
    """A line that is not one JSON object."""
    return DataError(
        f"{path}:{line} is not a JSON object ({reason}): {_short(text, 60)}",
        'one object per line, such as {"text": "…", "label": "…"}',
        "correct the line; if the file is a table: --set data.format=csv; if it is one JSON array: "
        "--set data.format=json",
    )


def too_many_columns(where: str, limit: int, *, each: str = "") -> DataError:
    """A header, or the keys of all objects of JSON, with too many names.

    ``each``: what jq needs before the change of one object: ``.[] | `` for an array.
    """
    return DataError(
        f"{where}: the file has more than {limit:,} columns",
        "a table with a column for the text, one for the label, and few others",
        "keep only the columns that you need: cut -d, -f1,2 FILE > NEW (CSV), or "
        f"jq -c '{each}{{text, label}}' FILE > NEW.jsonl (JSON); if a value is used as a "
        "key, write it as a value",
    )


def invalid_text(column: str, where: str) -> DataError:
    """A text column of a Parquet file with bytes that are not UTF-8."""
    return DataError(
        f"{where}: the column {column!r} has bytes that are not UTF-8",
        "UTF-8 in text columns, which the Parquet format requires",
        "write the file again without this column, or with texts that are decoded correctly",
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
    """An input text is empty or not a string."""
    # NaN and pandas' NA are the missing values of a column.
    missing = " (a missing value)" if value is None or str(value) in ("nan", "<NA>") else ""
    return DataError(
        f"{which} is {_short(repr(value))}{missing}",
        "a list of non-empty texts",
        "run.predict(['one text', 'another']); or --text 'one text' --text another"
        + "; for rows without a text: warmstart predict RUN --data FILE" * bool(missing),
    )


def not_a_list(name: str, value: object) -> DataError:
    """One string, a table, a dictionary or a set in place of a list of texts."""
    kind = type(value).__name__
    return DataError(
        f"{name} is {_short(repr(value)) if isinstance(value, str) else f'of type {kind}'}",
        "a list of non-empty texts, or another sequence of them: a tuple, an array, a column",
        "run.predict(['one text', 'another']); or, for a table: run.predict(table['COLUMN'])",
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


def nothing_left(rows: int, columns: Mapping[str, str], *, setting: str) -> DataError:
    """Every row lacks a text or label and was dropped; ``columns``: setting -> text column."""
    places = " and ".join(map(repr, columns.values()))
    return DataError(
        f"{setting} has {counted(rows, 'row')}, {form(rows, 'and it lacks', 'which all lack')} a "
        "text or a label",
        f"rows with a text in the column{'s' * (len(columns) > 1)} {places}, and a label",
        f"check that {', '.join(columns)} and data.label name the right columns; check "
        "data.delimiter",
    )


def not_text(column: str, kind: str, *, setting: str) -> DataError:
    """A column whose type cannot be read as text."""
    return DataError(
        f"the column {column!r} ({setting}) has values of the type {_short(kind, 90)}",
        "one text in every row",
        _CHAT
        if "role:" in kind and "content:" in kind
        else f"name another column with --set {setting}=COLUMN, or convert this one to text",
    )


_CHAT = (
    "write each conversation as one text, with the turns as the model should see them; for "
    "example a user's and an assistant's turn as two columns, and --set data.prompt=COLUMN "
    "--set data.text=COLUMN"
)
"""Advice for chat data: lists of messages with the keys role and content."""


def nested_text(column: str, where: str, value: str, *, setting: str, each: str = "") -> DataError:
    """A list or an object in a text column of JSON; ``value``: its JSON text.

    ``each``: as for ``too_many_columns``.
    """
    name, chat = json.dumps(column), '"role":' in value and '"content":' in value
    joined = (
        f'jq -c \'{each}.text = (.{name} | map(.role + ": " + .content) | join("\\n"))\''
        if chat
        else f"jq -c '{each}.{name} |= join(\" \")'"
    )
    into = " with --set data.text=text" if chat else ""
    return DataError(
        f"{where}: the column {column!r} ({setting}) is "
        f"{'a list' if value.startswith('[') else 'an object'} here: {_short(value, 60)}",
        "one text in every row",
        f"{_CHAT}; or all turns as one text{into}: {joined} FILE > NEW.jsonl"
        if chat
        else f"name another column with --set {setting}=COLUMN; or join the texts of each list: "
        f"{joined} FILE > NEW.jsonl",
    )


def empty_split(share: float, units: int, unit: str, *, stratified: bool) -> DataError:
    """A validation share that leaves the training or the validation split empty."""
    unstratified = ", or --set data.stratify=false" if stratified and units > 1 else ""
    return DataError(
        f"data.validation={share:g} of {units:,} {unit}{'s' * (units != 1)} leaves one split empty",
        f"at least one {unit} for training and one for validation",
        f"add {unit}s{unstratified}, or name a file: --set data.validation=FILE",
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

"""Error messages about word tags, CoNLL files and exports with character spans."""

import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.counts import counted


def mixed_tags(where: str, plain: str, prefixed: str) -> DataError:
    """Some tags have a prefix of a tag scheme and others have none."""
    return DataError(
        f"{where} has the tag {plain!r}, which has no prefix, and the tag {prefixed!r}, which has",
        "tags of one kind: O and tags with a prefix (B-PER), or only tags without a prefix (NOUN)",
        "correct the tags; if no prefix is meant (parts of speech): --set data.tag_scheme=plain",
    )


def no_prefix(where: str, tag: str, scheme: str) -> DataError:
    """A tag without a prefix, although ``data.tag_scheme`` names a scheme with prefixes."""
    return DataError(
        f"{where} has the tag {tag!r}, which has no prefix, and data.tag_scheme is {scheme}",
        f"O, or a prefix of {scheme}, a hyphen and a type: B-PER",
        "correct the tag; if no prefix is meant (parts of speech): --set data.tag_scheme=plain",
    )


def other_kind(found: str, learned: str) -> DataError:
    """Labels that cannot be compared with those of the training rows."""
    kind = "tags without prefixes" if learned == "plain" else f"tags with prefixes ({learned})"
    return DataError(
        f"{found}, and the model learned {kind}",
        "tags without prefixes in all files, such as NOUN"
        if learned == "plain"
        else "O and tags with a prefix in all files, such as B-PER, or character spans",
        "correct the tags, or name the column of the tags: --set data.tags=COLUMN",
    )


def mixed_schemes(where: str, prefixes: Sequence[str]) -> DataError:
    """Prefixes of IOBES and of BILOU in one corpus."""
    return DataError(
        f"{where} has tags with the prefixes {', '.join(prefixes)}, from two tag schemes",
        "the prefixes of one scheme: B, I, E, S (IOBES) or B, I, L, U (BILOU)",
        "write one scheme in all files; to accept E with L and S with U as equal: "
        "--set data.tag_scheme=IOBES",
    )


# --- CoNLL files


def no_sentences(path: str) -> DataError:
    """A CoNLL file without any word."""
    return DataError(
        f"{path} has no sentence",
        "one word per line with its tag, and a blank line after each sentence",
        "check that the file was written completely",
    )


def column_count(
    path: str, line: int, text: str, columns: int, expected: int, first: int
) -> DataError:
    """A line of a CoNLL file with more or fewer columns than the first line."""
    return DataError(
        f"{path}:{line} has {_columns(columns)}: {_short(text)}",
        f"{_columns(expected)}, as in line {first}, or a blank line between two sentences",
        "correct the line; columns are separated by tabs if the first line with a word has a tab, "
        "otherwise by spaces",
    )


def name_count(path: str, line: int, text: str, columns: int, names: Sequence[str]) -> DataError:
    """The number of names differs from the number of columns."""
    return DataError(
        f"{path}:{line} has {_columns(columns)}, and {len(names)} names are given "
        f"({', '.join(names)}): {_short(text)}",
        "one name for each column",
        f"--set 'data.columns=[NAME,…]' with {columns} names, or choose columns by their numbers",
    )


def empty_tag(path: str, line: int) -> DataError:
    """A line of a CoNLL file whose tag is empty."""
    return DataError(
        f"{path}:{line} has an empty tag",
        "a word and a tag in every line that is not blank",
        "correct the line, or leave it completely blank if a sentence ends there",
    )


def one_column(path: str, line: int, text: str) -> DataError:
    """A CoNLL file without tags, although tags are needed."""
    return DataError(
        f"{path}:{line} has 1 column: {_short(text)}",
        "a word and its tag, separated by a tab or spaces",
        "write the tag after each word; words without tags can be used for prediction, but not for "
        "training",
    )


def same_column(path: str, number: int, words_setting: str, tags_setting: str) -> DataError:
    """Words and tags are read from the same column."""
    return DataError(
        f"{path}: {words_setting} and {tags_setting} both name the column {number}",
        "one column with the words and another with the tags",
        f"--set {tags_setting}=-1 for the last column, or another number or name",
    )


def no_such_column(
    path: str, name: str, names: Sequence[str], fields: Sequence[str], setting: str
) -> DataError:
    """A requested column name that a CoNLL file does not have."""
    shown = f"columns {', '.join(names)}" if names else "columns without names"
    return DataError(
        f"{path} has no column {name!r}, but {len(fields)} {shown}; its first line with a word is: "
        f"{_short(' '.join(fields))}",
        "a name from the header, or the number of a column",
        f"--set {setting}=1 (columns count from 1, -1 is the last)"
        + ("" if names else "; or name all columns: --set 'data.columns=[NAME,NAME,…]'"),
    )


def no_such_number(path: str, number: int, columns: int, setting: str) -> DataError:
    """A requested column number that a CoNLL file does not have."""
    return DataError(
        f"{path} has {_columns(columns)}, and {setting} is {number}",
        f"a number from 1 to {columns}, or from -1 (the last) to {-columns}",
        f"--set {setting}={columns if number > 0 else -1}",
    )


def unwritable_word(sentence: int, word: str) -> DataError:
    """A word that a CoNLL file cannot contain."""
    return DataError(
        f"sentence {sentence:,} has the word {word!r}",
        "for a CoNLL file, words without tabs and line ends that do not mark a document border "
        "(-DOCSTART-)",
        "write the predictions as JSON lines or Parquet: --output FILE.jsonl or FILE.parquet",
    )


# --- exports with character spans


def no_brat_text(path: str, text: str) -> DataError:
    """A brat ``.ann`` file without its text file."""
    return DataError(
        f"{path} has no text: there is no {text}",
        "for each .ann file, a .txt file with the same name in the same folder",
        f"copy {text} next to it, or remove the .ann file",
    )


def no_json(path: str, line: int, reason: str, text: str) -> DataError:
    """A file that is neither one JSON value nor JSON lines."""
    return DataError(
        f"{path}:{line} is not JSON ({reason}): {_short(text)}",
        "one JSON array in the whole file, or one JSON value per line",
        "export the file again, as JSON or JSONL",
    )


def no_records(path: str) -> DataError:
    """A file without a text, or only with rejected texts."""
    return DataError(
        f"{path} has no text with spans",
        "at least one text that was annotated and not rejected",
        "check that the export was complete",
    )


def unknown_record(where: str, value: object) -> DataError:
    """A record whose format is not known."""
    shown = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
    return DataError(
        f"{where} is not a text with spans: {_short(shown)}",
        "an export of Label Studio (JSON, JSON-MIN), doccano or spaCy, or objects such as "
        '{"text": "Anna left.", "spans": [{"start": 0, "end": 4, "type": "PER"}]}',
        "give every text a list of spans, or [] if it has none",
    )


def no_text(where: str, key: str, keys: Sequence[str]) -> DataError:
    """A record without a text under the requested key."""
    listed = f"; it has texts under: {', '.join(map(repr, keys))}" if keys else ""
    return DataError(
        f"{where} has no text under the key {key!r}{listed}",
        "a text in every record",
        f"--set data.text={keys[0] if keys else 'KEY'}",
    )


def half_character(where: str) -> DataError:
    """A text with half of a surrogate pair, which no encoding can represent."""
    return DataError(
        f"{where} has a text with half of a UTF-16 surrogate pair",
        "texts of whole Unicode characters",
        "remove the \\ud… escape that has no second half, or export the file again",
    )


def bad_span(where: str, value: object) -> DataError:
    """An entry of a list of spans that is not a span."""
    return DataError(
        f"{where} has a span that cannot be read: {_short(repr(value))}",
        'two whole numbers and a type: [0, 4, "PER"] or {"start": 0, "end": 4, "type": "PER"}',
        "correct the span, or remove it",
    )


def bad_brat_line(path: str, line: int, text: str) -> DataError:
    """A text-bound annotation in a brat file that cannot be parsed."""
    return DataError(
        f"{path}:{line} is not a text-bound annotation: {_short(text)}",
        "an id, a tab, the type with two offsets, a tab, and the text: T1 ⇥ PER 0 4 ⇥ Anna",
        "correct the line, or remove it",
    )


# --- windows


def no_room_for_words(max_pieces: int) -> ConfigError:
    """``model.max_tokens`` leaves no room next to the special tokens."""
    return ConfigError(
        f"model.max_tokens leaves room for {counted(max_pieces, 'token')} next to the special "
        "tokens",
        "room for at least one token of the text",
        "--set model.max_tokens=128",
    )


def unknown_scheme(scheme: str, known: Sequence[str]) -> ConfigError:
    """A tag scheme that does not exist."""
    return ConfigError(
        f"data.tag_scheme: {scheme}",
        f"one of: {', '.join(known)}",
        "--set data.tag_scheme=auto",
    )


def no_words(text: str, columns: Sequence[str], path: str) -> DataError:
    """A file with neither words nor texts."""
    return DataError(
        f"{path} has no column {text!r} and no column of words; it has: {', '.join(columns)}",
        "a column with lists of words (data.words), or one with texts (data.text)",
        "--set data.words=COLUMN or --set data.text=COLUMN; for an export of an annotation tool: "
        "--set data.format=spans",
    )


def forgotten_task(path: str, name: str, form: str) -> DataError:
    """A file for token classification is read for another task."""
    records = "; or, if the records of a .json file have this column: --set data.format=json"
    return DataError(
        f"{path} has no column {name!r}; it has {form}",
        f"a file with the column {name!r}, or the task for {form}",
        "--set task=token-classification" + (records if form == "texts with spans" else ""),
    )


def no_list_column(
    path: str, setting: str, name: str, default: str | None, have: Sequence[str]
) -> DataError:
    """A column of words, tags or spans that a setting names but the file lacks."""
    nearest = get_close_matches(name, have, n=1)
    value = default or "null"
    return DataError(
        f"{path} has no column {name!r}",
        f"one of: {', '.join(have)}",
        f"--set {shlex.quote(f'{setting}={nearest[0] if nearest else value}')}",
    )


def unused_column(
    path: str, setting: str, name: str, default: str | None, have: Sequence[str], form: str
) -> DataError:
    """A setting for another form of labels than the file has."""
    names_a_column = setting != "data.tag_scheme"
    lacks = f", and has no column {name!r}" if names_a_column and name not in have else ""
    return DataError(
        f"{path} is read as {form}{lacks}; {setting} is {name!r}",
        f"a file for which {setting} is needed, or no {setting}",
        f"--set {setting}={default or 'null'}",
    )


def not_a_list(where: str, column: str, text: str, setting: str) -> DataError:
    """A value that should be a list of words, of tags or of spans."""
    kind = (
        'spans, such as [{"start": 0, "end": 4, "type": "PER"}]'
        if setting == "data.spans"
        else 'texts, such as ["New", "York"]'
    )
    return DataError(
        f"{where} has in the column {column!r}: {_short(text)}",
        f"a list of {kind}",
        f"correct the row, or name another column: --set {setting}=COLUMN",
    )


def unequal_lengths(where: str, words: int, tags: int) -> DataError:
    """A row in which the number of tags differs from the number of words."""
    return DataError(
        f"{where} has {counted(words, 'word')} and {counted(tags, 'tag')}",
        "one tag for each word",
        "correct the row in the file",
    )


def no_entities(rows: int) -> DataError:
    """Training rows without any entity."""
    return DataError(
        f"all words of {counted(rows, 'training row')} have the same tag",
        "training rows with at least two different tags, after the validation rows were set aside",
        "add rows with other tags to the file; or check the column of the tags: "
        "--set data.tags=COLUMN",
    )


def no_usable_span(refused: int, reasons: Mapping[str, int]) -> DataError:
    """Training rows whose character spans were all refused, or that have none."""
    if not refused:
        return DataError(
            "the training rows have no span",
            "rows with at least one span",
            "check that the texts were annotated before the file was written",
        )
    listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items() if count)
    return DataError(
        f"all character spans of the training rows are refused ({listed})",
        "spans whose offsets count the characters of their own text, from 0, without the end",
        "correct the offsets, or export the texts again as plain text",
    )


def _columns(count: int) -> str:
    """``1 column``, ``2 columns``."""
    return f"{count} column{'s' * (count != 1)}"


def _short(text: str, characters: int = 60) -> str:
    """The beginning of a text, on one line."""
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= characters else f"{line[: characters - 1]}…"

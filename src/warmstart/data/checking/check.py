"""Report what the user should know about the data before training.

``find`` only counts: it changes and rejects no row. The counts are stored in ``data.json`` and
shown in the report; the messages (``Findings.messages``) are printed. A message names the numbers,
the first row concerned, and the setting to change, if there is one. A *warning* is about something
that can make the model or its score worse than it looks; all other messages are *info*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.config import DataConfig
from warmstart.config.file_formats import NO_ROWS
from warmstart.data.checking.duplicates import Repeats, find_repeats
from warmstart.data.checking.label_messages import (
    NAMES,
    Finding,
    about_amounts,
    about_largest,
    about_missing,
    about_rare,
    rows_of,
)
from warmstart.data.checking.lengths import Lengths, describe_lengths
from warmstart.data.examples.tokens import Cut
from warmstart.data.label_lists import SEPARATOR, as_texts
from warmstart.data.labels import in_order, label_texts
from warmstart.data.table import Table
from warmstart.errors.counts import counted, form, percentage

PAIR = ("data.text", "data.text_pair")
"""The settings that name the two columns of a pair."""

MANY_GRADES = 20
"""With more distinct grades than this, a ranking's grades are not counted one by one."""

REASONS = {
    "ragged": "too many or too few fields",
    "empty_text": "no text",
    "empty_prompt": "no prompt",
    "missing_label": "no label",
    "not_annotated": "no finished annotation, or rejected by the annotator",
    "prompt_fills_row": "the prompt fills model.max_tokens, so no token of the text is learned",
    "repeated_text": "an earlier training row has the same text (data.duplicates: drop)",
    "scored_text": "a validation or test row has the same text (data.duplicates: drop)",
    "contradictory_labels": "their text occurs in training with different labels "
    "(data.duplicates: drop)",
    "one_sentence": "a document of one sentence has no next one",
    "no_known_token": "the tokenizer knows no character of the text, so no token can be masked",
}
"""Key of a count of dropped rows -> the reason."""


@dataclass(frozen=True, slots=True)
class SplitFindings:
    """The counts of one split.

    Args:
        split: ``train``, ``validation`` or ``test``.
        rows: number of rows that are used.
        dropped: number of dropped rows by reason: ``{"ragged": n, "empty_text": n, …}``. If a
            validation split was held out from the training files, ragged rows are only counted in
            the training split.
        label_counts: number of rows (or spans) of each label, in the same order for every split;
            empty without labels.
        lengths: the distribution of row lengths in tokens.
        cut: for pairs, setting (``data.text``, ``data.text_pair``) -> the truncated rows and tokens
            of that text: ``{"rows": n, "tokens": n}``.
        label_unit: what ``label_counts`` counts: ``row``, or ``span`` for spans of words.
        chunked_rows: number of rows above the limit that are read in pieces and not truncated.
        pieces: number of pieces of all rows together, if some are read in pieces.
    """

    split: str
    rows: int
    dropped: Mapping[str, int]
    label_counts: Mapping[str, int]
    lengths: Lengths
    cut: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    label_unit: str = "row"
    chunked_rows: int = 0
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of ``find``: counts and messages.

    Args:
        splits: the counts of each split, in the order training, validation, test.
        repeats: repeated texts, inside of and between splits.
        messages: warnings first.
    """

    splits: tuple[SplitFindings, ...]
    repeats: tuple[Repeats, ...]
    messages: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """``{"splits": [...], "repeats": [...], "messages": [...]}``."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from the output of ``to_json``."""
        splits = (
            SplitFindings(**{**split, "lengths": Lengths.from_json(split["lengths"])})
            for split in content["splits"]
        )
        repeats = (Repeats.from_json(repeat) for repeat in content["repeats"])
        messages = (Finding(**message) for message in content["messages"])
        return cls(tuple(splits), tuple(repeats), tuple(messages))


def collect_findings(
    tables: Mapping[str, Table],
    data: DataConfig,
    lengths: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    max_tokens: int,
    *,
    dropped: Mapping[str, Mapping[str, int]],
    cut: Mapping[str, tuple[Cut, Cut]] | None = None,
    labels: Mapping[str, pa.Array | pa.ChunkedArray] | None = None,
    classes: bool = True,
    together: str | None = None,
    remarks: Mapping[str, Sequence[str]] | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
    pieces: Mapping[str, int] | None = None,
    label_unit: str = "row",
    further: Sequence[Finding] = (),
) -> Findings:
    """Check the splits before training.

    Args:
        tables: split -> its rows (at least one), in the order training, validation, test.
        data: the settings that name the columns.
        lengths: split -> number of tokens of each row without truncation, int64 [N].
        max_tokens: maximum number of tokens per row; longer rows are truncated.
        dropped: split -> dropped rows by reason, as counted by ``labels.clean_rows``.
        cut: split -> what truncation removes from the two texts of pairs.
        labels: split -> the label of each row; {} without labels; by default ``data.label``'s text.
        classes: whether each row has exactly one label; only then is class imbalance checked.
        together: the column whose equal values are kept in the same split.
        remarks: split -> messages of the task on its rows.
        notes: split -> messages of the task on what was changed in its rows.
        pieces: split -> number of chunks in which its rows are read; None if they are truncated.
        label_unit: what has a label: ``row``, or ``span``.
        further: other messages, for example about the vocabulary.

    Raises:
        DataError: a column is missing, or one label has two spellings.
    """
    labels = _label_texts(tables, data.label) if labels is None else labels
    distributions, ragged = describe_lengths(lengths, max_tokens), _ragged_rows(tables)
    counts = _label_counts(labels, classes=classes)
    splits = [
        SplitFindings(
            split=split,
            rows=len(table),
            dropped={"ragged": ragged[split], **dropped.get(split, {})},
            label_counts=counts.get(split, {}),
            lengths=distributions[split],
            cut=_by_setting((cut or {}).get(split)),
            label_unit=label_unit,
        )
        for split, table in tables.items()
    ]
    if pieces and any(pieces[split.split] > split.rows for split in splits):
        splits = [_in_chunks(split, pieces[split.split]) for split in splits]
    repeats = find_repeats(tables, data.text_columns, comparable(labels, data))
    messages = [*_about_files(tables), *_about_split(data, together), *_about_notes(notes or {})]
    messages += _about_splits(splits, repeats, remarks or {}, labels, classes=classes)
    ordered = sorted([*messages, *further], key=lambda message: message.level != "warning")
    return Findings(tuple(splits), repeats, tuple(ordered))


def _label_texts(tables: Mapping[str, Table], column: str) -> dict[str, pa.ChunkedArray]:
    return {split: label_texts(table, column) for split, table in tables.items()}


def _in_chunks(split: SplitFindings, pieces: int) -> SplitFindings:
    """The findings of a split whose long rows are read in pieces, so that nothing is truncated."""
    whole = replace(split.lengths, truncated_rows=0, lost_tokens=0)
    long = split.lengths.truncated_rows
    return replace(split, lengths=whole, chunked_rows=long, pieces=pieces if long else 0)


def _ragged_rows(tables: Mapping[str, Table]) -> dict[str, int]:
    """Rows with a wrong number of columns; splits that share their files count them once."""
    seen: set[str] = set()
    ragged = {}
    for split, table in tables.items():
        ragged[split] = 0 if table.setting in seen else sum(file.dropped for file in table.files)
        seen.add(table.setting)
    return ragged


def _by_setting(cut: tuple[Cut, Cut] | None) -> dict[str, dict[str, int]]:
    return {} if cut is None else dict(zip(PAIR, (one._asdict() for one in cut), strict=True))


def _about_files(tables: Mapping[str, Table]) -> list[Finding]:
    """Encodings other than UTF-8, and notes on how files were read, each once."""
    files = [file for table in tables.values() for file in table.files]
    encodings = [
        (file, f"the encoding is {file.encoding}")
        for file in files
        if file.encoding not in (None, "utf-8", "utf-8-sig")
    ]
    remarks = encodings + [(file, note) for file in files for note in file.notes]
    notes = {f"{file.path}: {note.rstrip('.')}": None for file, note in remarks}
    return [Finding("info", note) for note in notes]


def _about_notes(notes: Mapping[str, Sequence[str]]) -> list[Finding]:
    """What was changed before tokenisation, with the name of the split."""
    return [
        Finding("info", f"{NAMES.get(split, split)}: {text}")
        for split, sentences in notes.items()
        for text in sentences
    ]


def _about_split(data: DataConfig, together: str | None) -> list[Finding]:
    """A message if there are no validation rows, or if their share counts groups of rows."""
    if data.validation == NO_ROWS:
        text = "no validation rows: the model of the last step is kept, and no score can choose it"
        if data.test is None:
            text += "; without test rows it will not be known how well it predicts other rows"
        return [Finding("info", text)]
    if not isinstance(data.validation, float):
        return []
    share = f"the validation split has {data.validation:.0%} of the"
    if data.duplicates == "together":
        same = "the same text" if together is None else f"the same text or the same {together}"
        text = f"{share} groups of rows with {same}, and no such group is in both splits"
    elif together is not None:
        text = (
            f"{share} values of {together}, with all their rows: with rows of one {together} in "
            "both splits, the score would be too high"
        )
    else:
        return []
    return [Finding("info", text)]


def comparable(
    labels: Mapping[str, pa.Array | pa.ChunkedArray], data: DataConfig
) -> dict[str, pa.ChunkedArray]:
    """Labels that can be compared between rows: a list of labels is joined to one text.

    Args:
        labels: split -> the label of each row, in the form of ``ShowsLabels.shown_labels``.
        data: has the text between the labels of a list.
    """
    found, separator = {}, data.label_separator or SEPARATOR
    for split, values in labels.items():
        plain = as_texts(values, separator) if pa.types.is_list(values.type) else values
        chunked = isinstance(plain, pa.ChunkedArray)
        found[split] = plain if chunked else pa.chunked_array([plain])
    return found


def _label_counts(
    labels: Mapping[str, pa.Array | pa.ChunkedArray], *, classes: bool
) -> dict[str, dict[str, int]]:
    """Number of rows of each label in each split, also if it is 0; numbers are not counted."""
    counts: dict[str, dict[str, int]] = {}
    for split, values in labels.items():
        texts = pc.list_flatten(values) if pa.types.is_list(values.type) else values
        if pa.types.is_string(texts.type):
            pairs = pc.value_counts(texts).to_pylist()
            counts[split] = {str(pair["values"]): pair["counts"] for pair in pairs}
    names = in_order({name for of_split in counts.values() for name in of_split})
    return {
        split: {name: of_split.get(name, 0) for name in names} for split, of_split in counts.items()
    }


def _about_splits(
    splits: Sequence[SplitFindings],
    repeats: Sequence[Repeats],
    remarks: Mapping[str, Sequence[str]],
    labels: Mapping[str, pa.Array | pa.ChunkedArray],
    *,
    classes: bool,
) -> list[Finding]:
    """Messages about the rows of each split, their lengths and their repeated texts."""
    several = any(pa.types.is_list(of_split.type) for of_split in labels.values())
    messages = []
    for split in splits:
        messages += _about_rows(split, remarks, classes=classes, several=several)
    messages += _about_lengths(splits)
    return messages + [text for repeat in repeats for text in _about_repeats(repeat, splits)]


def _about_rows(
    split: SplitFindings, remarks: Mapping[str, Sequence[str]], *, classes: bool, several: bool
) -> list[Finding]:
    """Messages about one split: dropped rows, labels, and the remarks of the task."""
    name = NAMES.get(split.split, split.split)
    messages = []
    for reason, rows in split.dropped.items():
        if rows:
            messages.append(Finding("warning", f"{rows_of(rows, name)} dropped: {REASONS[reason]}"))
    if split.label_counts and classes:
        messages += about_largest(split.label_counts, split.rows, name)
    if split.label_counts and (classes or several):
        messages += about_missing(split.label_counts, name)
        messages += about_rare(split.label_counts, name, split.label_unit)
    if split.label_counts and classes and name == "training":
        messages += about_amounts(split.label_counts)
    return messages + [Finding("info", f"{name}: {text}") for text in remarks.get(split.split, ())]


def _about_lengths(splits: Sequence[SplitFindings]) -> list[Finding]:
    """Messages about rows that exceed the limit, or one message that no row does."""
    messages = []
    for split in splits:
        lengths = split.lengths
        if beyond := lengths.truncated_rows or split.chunked_rows:
            name = NAMES.get(split.split, split.split)
            rows = rows_of(split.rows, name)
            longer = f"{beyond:,} of {rows} longer than {lengths.max_tokens:,} tokens"
            if split.chunked_rows:
                text = f"{longer} and split into chunks (longest {lengths.longest:,}): the rows "
                messages.append(Finding("info", f"{text}have {split.pieces:,} chunks in all"))
                continue
            text = (
                f"{longer} and truncated (longest {lengths.longest:,}): the model does not see "
                f"{percentage(lengths.lost_share)} of all tokens (model.max_tokens)"
            )
            truncated = [
                f"{setting} in {cut['rows']:,} ({counted(cut['tokens'], 'token')})"
                for setting, cut in split.cut.items()
                if cut["rows"]
            ]
            if truncated:
                text += f"; truncated: {', '.join(truncated)}"
            messages.append(Finding("warning", text))
    if not messages:
        limit = splits[0].lengths.max_tokens
        longest = max(split.lengths.longest for split in splits)
        messages.append(
            Finding("info", f"no row is longer than {limit:,} tokens (the longest has {longest:,})")
        )
    return messages


def _about_repeats(repeats: Repeats, splits: Sequence[SplitFindings]) -> list[Finding]:
    """Messages about repeated texts between two splits, or inside of one split."""
    rows = next(split.rows for split in splits if split.split == repeats.split)
    name, other = (NAMES.get(split, split) for split in (repeats.split, repeats.stands_in))
    inside = repeats.split == repeats.stands_in
    some = f"{repeats.rows:,} of {rows_of(rows, name)}"
    have = form(repeats.rows, "has", "have")
    row, twin = repeats.examples[0]
    of_training = repeats.stands_in == "train"
    advice = "; data.duplicates: drop leaves such training rows out" if of_training else ""
    repeated = (
        Finding("info", f"{some} {have} the same text as an earlier row (first: {row} = {twin})")
        if inside
        else Finding(
            "warning",
            f"{some} {have} the same text as a {other} row: "
            f"the score may be too high (first: {row} = {twin}){advice}",
        )
    )
    if not repeats.conflicting:
        return [repeated]
    row, twin = repeats.conflicting_examples[0]
    have = form(repeats.conflicting, "has", "have")
    where = "an earlier row" if inside else f"a {other} row"
    conflicting = (
        f"{repeats.conflicting:,} of {rows_of(rows, name)} {have} another label than {where} "
        f"with the same text (first: {row}, {twin}){advice * inside}"
    )
    return [repeated, Finding("warning", conflicting)]

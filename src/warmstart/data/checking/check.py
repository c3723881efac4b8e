"""What a person should know about their data before they train on it.

``find`` counts; it changes no row and refuses none. What it counts goes as it is into ``data.json``
and the report, and in sentences (``Findings.messages``) onto the screen. A sentence names the
numbers, the first place, and where there is one the setting to change. A *warning* is something
that can make a model or a score worse than it looks; the rest is *info*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.config import DataConfig
from warmstart.data.checking.duplicates import Repeats, find_repeats
from warmstart.data.checking.lengths import Lengths, describe
from warmstart.data.examples.tokens import Cut
from warmstart.data.label_lists import as_texts
from warmstart.data.labels import in_order, label_texts
from warmstart.data.table import Table

PAIR = ("data.text", "data.text_pair")
"""The settings of a pair's columns."""

FEW_ROWS = 10
"""Rows of a class below which neither learning it nor scoring it means much."""

IMBALANCE = 0.9
"""Share of the largest class from which answering it alone looks like a good score."""

NAMES = {"train": "training"}
"""What a split is called in a sentence, where that is not its own name."""

REASONS = {
    "ragged": "too many or too few fields",
    "empty_text": "no text",
    "missing_label": "no label",
}
"""Why rows are left out, by the name under which they are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence for the person."""

    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True, slots=True)
class SplitFindings:
    """What was counted in one split.

    Args:
        split: ``train``, ``validation`` or ``test``.
        rows: rows that are used.
        dropped: rows that are not, by reason: ``{"ragged": n, "empty_text": n, …}``; a split that
            was cut from another setting's rows counts none, they are counted there.
        label_counts: rows of each label, every split in the same order; empty without labels.
        lengths: in tokens.
        cut: of pairs, by setting (``data.text``, ``data.text_pair``) what truncation takes of that
            text: ``{"rows": n, "tokens": n}``.
    """

    split: str
    rows: int
    dropped: Mapping[str, int]
    label_counts: Mapping[str, int]
    lengths: Lengths
    cut: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything ``find`` counted, and what there is to say about it.

    Args:
        splits: in the order training, validation, test.
        repeats: texts that stand more than once.
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
        """Rebuild from what ``to_json`` gave."""
        splits = (
            SplitFindings(**{**split, "lengths": Lengths.from_json(split["lengths"])})
            for split in content["splits"]
        )
        repeats = (Repeats.from_json(repeat) for repeat in content["repeats"])
        messages = (Finding(**message) for message in content["messages"])
        return cls(tuple(splits), tuple(repeats), tuple(messages))


def find(
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
    chunked: bool | None = None,
) -> Findings:
    """Count what a person should know before training.

    Args:
        tables: by split, in the order training, validation, test; at least one row each.
        data: names the columns.
        lengths: by split, tokens of each row without truncation, int64 [N].
        max_tokens: longest row the model is to see, in tokens.
        dropped: by split, rows left out, as ``labels.clean_rows`` counts them.
        cut: by split, what truncation takes of the two texts of pairs.
        labels: by split, each row's label: text, a number, or a list of texts; none where rows
            have no labels, and by default the text in ``data.label``.
        classes: whether each row has one label, of which one may be too common.
        together: the column whose rows stay in one split.
        remarks: by split, what the task has to say of its rows.
        notes: by split, what tokenising changed.
        chunked: whether long rows are cut into pieces and nothing is lost; by default, as
            ``data.long_documents`` says.

    Raises:
        DataError: a column is missing, or one label has two spellings.
    """
    if labels is None:
        labels = {split: label_texts(table, data.label) for split, table in tables.items()}
    distributions = describe(lengths, max_tokens)
    counts = _label_counts(labels)
    seen: set[str] = set()
    splits = []
    for split, table in tables.items():
        # Two splits of one setting share their files: their ragged rows are counted once.
        ragged = 0 if table.setting in seen else sum(file.dropped for file in table.files)
        seen.add(table.setting)
        splits.append(
            SplitFindings(
                split=split,
                rows=len(table),
                dropped={"ragged": ragged, **dropped.get(split, {})},
                label_counts=counts.get(split, {}),
                lengths=distributions[split],
                cut=_by_setting((cut or {}).get(split)),
            )
        )
    repeats = find_repeats(tables, data.text_columns, _comparable(labels))
    messages = _about_files(tables) + _about_split(data, together)
    several = any(pa.types.is_list(found.type) for found in labels.values())
    for counted in splits:
        messages += _about(counted, remarks or {}, classes=classes, several=several)
    for split, sentences in (notes or {}).items():
        name = NAMES.get(split, split)
        messages += [Finding("info", f"{name}: {sentence}") for sentence in sentences]
    if chunked is None:
        chunked = data.long_documents == "chunk"
    messages += _about_lengths(splits, chunked=chunked)
    messages += [message for repeat in repeats for message in _about_repeats(repeat, splits)]
    messages.sort(key=lambda message: message.level != "warning")
    return Findings(tuple(splits), repeats, tuple(messages))


def _by_setting(cut: tuple[Cut, Cut] | None) -> dict[str, dict[str, int]]:
    return {} if cut is None else dict(zip(PAIR, (one._asdict() for one in cut), strict=True))


def _about_files(tables: Mapping[str, Table]) -> list[Finding]:
    """Notes on how files were read, each once."""
    notes = {
        f"{file.path}: {note.rstrip('.')}": None
        for table in tables.values()
        for file in table.files
        for note in file.notes
    }
    return [Finding("info", note) for note in notes]


def _about_split(data: DataConfig, together: str | None) -> list[Finding]:
    """Why a validation share is not of rows, where it is not."""
    if together is None or not isinstance(data.validation, float):
        return []
    said = (
        f"validation takes {data.validation:.0%} of the {together} values with all their rows: "
        f"rows of one {together} on both sides would make the score partly memory"
    )
    return [Finding("info", said)]


def _comparable(
    labels: Mapping[str, pa.Array | pa.ChunkedArray],
) -> dict[str, pa.ChunkedArray]:
    """The labels so that those of two rows can be compared: of a list its members in one text."""
    found = {}
    for split, values in labels.items():
        plain = as_texts(values) if pa.types.is_list(values.type) else values
        chunked = isinstance(plain, pa.ChunkedArray)
        found[split] = plain if chunked else pa.chunked_array([plain])
    return found


def _label_counts(
    labels: Mapping[str, pa.Array | pa.ChunkedArray],
) -> dict[str, dict[str, int]]:
    """Rows of each label in each split, 0 where a label is not in it; numbers are not counted."""
    counts: dict[str, dict[str, int]] = {}
    for split, found in labels.items():
        texts = pc.list_flatten(found) if pa.types.is_list(found.type) else found
        if pa.types.is_string(texts.type):
            pairs = pc.value_counts(texts).to_pylist()
            counts[split] = {str(pair["values"]): pair["counts"] for pair in pairs}
    names = in_order({name for of_split in counts.values() for name in of_split})
    return {split: {name: found.get(name, 0) for name in names} for split, found in counts.items()}


def _about(
    split: SplitFindings, remarks: Mapping[str, Sequence[str]], *, classes: bool, several: bool
) -> list[Finding]:
    """The sentences about one split alone: rows left out, labels, what the task remarks."""
    name = NAMES.get(split.split, split.split)
    messages = []
    for reason, rows in split.dropped.items():
        if rows:
            messages.append(Finding("warning", f"{_rows(rows, name)} left out: {REASONS[reason]}"))
    if split.label_counts and classes:
        messages += _about_largest(split.label_counts, split.rows, name)
    if split.label_counts and (classes or several):
        messages += _about_rare(split.label_counts, name)
    return messages + [Finding("info", f"{name}: {text}") for text in remarks.get(split.split, ())]


def _about_largest(counts: Mapping[str, int], rows: int, name: str) -> list[Finding]:
    """How even the labels are."""
    largest = max(counts, key=lambda label: counts[label])
    share = counts[largest] / rows
    uneven = share >= IMBALANCE
    messages = []
    if uneven or name == "training":
        said = (
            f"{share:.1%} of {_rows(rows, name)} have the label {largest!r}: "
            "answering it always is right that often"
        )
        messages.append(Finding("warning" if uneven else "info", said))
    return messages


def _about_rare(counts: Mapping[str, int], name: str) -> list[Finding]:
    """Which labels are too rare to learn or to score."""
    messages = []
    rare = [label for label in counts if counts[label] < FEW_ROWS]
    if rare:
        rarest = min(rare, key=lambda label: counts[label])
        what = (
            f"the label {rarest!r} has {_rows(counts[rarest], name)}"
            if len(rare) == 1
            else f"{len(rare):,} of {len(counts):,} labels have fewer than {FEW_ROWS} {name} rows "
            f"({rarest!r} has {counts[rarest]})"
        )
        to = "learn from" if name == "training" else "score"
        messages.append(Finding("warning", f"{what}: too few to {to}"))
    return messages


def _about_lengths(splits: Sequence[SplitFindings], *, chunked: bool) -> list[Finding]:
    """What the limit takes away from each split, or once that it takes nothing."""
    messages = []
    for split in splits:
        lengths = split.lengths
        if lengths.truncated_rows:
            name = NAMES.get(split.split, split.split)
            longer = (
                f"{lengths.truncated_rows:,} of {_rows(split.rows, name)} longer than "
                f"{lengths.max_tokens:,} tokens"
            )
            if chunked:
                said = f"{longer} and cut into pieces (longest {lengths.longest:,})"
                messages.append(Finding("info", said))
                continue
            said = (
                f"{longer} and cut there (longest {lengths.longest:,}): "
                f"{lengths.lost_share:.1%} of all tokens are never read (model.max_tokens)"
            )
            taken = [
                f"{setting} in {found['rows']:,} ({found['tokens']:,} tokens)"
                for setting, found in split.cut.items()
                if found["rows"]
            ]
            messages.append(Finding("warning", said + f"; cut: {', '.join(taken)}" * bool(taken)))
    if not messages:
        limit = splits[0].lengths.max_tokens
        longest = max(split.lengths.longest for split in splits)
        messages.append(
            Finding("info", f"no row is longer than {limit:,} tokens (the longest has {longest:,})")
        )
    return messages


def _about_repeats(repeats: Repeats, splits: Sequence[SplitFindings]) -> list[Finding]:
    """The sentences about repeated texts between two splits, or inside one."""
    rows = next(split.rows for split in splits if split.split == repeats.split)
    name, other = (NAMES.get(split, split) for split in (repeats.split, repeats.stands_in))
    inside = repeats.split == repeats.stands_in
    some = f"{repeats.rows:,} of {_rows(rows, name)}"
    stand = "stands" if repeats.rows == 1 else "stand"
    row, twin = repeats.examples[0]
    said = (
        Finding("info", f"{some} {stand} word for word in an earlier row (first: {row} = {twin})")
        if inside
        else Finding(
            "warning",
            f"{some} {stand} word for word in {other}: "
            f"the score is partly memory (first: {row} = {twin})",
        )
    )
    if not repeats.conflicting:
        return [said]
    row, twin = repeats.conflicting_examples[0]
    contradict = "contradicts" if repeats.conflicting == 1 else "contradict"
    where = "an earlier row" if inside else f"a {other} row"
    said_too = (
        f"{repeats.conflicting:,} of {_rows(rows, name)} {contradict} {where} "
        f"with the same text (first: {row}, {twin})"
    )
    return [said, Finding("warning", said_too)]


def _rows(count: int, split: str) -> str:
    """``1 test row``, ``1,043 test rows``."""
    return f"{count:,} {split} row{'s' * (count != 1)}"

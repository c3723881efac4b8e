"""Read texts with character spans from the exports of annotation tools into a table.

The format is recognised from the records (``span_records`` shows each) and reported in the notes.
All offsets are converted to code points, as Python counts. The unit of the file is that of its
format, unless the file repeats the text of its spans (Label Studio, brat, Prodigy): then it is the
unit for which more of these texts are correct. A span is refused if its repeated text differs from
the text at its offsets, because the offsets are wrong and cannot be corrected.

No span is lost: ``refused`` counts the spans that are not in the table, by reason, and the column
``refused_spans`` has the reasons by row, for the counts of a split. All other spans are in the
table, including empty, overlapping or impossible ones; ``alignment`` then keeps, snaps or refuses
them and has the rule for spans that share a word.

Source: brat.nlplab.org/standoff.html; for the others see ``span_records``.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.data.tags.span_records import (
    BRAT,
    CODE_POINTS,
    PLAIN,
    UNITS,
    UTF16,
    RawSpan,
    Record,
    format_of,
    is_rejected,
    record_of,
)
from warmstart.data.tags.spans import Ints, Spans, offset_of_text, place_of

SPAN_TYPE = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("type", pa.string())]))
"""Arrow type of the column ``spans``: code points, ``end`` exclusive."""

SPANS, REFUSED_SPANS = "spans", "refused_spans"
"""Names of the columns, see ``SpanFile``."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_BRAT_SPAN = re.compile(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)$")


@dataclass(frozen=True, slots=True)
class SpanFile:
    """N texts with their spans.

    Args:
        columns: ``text`` string, ``spans`` of type ``SPAN_TYPE`` (null without a finished
            annotation), and ``refused_spans`` list<string>, the reason for each span of the text
            that is not in ``spans``; N rows.
        lines: line of each text, or its number in a JSON array, from 1, int64 [N].
        format: its name.
        unit: the unit of the offsets in the file: ``CODE_POINTS`` or ``UTF16``.
        refused: number of spans that are not in ``columns``, by reason.
        notes: what was recognised, skipped and refused, one sentence each.
        row_unit: what ``lines`` counts: lines, records of a JSON array, or documents.
    """

    columns: pa.Table
    lines: Ints
    format: str
    unit: str
    refused: Mapping[str, int]
    notes: tuple[str, ...]
    row_unit: str = "line"


def read_spans(
    content: str, path: str, *, text_key: str | None = None, unit: str | None = None
) -> SpanFile:
    """The texts and spans of a JSON export, or of a JSON lines file.

    Args:
        content: the whole file.
        path: the file, for messages.
        text_key: key of the text, if it is not ``text``.
        unit: the unit of the offsets, if it is known.

    Raises:
        DataError: not JSON, no record, a record of an unknown format, or one without a text.

    >>> found = read_spans('["Anna left.", {"entities": [[0, 4, "PER"]]}]', "a.json")
    >>> found.format, found.columns["spans"].to_pylist()
    ('spaCy', [[{'start': 0, 'end': 4, 'type': 'PER'}]])
    """
    every, row_unit = _values(content, path)
    usable = [(line, value) for line, value in every if not is_rejected(value)]
    if not usable:
        raise errors.tags.no_records(path)
    kind = next((found for _, value in usable if (found := format_of(value))), PLAIN)
    records = [
        record_of(value, kind, line, place_of(path, line, row_unit), text_key)
        for line, value in usable
    ]
    rejected = len(every) - len(usable)
    skipped = {"records that were rejected or ignored": rejected}
    return replace(_span_file(records, kind, unit, skipped), row_unit=row_unit)


def read_brat(documents: Sequence[tuple[str, str, str]]) -> SpanFile:
    r"""The texts and spans of brat's standoff files; every document is one text.

    Args:
        documents: name of the ``.ann`` file for messages, content of the ``.txt`` file with its
            line ends unchanged, content of the ``.ann`` file.

    Raises:
        DataError: no document, or a line that begins with T and is not a text-bound annotation.

    >>> found = read_brat([("a.ann", "Anna left.", "T1\tPER 0 4\tAnna\n")])
    >>> found.columns["spans"].to_pylist()
    [[{'start': 0, 'end': 4, 'type': 'PER'}]]
    """
    if not documents:
        raise errors.tags.no_records("data.train")
    found = _span_file([_brat_record(*one) for one in documents], BRAT, None, {})
    return replace(found, row_unit="document")


def is_export(columns: pa.Table) -> bool:
    """Whether a table was read from exports of annotation tools.

    Args:
        columns: the columns of one or several files.
    """
    schema = columns.schema
    is_known = {SPANS, REFUSED_SPANS} <= set(schema.names)
    return is_known and schema.field(SPANS).type == SPAN_TYPE


def spans_of_column(column: pa.ChunkedArray) -> Spans:
    """The spans of a column of type ``SPAN_TYPE``, as flat arrays; the types are sorted by name.

    Args:
        column: N rows without nulls.
    """
    flat = pc.list_flatten(column).combine_chunks()
    lengths = pc.list_value_length(column).to_numpy().astype(np.int64)
    starts, ends, kinds = (pc.struct_field(flat, name) for name in ("start", "end", "type"))
    encoded = kinds.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = np.argsort(np.array(names, dtype=object)) if names else np.empty(0, np.int64)
    place = np.argsort(order)[encoded.indices.to_numpy(zero_copy_only=False)] if names else order
    return Spans(
        np.repeat(np.arange(len(lengths), dtype=np.int64), lengths),
        starts.to_numpy(zero_copy_only=False).astype(np.int64),
        ends.to_numpy(zero_copy_only=False).astype(np.int64),
        place.astype(np.int64),
        tuple(sorted(names)),
    )


def _values(content: str, path: str) -> tuple[list[tuple[int, Any]], str]:
    """Every record with its line, or with its number in an array, and which of them it is."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return list(_json_lines(content, path)), "line"
    if isinstance(whole, dict) and isinstance(whole.get("classes"), list):
        # From NER annotators with a spaCy export: {"classes": […], "annotations": […]}
        whole = [one for one in whole.get("annotations", []) if one is not None]
    if isinstance(whole, list) and format_of(whole) is None:
        return list(enumerate(whole, 1)), "record"
    return [(1, whole)], "line"


def _json_lines(content: str, path: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(_LINE_END.split(content), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise errors.tags.no_json(path, number, reason, line) from None


def _brat_record(path: str, text: str, annotations: str) -> Record:
    spans = []
    others = 0
    for number, line in enumerate(_LINE_END.split(annotations), 1):
        if not line.startswith("T"):
            others += bool(line.strip())
            continue
        _, _, rest = line.partition("\t")
        place, _, covered = rest.partition("\t")
        if (found := _BRAT_SPAN.match(place)) is None:
            raise errors.tags.bad_brat_line(path, number, line)
        parts = found[2].split(";")
        start, end = offset_of_text(parts[0].split()[0]), offset_of_text(parts[-1].split()[1])
        if start is None or end is None:
            raise errors.tags.bad_brat_line(path, number, line)
        refusal = "discontinuous" if len(parts) > 1 else ""
        spans.append(RawSpan(start, end, found[1], covered or None, refusal))
    return Record(text, tuple(spans), 1, {"annotations that are no spans": others})


def _span_file(
    records: Sequence[Record], kind: str, unit: str | None, skipped: Mapping[str, int]
) -> SpanFile:
    """The table of the records, with its notes and counts."""
    unit, is_certain = (unit, True) if unit else _unit(records, kind)
    rows: list[list[dict[str, Any]] | None] = []
    reasons: list[list[str]] = []
    for record in records:
        usable = [span for span in record.spans if not span.refusal]
        why = [span.refusal for span in record.spans if span.refusal]
        placed = []
        for span, (start, end) in zip(usable, _places(record.text, usable, unit), strict=True):
            if span.text is not None and not _is_same(record.text[max(0, start) : end], span.text):
                why.append("its text is not at its offsets")
            else:
                placed.append({"start": start, "end": end, "type": span.kind})
        rows.append(placed if record.is_finished else None)
        reasons.append(why)
    refused = Counter(chain.from_iterable(reasons))
    columns = pa.table(
        {
            "text": pa.array([record.text for record in records], pa.string()),
            SPANS: pa.array(rows, SPAN_TYPE),
            REFUSED_SPANS: pa.array(reasons, pa.list_(pa.string())),
        }
    )
    dropped = Counter(skipped)
    for record in records:
        dropped.update(record.skipped)
    total = sum(len(record.spans) for record in records)
    evidence = ", as the texts of the spans show" if is_certain else ""
    notes = [f"{kind}; texts: {len(records):,}; spans: {total:,}; offsets count {unit}{evidence}."]
    if unfinished := rows.count(None):
        notes.append(f"Texts without a finished annotation, not used for training: {unfinished:,}.")
    notes += [f"Skipped {what}: {count:,}." for what, count in dropped.items() if count]
    notes += [f"Spans refused ({why}): {count:,}." for why, count in refused.items()]
    notes += _shared([row for row in rows if row])
    lines = np.array([record.line for record in records], np.int64)
    return SpanFile(columns, lines, kind, unit, dict(refused), tuple(notes))


def _unit(records: Sequence[Record], kind: str) -> tuple[str, bool]:
    """The unit of the offsets, and whether the texts of the spans confirm it."""
    right = Counter({CODE_POINTS: 0, UTF16: 0})
    for record in records:
        # Only characters beyond the first 65,536 make a difference.
        spans = [span for span in record.spans if span.text is not None and not span.refusal]
        if not spans or not _is_astral(record.text):
            continue
        for unit in right:
            places = zip(spans, _places(record.text, spans, unit), strict=True)
            right[unit] += sum(
                _is_same(record.text[max(0, start) : end], span.text or "")
                for span, (start, end) in places
            )
    if right[CODE_POINTS] == right[UTF16]:
        return UNITS[kind], False
    return max(right, key=lambda unit: right[unit]), True


def _is_astral(text: str) -> bool:
    """Whether a character of the text takes two UTF-16 code units."""
    return bool(text) and max(text) > "\uffff"


def _places(text: str, spans: Sequence[RawSpan], unit: str) -> list[tuple[int, int]]:
    """Start and end of each span in code points."""
    if unit != UTF16 or not spans or not _is_astral(text):
        return [(span.start, span.end) for span in spans]
    starts, ends = np.array([(span.start, span.end) for span in spans]).T
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    # before[i]: code units before code point i. After the end, both units count in the same way.
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(1 + (codes > 0xFFFF))])
    # An offset inside a character is moved to the character's start or end, which widens the span.
    inside = (np.searchsorted(before, starts, "right") - 1, np.searchsorted(before, ends, "left"))
    past = [np.maximum(0, given - before[-1]) for given in (starts, ends)]
    first = np.where(starts < 0, starts, inside[0] + past[0])
    last = np.where(ends < 0, ends, np.minimum(inside[1], len(codes)) + past[1])
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _is_same(found: str, written: str) -> bool:
    """Whether two texts are equal except for white space.

    Brat writes line ends as spaces, and Label Studio as a backslash and an n.
    """
    have = "".join(found.split())
    return have in ("".join(text.split()) for text in (written, written.replace("\\n", " ")))


def _shared(rows: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """A note on spans of one text that share characters, if there are any."""
    overlapping = nested = 0
    for row in rows:
        behind = -1
        places = ((span["start"], -span["end"]) for span in row if span["start"] < span["end"])
        for start, minus_end in sorted(places):
            if start < behind:
                nested += -minus_end <= behind
                overlapping += -minus_end > behind
            behind = max(behind, -minus_end)
    if not overlapping + nested:
        return []
    return [
        f"Spans inside another span: {nested:,}; spans that overlap one: {overlapping:,}. If spans "
        "share a word, the longest is used."
    ]
